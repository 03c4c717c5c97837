import { type Query, type Term, type Word, wordsOf } from './rules.ts'

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

/** Where in a text a term stands: from the beginning of its first word to the end of its last. */
export const placesOf = (text: string, term: Term) => placesIn(wordsOf(text), term)

function placesIn(said: readonly Word[][], { ways, prefix }: Term) {
  const places: Pick<Word, 'start' | 'end'>[] = []
  for (const words of said)
    for (const way of ways)
      for (let at = 0; at + way.length <= words.length; at++) {
        const [first, last] = [words[at], words[at + way.length - 1]]
        const isThere = way.every((word, i) =>
          prefix && i === way.length - 1
            ? words[at + i]?.text.startsWith(word)
            : words[at + i]?.text === word,
        )
        if (isThere && first && last) places.push({ start: first.start, end: last.end })
      }
  return places
}
