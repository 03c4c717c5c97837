import type { Db } from '../../database/database.ts'
import type { Expression, TextField } from '../../database/search-sqlite.ts'
import { RANKS, searchFields } from './match.ts'
import { inFields, type Reach, reachOf } from './reach.ts'
import { kindKey, type Query, type Term } from './rules.ts'

type Asked = { term: Term; reach: Reach }
/** A query with all that was looked up for it; every document of it is like all of `limits`. */
export type Plan = { workspaceId: string; limits: Expression[]; terms: Asked[]; excluded: Asked[] }
/** Documents of one rank. Where they are `doubtful`, some are of another, or of none. */
export type Step = { rank: number; expression: Expression; doubtful: boolean }

const TAGS = searchFields.indexOf('tags')
const PATH = searchFields.indexOf('path')
const texts: TextField[] = ['name', 'description', 'metadata']

export async function planOf(
  db: Db,
  workspaceId: string,
  query: Query,
  limits: Expression[],
): Promise<Plan> {
  const ask = async (term: Term) => ({ term, reach: await reachOf(db, workspaceId, term) })
  const terms = await Promise.all(query.terms.map(ask))
  const excluded = await Promise.all(query.excluded.map(ask))
  return { workspaceId, limits, terms, excluded }
}

/** The documents of a query, rank after rank (match.ts says what the ranks are), but for ranks that nothing can have. */
export function stepsOf(plan: Plan): Step[] {
  const { terms } = plan
  if (terms.length === 0) return [totalOf(plan)]
  const named: Expression[] = terms.map(({ term }) => inFields(term, ['name']))
  const whole = terms.map(({ term }) => inFields({ ...term, prefix: false }, ['name']))
  const steps = [step(plan, { rank: 0, field: 0 }, whole, [])]
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

/** All documents of a query, of whatever rank. */
export const totalOf = (plan: Plan): Step =>
  step(plan, { rank: 0, field: PATH }, widely(plan.terms, PATH), [])

function step(
  { workspaceId, limits, terms, excluded }: Plan,
  { rank, field }: { rank: number; field: number },
  wanted: Expression[],
  unwanted: Expression[],
): Step {
  const all = [...limits, ...wanted]
  const from: Expression = all.length > 0 ? { all } : everything(workspaceId)
  const without: Expression = { any: [...unwanted, ...narrowly(excluded, PATH)] }
  const doubtful =
    terms.some((asked) => isVague(asked, field)) || excluded.some((asked) => isVague(asked, PATH))
  return { rank, expression: { from, without }, doubtful }
}

const everything = (workspaceId: string): Expression => ({
  keys: [kindKey('file', workspaceId), kindKey('folder', workspaceId)],
})

/** What has each term in one of the fields up to this one. Where that cannot be said in full: less than there is. */
const narrowly = (terms: Asked[], field: number) => terms.map((asked) => upTo(asked, field))

/** The same where it cannot be said in full: more than there is. */
const widely = (terms: Asked[], field: number) =>
  narrowly(
    terms.filter((asked) => !isVague(asked, field)),
    field,
  )

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
