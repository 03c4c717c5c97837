/** Sequences of words; a phrase is found inside of one. */
export type Phrases = readonly (readonly string[])[]
/** Each field's words are words of their own, so that what is common in one costs nothing in another. */
const letters = { name: 'n', description: 'd', metadata: 'm', folder: 'f', tag: 't' } as const
export type TextField = keyof typeof letters

/** What is found by its words and by its keys (letters and digits of ASCII alone, the same in all workspaces). */
export type Document = { id: string; workspaceId: string; keys: readonly string[] } & {
  [field in TextField]?: Phrases
}

/** What documents must be like: words that follow each other in one of the fields, or one of the keys, or made of such. */
export type Expression =
  | { all: Expression[] }
  | { any: Expression[] }
  | { from: Expression; without: Expression }
  | { fields: readonly TextField[]; words: readonly string[]; prefix: boolean }
  | { keys: readonly string[] }

/** Documents are found in the order of their numbers, newest first; a document that is put again keeps its number. */
export type Found = { number: number; id: string }
/** At most `limit` documents, with numbers below `below`. */
export type Range = { below?: number; limit: number }

/** All sequences of a document, field after field, in marked words. */
export function sequencesOf({ workspaceId, keys, ...fields }: Document): string[][] {
  return Object.keys(letters).flatMap((name) => {
    const field = name as TextField
    return (fields[field] ?? []).map((words) => marked(workspaceId, field, words))
  })
}

/** Each word wears the mark of its field and its workspace: the words of others are other words, and cost nothing. */
export const marked = (workspaceId: string, field: TextField, words: readonly string[]) =>
  words.map((word) => `${letters[field]}${workspaceId.slice(-12)}_${word}`)
