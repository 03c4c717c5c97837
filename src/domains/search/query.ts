import type { EntryKind } from '../../database/tables.ts'
import { InvalidInput } from '../../errors.ts'
import { wordsOf } from './rules.ts'

/** Words that must follow each other, in one of up to two ways of cutting them; a `prefix` leaves the last one open. */
export type Term = { ways: string[][]; prefix: boolean }
/** What an entry must have, and what it must not have. */
export type Query = { terms: Term[]; excluded: Term[] }

const LONGEST_QUERY = 1000
const MOST_TERMS = 32

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
