import type { Db } from '../../database/database.ts'
import type { WorkBudget } from '../../database/query/work-budget.ts'
import type { Expression, TextField } from '../../database/search/search-index.ts'
import { type EntryFilter, entryKinds } from '../entries/lists/filters.ts'
import { expandTerm, folderKeys, inFields, MAX_KEY_COUNT, type TermKeys } from './expand-term.ts'
import { RANKS, searchFields } from './match.ts'
import { kindKey, type Query, type Term } from './query.ts'

/** A parsed search in a workspace. */
export type Search = {
  workspaceId: string
  query: Query
  filter: EntryFilter
  budget: WorkBudget
}
type ExpandedTerm = { term: Term; keys: TermKeys }
/** A search with its expanded terms. Documents must match `kinds` and each of `limits`. */
export type Plan = {
  kinds: Expression
  limits: Expression[]
  terms: ExpandedTerm[]
  excluded: ExpandedTerm[]
}
/**
 * An expression for the documents of one rank, or of any rank (null). If `doubtful`, it may also match other
 * documents.
 */
export type Step = { rank: number | null; expression: Expression; doubtful: boolean }

const TAGS = searchFields.indexOf('tags')
const PATH = searchFields.indexOf('path')
const texts: TextField[] = ['name', 'description', 'metadata']

/** Expands the terms of a search; returns null if nothing can match. */
export async function planSearch(
  db: Db,
  { workspaceId, query, filter }: Search,
): Promise<Plan | null> {
  const entryTypes = entryKinds(filter)
  const isEmpty = query.terms.length + query.excluded.length === 0
  if (isEmpty || entryTypes.length === 0 || filter.scanRoot === null) return null
  const kinds = { keys: entryTypes.map((kind) => kindKey(kind, workspaceId)) }
  const expand = async (term: Term) => ({
    term,
    keys: await expandTerm(db, workspaceId, term),
  })
  return {
    kinds,
    limits: [...(entryTypes.length === 1 ? [kinds] : []), ...(await folderLimits(db, filter))],
    terms: await Promise.all(query.terms.map(expand)),
    excluded: await Promise.all(query.excluded.map(expand)),
  }
}

async function folderLimits(db: Db, { scanRoot }: EntryFilter): Promise<Expression[]> {
  return scanRoot && scanRoot.folderCount < MAX_KEY_COUNT
    ? [{ keys: await folderKeys(db, scanRoot) }]
    : []
}

/**
 * Returns the step for all documents of a search. Pass rank 0 for a search without terms; otherwise the
 * documents can have any rank.
 */
export const anyRankStep = (plan: Plan, rank: 0 | null = null): Step =>
  createStep(plan, { rank, field: PATH }, atLeastMatching(plan.terms, PATH))

/**
 * Returns the steps of a search, best rank first (see RANKS in match.ts), without ranks that cannot occur.
 */
export function rankSteps(plan: Plan): Step[] {
  const { terms } = plan
  if (terms.length === 0) return [anyRankStep(plan, 0)]
  const inName: Expression[] = terms.map(({ term }) => inFields(term, ['name']))
  const wholeWords = terms.map(({ term }) => inFields({ ...term, prefix: false }, ['name']))
  const steps = [createStep(plan, { rank: 0, field: 0 }, wholeWords)]
  if (terms.some(({ term }) => term.prefix))
    steps.push(createStep(plan, { rank: 1, field: 0 }, inName, [{ all: wholeWords }]))
  for (let field = 1; field < RANKS / 2; field++) {
    if (!terms.some((term) => mayMatchIn(term, field))) continue
    const matching = atLeastMatching(terms, field)
    const better = { all: atMostMatching(terms, field - 1) }
    const [rank, anyInName] = [2 * field, { any: inName }]
    if (terms.length > 1)
      steps.push(createStep(plan, { rank, field }, [...matching, anyInName], [better]))
    steps.push(createStep(plan, { rank: rank + 1, field }, matching, [anyInName, better]))
  }
  return steps
}

function createStep(
  { kinds, limits, terms, excluded }: Plan,
  { rank, field }: { rank: number | null; field: number },
  wanted: Expression[],
  unwanted: Expression[] = [],
): Step {
  const all = [...limits, ...wanted]
  const from = all.length > 0 ? { all } : kinds
  const without = { any: [...unwanted, ...atMostMatching(excluded, PATH)] }
  const doubtful =
    terms.some((term) => isInexact(term, field)) || excluded.some((term) => isInexact(term, PATH))
  return { rank, expression: { from, without }, doubtful }
}

/**
 * Returns expressions for terms in the fields up to `field`. An inexact one matches a subset of the
 * documents.
 */
const atMostMatching = (terms: ExpandedTerm[], field: number) =>
  terms.map((term) => upTo(term, field))

/**
 * Returns expressions for terms in the fields up to `field`, without the inexact ones, so that they match a
 * superset of the documents.
 */
const atLeastMatching = (terms: ExpandedTerm[], field: number) =>
  terms.filter((term) => !isInexact(term, field)).map((term) => upTo(term, field))

const upTo = ({ term, keys }: ExpandedTerm, field: number): Expression => ({
  any: [
    inFields(term, texts.slice(0, Math.max(1, field))),
    { keys: field >= TAGS && keys.tags !== 'many' ? keys.tags : [] },
    { keys: field >= PATH && keys.folders !== 'many' ? keys.folders : [] },
  ],
})

/** Returns whether a term matches too many tags or folders for an exact expression. */
const isInexact = ({ keys }: ExpandedTerm, field: number) =>
  (field >= TAGS && keys.tags === 'many') || (field >= PATH && keys.folders === 'many')

/** Returns whether a document may match the term in this field but not in a better one. */
function mayMatchIn({ keys }: ExpandedTerm, field: number): boolean {
  if (field === TAGS) return keys.tags.length > 0
  return field !== PATH || keys.folders.length > 0
}
