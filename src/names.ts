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
export const isKeepable = (text: string) => text.isWellFormed() && !text.includes('\0')

export const byteLength = (text: string) => Buffer.byteLength(text, 'utf8')

/** An upper bound of all names that begin with `prefix`, in the order of their bytes: no name has this noncharacter. */
export const endOfPrefix = (prefix: string) => `${prefix}\u{10ffff}`
