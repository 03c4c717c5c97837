import type { Db } from '../../database/database.ts'
import type { WorkBudget } from '../../database/query/work-budget.ts'
import type { Expression, TextField } from '../../database/search/search-index.ts'
import { type EntryFilter, entryKinds } from '../entries/filters.ts'
import { folderKeys, inFields, MOST_NAMED, type Reach, reachOf } from './expand-term.ts'
import { RANKS, searchFields } from './match.ts'
import { kindKey, type Query, type Term } from './query.ts'

/** What is looked for, and where. */
export type Search = {
  workspaceId: string
  query: Query
  filter: EntryFilter
  budget: WorkBudget
}
type Asked = { term: Term; reach: Reach }
/** A search with all that was looked up for it. Its documents are of the kinds, and like all of `limits`. */
export type Plan = { kinds: Expression; limits: Expression[]; terms: Asked[]; excluded: Asked[] }
/** Documents of one rank, or (null) of any. Where they are `doubtful`, some are of another, or of none. */
export type Step = { rank: number | null; expression: Expression; doubtful: boolean }

const TAGS = searchFields.indexOf('tags')
const PATH = searchFields.indexOf('path')
const texts: TextField[] = ['name', 'description', 'metadata']

/** Looks up what a search needs to know; null where nothing can be found. */
export async function planOf(db: Db, { workspaceId, query, filter }: Search): Promise<Plan | null> {
  const asked = entryKinds(filter)
  const isEmpty = query.terms.length + query.excluded.length === 0
  if (isEmpty || asked.length === 0 || filter.start === null) return null
  const kinds = { keys: asked.map((kind) => kindKey(kind, workspaceId)) }
  const reach = async (term: Term) => ({ term, reach: await reachOf(db, workspaceId, term) })
  return {
    kinds,
    limits: [...(asked.length === 1 ? [kinds] : []), ...(await placesOf(db, filter))],
    terms: await Promise.all(query.terms.map(reach)),
    excluded: await Promise.all(query.excluded.map(reach)),
  }
}

async function placesOf(db: Db, { start }: EntryFilter): Promise<Expression[]> {
  return start && start.folderCount < MOST_NAMED ? [{ keys: await folderKeys(db, start) }] : []
}

/** All documents of a search, whatever their rank. */
export const totalOf = (plan: Plan): Step => anyRank(plan, null)

/** The documents of a search, rank after rank (match.ts says what the ranks are), but for ranks that nothing can have. */
export function stepsOf(plan: Plan): Step[] {
  const { terms } = plan
  if (terms.length === 0) return [anyRank(plan, 0)]
  const named: Expression[] = terms.map(({ term }) => inFields(term, ['name']))
  const whole = terms.map(({ term }) => inFields({ ...term, prefix: false }, ['name']))
  const steps = [step(plan, { rank: 0, field: 0 }, whole)]
  if (terms.some(({ term }) => term.prefix))
    steps.push(step(plan, { rank: 1, field: 0 }, named, [{ all: whole }]))
  for (let field = 1; field < RANKS / 2; field++) {
    if (!terms.some((asked) => reaches(asked, field))) continue
    const [found, better] = [widely(terms, field), { all: narrowly(terms, field - 1) }]
    const [rank, some] = [2 * field, { any: named }]
    if (terms.length > 1) steps.push(step(plan, { rank, field }, [...found, some], [better]))
    steps.push(step(plan, { rank: rank + 1, field }, found, [some, better]))
  }
  return steps
}

const anyRank = (plan: Plan, rank: 0 | null): Step =>
  step(plan, { rank, field: PATH }, widely(plan.terms, PATH))

function step(
  { kinds, limits, terms, excluded }: Plan,
  { rank, field }: { rank: number | null; field: number },
  wanted: Expression[],
  unwanted: Expression[] = [],
): Step {
  const all = [...limits, ...wanted]
  const from = all.length > 0 ? { all } : kinds
  const without = { any: [...unwanted, ...narrowly(excluded, PATH)] }
  const doubtful =
    terms.some((asked) => isVague(asked, field)) || excluded.some((asked) => isVague(asked, PATH))
  return { rank, expression: { from, without }, doubtful }
}

/** What has each term in one of the fields up to this one. Where that cannot be said in full: less than there is. */
const narrowly = (terms: Asked[], field: number) => terms.map((asked) => upTo(asked, field))

/** The same where it cannot be said in full: more than there is. */
const widely = (terms: Asked[], field: number) =>
  terms.filter((asked) => !isVague(asked, field)).map((asked) => upTo(asked, field))

const upTo = ({ term, reach }: Asked, field: number): Expression => ({
  any: [
    inFields(term, texts.slice(0, Math.max(1, field))),
    { keys: field >= TAGS && reach.tags !== 'many' ? reach.tags : [] },
    { keys: field >= PATH && reach.folders !== 'many' ? reach.folders : [] },
  ],
})

const isVague = ({ reach }: Asked, field: number) =>
  (field >= TAGS && reach.tags === 'many') || (field >= PATH && reach.folders === 'many')

/** Whether a field can have the term that its betters have not. */
function reaches({ reach }: Asked, field: number): boolean {
  if (field === TAGS) return reach.tags.length > 0
  return field !== PATH || reach.folders.length > 0
}
