/**
 * Matches one token of an RE2 regex. Brackets and parentheses that RE2 reads as text (in a quotation, a class
 * or a character code) must not match as syntax here: a false end of a group would hide the rest of the group
 * from the counter that follows it.
 */
const regexTokens =
  /\\Q(?<quoted>(?:(?!\\E).)*)(?:\\E)?|\\(?:[pPx]\{[^}]*\}|.)?|(?<flags>\(\?[a-zA-Z-]*\))|(?<open>\((?<name>\?(?:P?<\w+>|(?<silent>[a-zA-Z-]*:)))?)|\[\^?\]?(?:\\.|\[:\^?\w+:\]|[^\]\\])*\]?|\{(?<least>0|[1-9]\d{0,3})(?<range>,(?<most>0|[1-9]\d{0,3})?)?\}|[^\\[(]/gsu

/**
 * Returns an upper estimate of the program size of a compiled regex, counted in one pass. A character,
 * alternative or repetition is one step, a capture two, any other group one, and a counter multiplies the
 * item before it.
 */
export function countSteps(source: string): number {
  const groups: number[] = []
  // The steps of the open group, and of the last item, which a counter would multiply.
  let [sum, last] = [0, 0]
  for (const { 0: part, groups: found = {} } of source.matchAll(regexTokens)) {
    const { quoted, flags, open, silent, least } = found
    // RE2 applies a counter that follows these tokens to the item before them.
    if (flags !== undefined || quoted === '') continue
    if (open !== undefined) {
      groups.push(sum)
      ;[sum, last] = [silent === undefined ? 2 : 1, 0]
    } else if (part === ')') {
      // An unmatched parenthesis is a syntax error or was misread: it closes all groups.
      last = sum
      sum += groups.pop() ?? 0
    } else if (least !== undefined) {
      const more = repeatedSteps(last, found) - last
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

/** Returns the steps of a repeated item. An optional repetition needs one more step to skip it. */
function repeatedSteps(
  steps: number,
  { least, range, most }: Partial<Record<string, string>>,
): number {
  if (range === undefined) return steps * Math.max(Number(least), 1)
  return (steps + 1) * Math.max(Number(least), Number(most ?? 0), 1)
}
