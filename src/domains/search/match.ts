import { type Query, type Term, wordsOf } from './rules.ts'

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

/** The rank of an entry; null where it is not what the query asks for. */
export function rankOf({ terms, excluded }: Query, texts: Texts): number | null {
  if (excluded.some((term) => fieldOf(term, texts) !== null)) return null
  const fields = terms.map((term) => fieldOf(term, texts))
  if (fields.includes(null)) return null
  const farthest = Math.max(0, ...fields.map(Number))
  if (farthest > 0) return 2 * farthest + (fields.includes(0) ? 0 : 1)
  const whole = terms.map((term) => ({ ...term, prefix: false }))
  return whole.every((term) => fieldOf(term, texts) === 0) ? 0 : 1
}

/** The number of the best field that has the term. */
function fieldOf(term: Term, texts: Texts): number | null {
  const index = searchFields.findIndex((field) => texts[field].some((text) => has(text, term)))
  return index === -1 ? null : index
}

const has = (text: string, term: Term) => placesOf(text, term).length > 0

/** Where in a text a term stands: from the beginning of its first word to the end of its last. */
export function placesOf(text: string, { ways, prefix }: Term): { start: number; end: number }[] {
  return wordsOf(text).flatMap((words) =>
    ways.flatMap((way) =>
      words.flatMap((first, at) => {
        const run = words.slice(at, at + way.length)
        const isThere =
          run.length === way.length && run.every(({ text }, i) => same(text, way, i, prefix))
        return isThere ? [{ start: first.start, end: run.at(-1)?.end ?? first.end }] : []
      }),
    ),
  )
}

const same = (word: string, way: readonly string[], i: number, prefix: boolean) =>
  prefix && i === way.length - 1 ? word.startsWith(way[i] ?? '') : word === way[i]
