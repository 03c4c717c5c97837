import { foldName, MAX_MARK_RUN, shortenMarkRuns } from '../../names.ts'

/** A word in its normalised form, with its position in the text. */
export type Word = { text: string; start: number; end: number }

const MAX_WORD_LENGTH = 64
/** Maximum length of the source of a word: each letter with the maximum number of marks. */
const MAX_WORD_SOURCE = MAX_WORD_LENGTH * (1 + MAX_MARK_RUN)

/**
 * Scripts that are written without spaces. Their texts are split into characters, as are pictographs, and a
 * run of them is a phrase.
 */
const solo = String.raw`\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}\p{sc=Thai}\p{sc=Lao}\p{sc=Khmer}\p{sc=Myanmar}`

const SOLO = 1
const NUMBER = 2
const LETTER = 4
const PICTURE = 8
const MARK = 16
const UPPER = 32
const LOWER = 64
const KNOWN = 128

const classes: [flag: number, pattern: RegExp][] = [
  [SOLO, new RegExp(`^[${solo}]$`, 'u')],
  [NUMBER, /^\p{N}$/u],
  [LETTER, new RegExp(String.raw`^[\p{L}--[${solo}]]$`, 'v')],
  [PICTURE, /^\p{Extended_Pictographic}$/u],
  [MARK, /^\p{M}$/u],
  [UPPER, /^\p{Lu}$/u],
  [LOWER, /^\p{Ll}$/u],
]

/** Classes by code point. A lookup takes a hundredth of the time that the patterns take. */
const classCache = new Uint8Array(0x110000)

function classOf(codePoint: number): number {
  const cached = classCache[codePoint]
  if (cached) return cached
  const character = String.fromCodePoint(codePoint)
  const flags = classes.map(([flag, pattern]) => (pattern.test(character) ? flag : 0))
  const found = flags.reduce((sum, flag) => sum | flag, KNOWN)
  classCache[codePoint] = found
  return found
}

/** A run of characters of one kind, with the positions of its case changes. */
type Piece = { start: number; end: number; cuts: number[] }

/**
 * Splits a text into words in one or two ways: at separators and between letters and digits, and, if the
 * result differs, also at case changes. plateScan_2025 becomes [platescan, 2025] and [plate, scan, 2025].
 * Takes linear time.
 */
export function wordsOf(text: string): Word[][] {
  const pieces = piecesOf(text)
  const whole = pieces.map(({ start, end }) => wordAt(text, start, end))
  const cut = pieces.flatMap(({ start, end, cuts }) =>
    [...cuts, end].map((to, i) => wordAt(text, cuts[i - 1] ?? start, to)),
  )
  return (cut.length > whole.length ? [whole, cut] : [whole])
    .map((words) => words.filter((word) => word.text !== ''))
    .filter((words) => words.length > 0)
}

/** Splits a text into pieces. Marks belong to the preceding character; a mark without one is ignored. */
function piecesOf(text: string): Piece[] {
  const pieces: Piece[] = []
  let open: (Piece & { kind: number; case: CaseTrail }) | null = null
  for (let at = 0; at < text.length; ) {
    const codePoint = text.codePointAt(at) ?? 0
    const flags = classOf(codePoint)
    const next = at + (codePoint > 0xffff ? 2 : 1)
    const kind = kindOf(flags, open?.kind ?? 0)
    if (kind === MARK && open) open.end = next
    else if (kind === 0 || kind === MARK) open = null
    else if (open && open.kind === kind && isJoined(kind)) {
      open.end = next
      open.case = followCase(open, at, flags)
    } else {
      open = { kind, start: at, end: next, cuts: [], case: { last: flags, before: 0, lastAt: at } }
      pieces.push(open)
    }
    // Pictographs take no marks.
    if (open?.kind === PICTURE) open = null
    at = next
  }
  return pieces
}

/**
 * Returns the kind of a character after an open piece. A number continues with digits of any script, and a
 * mark belongs to the open piece. In all other cases SOLO takes precedence.
 */
function kindOf(flags: number, open: number): number {
  if (open === NUMBER && flags & NUMBER) return NUMBER
  if (open !== 0 && flags & MARK) return MARK
  return flags & SOLO || flags & NUMBER || flags & LETTER || flags & PICTURE || flags & MARK
}

const isJoined = (kind: number) => kind === NUMBER || kind === LETTER

/** The classes of the last two letters (`before`, `last`), and the position of the last one. */
type CaseTrail = { last: number; before: number; lastAt: number }

/** Records a case change before the B in aB and in ABc. */
function followCase(
  { cuts, case: trail }: { cuts: number[]; case: CaseTrail },
  at: number,
  flags: number,
) {
  const { last, before, lastAt } = trail
  if (last & LOWER && flags & UPPER) cuts.push(at)
  if (before & UPPER && last & UPPER && flags & LOWER) cuts.push(lastAt)
  return { last: flags, before: last, lastAt: at }
}

const wordAt = (text: string, start: number, end: number): Word => ({
  text: foldWord(text.slice(start, end)),
  start,
  end,
})

/** Letters that look like a letter with a mark but have no Unicode decomposition. */
const lookalikes: Record<string, string> = {
  ø: 'o',
  ł: 'l',
  đ: 'd',
  ħ: 'h',
  ŧ: 't',
  ı: 'i',
  æ: 'ae',
  œ: 'oe',
}

/** Removes case, diacritics and compatibility forms from a word: É = e, ß = ss, Ａ = a, ² = 2. */
function foldWord(piece: string): string {
  if (/^[A-Za-z0-9]*$/.test(piece)) return piece.slice(0, MAX_WORD_LENGTH).toLowerCase()
  if (/^\p{Extended_Pictographic}$/u.test(piece)) return piece
  // Normalisation sorts marks in quadratic time, so limit its input.
  const plain = foldName(shortenMarkRuns(piece, MAX_WORD_SOURCE))
    .normalize('NFKD')
    .replace(/[^\p{L}\p{N}\p{Mc}]/gu, '')
    .toLowerCase()
    .replace(/[øłđħŧıæœ]/g, (letter) => lookalikes[letter] ?? letter)
  return [...plain.normalize('NFC')].slice(0, MAX_WORD_LENGTH).join('')
}
