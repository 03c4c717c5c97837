/** Sequences of words. A phrase matches within one sequence. */
export type Phrases = readonly (readonly string[])[]
/**
 * Words are marked with their field, so that words common in one field do not slow down searches in another.
 */
const FIELD_MARKS = { name: 'n', description: 'd', metadata: 'm', folder: 'f', tag: 't' } as const
export type TextField = keyof typeof FIELD_MARKS

/**
 * A document of the index. Keys have ASCII letters and digits only, and are not marked with the workspace.
 */
export type Document = { id: string; workspaceId: string; keys: readonly string[] } & {
  [field in TextField]?: Phrases
}

/** A search expression: consecutive words in one of the fields, one of the keys, or a combination. */
export type Expression =
  | { all: Expression[] }
  | { any: Expression[] }
  | { from: Expression; without: Expression }
  | { fields: readonly TextField[]; words: readonly string[]; prefix: boolean }
  | { keys: readonly string[] }

/** A match. Matches are sorted by number, newest first; a document that is replaced keeps its number. */
export type Found = { number: number; id: string }
/** At most `limit` documents with numbers less than `below`. */
export type Range = { below?: number; limit: number }

/** Returns the sequences of a document with marked words, field after field. */
export function sequencesOf({ workspaceId, keys, ...fields }: Document): string[][] {
  return Object.keys(FIELD_MARKS).flatMap((name) => {
    const field = name as TextField
    return (fields[field] ?? []).map((words) => marked(workspaceId, field, words))
  })
}

/**
 * Marks words with their field and workspace, so that words of other workspaces do not slow down a search.
 */
export const marked = (workspaceId: string, field: TextField, words: readonly string[]) =>
  words.map((word) => `${FIELD_MARKS[field]}${workspaceId.slice(-12)}_${word}`)
