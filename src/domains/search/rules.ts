import type { EntryKind } from '../../database/tables.ts'
import { InvalidInput } from '../../errors.ts'
import { foldName } from '../../names.ts'

/** A word as words compare, and where in the text it stands. */
export type Word = { text: string; start: number; end: number }
/** Words that must follow each other, in one of up to two ways of cutting them; a `prefix` leaves the last one open. */
export type Term = { ways: string[][]; prefix: boolean }
/** What an entry must have, and what it must not have. */
export type Query = { terms: Term[]; excluded: Term[] }

const LONGEST_QUERY = 1000
const MOST_TERMS = 32
const LONGEST_WORD = 64

/** Scripts that are written without spaces are cut into characters, and so are pictures; a run of them is found as a phrase. */
const solo = String.raw`\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}\p{sc=Thai}\p{sc=Lao}\p{sc=Khmer}\p{sc=Myanmar}`
const pieces = new RegExp(
  String.raw`[${solo}]\p{M}*|(?:\p{N}\p{M}*)+|(?:[\p{L}--[${solo}]]\p{M}*)+|\p{Extended_Pictographic}`,
  'gv',
)
const caseChange = /(?<=\p{Ll}\p{M}*)(?=\p{Lu})|(?<=\p{Lu}\p{M}*)(?=\p{Lu}\p{M}*\p{Ll})/u

/**
 * The words of a text: cut at separators and between letters and digits; and, where that makes a difference, in a second way:
 * cut where the case changes too. plateScan_2025 is platescan 2025, and plate scan 2025.
 */
export function wordsOf(text: string): Word[][] {
  const whole = [...text.matchAll(pieces)].map(({ 0: piece, index }) => wordAt(piece, index))
  const cut = whole.flatMap(({ start, end }) => cutByCase(text.slice(start, end), start))
  return (cut.length > whole.length ? [whole, cut] : [whole])
    .map((words) => words.filter((word) => word.text !== ''))
    .filter((words) => words.length > 0)
}

const wordAt = (piece: string, start: number): Word => ({
  text: foldWord(piece),
  start,
  end: start + piece.length,
})

function cutByCase(piece: string, start: number): Word[] {
  let at = start
  return piece.split(caseChange).map((part) => {
    const word = wordAt(part, at)
    at = word.end
    return word
  })
}

/** Letters that look like another one with a mark, and that Unicode does not take apart. */
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

/** A word without case, diacritics and forms of writing: É = e, ß = ss, Ａ = a, ² = 2. */
function foldWord(piece: string): string {
  if (/^[a-z0-9]*$/.test(piece)) return piece.slice(0, LONGEST_WORD)
  if (/^\p{Extended_Pictographic}$/u.test(piece)) return piece
  const plain = foldName(piece)
    .normalize('NFKD')
    .replace(/[^\p{L}\p{N}\p{Mc}]/gu, '')
    .toLowerCase()
    .replace(/[øłđħŧıæœ]/g, (letter) => lookalikes[letter] ?? letter)
  return [...plain.normalize('NFC')].slice(0, LONGEST_WORD).join('')
}

const items = /(?<minus>-?)(?:"(?<phrase>[^"]*)"?|(?<bare>[^\s"]+))/g

/**
 * What a search asks for: words that must all be there, "phrases", -exclusions. Nothing else in it is syntax, and what has no
 * word in it says nothing. The last word, where it is bare, may be the beginning of one. Throws InvalidInput beyond 1000
 * characters or 32 words.
 */
export function parseQuery(text: string): Query {
  if (text.length > LONGEST_QUERY) throw refusal(`at most ${LONGEST_QUERY} characters`)
  const query: Query = { terms: [], excluded: [] }
  for (const { groups = {}, index, 0: item } of text.replace(/[“”„‟«»＂]/g, '"').matchAll(items)) {
    const { minus, phrase, bare = '' } = groups
    const excluded = minus === '-'
    const isLast =
      phrase === undefined && !excluded && text.slice(index + item.length).trim() === ''
    const chunks = phrase === undefined && !excluded ? bare.split('/') : [phrase ?? bare]
    const terms = chunks.map(termOf).filter(({ ways }) => ways.length > 0)
    const last = terms.at(-1)
    if (last && isLast) last.prefix = true
    query[excluded ? 'excluded' : 'terms'].push(...terms)
  }
  const count = query.terms.length + query.excluded.length
  if (count > MOST_TERMS) throw refusal(`at most ${MOST_TERMS} words and phrases, not ${count}`)
  return query
}

const termOf = (text: string): Term => ({
  ways: wordsOf(text).map((words) => words.map((word) => word.text)),
  prefix: false,
})

const refusal = (message: string) => new InvalidInput({ path: ['query'], message })

/** What documents are called in keys: the entry or tag of this id. */
export const keyOf = (id: string) => id.replace('_', '')

/** The key of all files, or of all folders, of a workspace. */
export const kindKey = (kind: EntryKind, workspaceId: string) => `${kind}${keyOf(workspaceId)}`
