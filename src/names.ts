/** How names compare everywhere (entries, tags, paths): by Unicode NFC and full case folding. */
export const foldName = (name: string): string => {
  const folded = [...name.normalize('NFC')].map(foldCharacter).join('')
  return folded.normalize('NFC')
}

/** Lower, upper, lower gives the folding of Unicode's CaseFolding.txt (ß = ss, ς = σ, ﬁ = fi) for all but the dotless ı. */
const foldCharacter = (character: string) =>
  character === 'ı' ? character : character.toLowerCase().toUpperCase().toLowerCase()

/** C0 and C1 controls, lone surrogates, noncharacters, and the bidirectional marks that make a name read as another. */
export const UNSAFE_CHARACTERS =
  /[\p{Cc}\p{Cs}\p{Noncharacter_Code_Point}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/u

/** Names that Windows keeps for itself, with any extension: also the digits of Latin-1, and with spaces before the dot. */
const RESERVED_ON_WINDOWS = /^(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[\d¹²³]) *(\.|$)/i
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not get through.
export const UNFIT_FOR_WINDOWS = /[\x00-\x1f<>:"|?*\\/]/g

/** Whether every system takes `name` for a file as it is: no device, no character that Windows refuses, no dot or space at its end. */
export const isFitForWindows = (name: string) =>
  name.search(UNFIT_FOR_WINDOWS) === -1 && !RESERVED_ON_WINDOWS.test(name) && !/[. ]$/.test(name)

/** Whether every database keeps `text` and gives it back as it was: no half of a surrogate pair, and no U+0000, which PostgreSQL has in no text. */
export const isStorableText = (text: string) => text.isWellFormed() && !text.includes('\0')

/** Text may come in with four times the bytes of its limit, for NFC shortens it (names from macOS); more than that is not read. */
export const RAW_FACTOR = 4

/** Whether `text` is too long to be normalised and held against `limit`; takes no longer for a longer text. */
export const isBeyondReading = (text: string, limit: number) =>
  text.length > RAW_FACTOR * limit || byteLength(text) > RAW_FACTOR * limit

/** So many combining marks may follow each other: no language needs more than a few, and sorting them takes quadratic time. */
export const MAX_MARK_RUN = 32
const MARK = /^\p{M}$/u
const TOO_MANY_MARKS = new RegExp(String.raw`\p{M}{${MAX_MARK_RUN + 1}}`, 'u')

/** Whether more than 32 combining marks follow each other in a text; it is not normalised before it was asked. */
export const hasLongMarkRun = (text: string) => TOO_MANY_MARKS.test(text)

/** The first `most` characters of a text, where of each run of combining marks only the first 32 count. */
export function shortenMarkRuns(text: string, most: number): string {
  if (text.length <= MAX_MARK_RUN) return text
  const kept: string[] = []
  let marks = 0
  for (const character of text) {
    marks = MARK.test(character) ? marks + 1 : 0
    if (marks <= MAX_MARK_RUN) kept.push(character)
    if (kept.length === most) break
  }
  return kept.join('')
}

/** Whether a name of a user or token reads as what it is: nothing that is unsafe in names of entries, and no more marks in a row. */
export const isSafeName = (name: string) =>
  !UNSAFE_CHARACTERS.test(name) && !hasLongMarkRun(name) && !hasLongMarkRun(name.normalize('NFC'))

export const byteLength = (text: string) => Buffer.byteLength(text, 'utf8')

/** An upper bound of all names that begin with `prefix`, in the order of their bytes: no name has this noncharacter. */
export const prefixUpperBound = (prefix: string) => `${prefix}\u{10ffff}`
