import fc from 'fast-check'
import { anyId, filters, orders, sizes } from './filters.ts'
import type { Ground } from './fuzz-server.ts'
import { query } from './gql.ts'
import type { Subject } from './runs.ts'
import { text } from './texts.ts'
import { insist } from './verify-answer.ts'

/** Lists with cursors, each with what it takes. */
const lists = {
  entries: 'EntryFilter EntryOrder',
  trash: 'EntryFilter TrashOrder',
  activity: 'ActivityFilter',
  uploads: '',
  tags: '',
  members: '',
  shareLinks: '',
  apiTokens: '',
  duplicates: '',
  children: 'EntryFilter EntryOrder',
  versions: '',
  rows: '',
  tagged: 'EntryFilter EntryOrder',
} as const
type List = keyof typeof lists

type Asked = {
  list: List
  first: unknown
  last: unknown
  filter: unknown
  order: unknown
  cursor: Cursor
  back: boolean
  id: string
}
type Cursor = { kind: 'none' | 'right' | 'near' | 'other'; edit: string; list: List }

const cursors: fc.Arbitrary<Cursor> = fc.record({
  kind: fc.constantFrom('none', 'right', 'near', 'other'),
  edit: text,
  list: fc.constantFrom(...(Object.keys(lists) as List[])),
})
const mostlyAbsent = <T>(arbitrary: fc.Arbitrary<T>) =>
  fc.option(arbitrary, { freq: 3, nil: undefined })

/** Pages, filters, orders, cursors and ids: a page is never longer than asked, and a cursor opens one list in one order. */
export const pages: Subject<Asked> = {
  name: 'pages',
  rows: 'S8, S9',
  cases: (ground) =>
    fc.record({
      list: fc.constantFrom(...(Object.keys(lists) as List[]), 'entries', 'children'),
      ...{
        first: fc.oneof(fc.integer({ min: 1, max: 5 }), sizes),
        last: fc.option(sizes, { freq: 1, nil: undefined }),
        filter: mostlyAbsent(filters(ground)),
      },
      ...{ order: mostlyAbsent(orders), cursor: cursors, back: fc.boolean(), id: anyId(ground) },
    }) as fc.Arbitrary<Asked>,
  async check(ground, { list, first, last, filter, order, cursor, back, id }) {
    const after = await cursorFor(ground, cursor, list)
    const [size, at] = back ? ['last', 'before'] : ['first', 'after']
    const variables = {
      [size]: first,
      ...(last !== undefined && { [back ? 'first' : 'last']: last }),
      [at]: after,
      filter,
      order,
    }
    const { data } = await query(ground, documentFor(ground, list, id), variables)
    const page = data && pageIn(data)
    if (page && typeof first === 'number')
      insist(page.edges.length <= first, 'a page longer than asked')
    if (page && cursor.kind === 'other' && cursor.list !== list)
      insist(after === null, 'a cursor of another list was taken')
    return Boolean(page)
  },
}

function documentFor(ground: Ground, list: List, id: string) {
  const [filter = '', order = ''] = lists[list].split(' ')
  const types = [
    '$first: Int',
    '$last: Int',
    '$after: String',
    '$before: String',
    filter && `$filter: ${filter}`,
    order && `$order: ${order}`,
  ]
  const args = [
    'first: $first',
    'last: $last',
    'after: $after',
    'before: $before',
    filter && 'filter: $filter',
    order && 'orderBy: $order',
  ]
  const given = (all: string[]) => all.filter(Boolean).join(', ')
  const field = list === 'tagged' ? 'entries' : list
  const page = `${field}(${given(args)}) { totalCount edges { cursor node { __typename } } pageInfo { hasNextPage endCursor } }`
  const at = (id: string, type: string) =>
    `node(id: ${JSON.stringify(id)}) { ... on ${type} { ${page} } }`
  const workspace = `workspace(by: { id: ${JSON.stringify(ground.workspaceId)} })`
  const roots: Partial<Record<List, string>> = {
    children: at(ground.folderId, 'Folder'),
    versions: at(ground.fileId, 'File'),
    tagged: at(ground.tagId, 'Tag'),
    rows: `${workspace} { table(name: "plates") { ${page} } }`,
  }
  // The parser refuses half characters in a document; in variables they come through.
  const other = `other: node(id: ${JSON.stringify(id.toWellFormed())}) { id }`
  return `query (${given(types)}) { ${roots[list] ?? `${workspace} { ${page} }`} ${other} }`
}

function pageIn(value: any): any {
  if (value === null || typeof value !== 'object') return null
  if (value.edges) return value
  return Object.values(value).map(pageIn).find(Boolean) ?? null
}

async function cursorFor(
  ground: Ground,
  { kind, edit, list: other }: Cursor,
  list: List,
): Promise<string | null> {
  if (kind === 'none') return null
  const { data } = await query(ground, documentFor(ground, kind === 'other' ? other : list, ''), {
    first: 1,
  })
  const cursor: string = pageIn(data)?.edges[0]?.cursor ?? null
  if (kind !== 'near' || cursor === null) return cursor
  const plain = Buffer.from(cursor, 'base64url').toString()
  const [place = 0] = Buffer.from(edit)
  const bent = plain.slice(0, place % plain.length) + edit + plain.slice((place % plain.length) + 1)
  return place % 3 === 0
    ? cursor.slice(0, place % cursor.length) + edit
    : Buffer.from(bent).toString('base64url')
}
