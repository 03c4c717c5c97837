import fc from 'fast-check'
import type { FuzzServer } from '../fuzz-server.ts'
import { query } from '../gql.ts'
import type { Subject } from '../runs.ts'
import { assertInvariant } from '../verify-answer.ts'
import { anyId, filters, orders, sizes } from './filters.ts'
import { text } from './texts.ts'

/** Connections, each with the types of its filter and order. */
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

type PageCase = {
  list: List
  first: unknown
  last: unknown
  filter: unknown
  order: unknown
  cursor: Cursor
  isBackward: boolean
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

/**
 * Pages, filters, orders, cursors and ids: no page exceeds its size, and a cursor is valid for one list and
 * order only.
 */
export const pages: Subject<PageCase> = {
  name: 'pages',
  rows: 'S8, S9',
  cases: (server) =>
    fc.record({
      list: fc.constantFrom(...(Object.keys(lists) as List[]), 'entries', 'children'),
      ...{
        first: fc.oneof(fc.integer({ min: 1, max: 5 }), sizes),
        last: fc.option(sizes, { freq: 1, nil: undefined }),
        filter: mostlyAbsent(filters(server)),
      },
      ...{
        order: mostlyAbsent(orders),
        cursor: cursors,
        isBackward: fc.boolean(),
        id: anyId(server),
      },
    }) as fc.Arbitrary<PageCase>,
  async check(server, { list, first, last, filter, order, cursor, isBackward, id }) {
    const after = await cursorFor(server, cursor, list)
    const [size, at] = isBackward ? ['last', 'before'] : ['first', 'after']
    const variables = {
      [size]: first,
      ...(last !== undefined && { [isBackward ? 'first' : 'last']: last }),
      [at]: after,
      filter,
      order,
    }
    const { data } = await query(server, documentFor(server, list, id), variables)
    const page = data && pageIn(data)
    if (page && typeof first === 'number')
      assertInvariant(page.edges.length <= first, 'the page is longer than requested')
    if (page && cursor.kind === 'other' && cursor.list !== list)
      assertInvariant(after === null, 'a cursor of another list was accepted')
    return Boolean(page)
  },
}

function documentFor(server: FuzzServer, list: List, id: string) {
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
  const present = (all: string[]) => all.filter(Boolean).join(', ')
  const field = list === 'tagged' ? 'entries' : list
  const page = `${field}(${present(args)}) { totalCount edges { cursor node { __typename } } pageInfo { hasNextPage endCursor } }`
  const at = (id: string, type: string) =>
    `node(id: ${JSON.stringify(id)}) { ... on ${type} { ${page} } }`
  const workspace = `workspace(by: { id: ${JSON.stringify(server.workspaceId)} })`
  const roots: Partial<Record<List, string>> = {
    children: at(server.folderId, 'Folder'),
    versions: at(server.fileId, 'File'),
    tagged: at(server.tagId, 'Tag'),
    rows: `${workspace} { table(name: "plates") { ${page} } }`,
  }
  // The parser rejects lone surrogates in a document; variables may have them.
  const other = `other: node(id: ${JSON.stringify(id.toWellFormed())}) { id }`
  return `query (${present(types)}) { ${roots[list] ?? `${workspace} { ${page} }`} ${other} }`
}

function pageIn(value: any): any {
  if (value === null || typeof value !== 'object') return null
  if (value.edges) return value
  return Object.values(value).map(pageIn).find(Boolean) ?? null
}

async function cursorFor(
  server: FuzzServer,
  { kind, edit, list: other }: Cursor,
  list: List,
): Promise<string | null> {
  if (kind === 'none') return null
  const { data } = await query(server, documentFor(server, kind === 'other' ? other : list, ''), {
    first: 1,
  })
  const cursor: string = pageIn(data)?.edges[0]?.cursor ?? null
  if (kind !== 'near' || cursor === null) return cursor
  const decoded = Buffer.from(cursor, 'base64url').toString()
  const [position = 0] = Buffer.from(edit)
  const changed =
    decoded.slice(0, position % decoded.length) +
    edit +
    decoded.slice((position % decoded.length) + 1)
  return position % 3 === 0
    ? cursor.slice(0, position % cursor.length) + edit
    : Buffer.from(changed).toString('base64url')
}
