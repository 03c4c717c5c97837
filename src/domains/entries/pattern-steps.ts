/**
 * One part of a regex of RE2. Where RE2 reads a bracket or a parenthesis as text (in a quotation, a class, the code of a character),
 * so must this: what is taken for the end of a group would otherwise hide the rest of the group from its count.
 */
const parts =
  /\\Q(?<quoted>(?:(?!\\E).)*)(?:\\E)?|\\(?:[pPx]\{[^}]*\}|.)?|(?<flags>\(\?[a-zA-Z-]*\))|(?<open>\((?<name>\?(?:P?<\w+>|(?<silent>[a-zA-Z-]*:)))?)|\[\^?\]?(?:\\.|\[:\^?\w+:\]|[^\]\\])*\]?|\{(?<least>0|[1-9]\d{0,3})(?<range>,(?<most>0|[1-9]\d{0,3})?)?\}|[^\\[(]/gsu

/**
 * At least about as many steps as a regex compiles to, counted in one pass: each character, alternative and repetition is one, a
 * capture two and another group one, and counts multiply what stands before them.
 */
export function stepsOf(source: string): number {
  const groups: number[] = []
  /** Of the group that is open, and of what a count would multiply. */
  let [sum, last] = [0, 0]
  for (const { 0: part, groups: found = {} } of source.matchAll(parts)) {
    const { quoted, flags, open, silent, least } = found
    // RE2 lets a count behind these multiply what stands before them.
    if (flags !== undefined || quoted === '') continue
    if (open !== undefined) {
      groups.push(sum)
      ;[sum, last] = [silent === undefined ? 2 : 1, 0]
    } else if (part === ')') {
      // One that closes nothing is a fault, or was misread: then it closes all.
      last = sum
      sum += groups.pop() ?? 0
    } else if (least !== undefined) {
      const more = repeated(last, found) - last
      ;[sum, last] = [sum + more, last + more]
    } else if (/^[*+?]$/.test(part)) {
      ;[sum, last] = [sum + 1, last + 1]
    } else {
      sum += quoted?.length ?? 1
      last = 1
    }
  }
  return groups.reduce((all, steps) => all + steps, sum)
}

/** What may be left out has a step to leave it out each time. */
function repeated(steps: number, { least, range, most }: Partial<Record<string, string>>): number {
  if (range === undefined) return steps * Math.max(Number(least), 1)
  return (steps + 1) * Math.max(Number(least), Number(most ?? 0), 1)
}
