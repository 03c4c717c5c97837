import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { foldName } from '../../../src/names.ts'
import { act, createFolder, createWorkspace, uploadFile } from '../../support/client.ts'
import { startTestServer, type TestServer } from '../../support/servers/test-server.ts'

type Item = {
  id: string
  __typename: 'File' | 'Folder'
  name: string
  size: number
  createdAt: string
  updatedAt: string
  contentModifiedAt?: string | null
}
type Order = { field: Field; direction: 'ASC' | 'DESC'; foldersFirst: boolean }
type Field = 'NAME' | 'SIZE' | 'CREATED_AT' | 'UPDATED_AT' | 'CONTENT_MODIFIED_AT'
const fields: Field[] = ['NAME', 'SIZE', 'CREATED_AT', 'UPDATED_AT', 'CONTENT_MODIFIED_AT']
const directions = ['ASC', 'DESC'] as const
const orders: Order[] = fields.flatMap((field) =>
  directions.flatMap((direction) =>
    [true, false].map((foldersFirst) => ({ field, direction, foldersFirst })),
  ),
)

let holdall: TestServer
let workspaceId: string
let folderId: string
let all: Item[]

// A folder of 150 entries, many with equal size, time and name prefix. No test changes them.
beforeAll(async () => {
  let now = Date.parse('2025-06-01T09:00:00Z')
  holdall = await startTestServer({ now: () => now })
  ;({ id: workspaceId } = await createWorkspace(holdall))
  ;({ id: folderId } = await createFolder(holdall, { workspaceId, name: 'full' }))
  const parent = { id: folderId }
  for (let round = 0; round < 5; round++, now += 1000) {
    await Promise.all(Array.from({ length: 30 }, (_, i) => makeOne(i, round, parent)))
  }
  const { full } = await holdall.ask(
    `query ($id: ID!) { full: node(id: $id) { ... on Folder {
      a: children(first: 100) { nodes { ...item } }
      b: children(last: 50) { nodes { ...item } } } } }
    fragment item on Entry { __typename id name createdAt updatedAt
      ... on File { size contentModifiedAt } ... on Folder { totals { bytes } } }`,
    { id: folderId },
  )
  all = [...full.a.nodes, ...full.b.nodes].map(({ totals, ...item }) => ({
    size: totals?.bytes,
    ...item,
  }))
})
afterAll(() => holdall[Symbol.asyncDispose]())

async function makeOne(i: number, round: number, parent: { id: string }) {
  const name = `${['a', 'B', 'ä', 'ab', 'Ω', '🧬'][i % 6]}${round}${i}`
  if (i % 3 > 0) {
    const file = { workspaceId, folderId: parent.id, name, bytes: 'x'.repeat(i % 4) }
    const metadata = i % 2 === 0 ? { mtime: (i % 7) - 3 } : {}
    await uploadFile(holdall, { ...file, metadata })
  } else {
    const { id } = await createFolder(holdall, { folder: parent, name })
    if (i % 2) await uploadFile(holdall, { workspaceId, folderId: id, name, bytes: 'xx' })
  }
  // Changes the entries of an earlier round.
  if (round > 2 && i % 5 === 0) {
    const entry = {
      path: { workspaceId, path: `full/${name.replace(`${round}`, `${round - 2}`)}` },
    }
    await act(holdall, 'updateEntry', { entry, description: 'seen' }, 'entry { id }')
  }
}

function sorted({ field, direction, foldersFirst }: Order): Item[] {
  const way = direction === 'ASC' ? 1 : -1
  const key = (item: Item) =>
    ({
      NAME: foldName(item.name),
      SIZE: item.size,
      CREATED_AT: item.createdAt,
      UPDATED_AT: item.updatedAt,
      CONTENT_MODIFIED_AT: Date.parse(item.contentModifiedAt ?? '') || 0,
    })[field]
  const isFile = ({ __typename }: Item) => (__typename === 'File' ? 1 : 0)
  const byKind = (a: Item, b: Item) => {
    if (field !== 'CONTENT_MODIFIED_AT') return foldersFirst ? isFile(a) - isFile(b) : 0
    const partOf = (item: Item) => {
      if (item.contentModifiedAt) return 1
      return isFile(item) || foldersFirst ? 2 * isFile(item) : 3
    }
    return partOf(a) - partOf(b)
  }
  return all.toSorted(
    (a, b) => byKind(a, b) || way * (compare(key(a), key(b)) || compare(a.id, b.id)),
  )
}

const compare = (a: string | number, b: string | number) =>
  typeof a === 'number' && typeof b === 'number'
    ? a - b
    : Buffer.compare(Buffer.from(String(a)), Buffer.from(String(b)))

type Page = {
  edges: { cursor: string; node: { id: string } }[]
  pageInfo: {
    hasNextPage: boolean
    hasPreviousPage: boolean
    startCursor: string
    endCursor: string
  }
  totalCount: number
}
const pageArgs = '$first: Int, $after: String, $last: Int, $before: String'
async function page(args: object, orderBy: object = {}): Promise<Page> {
  const { node } = await holdall.ask(
    `query ($id: ID!, $orderBy: EntryOrder, ${pageArgs}) { node(id: $id) { ... on Folder {
      children(orderBy: $orderBy, first: $first, after: $after, last: $last, before: $before) {
        edges { cursor node { id } } totalCount
        pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } } } }`,
    { id: folderId, orderBy, ...args },
  )
  return node.children
}

/** Reads all ids page by page; checks hasNextPage of each page. */
async function walk(order: Order, size: number, forward: boolean): Promise<string[]> {
  const ids: string[] = []
  let cursor: string | undefined
  do {
    const args = forward ? { first: size, after: cursor } : { last: size, before: cursor }
    const { edges, pageInfo, totalCount } = await page(args, order)
    const here = edges.map(({ node }) => node.id)
    ids.splice(forward ? ids.length : 0, 0, ...here)
    const isLast = ids.length === all.length
    expect(here).toHaveLength(isLast && all.length % size ? all.length % size : size)
    expect(totalCount).toBe(all.length)
    expect(pageInfo).toEqual({
      hasNextPage: forward ? !isLast : cursor !== undefined,
      hasPreviousPage: forward ? cursor !== undefined : !isLast,
      startCursor: edges[0]?.cursor,
      endCursor: edges.at(-1)?.cursor,
    })
    cursor = isLast ? undefined : forward ? pageInfo.endCursor : pageInfo.startCursor
  } while (cursor)
  return ids
}

test.each(orders)(
  'pages of a folder by %j form a sorted list, forward and backward',
  async (order) => {
    const expected = sorted(order).map(({ id }) => id)
    expect(expected).toHaveLength(150)
    const size = fc.oneof(fc.integer({ min: 1, max: 100 }), fc.constantFrom(10, 50, 75, 100))
    await fc.assert(
      fc.asyncProperty(size, async (size) => {
        expect(await walk(order, size, true)).toEqual(expected)
        expect(await walk(order, size, false)).toEqual(expected)
      }),
      { numRuns: 2 },
    )
  },
)

test('the part between two cursors can be read from both ends', async () => {
  const order = fc.constantFrom(...orders)
  const bound = fc.option(fc.nat(149))
  const span = fc.tuple(fc.boolean(), fc.integer({ min: 1, max: 100 }), bound, bound)
  await fc.assert(
    fc.asyncProperty(order, span, async (order, [forward, size, from, to]) => {
      const ids = sorted(order).map(({ id }) => id)
      const cursors = [
        ...(await page({ first: 100 }, order)).edges,
        ...(await page({ last: 50 }, order)).edges,
      ]
      const at = (index: number | null) => (index === null ? undefined : cursors[index]?.cursor)
      const between = ids.slice(from === null ? 0 : from + 1, to ?? undefined)
      const expected = forward ? between.slice(0, size) : between.slice(-size)
      const args = { [forward ? 'first' : 'last']: size, after: at(from), before: at(to) }
      const { edges } = await page(args, order)
      expect(edges.map(({ node }) => node.id)).toEqual(expected)
    }),
    { numRuns: 40 },
  )
})

test('a page continues after the last one, whatever was inserted before it', async () => {
  const box = await createFolder(holdall, { workspaceId, name: 'box' })
  const put = (name: string) => createFolder(holdall, { folder: { id: box.id }, name })
  for (const name of ['b', 'd', 'f', 'h']) await put(name)
  const read = async (after: string | null) => {
    const { node } = await holdall.ask(
      `query ($id: ID!, $after: String) { node(id: $id) { ... on Folder {
        children(first: 2, after: $after) { nodes { name } pageInfo { endCursor } } } } }`,
      { id: box.id, after },
    )
    return node.children
  }
  const first = await read(null)
  for (const name of ['a', 'c', 'e']) await put(name)
  const second = await read(first.pageInfo.endCursor)
  expect(second.nodes).toEqual([{ name: 'e' }, { name: 'f' }])
})

describe('a page without a size', () => {
  test('has 20 entries in a folder, 100 in the flat list', async () => {
    const { node, workspace } = await holdall.ask(
      `query ($id: ID!, $ws: ID!) {
        node(id: $id) { ... on Folder { children { nodes { id } } } }
        workspace(by: { id: $ws }) { entries { nodes { id } } }
      }`,
      { id: folderId, ws: workspaceId },
    )
    expect([node.children.nodes.length, workspace.entries.nodes.length]).toEqual([20, 100])
  })

  test('totalCount excludes the root and hidden entries', async () => {
    const { workspace } = await holdall.ask(
      `query ($ws: ID!) { workspace(by: { id: $ws }) { root { totals { fileCount folderCount } }
        entries { totalCount } files: entries(filter: { type: FILE }) { totalCount } } }`,
      { ws: workspaceId },
    )
    const { fileCount, folderCount } = workspace.root.totals
    expect(workspace.entries.totalCount).toBe(fileCount + folderCount)
    expect(workspace.files.totalCount).toBe(fileCount)
  })
})

describe('rejects', () => {
  const requested = async (list: string, args: string) => {
    const query = list.replace('ARGS', args)
    const { status, data, errors } = await holdall.graphql(query, { id: folderId, ws: workspaceId })
    return { status, data, code: errors?.[0]?.extensions?.code, message: errors?.[0]?.message }
  }
  const inFolder = `query ($id: ID!) { node(id: $id) { ... on Folder { children(ARGS) { nodes { id } } } } }`
  const inAll = `query ($ws: ID!) { workspace(by: { id: $ws }) { entries(ARGS) { nodes { id } } } }`
  const inTrash = inAll.replace('entries(', 'trash(')

  test.each(['first: 0', 'first: -1', 'first: 101', 'last: 0', 'last: 101', 'first: 1, last: 1'])(
    'pages of %s',
    async (args) => {
      for (const list of [inFolder, inAll, inTrash]) {
        const { code, message } = await requested(list, args)
        expect(code).toBe('BAD_PAGE_SIZE')
        expect(message).toMatch(/1 to 100|first and last cannot be combined/)
      }
    },
  )

  test('damaged cursors', async () => {
    const { edges } = await page({ first: 1 })
    const good = edges[0]?.cursor ?? ''
    const damaged = [
      '',
      'x',
      '=',
      good.slice(1),
      good.slice(0, -2),
      `${good}A`,
      `${good}=`,
      ` ${good}`,
    ]
    const forged = Buffer.from('["children",0,"a","b"]').toString('base64url')
    for (const cursor of [...damaged, forged, 'a'.repeat(10_000)]) {
      const { code } = await requested(inFolder, `first: 1, after: ${JSON.stringify(cursor)}`)
      expect([cursor, code]).toEqual([cursor, 'INVALID_CURSOR'])
    }
    expect((await requested(inFolder, `first: 1, after: "${good}"`)).code).toBe(undefined)
  })

  test('cursors of another order', async () => {
    const cursor = (await page({ first: 1 }, orders[0])).edges[0]?.cursor
    for (const order of orders.slice(1)) {
      const { field, direction, foldersFirst } = order
      const orderBy = `{ field: ${field}, direction: ${direction}, foldersFirst: ${foldersFirst} }`
      const { code } = await requested(inFolder, `orderBy: ${orderBy}, after: "${cursor}"`)
      expect([order, code]).toEqual([order, 'INVALID_CURSOR'])
    }
  })

  test('cursors of another list', async () => {
    const cursor = (await page({ first: 1 })).edges[0]?.cursor
    const other = await createFolder(holdall, { workspaceId, name: 'other' })
    const lists = { inAll, inTrash, other: inFolder.replace('$id)', `"${other.id}")`) }
    for (const [name, list] of Object.entries(lists)) {
      const { code } = await requested(list.replace('($id: ID!)', ''), `after: "${cursor}"`)
      expect([name, code]).toEqual([name, 'INVALID_CURSOR'])
    }
  })
})
