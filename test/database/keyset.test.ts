import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { graphql, printSchema } from 'graphql'
import { CompiledQuery, Kysely, sql } from 'kysely'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import type { Db } from '../../src/database/database.ts'
import { migrateToLatest } from '../../src/database/migrate.ts'
import {
  countList,
  type List,
  type Page,
  type PageRequest,
  readPage,
  type SortKey,
} from '../../src/database/query/keyset.ts'
import { memoryDialect, sqliteDialect } from '../../src/database/sqlite/dialect.ts'
import type { Row } from '../../src/database/tables.ts'
import { BadPageSize, InvalidCursor } from '../../src/errors/input.ts'
import { builder } from '../../src/graphql/builder.ts'
import '../../src/graphql/scalars.ts'
import { connectionOf, page } from '../../src/graphql/pages.ts'

type Item = {
  id: string
  shelf: string
  name: string
  note: string | null
  size: number
  seenAt: number | null
}

const dir = mkdtempSync(join(tmpdir(), 'keyset-'))
const db = new Kysely<{ items: Item }>({ dialect: memoryDialect() })

beforeAll(async () => {
  await sql`create table items (id text primary key, shelf text not null, name text not null, note text, size bigint not null, "seenAt" bigint)`.execute(
    db,
  )
})
beforeEach(() => store([]))
afterAll(async () => {
  await db.destroy()
  rmSync(dir, { recursive: true })
})

async function store(items: Item[]) {
  await db.deleteFrom('items').execute()
  if (items.length > 0) await db.insertInto('items').values(items).execute()
}

// ---- the model of a list: a sorted array ----

type Order = { keys: SortKey[]; shelves: string[]; merged: boolean }

const listOf = ({ keys, shelves, merged }: Order): List<Item> => ({
  ordering: 'items',
  keys,
  segments: shelves.map((shelf) =>
    db.selectFrom('items').selectAll('items').where('shelf', '=', shelf),
  ),
  merged,
})

/**
 * The list order: segment by segment unless merged, then key by key; null is the greatest value, text sorts
 * by code points.
 */
function sortedItems(items: Item[], { keys, shelves, merged }: Order): Item[] {
  const listed = items.filter(({ shelf }) => shelves.includes(shelf))
  return listed.sort((one, other) => {
    const shelf = merged ? 0 : shelves.indexOf(one.shelf) - shelves.indexOf(other.shelf)
    const by = keys.map(({ as, direction }) => {
      const [a, b] = [one[as as keyof Item], other[as as keyof Item]]
      return direction === 'asc' ? inOrder(a, b) : inOrder(b, a)
    })
    return [shelf, ...by].find((order) => order !== 0) ?? 0
  })
}

function inOrder(a: string | number | null, b: string | number | null): number {
  if (a === null || b === null) return Number(a === null) - Number(b === null)
  if (typeof a === 'number' && typeof b === 'number') return a - b
  const [ours, theirs] = [[...String(a)], [...String(b)]]
  const different = ours.findIndex((char, index) => char !== theirs[index])
  if (different === -1) return ours.length - theirs.length
  return (ours[different]?.codePointAt(0) ?? -1) - (theirs[different]?.codePointAt(0) ?? -1)
}

// Few values, so that rows share them. U+FF5E sorts after U+1F600 in UTF-16 and before it in UTF-8.
const texts = fc.constantFrom('', 'a', 'aa', 'B', 'ä', 'z\u0301', '\uff5e', '😀', "'%_", '"\\')
const numbers = fc.constantFrom(0, 1, -1, 9, 10, 2 ** 31, 2 ** 53 - 1)
const item = fc.record({
  shelf: fc.constantFrom('folders', 'files', 'elsewhere'),
  name: texts,
  note: fc.option(texts),
  size: numbers,
  seenAt: fc.option(numbers),
})
const items = fc
  .array(item, { maxLength: 16 })
  .map((rows) => rows.map((row, index): Item => ({ ...row, id: `i${(index * 7) % 17}` })))

const direction = fc.constantFrom('asc' as const, 'desc' as const)
const sortKey = fc.constantFrom<Omit<SortKey, 'direction'>[]>(
  { column: 'items.name', as: 'name' },
  { column: 'items.note', as: 'note', nullable: true },
  { column: 'items.size', as: 'size', numeric: true },
  { column: 'items.seenAt', as: 'seenAt', numeric: true, nullable: true },
)
const keys = fc
  .tuple(
    fc.uniqueArray(sortKey, { maxLength: 3, selector: ({ as }) => as }),
    fc.oneof(
      fc.array(direction, { minLength: 4, maxLength: 4 }),
      direction.map((way) => [way, way, way, way]),
    ),
  )
  .map(([chosen, ways]) =>
    [...chosen, { column: 'items.id', as: 'id' }].map(
      (key, index): SortKey => ({ ...key, direction: ways[index] ?? 'asc' }),
    ),
  )
const order: fc.Arbitrary<Order> = fc.record({
  keys,
  shelves: fc.constantFrom(['folders', 'files'], ['files', 'folders'], ['files'], []),
  merged: fc.boolean(),
})

const ids = (rows: Item[]) => rows.map(({ id }) => id)

async function cursorsOf(list: List<Item>) {
  const { edges } = await readPage(list, { first: 100 })
  return new Map(edges.map(({ node, cursor }) => [node.id, cursor]))
}

test('returns the slice of the sorted list that the arguments request', async () => {
  const place = fc.option(fc.nat(15))
  const request = fc.record({
    forward: fc.boolean(),
    size: fc.integer({ min: 1, max: 6 }),
    after: place,
    before: place,
  })
  const requests = fc.array(request, { minLength: 4, maxLength: 4 })
  await fc.assert(
    fc.asyncProperty(items, order, requests, async (rows, order, requests) => {
      await store(rows)
      const all = sortedItems(rows, order)
      const list = listOf(order)
      const cursors = await cursorsOf(list)
      expect([...cursors.keys()]).toEqual(ids(all))
      expect(await countList(list)).toBe(all.length)
      for (const { forward, size, after, before } of requests) {
        const from = after === null ? null : Math.min(after, all.length - 1)
        const to = before === null ? null : Math.min(before, all.length - 1)
        const cursor = (index: number | null) =>
          index === null ? null : (cursors.get(all[index]?.id ?? '') ?? null)
        const [start, end] = [cursor(from), cursor(to)]
        const span: PageRequest = {
          ...(forward ? { first: size } : { last: size }),
          after: start,
          before: end,
        }
        const window = all.slice(
          start === null ? 0 : (from ?? 0) + 1,
          end === null ? undefined : (to ?? 0),
        )
        const expected = forward ? window.slice(0, size) : window.slice(-size)
        const page = await readPage(list, span)
        expect(page.edges.map(({ node }) => node)).toEqual(expected)
        expect(page.edges.map(({ cursor }) => cursor)).toEqual(
          expected.map(({ id }) => cursors.get(id)),
        )
        expect(page.hasNextPage).toBe(forward ? window.length > size : end !== null)
        expect(page.hasPreviousPage).toBe(forward ? start !== null : window.length > size)
        expect(page.startCursor).toBe(cursors.get(expected[0]?.id ?? '') ?? null)
        expect(page.endCursor).toBe(cursors.get(expected.at(-1)?.id ?? '') ?? null)
      }
    }),
    { numRuns: 2000 },
  )
})

test('returns each row once and in order when paging forward or backward', async () => {
  await fc.assert(
    fc.asyncProperty(items, order, fc.integer({ min: 1, max: 5 }), async (rows, order, size) => {
      await store(rows)
      const forward = await walk(listOf(order), { forward: true, size })
      const back = await walk(listOf(order), { forward: false, size })
      expect(ids(forward)).toEqual(ids(sortedItems(rows, order)))
      expect(back).toEqual(forward)
    }),
    { numRuns: 1000 },
  )
})

type Step = { forward: boolean; size: number; between?: (met: Item[]) => Promise<unknown> }

/** Returns all rows in list order, page by page until a page reports that it is the last. */
async function walk(list: List<Item>, { forward, size, between }: Step): Promise<Item[]> {
  const met: Item[] = []
  let cursor: string | null = null
  for (;;) {
    const page: Page<Item> = await readPage(
      list,
      forward ? { first: size, after: cursor } : { last: size, before: cursor },
    )
    const nodes = page.edges.map(({ node }) => node)
    met.splice(forward ? met.length : 0, 0, ...nodes)
    if (!(forward ? page.hasNextPage : page.hasPreviousPage)) return met
    expect(nodes).toHaveLength(size)
    cursor = forward ? page.endCursor : page.startCursor
    await between?.(met)
  }
}

test('neither repeats nor skips rows when others are added or removed between pages', async () => {
  const change = fc.record({
    gone: fc.array(fc.nat(15), { maxLength: 2 }),
    come: fc.array(item, { maxLength: 2 }),
  })
  const changes = fc.array(change, { minLength: 1, maxLength: 4 })
  await fc.assert(
    fc.asyncProperty(items, order, changes, fc.boolean(), async (rows, order, changes, forward) => {
      await store(rows)
      const gone = new Set<string>()
      const pending = changes.map(({ gone, come }, turn) => ({
        gone: gone.map((index) => `i${index}`),
        come: come.map((row, index): Item => ({ ...row, id: `n${turn}${index}` })),
      }))
      const between = async () => {
        const change = pending.pop()
        for (const id of change?.gone ?? []) gone.add(id)
        if (change?.gone.length)
          await db.deleteFrom('items').where('id', 'in', change.gone).execute()
        if (change?.come.length) await db.insertInto('items').values(change.come).execute()
      }
      const met = await walk(listOf(order), { forward, size: 2, between })
      expect(new Set(ids(met)).size).toBe(met.length)
      expect(met).toEqual(sortedItems(met, order))
      const stayed = rows.filter(({ id }) => !gone.has(id))
      expect(met.filter(({ id }) => stayed.some((row) => row.id === id))).toEqual(
        sortedItems(stayed, order),
      )
    }),
    { numRuns: 1000 },
  )
})

// ---- cursors ----

const byName: SortKey[] = [
  { column: 'items.name', as: 'name', direction: 'asc' },
  { column: 'items.id', as: 'id', direction: 'asc' },
]
const bySize: SortKey[] = [
  { column: 'items.size', as: 'size', direction: 'asc', numeric: true },
  { column: 'items.id', as: 'id', direction: 'asc' },
]
const plain: Order = { keys: byName, shelves: ['folders', 'files'], merged: false }
const pen: Item = { id: 'i1', shelf: 'files', name: 'pen', note: null, size: 7, seenAt: null }

test.each(['folders', 'files'])(
  'a cursor among the %s is refused by every other order',
  async (shelf) => {
    await store([{ ...pen, shelf }])
    const { endCursor: cursor } = await readPage(listOf(plain), { first: 1 })
    const others: List<Item>[] = [
      { ...listOf(plain), ordering: 'others' },
      listOf({ ...plain, keys: bySize }),
      listOf({ ...plain, keys: byName.map((key) => ({ ...key, direction: 'desc' })) }),
      listOf({ ...plain, shelves: [shelf] }),
      listOf({ ...plain, merged: true }),
    ]
    for (const list of others) {
      await expect(readPage(list, { first: 1, after: cursor })).rejects.toThrow(InvalidCursor)
      await expect(readPage(list, { last: 1, before: cursor })).rejects.toThrow(InvalidCursor)
    }
    expect((await readPage(listOf(plain), { last: 1, before: cursor })).edges).toEqual([])
  },
)

async function penCursor(list: List<Item>) {
  await store([pen])
  const { endCursor } = await readPage(list, { first: 1 })
  return endCursor ?? ''
}

const coded = (parts: unknown) => Buffer.from(JSON.stringify(parts)).toString('base64url')
const decoded = (cursor: string): unknown[] =>
  JSON.parse(Buffer.from(cursor, 'base64url').toString())

test('rejects a cursor with values that the columns cannot hold', async () => {
  const list = listOf({ ...plain, keys: bySize })
  const [tag, run, size, id] = decoded(await penCursor(list))
  expect([run, size, id]).toEqual([1, 7, 'i1'])
  const forged: unknown[] = [
    [tag, 1, '7', id],
    [tag, 1, 7.5, id],
    [tag, 1, 2 ** 60, id],
    [tag, 1, null, id],
    [tag, 1, true, id],
    [tag, 1, [7], id],
    [tag, 1, 7, 1],
    [tag, 1, 7, null],
    [tag, 1, 7, 'a\0b'],
    [tag, 1, 7, '\ud800'],
    [tag, 1, 7, {}],
    [tag, 1, 7],
    [tag, 1, 7, id, id],
    [tag, 2, 7, id],
    [tag, -1, 7, id],
    [tag, 0.5, 7, id],
    [tag, '1', 7, id],
    [tag],
    [],
    {},
    null,
    7,
    'text',
    [tag, 1, 7, 'x'.repeat(10_000)],
  ]
  for (const parts of forged) {
    await expect(
      readPage(list, { first: 1, after: coded(parts) }),
      JSON.stringify(parts),
    ).rejects.toThrow(InvalidCursor)
  }
  expect((await readPage(list, { first: 1, after: coded([tag, 0, 0, '']) })).edges).toHaveLength(1)
})

test('rejects any other text as a cursor', async () => {
  const list = listOf({ ...plain, keys: bySize })
  const cursor = await penCursor(list)
  const damaged = fc
    .tuple(fc.nat(cursor.length), fc.nat(3), fc.string({ maxLength: 3 }))
    .map(([at, cut, put]) => cursor.slice(0, at) + put + cursor.slice(at + cut))
  const anything = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.base64String(),
    fc.json().map((text) => Buffer.from(text).toString('base64url')),
    fc
      .array(fc.jsonValue(), { maxLength: 4 })
      .map((parts) => coded([decoded(cursor)[0], ...parts])),
    damaged,
  )
  await fc.assert(
    fc.asyncProperty(anything, fc.boolean(), async (text, forward) => {
      const span = forward ? { first: 1, after: text } : { last: 1, before: text }
      const answer = await readPage(list, span).catch((error: unknown) => error)
      // A damaged cursor may still be valid: it then means exactly one position, and the page is read.
      if (answer instanceof Error) expect(answer).toBeInstanceOf(InvalidCursor)
      else expect(coded(decoded(text))).toBe(text)
    }),
    { numRuns: 3000 },
  )
  for (const text of [
    '',
    '=',
    `${cursor}=`,
    `${cursor} `,
    'A'.repeat(1_000_000),
    coded('['.repeat(5000)),
    Buffer.from('['.repeat(6000)).toString('base64url'),
  ]) {
    await expect(readPage(list, { first: 1, after: text })).rejects.toThrow(InvalidCursor)
  }
})

test('rejects a list whose key is declared with the wrong type', async () => {
  await store([pen])
  const list = listOf({
    ...plain,
    keys: [{ column: 'items.size', as: 'size', direction: 'asc' }, ...byName],
  })
  await expect(readPage(list, { first: 1 })).rejects.toThrow(
    "items.size: the row's size is a number (7)",
  )
})

// ---- cost ----

const seen: { sql: string; parameters: readonly unknown[] }[] = []
const holdall: Db = new Kysely({
  dialect: sqliteDialect(join(dir, 'holdall.db')),
  log: ({ query }) => void seen.push(query),
})
afterAll(() => holdall.destroy())

test.each(['nameKey', 'size', 'createdAt', 'updatedAt'] as const)(
  'a page of a folder by %s is two index ranges, read without a sort',
  async (as) => {
    await migrateToLatest(holdall)
    await sql`pragma foreign_keys = off`.execute(holdall)
    await holdall.deleteFrom('entries').execute()
    await holdall.insertInto('entries').values(aFile).execute()
    for (const direction of ['asc', 'desc'] as const) {
      const list = children({ column: `entries.${as}`, as, direction, numeric: as !== 'nameKey' })
      const { startCursor } = await readPage(list, { first: 1 })
      seen.length = 0
      await readPage(list, { first: 20, after: startCursor })
      await readPage(list, { last: 20, before: startCursor })
      const index = `INDEX entries_parentId_kind_${as}_id (parentId=? AND kind=? AND (${as},id)`
      const [ahead, back] = direction === 'asc' ? ['>', '<'] : ['<', '>']
      expect(await plansOf([...seen])).toEqual([
        [`SEARCH entries USING ${index}${ahead}(?,?))`],
        [`SEARCH entries USING ${index}${ahead}(?,?))`],
        [`SEARCH entries USING ${index}${back}(?,?))`],
        [`SEARCH entries USING ${index}${back}(?,?))`],
      ])
    }
  },
)

test('a page of a list with its nulls apart is one index range, read without a sort', async () => {
  await migrateToLatest(holdall)
  await sql`pragma foreign_keys = off`.execute(holdall)
  await holdall.deleteFrom('entries').execute()
  const times = [5, 7, null, null]
  const rows = times.map((contentModifiedAt, i) => ({
    ...aFile,
    id: `file_${i}`,
    nameKey: `${i}`,
    contentModifiedAt,
  }))
  await holdall.insertInto('entries').values(rows).execute()
  for (const direction of ['asc', 'desc'] as const) {
    const list = nullsApart(direction)
    const { edges } = await readPage(list, { first: 4 })
    seen.length = 0
    await readPage(list, { first: 1, after: edges[0]?.cursor })
    await readPage(list, { first: 1, after: edges[2]?.cursor })
    const index = 'SEARCH entries USING INDEX entries_parentId_kind_contentModifiedAt_id'
    const [sign, limit] = direction === 'asc' ? ['>', ''] : ['<', 'contentModifiedAt>? AND ']
    const plans = await plansOf([...seen])
    expect(plans[0]).toEqual([
      `${index} (parentId=? AND kind=? AND ${limit}(contentModifiedAt,id)${sign}(?,?))`,
    ])
    expect(plans.at(-1)).toEqual([
      `${index} (parentId=? AND kind=? AND contentModifiedAt=? AND id${sign}?)`,
    ])
  }
})

test('reads only as many files as the folders leave room for', async () => {
  await migrateToLatest(holdall)
  await sql`pragma foreign_keys = off`.execute(holdall)
  await holdall.deleteFrom('entries').execute()
  const folders = ['b', 'c'].map((name) => ({
    ...aFile,
    id: name,
    kind: 'folder' as const,
    nameKey: name,
  }))
  await holdall
    .insertInto('entries')
    .values([aFile, ...folders])
    .execute()
  const list = {
    ...children({ column: 'entries.nameKey', as: 'nameKey', direction: 'asc' }),
    merged: false,
  }
  const limits = async (span: PageRequest) => {
    seen.length = 0
    const { edges } = await readPage(list, span)
    return {
      ids: edges.map(({ node }) => node.id),
      limits: seen.map((query) => query.parameters.at(-1)),
    }
  }
  expect(await limits({ first: 1 })).toEqual({ ids: ['b'], limits: [2] })
  expect(await limits({ first: 2 })).toEqual({ ids: ['b', 'c'], limits: [3, 1] })
  expect(await limits({ last: 1 })).toEqual({ ids: ['file_1'], limits: [2, 1] })
})

const at = { createdAt: 5, updatedAt: 5, size: 5 }
const name = { name: 'a', nameKey: 'a', parentId: 'fld_1' }
const aFile = {
  id: 'file_1',
  workspaceId: 'ws_1',
  kind: 'file' as const,
  ...name,
  ...at,
} as Row<'entries'>

function children(key: SortKey): List<Row<'entries'>> {
  const entries = holdall.selectFrom('entries').selectAll('entries').where('parentId', '=', 'fld_1')
  const segments = [entries.where('kind', '=', 'folder'), entries.where('kind', '=', 'file')]
  const id: SortKey = { column: 'entries.id', as: 'id', direction: key.direction }
  return { ordering: 'children', keys: [key, id], segments, merged: true }
}

function nullsApart(direction: 'asc' | 'desc'): List<Row<'entries'>> {
  const key: SortKey = {
    column: 'entries.contentModifiedAt',
    as: 'contentModifiedAt',
    direction,
    numeric: true,
    nullable: 'apart',
  }
  const files = holdall
    .selectFrom('entries')
    .selectAll('entries')
    .where('parentId', '=', 'fld_1')
    .where('kind', '=', 'file')
  const column = 'contentModifiedAt'
  const segments = [files.where(column, 'is not', null), files.where(column, 'is', null)]
  const id: SortKey = { column: 'entries.id', as: 'id', direction }
  return { ordering: 'files', keys: [key, id], segments }
}

async function plansOf(queries: typeof seen) {
  const plans: string[][] = []
  for (const { sql, parameters } of queries) {
    const explain = CompiledQuery.raw(`explain query plan ${sql}`, [...parameters])
    const { rows } = await holdall.executeQuery<{ detail: string }>(explain)
    plans.push(rows.map(({ detail }) => detail))
  }
  return plans
}

// ---- pages ----

test('returns 20 rows per page by default, and at most 100', async () => {
  await store(Array.from({ length: 130 }, (_, index) => ({ ...pen, id: `i${index}` })))
  const size = async (...args: [object, object?]) => {
    const [pageArgs, options] = args
    return (await page(pageArgs, listOf(plain), options)).edges.length
  }
  expect(await size({})).toBe(20)
  expect(await size({ first: null, last: null, after: null, before: null })).toBe(20)
  expect(await size({}, { defaultSize: 100 })).toBe(100)
  expect(await size({ first: 100 })).toBe(100)
  expect(await size({ last: 1 })).toBe(1)
  for (const wrong of [0, -1, 101, 10 ** 9]) {
    await expect(size({ first: wrong })).rejects.toThrow(
      `first is ${wrong} (must be from 1 to 100)`,
    )
    await expect(size({ last: wrong })).rejects.toThrow(`last is ${wrong} (must be from 1 to 100)`)
  }
  await expect(size({ first: 0 })).rejects.toBeInstanceOf(BadPageSize)
  await expect(size({ first: 1, last: 1 })).rejects.toThrow('first and last cannot be combined')
})

test('is the same connection for every field, and counts only if totalCount is selected', async () => {
  const counted: string[] = []
  const Thing = builder.interfaceRef<Item>('Thing').implement({
    resolveType: () => 'Pen',
    fields: (t) => ({ id: t.exposeID('id') }),
  })
  builder.objectRef<Item>('Pen').implement({ interfaces: [Thing] })
  for (const field of ['things', 'otherThings']) {
    builder.queryField(field, (t) =>
      t.connection(
        {
          type: Thing,
          resolve: async (_, args) => {
            const { totalCount, ...rest } = await page(args, listOf(plain))
            const counting = () => {
              counted.push(field)
              return totalCount()
            }
            return { ...rest, totalCount: counting }
          },
        },
        ...connectionOf(Thing, 'Thing'),
      ),
    )
  }
  builder.mutationField('nothing', (t) => t.boolean({ resolve: () => true }))
  builder.subscriptionField('never', (t) =>
    t.boolean({ subscribe: async function* () {}, resolve: () => true }),
  )
  const schema = builder.toSchema()
  const printed = printSchema(schema).replace(/\n{0,2} *"""[\s\S]*?"""(?=\n)/g, '')
  expect(printed).toContain(`type ThingConnection {
  edges: [ThingEdge!]!
  nodes: [Thing!]!
  pageInfo: PageInfo!`)
  expect(printed).toContain('  totalCount: Int!\n}')
  expect(printed).toContain('type ThingEdge {\n  cursor: String!\n  node: Thing!\n}')

  await store([pen, { ...pen, id: 'i2' }, { ...pen, id: 'i3' }])
  const ask = (source: string) =>
    graphql({ schema, source, contextValue: { limits: { maxQueryCost: 500 } } })
  const { data, errors } = await ask(`{
    things(first: 2) { totalCount nodes { id } edges { cursor node { id } } pageInfo { endCursor hasNextPage } }
    otherThings(last: 1) { nodes { id } pageInfo { hasPreviousPage } }
  }`)
  expect(errors).toBeUndefined()
  const cursors = await cursorsOf(listOf(plain))
  expect(JSON.parse(JSON.stringify(data))).toEqual({
    things: {
      totalCount: 3,
      nodes: [{ id: 'i1' }, { id: 'i2' }],
      edges: ['i1', 'i2'].map((id) => ({ cursor: cursors.get(id), node: { id } })),
      pageInfo: { endCursor: cursors.get('i2'), hasNextPage: true },
    },
    otherThings: { nodes: [{ id: 'i3' }], pageInfo: { hasPreviousPage: true } },
  })
  expect(counted).toEqual(['things'])
})
