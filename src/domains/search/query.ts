import type { EntryKind } from '../../database/tables.ts'
import { InvalidInput } from '../../errors/input.ts'
import { wordsOf } from './rules.ts'

/** Consecutive words, split in one or two ways. With `prefix`, the last word also matches as a prefix. */
export type Term = { ways: string[][]; prefix: boolean }
/** Terms that an entry must match, and terms that it must not match. */
export type Query = { terms: Term[]; excluded: Term[] }

const MAX_QUERY_LENGTH = 1000
const MAX_TERM_COUNT = 32

const queryItems = /(?<minus>-?)(?:"(?<phrase>[^"]*)"?|(?<bare>[^\s"]+))/g

/**
 * Parses a query: words and "phrases" that must all occur, and -exclusions. A slash separates required words
 * as a space does. Any other punctuation has no special meaning, and items without words are ignored. The
 * last word, if not quoted, also matches as a prefix. Throws InvalidInput for more than 1000 characters or 32
 * terms.
 */
export function parseQuery(text: string): Query {
  if (text.length > MAX_QUERY_LENGTH)
    throw invalidQuery(`query has ${text.length} characters (limit ${MAX_QUERY_LENGTH})`)
  const query: Query = { terms: [], excluded: [] }
  for (const { groups = {}, index, 0: item } of text
    .replace(/[“”„‟«»＂]/g, '"')
    .matchAll(queryItems)) {
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
  if (count > MAX_TERM_COUNT)
    throw invalidQuery(`query has ${count} words and phrases (limit ${MAX_TERM_COUNT})`)
  return query
}

const termOf = (text: string): Term => ({
  ways: wordsOf(text).map((words) => words.map((word) => word.text)),
  prefix: false,
})

const invalidQuery = (message: string) => new InvalidInput({ path: ['query'], message })

/** Returns the key of an entry or tag in documents. */
export const keyOf = (id: string) => id.replace('_', '')

/** Returns the key that all files, or all folders, of a workspace share. */
export const kindKey = (kind: EntryKind, workspaceId: string) => `${kind}${keyOf(workspaceId)}`
