import type { Query, Term } from './query.ts'
import { type Word, wordsOf } from './rules.ts'

/** Where words can be found, best first. */
export const searchFields = ['name', 'tags', 'description', 'metadata', 'path'] as const
export type SearchField = (typeof searchFields)[number]
/** What an entry says in each of them; a phrase lies within one text. Path: the names of all folders above it. */
export type Texts = Record<SearchField, readonly string[]>

type Described = { name: string; description: string | null; metadata: string }

/** What an entry says, given the names of its tags and the path of the folder that holds it. */
export const textsOf = (
  { name, description, metadata }: Described,
  { tags, folderPath }: { tags: readonly string[]; folderPath: string | null },
): Texts => ({
  name: [name],
  tags,
  description: description === null ? [] : [description],
  metadata: textsIn(JSON.parse(metadata)),
  path: folderPath ? folderPath.split('/') : [],
})

/** Keys and values of metadata, however deep. */
export function textsIn(value: unknown): string[] {
  if (value === null) return []
  if (Array.isArray(value)) return value.flatMap(textsIn)
  if (typeof value !== 'object') return [String(value)]
  return Object.entries(value).flatMap(([key, inner]) => [key, ...textsIn(inner)])
}

/**
 * Ranks what is found, 0 is best: whole words in the name (0), words or beginnings of words in the name (1), and behind that by
 * the best fields in which all words can be found: name and tags (2, 3), description too (4, 5), metadata too (6, 7), path too
 * (8, 9); the even ones have at least one word in the name.
 */
export const RANKS = 10

/** The rank of an entry; null where it is not what the query asks for. `cut` is wordsOf, or one that remembers. */
export function rankOf({ terms, excluded }: Query, texts: Texts, cut = wordsOf): number | null {
  const said = searchFields.map((field) => texts[field].flatMap((text) => cut(text)))
  const bestOf = (term: Term) => said.findIndex((ways) => placesIn(ways, term).length > 0)
  if (excluded.some((term) => bestOf(term) !== -1)) return null
  const fields = terms.map(bestOf)
  if (fields.includes(-1)) return null
  const farthest = Math.max(0, ...fields)
  if (farthest > 0) return 2 * farthest + (fields.includes(0) ? 0 : 1)
  return terms.every((term) => bestOf({ ...term, prefix: false }) === 0) ? 0 : 1
}

/** Where in a text a term stands: from the beginning of its first word to the end of its last. `said` is what wordsOf says of it. */
export function placesIn(said: readonly Word[][], { ways, prefix }: Term): Place[] {
  return said.flatMap((words) => ways.flatMap((way) => placesOfWay(words, way, prefix)))
}
type Place = Pick<Word, 'start' | 'end'>

function placesOfWay(words: readonly Word[], way: readonly string[], prefix: boolean): Place[] {
  const exact = prefix ? way.slice(0, -1) : way
  const open = prefix ? (way.at(-1) ?? '') : ''
  const places: Place[] = []
  for (const at of occurrencesOf(exact, words)) {
    const [first, last] = [words[at], words[at + way.length - 1]]
    if (first && last && (!prefix || last.text.startsWith(open)))
      places.push({ start: first.start, end: last.end })
  }
  return places
}

/** Where a sequence of words begins among others. By Knuth, Morris and Pratt: no word is looked at again for each place. */
function* occurrencesOf(sequence: readonly string[], words: readonly Word[]): Generator<number> {
  if (sequence.length === 0) yield* words.keys()
  if (sequence.length === 0) return
  const fallbacks = fallbacksOf(sequence)
  let matched = 0
  for (const [at, { text }] of words.entries()) {
    matched = longest(matched, text, { sequence, fallbacks })
    if (matched === sequence.length) yield at + 1 - matched
  }
}

/** How many of a sequence's first words match still when its first so many matched and the next one did not. */
function fallbacksOf(sequence: readonly string[]): number[] {
  const fallbacks = [0]
  for (const text of sequence.slice(1))
    fallbacks.push(longest(fallbacks.at(-1) ?? 0, text, { sequence, fallbacks }))
  return fallbacks
}

type Searched = { sequence: readonly string[]; fallbacks: readonly number[] }

/** How many of the first words match up to `text`, where `matched` of them did up to the word before it. */
function longest(matched: number, text: string, { sequence, fallbacks }: Searched): number {
  let length = matched
  while (length > 0 && sequence[length] !== text) length = fallbacks[length - 1] ?? 0
  return sequence[length] === text ? length + 1 : 0
}
