import type { Query, Term } from './query.ts'
import { type Word, wordsOf } from './rules.ts'

/** The searched fields, best first. */
export const searchFields = ['name', 'tags', 'description', 'metadata', 'path'] as const
export type SearchField = (typeof searchFields)[number]
/**
 * The texts of an entry by field. A phrase must match within one text. `path` contains the names of all
 * ancestors.
 */
export type Texts = Record<SearchField, readonly string[]>

type TextColumns = { name: string; description: string | null; metadata: string }

/** Returns the texts of an entry, given the names of its tags and the path of its parent folder. */
export const textsOf = (
  { name, description, metadata }: TextColumns,
  { tags, folderPath }: { tags: readonly string[]; folderPath: string | null },
): Texts => ({
  name: [name],
  tags,
  description: description === null ? [] : [description],
  metadata: textsIn(JSON.parse(metadata)),
  path: folderPath ? folderPath.split('/') : [],
})

/** Returns the keys and values of metadata at any depth. */
export function textsIn(value: unknown): string[] {
  if (value === null) return []
  if (Array.isArray(value)) return value.flatMap(textsIn)
  if (typeof value !== 'object') return [String(value)]
  return Object.entries(value).flatMap(([key, inner]) => [key, ...textsIn(inner)])
}

/**
 * Number of ranks; 0 is the best. The ranks are: whole words in the name (0), words or prefixes in the name
 * (1), and then the best fields that together contain all words: name and tags (2, 3), also description (4,
 * 5), also metadata (6, 7), also path (8, 9). At an even rank, at least one word is in the name.
 */
export const RANKS = 10

/**
 * Returns the rank of an entry, or null if it does not match the query. `splitWords` is wordsOf or a
 * memoized version of it.
 */
export function rankOf(
  { terms, excluded }: Query,
  texts: Texts,
  splitWords = wordsOf,
): number | null {
  const words = searchFields.map((field) => texts[field].flatMap((text) => splitWords(text)))
  const bestOf = (term: Term) => words.findIndex((ways) => findRanges(ways, term).length > 0)
  if (excluded.some((term) => bestOf(term) !== -1)) return null
  const fields = terms.map(bestOf)
  if (fields.includes(-1)) return null
  const worst = Math.max(0, ...fields)
  if (worst > 0) return 2 * worst + (fields.includes(0) ? 0 : 1)
  return terms.every((term) => bestOf({ ...term, prefix: false }) === 0) ? 0 : 1
}

/**
 * Returns the ranges of a text that match a term, each from the start of its first word to the end of its
 * last word. `splits` is the result of wordsOf for the text.
 */
export function findRanges(splits: readonly Word[][], { ways, prefix }: Term): Range[] {
  return splits.flatMap((words) => ways.flatMap((way) => rangesOfWay(words, way, prefix)))
}
type Range = Pick<Word, 'start' | 'end'>

function rangesOfWay(words: readonly Word[], way: readonly string[], prefix: boolean): Range[] {
  const exact = prefix ? way.slice(0, -1) : way
  const open = prefix ? (way.at(-1) ?? '') : ''
  const ranges: Range[] = []
  for (const at of occurrencesOf(exact, words)) {
    const [first, last] = [words[at], words[at + way.length - 1]]
    if (first && last && (!prefix || last.text.startsWith(open)))
      ranges.push({ start: first.start, end: last.end })
  }
  return ranges
}

/**
 * Yields the indexes at which a sequence of words occurs among other words (Knuth-Morris-Pratt, linear time).
 */
function* occurrencesOf(sequence: readonly string[], words: readonly Word[]): Generator<number> {
  if (sequence.length === 0) yield* words.keys()
  if (sequence.length === 0) return
  const fallbacks = fallbacksOf(sequence)
  let matched = 0
  for (const [at, { text }] of words.entries()) {
    matched = extendMatch(matched, text, { sequence, fallbacks })
    if (matched === sequence.length) yield at + 1 - matched
  }
}

/** Returns the failure function: for each prefix of the sequence, the length of its longest proper border. */
function fallbacksOf(sequence: readonly string[]): number[] {
  const fallbacks = [0]
  for (const text of sequence.slice(1))
    fallbacks.push(extendMatch(fallbacks.at(-1) ?? 0, text, { sequence, fallbacks }))
  return fallbacks
}

type Pattern = { sequence: readonly string[]; fallbacks: readonly number[] }

/** Returns the length of the matched prefix after `text`, given that `matched` words matched before it. */
function extendMatch(matched: number, text: string, { sequence, fallbacks }: Pattern): number {
  let length = matched
  while (length > 0 && sequence[length] !== text) length = fallbacks[length - 1] ?? 0
  return sequence[length] === text ? length + 1 : 0
}
