/**
 * Returns the form in which names are compared everywhere (entries, tags, paths): Unicode NFC with full case
 * folding.
 */
export const foldName = (name: string): string => {
  const folded = [...name.normalize('NFC')].map(foldCharacter).join('')
  return folded.normalize('NFC')
}

/**
 * Folds a character by lower, upper and lower case, which is equivalent to Unicode's CaseFolding.txt (ß = ss,
 * ς = σ, ﬁ = fi), except for the dotless ı.
 */
const foldCharacter = (character: string) =>
  character === 'ı' ? character : character.toLowerCase().toUpperCase().toLowerCase()

/** C0 and C1 controls, lone surrogates, noncharacters, and bidirectional marks, which can disguise a name. */
const UNSAFE_CHARACTERS =
  /[\p{Cc}\p{Cs}\p{Noncharacter_Code_Point}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/u

const SURROGATE = /\p{Cs}/u

/** Returns the first character of a name that is unsafe, in words, or null if it has none. */
export function describeUnsafeCharacter(name: string): string | null {
  const [character] = UNSAFE_CHARACTERS.exec(name) ?? []
  return character === undefined ? null : describeCharacter(character)
}

function describeCharacter(character: string): string {
  const code = `U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}`
  if (SURROGATE.test(character))
    return `${code}, half of a surrogate pair: the text was cut inside a character`
  if (/\p{Cc}/u.test(character)) return `the control character ${code}`
  return `${code}, ${/\p{Cf}/u.test(character) ? 'an invisible direction mark' : 'which is no character'}`
}

/**
 * Names reserved by Windows, with any extension; includes the digits of Latin-1, and spaces before the dot.
 */
const RESERVED_ON_WINDOWS = /^(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[\d¹²³]) *(\.|$)/i
// biome-ignore lint/suspicious/noControlCharactersInRegex: the pattern matches characters to reject.
export const UNFIT_FOR_WINDOWS = /[\x00-\x1f<>:"|?*\\/]/g

/**
 * Whether `name` is valid as a file name on every system: no Windows device name, no character that Windows
 * rejects, and no dot or space at the end.
 */
export const isFitForWindows = (name: string) =>
  name.search(UNFIT_FOR_WINDOWS) === -1 && !RESERVED_ON_WINDOWS.test(name) && !/[. ]$/.test(name)

/**
 * Whether both databases store `text` unchanged: no lone surrogates, and no U+0000, which PostgreSQL does not
 * support.
 */
export const isStorableText = (text: string) => text.isWellFormed() && !text.includes('\0')

/** Returns the first character that the databases do not store, in words, or null if the text is storable. */
export function describeUnstorable(text: string): string | null {
  if (isStorableText(text)) return null
  return describeCharacter(SURROGATE.exec(text)?.[0] ?? '\0')
}

/**
 * Before normalisation, text may have four times the bytes of its limit, because NFC shortens it (names from
 * macOS). Longer text is rejected without normalising it.
 */
export const RAW_FACTOR = 4

/**
 * Whether `text` is too long to be normalised and compared with `limit` bytes; takes constant time for long
 * text.
 */
export const isTooLongToNormalise = (text: string, limit: number) =>
  text.length > RAW_FACTOR * limit || byteLength(text) > RAW_FACTOR * limit

/**
 * Maximum number of consecutive combining marks: no language needs more than a few, and sorting them takes
 * quadratic time.
 */
export const MAX_MARK_RUN = 32
const MARK = /^\p{M}$/u
const TOO_MANY_MARKS = new RegExp(String.raw`\p{M}{${MAX_MARK_RUN + 1}}`, 'u')

/** Whether a text has more than 32 consecutive combining marks. Check this before normalising it. */
export const hasLongMarkRun = (text: string) => TOO_MANY_MARKS.test(text)

/**
 * Returns the first `maxCharacters` characters of a text, counting only the first 32 of each run of combining
 * marks.
 */
export function shortenMarkRuns(text: string, maxCharacters: number): string {
  if (text.length <= MAX_MARK_RUN) return text
  const kept: string[] = []
  let marks = 0
  for (const character of text) {
    marks = MARK.test(character) ? marks + 1 : 0
    if (marks <= MAX_MARK_RUN) kept.push(character)
    if (kept.length === maxCharacters) break
  }
  return kept.join('')
}

/**
 * Whether a name of a user or token cannot mislead: it has no character that is unsafe in names of entries,
 * and no long run of combining marks.
 */
export const isSafeName = (name: string) =>
  !UNSAFE_CHARACTERS.test(name) && !hasLongMarkRun(name) && !hasLongMarkRun(name.normalize('NFC'))

/** Returns the length of `text` in UTF-8 bytes. */
export const byteLength = (text: string) => Buffer.byteLength(text, 'utf8')

/**
 * Returns an upper bound, in byte order, of all names that begin with `prefix`, because no name contains this
 * noncharacter.
 */
export const prefixUpperBound = (prefix: string) => `${prefix}\u{10ffff}`
