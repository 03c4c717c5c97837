import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import {
  act,
  attempt,
  batch,
  batchDone,
  confirmUpload,
  createFolder,
  createUpload,
  createWorkspace,
  entryByPath,
  items,
  sendBytes,
  uploadFile,
} from '../../support/client.ts'
import { invite } from '../../support/data/people.ts'
import { database } from '../../support/databases.ts'
import { readSchema, readSql, readTable, runSql } from '../../support/servers/other-program.ts'
import { startTestServer, type TestServer } from '../../support/servers/test-server.ts'

let holdall: TestServer
let workspaceId: string
let slug: string
const env: Record<string, string> = {}

beforeEach(async () => {
  delete env.LINKABLE_TABLES
  holdall = await startTestServer({ env })
  onTestFinished(() => holdall[Symbol.asyncDispose]())
  ;({ id: workspaceId, slug } = await createWorkspace(holdall))
})

type Input = Record<string, unknown>
const columns = [
  { name: 'image', type: 'FILE_PATH', nullable: false },
  { name: 'plate', type: 'INTEGER' },
]
const makeTable = async (input: Input = {}): Promise<{ name: string; sqlName: string }> => {
  const table = { workspaceId, name: 'plates', columns, ...input }
  const fields = 'name sqlName columns { name type nullable isFilePath }'
  return (await act(holdall, 'createTable', table, `table { ${fields} }`)).table
}

const rowFields = 'id values files { column file { id path } }'
const rejection = '... on RowRejectedError { table column reason }'

/** A complete upload. */
async function received(name = 'a.png', more: Input = {}): Promise<string> {
  const upload = await createUpload(holdall, { workspaceId, name, size: name.length, ...more })
  await sendBytes(holdall, upload, name)
  return upload.id
}

/** Confirms with a row. Returns the payload or the error. */
async function confirm(uploadId: string, linkRow: object, as = {}): Promise<any> {
  const query = `mutation ($input: ConfirmUploadInput!) { confirmUpload(input: $input) {
    __typename ... on UserError { code message path } ${rejection}
    ... on ConfirmUploadPayload { upload { status } file { id path } row { ${rowFields} } }
  } }`
  return (await holdall.ask(query, { input: { uploadId, linkRow } }, as)).confirmUpload
}
async function link(fileId: string, link: object, as = {}): Promise<any> {
  const query = `mutation ($input: LinkRowInput!) { linkRow(input: $input) {
    __typename ... on UserError { code message path } ${rejection}
    ... on LinkRowPayload { row { ${rowFields} } file { id } syncCursor }
  } }`
  return (await holdall.ask(query, { input: { fileId, link } }, as)).linkRow
}

/** A file whose path a new row holds. */
async function linked(path: string, values: Input = {}, table = 'plates') {
  const [name = '', ...folders] = path.split('/').reverse()
  const file = await uploadFile(holdall, {
    workspaceId,
    path: folders.reverse().join('/'),
    name,
    bytes: path,
  })
  const { row } = await link(file.id, { table, column: 'image', values })
  return { ...file, row }
}

async function rows(args = '', as: Input = {}, table = 'plates', id = workspaceId): Promise<any[]> {
  const query = `query ($id: ID!, $table: String!) { workspace(by: { id: $id }) {
    table(name: $table) { rows${args} { nodes { ${rowFields} } } }
  } }`
  return (await holdall.ask(query, { id, table }, as)).workspace.table.rows.nodes
}
const images = async () => (await rows()).map(({ values }) => values.image)
const statusOf = async (id: string) =>
  (await holdall.ask('query ($id: ID!) { node(id: $id) { ... on Upload { status } } }', { id }))
    .node.status

const onPostgres = database === 'PostgreSQL'
const otherProgram = (statements: string) => runSql(holdall, statements)
const sqlRows = (sqlName: string) => readTable(holdall, sqlName)

async function actions() {
  const query = `query ($id: ID!) { workspace(by: { id: $id }) {
    activity(filter: { actions: [TABLE_CREATED, ROW_LINKED, ROW_UNLINKED] }) { nodes { action path details } }
  } }`
  return (await holdall.ask(query, { id: workspaceId })).workspace.activity.nodes
}

const trashing = (entries: { id: string }[], more: Input = {}) => ({
  entries: items(...entries),
  recursive: true,
  unlinkRows: { table: 'plates', column: 'image' },
  ...more,
})
const trash = (entries: { id: string }[], more: Input = {}) =>
  batch<{ rowsUnlinked: number }>(holdall, 'trashEntries', trashing(entries, more), 'rowsUnlinked')
const trashErrorOf = (entries: { id: string }[], more: Input = {}) =>
  attempt(holdall, 'trashEntries', trashing(entries, more), '__typename')
const restore = (ids: string[], more: Input = {}) =>
  batch<{ rowsRelinked: number }>(
    holdall,
    'restoreEntries',
    { entries: ids.map((id) => ({ entry: { id } })), ...more },
    'rowsRelinked',
  )

test('tables and rows have ids of one form, which node(id:) resolves', async () => {
  await makeTable()
  const { row } = await confirm(await received('a.png'), { table: 'plates', column: 'image' })
  const query = `query ($w: ID!, $ids: [ID!]!) {
    workspace(by: { id: $w }) { table(name: "plates") { id } usage { id } members { nodes { id } } }
    nodes(ids: $ids) { __typename id }
  }`
  const ask = (ids: string[]) => holdall.ask(query, { w: workspaceId, ids })
  const { table, usage, members } = (await ask([])).workspace
  const own = [row.id, table.id, usage.id, members.nodes[0].id]
  const types = ['TableRow', 'Table', 'Usage', 'Member']
  expect((await ask(own)).nodes).toEqual(own.map((id, i) => ({ __typename: types[i], id })))
  const forged = own.flatMap((id) => [
    ...[`${id}.1`, `${id}x`, `${id}\u0000`, ` ${id}`, id.toUpperCase(), id.slice(0, 36)],
    ...[`${id}${'x'.repeat(100_000)}`, `${id}'--`, `${id}/../x`],
  ])
  const keys = ['', '0', '-1', '01', '1e0', '1.0', '9007199254740993', 'NaN', '0x1', '_id']
  const otherRows = keys.map((key) => row.id.replace(/\.1$/, `.${key}`))
  expect((await ask([...forged, ...otherRows])).nodes.filter(Boolean)).toEqual([])
  await otherProgram(`drop table "ws_${workspaceId.slice(-12)}_plates"`)
  expect((await ask([row.id, table.id])).nodes).toEqual([null, null])
})

test('seed B12 B15: a file comes with its row, other programs see it, and it goes with its row', async () => {
  const table = await makeTable()
  expect(table).toEqual({
    name: 'plates',
    sqlName: `ws_${workspaceId.slice(-12)}_plates`,
    columns: [
      { name: 'image', type: 'FILE_PATH', nullable: false, isFilePath: true },
      { name: 'plate', type: 'INTEGER', nullable: true, isFilePath: false },
    ],
  })
  const id = await received('a.png', { path: 'drive/image' })
  const wanted = { table: 'plates', column: 'image', values: { plate: 7 } }
  const { file, row } = await confirm(id, wanted)
  const image = 'drive/image/a.png'
  expect(row).toEqual({
    id: expect.stringMatching(/^row_[0-9a-f]{32}\.[\w-]+\.1$/),
    values: { image, plate: 7 },
    files: [{ column: 'image', file: { id: file.id, path: image } }],
  })
  expect(await sqlRows(table.sqlName)).toEqual([{ _id: 1, image, plate: 7 }])
  expect(await rows()).toEqual([row])

  const entries = [{ entry: { path: { workspaceId, path: image } } }]
  expect(await trash([], { entries })).toMatchObject({ succeeded: 1, rowsUnlinked: 1 })
  expect(await sqlRows(table.sqlName)).toEqual([])
  expect(await entryByPath(holdall, workspaceId, image)).toBe(null)
  expect(await restore([file.id])).toMatchObject({ succeeded: 1, rowsRelinked: 1 })
  expect(await rows()).toEqual([row])
  expect(await actions()).toEqual([
    { action: 'ROW_LINKED', path: image, details: { rows: 1 } },
    { action: 'ROW_UNLINKED', path: image, details: { table: 'plates', column: 'image', rows: 1 } },
    { action: 'ROW_LINKED', path: image, details: { table: 'plates', column: 'image', rows: 1 } },
    {
      action: 'TABLE_CREATED',
      path: null,
      details: { table: 'plates', sqlName: table.sqlName },
    },
  ])
})

test('seed B13 B16: a row that is refused leaves no file and no row, and the next confirm goes well', async () => {
  const table = await makeTable({
    columns: [...columns, { name: 'label', type: 'TEXT', nullable: false }],
  })
  const id = await received()
  const to = { table: 'plates', column: 'image' }
  const label = 'x'
  const wrong: [object, string | null, string][] = [
    [{ ...to, table: 'nowhere' }, null, 'the workspace has no such table'],
    [{ ...to, column: 'nowhere' }, 'nowhere', 'the table has no such column'],
    [{ ...to, column: '_id' }, '_id', 'the table has no such column'],
    [{ ...to, column: 'plate' }, 'plate', 'this column is INTEGER, not FILE_PATH'],
    [{ ...to, values: { label, nowhere: 1 } }, 'nowhere', 'the table has no such column'],
    [
      { ...to, values: { label, plate: 'seven' } },
      'plate',
      'INTEGER requires a whole number from -(2^53-1) to 2^53-1',
    ],
    [
      { ...to, values: { label, image: 'x' } },
      'image',
      'this column receives the path, so it cannot have a value',
    ],
    [to, 'label', 'a value is required'],
    [{ ...to, key: { plate: 7 } }, null, 'no row matches the key'],
    [{ ...to, key: {} }, null, 'key must contain at least one column'],
  ]
  for (const [linkRow, column, reason] of wrong) {
    const answer = await confirm(id, linkRow)
    expect(answer).toMatchObject({ __typename: 'RowRejectedError', code: 'ROW_REJECTED' })
    expect(answer).toMatchObject({ column, reason, path: ['linkRow'] })
    expect(await statusOf(id)).toBe('RECEIVED')
  }
  expect(await entryByPath(holdall, workspaceId, 'a.png')).toBe(null)
  expect(await sqlRows(table.sqlName)).toEqual([])
  const answer = await confirm(id, { ...to, values: { label } })
  expect(answer).toMatchObject({
    upload: { status: 'COMPLETE' },
    file: { path: 'a.png' },
    row: { values: { image: 'a.png', plate: null, label } },
  })
  expect(await confirm(id, { ...to, values: { label } })).toEqual(answer)
  expect(await rows()).toHaveLength(1)
})

test('fifty concurrent confirms of one upload create one row', async () => {
  await makeTable()
  const id = await received()
  const answers = await Promise.all(
    Array.from({ length: 50 }, (_, plate) =>
      confirm(id, { table: 'plates', column: 'image', values: { plate } }),
    ),
  )
  expect(new Set(answers.map(({ row }) => row?.id)).size).toBe(1)
  expect(await rows()).toEqual([answers[0].row])
})

test('fifty uploads confirmed concurrently create fifty rows', async () => {
  await makeTable()
  const ids = await Promise.all(Array.from({ length: 50 }, (_, i) => received(`${i}.png`)))
  const to = { table: 'plates', column: 'image' }
  const answers = await Promise.all(
    ids.map((id, plate) => confirm(id, { ...to, values: { plate } })),
  )
  expect(answers.map(({ row }) => row.values)).toEqual(
    ids.map((_, plate) => ({ image: `${plate}.png`, plate })),
  )
  expect(new Set((await rows('(first: 100)')).map(({ id }) => id)).size).toBe(50)
})

test('with a key the column is set in the matching rows only', async () => {
  const { sqlName } = await makeTable({
    columns: [{ name: 'image', type: 'FILE_PATH' }, ...columns.slice(1)],
  })
  await otherProgram(`insert into ${sqlName} (plate) values (1), (2), (2), (null)`)
  const file = await uploadFile(holdall, { workspaceId, name: 'b.png', bytes: 'b' })
  const to = { table: 'plates', column: 'image' }
  const { row } = await link(file.id, { ...to, key: { plate: 2 } })
  expect(row).toMatchObject({
    id: expect.stringMatching(/\.2$/),
    values: { image: 'b.png', plate: 2 },
  })
  expect(await images()).toEqual([null, 'b.png', 'b.png', null])
  await link(file.id, { ...to, key: { plate: null }, values: { plate: 9 } })
  expect(await rows('(where: { plate: 9 })')).toMatchObject([{ values: { image: 'b.png' } }])
  await act(holdall, 'updateEntry', { entry: { id: file.id }, name: 'c.png' }, '__typename')
  expect(await images()).toEqual([null, 'c.png', 'c.png', 'c.png'])
})

describe('rows follow', () => {
  const rename = (id: string, name: string) =>
    act(holdall, 'updateEntry', { entry: { id }, name }, '__typename')
  const move = ({ id }: { id: string }, path: string) =>
    batchDone(holdall, 'moveEntries', {
      entries: items({ id }),
      folder: { path: { workspaceId, path } },
    })
  const folder = (name: string) =>
    createFolder(holdall, { workspaceId, name, createParents: true, onConflict: 'REUSE' })

  test('a file that is renamed and moved', async () => {
    await makeTable()
    const file = await linked('a/1.png')
    await linked('a/1.pn')
    await rename(file.id, 'é "x" %.png')
    expect(await images()).toEqual(['a/é "x" %.png', 'a/1.pn'])
    await move(file, '')
    expect(await images()).toEqual(['é "x" %.png', 'a/1.pn'])
    expect((await rows())[0].files).toEqual([
      { column: 'image', file: { id: file.id, path: 'é "x" %.png' } },
    ])
  })

  test('the folders above, and not those whose names only begin alike', async () => {
    await makeTable()
    for (const path of ['a/1', 'a/b/2', 'ab/3', 'a b/4', 'a/b/c/5']) await linked(path)
    await folder('to')
    await rename((await folder('a')).id, 'ä')
    expect(await images()).toEqual(['ä/1', 'ä/b/2', 'ab/3', 'a b/4', 'ä/b/c/5'])
    await move(await folder('ä/b'), 'to')
    expect(await images()).toEqual(['ä/1', 'to/b/2', 'ab/3', 'a b/4', 'to/b/c/5'])
    await rename((await folder('to/b')).id, 'B')
    expect(await images()).toEqual(['ä/1', 'to/B/2', 'ab/3', 'a b/4', 'to/B/c/5'])
    for (const { values, files } of await rows()) expect(files[0].file.path).toBe(values.image)
  })

  test('no trashed file, and no earlier file of that path; but a restored one', async () => {
    await makeTable()
    const old = await linked('a/1')
    await trash([old], { unlinkRows: null })
    const young = await linked('a/1')
    await rename((await folder('a')).id, 'b')
    expect(await images()).toEqual(['a/1', 'b/1'])
    expect((await rows()).map(({ files }) => files[0].file?.id)).toEqual([undefined, young.id])
    await restore([old.id])
    expect(await images()).toEqual(['b/1 (2)', 'b/1'])
  })

  test('a folder that is restored elsewhere', async () => {
    await makeTable()
    await linked('a/b/1')
    const b = await folder('a/b')
    await trash([b], { unlinkRows: null })
    await rename((await folder('a')).id, 'A2')
    expect(await images()).toEqual(['a/b/1'])
    expect(await restore([b.id])).toMatchObject({ rowsRelinked: 0 })
    expect(await images()).toEqual(['A2/b/1'])
    expect((await rows())[0].files[0].file.path).toBe('A2/b/1')
  })

  test('except for a cell that another program has changed', async () => {
    const { sqlName } = await makeTable()
    const file = await linked('1.png')
    await linked('2.png')
    await otherProgram(`update ${sqlName} set image = '2.png' where _id = 1`)
    await rename(file.id, '3.png')
    expect(await images()).toEqual(['2.png', '2.png'])
    expect((await rows())[0].files[0].file.path).toBe('2.png')
  })
})

describe('rows in the trash', () => {
  test('follow their folder into the trash and back, to its new path', async () => {
    const { sqlName } = await makeTable()
    for (const path of ['a/1', 'a/b/2', 'ab/3']) await linked(path, { plate: path.length })
    await otherProgram(`insert into ${sqlName} (image) values ('a'), ('a/by hand')`)
    const a = await entryByPath(holdall, workspaceId, 'a')
    const id = a?.id ?? ''
    expect(await trash([{ id }])).toMatchObject({ rowsUnlinked: 4 })
    expect(await images()).toEqual(['ab/3'])
    await createFolder(holdall, { workspaceId, name: 'a' })
    await createFolder(holdall, { workspaceId, name: 'to' })
    expect(await restore([id])).toMatchObject({ rowsRelinked: 4 })
    expect((await rows()).map(({ values }) => values)).toEqual([
      { image: 'a (2)/1', plate: 3 },
      { image: 'a (2)/b/2', plate: 5 },
      { image: 'ab/3', plate: 4 },
      { image: 'a (2)', plate: null },
      { image: 'a (2)/by hand', plate: null },
    ])
    const destination = { path: { workspaceId, path: 'to' } }
    await batchDone(holdall, 'moveEntries', { entries: items({ id }), folder: destination })
    expect((await images()).slice(0, 3)).toEqual(['to/a (2)/1', 'to/a (2)/b/2', 'ab/3'])
  })

  test('of two files go with the one, and follow the other meanwhile', async () => {
    await makeTable({
      columns: [...columns, { name: 'mask', type: 'FILE_PATH' }],
    })
    const one = await linked('1.png', { plate: 1 })
    const two = await uploadFile(holdall, { workspaceId, name: '2.png', bytes: '2' })
    await link(two.id, { table: 'plates', column: 'mask', key: { plate: 1 } })
    expect(await trash([one])).toMatchObject({ rowsUnlinked: 1 })
    await act(holdall, 'updateEntry', { entry: { id: two.id }, name: '3.png' }, '__typename')
    await restore([one.id])
    const [row] = await rows()
    expect(row.values).toEqual({ image: '1.png', plate: 1, mask: '3.png' })
    expect(row.files.map(({ file }: any) => file.id)).toEqual([one.id, two.id])
  })

  test('that come back while their other file is trashed follow that one, too', async () => {
    await makeTable({
      columns: [...columns, { name: 'mask', type: 'FILE_PATH' }],
    })
    const one = await linked('1.png', { plate: 1 })
    const two = await uploadFile(holdall, { workspaceId, name: '2.png', bytes: '2' })
    await link(two.id, { table: 'plates', column: 'mask', key: { plate: 1 } })
    await trash([one])
    await act(holdall, 'updateEntry', { entry: { id: two.id }, name: '3.png' }, '__typename')
    await trash([two])
    await restore([one.id])
    await restore([two.id])
    expect((await rows()).map(({ values }) => values.mask)).toEqual(['3.png'])
    await act(holdall, 'updateEntry', { entry: { id: two.id }, name: '4.png' }, '__typename')
    expect((await rows()).map(({ values }) => values.mask)).toEqual(['4.png'])
  })

  test('stay if one entry fails; BEST_EFFORT takes those of the others', async () => {
    await makeTable()
    const [one, two] = [await linked('1'), await linked('2')]
    const stale = [{ entry: { id: one.id } }, { entry: { id: two.id }, expectedRevision: 99 }]
    expect(await trashErrorOf([], { entries: stale })).toMatchObject({ code: 'STALE_REVISION' })
    expect(await images()).toEqual(['1', '2'])
    const some = { entries: stale, mode: 'BEST_EFFORT' }
    expect(await trash([], some)).toMatchObject({ succeeded: 1, rowsUnlinked: 1 })
    expect(await images()).toEqual(['2'])
  })

  test('reports an unknown table or column, and trashes nothing', async () => {
    await makeTable()
    const file = await linked('1')
    for (const unlinkRows of [
      { table: 'entries', column: 'name' },
      { table: 'plates', column: 'plate' },
    ]) {
      expect(await trashErrorOf([file], { unlinkRows })).toMatchObject({
        code: 'ROW_REJECTED',
        path: ['unlinkRows'],
      })
    }
    expect(await images()).toEqual(['1'])
    expect(await entryByPath(holdall, workspaceId, '1')).toMatchObject({ id: file.id })
  })

  test('are deleted by a purge', async () => {
    await makeTable()
    const [one, two] = [await linked('1'), await linked('2')]
    await trash([one])
    await trash([two], { unlinkRows: null })
    await act(
      holdall,
      'purgeEntries',
      { entries: [{ entry: { id: one.id } }, { entry: { id: two.id } }] },
      'succeeded',
    )
    for (const table of ['takenRows', 'rowLinks']) expect(await sqlRows(table)).toEqual([])
    expect(await rows()).toMatchObject([{ values: { image: '2' }, files: [{ file: null }] }])
  })
})

test('values of every type are returned unchanged', async () => {
  const types = ['TEXT', 'INTEGER', 'REAL', 'BOOLEAN', 'TIMESTAMP', 'JSON', 'FILE_PATH']
  const { sqlName } = await makeTable({
    columns: [...columns.slice(0, 1), ...types.map((type) => ({ name: `a_${type}`, type }))],
  })
  const values = {
    a_TEXT: 'it\'s "quoted"; -- ü 🦊',
    a_INTEGER: Number.MIN_SAFE_INTEGER,
    a_REAL: 0.1,
    a_BOOLEAN: false,
    a_TIMESTAMP: '2025-01-31T10:30:00.5+01:00',
    a_JSON: { deep: [1, null, { x: 'y' }] },
    a_FILE_PATH: 'raw/x.png',
  }
  const { row } = await linked('1', values)
  const normal = { ...values, image: '1', a_TIMESTAMP: '2025-01-31T09:30:00.500Z' }
  expect(row.values).toEqual(normal)
  const nulls = Object.fromEntries(Object.keys(values).map((name) => [name, null]))
  await linked('2', nulls)
  const jsons = ['a text', 5, true, [1.5]]
  for (const a_JSON of jsons) await linked(`j${String(a_JSON)}`, { a_JSON })
  const found = (await rows()).map((shown) => shown.values)
  expect(found.slice(0, 2)).toEqual([normal, { ...nulls, image: '2' }])
  expect(found.slice(2).map(({ a_JSON }) => a_JSON)).toEqual(jsons)
  const natural = onPostgres
    ? { a_BOOLEAN: false, a_JSON: values.a_JSON, a_TIMESTAMP: new Date(normal.a_TIMESTAMP) }
    : { a_BOOLEAN: 0, a_JSON: '{"deep":[1,null,{"x":"y"}]}', a_TIMESTAMP: normal.a_TIMESTAMP }
  expect((await sqlRows(sqlName))[0]).toMatchObject(natural)

  const where = JSON.stringify({ ...values, a_JSON: undefined }).replace(/"(\w+)":/g, '$1:')
  expect(await rows(`(where: ${where})`)).toMatchObject([{ values: normal }])
  expect(await rows('(where: { a_TEXT: null, image: "2" })')).toHaveLength(1)

  const file = await uploadFile(holdall, { workspaceId, name: 'w', bytes: 'w' })
  const wrong = {
    a_TEXT: [5, true, {}, 'nul\0'],
    a_INTEGER: [1.5, '1', true, 2 ** 53],
    a_REAL: ['1', false],
    a_BOOLEAN: [0, 'true'],
    a_TIMESTAMP: ['yesterday', '2025-02-30T00:00:00Z', '2025-01-01', 5],
  }
  for (const [column, bad] of Object.entries(wrong)) {
    for (const value of bad) {
      const answer = await link(file.id, {
        table: 'plates',
        column: 'image',
        values: { [column]: value },
      })
      expect([column, value, answer.code, answer.column]).toEqual([
        column,
        value,
        'ROW_REJECTED',
        column,
      ])
    }
  }
  expect(await rows()).toHaveLength(6)
})

test('another program cannot write values of another type', async () => {
  const { sqlName } = await makeTable({
    columns: [
      { name: 'n', type: 'INTEGER' },
      { name: 'b', type: 'BOOLEAN' },
      { name: 'j', type: 'JSON' },
    ],
  })
  for (const [column, value] of [
    ['n', "'x'"],
    ['b', '2'],
    ['j', "'{'"],
  ]) {
    const insert = `insert into ${sqlName} (${column}) values (${value})`
    await expect(otherProgram(insert)).rejects.toThrow()
  }
})

test('rows come in pages, filtered as requested', async () => {
  await makeTable()
  for (let i = 0; i < 7; i++) await linked(`${i}`, { plate: i % 2 })
  const query = `query ($id: ID!, $after: String, $where: JSONObject) { workspace(by: { id: $id }) {
    table(name: "plates") { rows(first: 3, after: $after, where: $where) {
      totalCount nodes { values } pageInfo { hasNextPage endCursor }
    } }
  } }`
  const page = async (variables: object) =>
    (await holdall.ask(query, { id: workspaceId, ...variables })).workspace.table.rows
  const first = await page({})
  expect(first.totalCount).toBe(7)
  const second = await page({ after: first.pageInfo.endCursor })
  const third = await page({ after: second.pageInfo.endCursor })
  const seen = [first, second, third].flatMap(({ nodes }) => nodes)
  expect(seen.map(({ values }) => values.image)).toEqual(['0', '1', '2', '3', '4', '5', '6'])
  expect(third.pageInfo.hasNextPage).toBe(false)
  expect(await page({ where: { plate: 1 } })).toMatchObject({ totalCount: 3 })
  for (const where of [{ nowhere: 1 }, { plate: 'x' }, { _id: 1 }]) {
    const { errors } = await holdall.graphql(query, { id: workspaceId, where })
    expect(errors?.[0]?.extensions?.code).toBe('INVALID_INPUT')
  }
})

const injections = [
  '"; drop table entries; --',
  "' or 1=1 --",
  'plates; delete from entries',
  'entries',
  'Entries',
  'main.entries',
  'plates"."image',
  'image" = \'x\', "plate',
  'sqlite_master',
  'userTables',
  'image--',
  'rowid',
  '',
  '\0',
  '__proto__x"',
  'é',
  'x'.repeat(64),
]

test.each(injections)(
  'S19: seed B17: an identifier is looked up and never part of SQL: %j',
  async (name) => {
    const { sqlName } = await makeTable()
    const file = await linked('1.png', { plate: 1 })
    const all = () => Promise.all([readSchema(holdall), sqlRows(sqlName), sqlRows('entries')])
    const before = await all()
    const to = { table: 'plates', column: 'image' }
    const links = [
      { ...to, table: name },
      { ...to, column: name },
      { ...to, values: { [name]: 1 } },
      { ...to, key: { [name]: 1 } },
    ]
    for (const wrong of links) expect((await link(file.id, wrong)).code).toBe('ROW_REJECTED')
    const id = await received('x.png')
    for (const wrong of links) expect((await confirm(id, wrong)).code).toBe('ROW_REJECTED')
    for (const unlinkRows of [
      { ...to, table: name },
      { ...to, column: name },
    ]) {
      expect((await trashErrorOf([file], { unlinkRows })).code).toBe('ROW_REJECTED')
    }
    const query = `query ($id: ID!, $name: String!, $where: JSONObject) { workspace(by: { id: $id }) {
    table(name: $name) { name } mine: table(name: "plates") { rows(where: $where) { nodes { id } } }
  } }`
    const requested = { id: workspaceId, name, where: { [name]: 1 } }
    const { errors } = await holdall.graphql(query, requested)
    expect(errors?.[0]?.extensions?.code).toBe('INVALID_INPUT')
    const { data } = await holdall.graphql(query, { ...requested, where: {} })
    expect(data.workspace.table).toBe(null)
    expect(await all()).toEqual(before)
  },
)

test.each(injections.filter((name) => !/^[a-z_]\w{0,62}$/i.test(name)))(
  'S19: no table or column can be named %j',
  async (name) => {
    const answers = [
      await attempt(holdall, 'createTable', { workspaceId, name, columns }, '__typename'),
      await attempt(
        holdall,
        'createTable',
        { workspaceId, name: 'ok', columns: [{ name, type: 'TEXT' }] },
        '__typename',
      ),
    ]
    expect(answers.map(({ code, path }) => [code, path])).toEqual([
      ['INVALID_INPUT', ['name']],
      ['INVALID_INPUT', ['columns', '0', 'name']],
    ])
  },
)

test.each(
  [
    'tableoid',
    'xmin',
    'cmin',
    'xmax',
    'cmax',
    'ctid',
    'rowid',
    'oid',
    '_rowid_',
    'XMin',
    'RowID',
  ].map((name) => [name]),
)('no column can be named %s, which databases reserve', async (name) => {
  const wrong = { workspaceId, name: 'ok', columns: [...columns, { name, type: 'TEXT' }] }
  const answer = await attempt(holdall, 'createTable', wrong, '__typename')
  expect([answer.code, answer.path]).toEqual([
    'INVALID_INPUT',
    ['columns', String(columns.length), 'name'],
  ])
})

test('a table can have the name of a server’s table, and is separate', async () => {
  const { sqlName } = await makeTable({ name: 'Entries' })
  await linked('1.png', {}, 'Entries')
  expect(sqlName).toBe(`ws_${workspaceId.slice(-12)}_entries`)
  expect(await sqlRows(sqlName)).toHaveLength(1)
  const long = `L${'o'.repeat(61)}`
  const names = await Promise.all(
    ['1', '2'].map((end) => makeTable({ name: `${long}${end}` }).then((table) => table.sqlName)),
  )
  expect(new Set(names).size).toBe(2)
  for (const name of names) expect(name.length).toBeLessThanOrEqual(63)
})

test('a table can have the name of an index, and names and columns of 63 characters', async () => {
  for (const name of ['plates', 'plates_image', 'plates_image_idx', `x${'y'.repeat(62)}`]) {
    const paths = ['image', `i${'z'.repeat(61)}1`, `i${'z'.repeat(61)}2`]
    await makeTable({ name, columns: paths.map((name) => ({ name, type: 'FILE_PATH' })) })
    await linked(`${name}.png`, {}, name)
    expect(await rows('', {}, name)).toHaveLength(1)
  }
})

test('of twenty concurrent requests to create a table one succeeds', async () => {
  const answers = await Promise.all(
    Array.from({ length: 20 }, () =>
      attempt(
        holdall,
        'createTable',
        { workspaceId, name: 'plates', columns },
        'table { sqlName }',
      ),
    ),
  )
  const refused = answers.filter(({ code }) => code === 'INVALID_INPUT')
  expect(refused.map(({ path }) => path)).toEqual(Array(19).fill(['name']))
})

test('names ignore case; there are at most a hundred tables and columns', async () => {
  await makeTable()
  const taken = { workspaceId, name: 'PLATES', columns }
  expect((await attempt(holdall, 'createTable', taken, '__typename')).path).toEqual(['name'])
  const named = (name: string) => ({ name, type: 'TEXT' })
  for (const [wrong, path] of [
    [[], ['columns']],
    [
      [named('a'), named('A')],
      ['columns', '1', 'name'],
    ],
    [[named('_id')], ['columns', '0', 'name']],
    [Array.from({ length: 101 }, (_, i) => named(`c${i}`)), ['columns']],
  ] as const) {
    const answer = await attempt(
      holdall,
      'createTable',
      { workspaceId, name: 'x', columns: wrong },
      '__typename',
    )
    expect([answer.code, answer.path]).toEqual(['INVALID_INPUT', path])
  }
  const wide = Array.from({ length: 100 }, (_, i) => named(`c${i}`))
  for (let i = 1; i < 100; i++)
    await makeTable({ name: `t${i}`, columns: i === 1 ? wide : columns })
  const full = await attempt(
    holdall,
    'createTable',
    { workspaceId, name: 'more', columns },
    '__typename',
  )
  expect([full.code, full.message]).toEqual([
    'INVALID_INPUT',
    'workspaceId: a workspace has at most 100 tables',
  ])
})

test('a table that another program drops is gone, and files can still move', async () => {
  const { sqlName } = await makeTable()
  const file = await linked('1.png')
  await otherProgram(`drop table ${sqlName}`)
  await act(holdall, 'updateEntry', { entry: { id: file.id }, name: '2.png' }, '__typename')
  expect(await link(file.id, { table: 'plates', column: 'image' })).toMatchObject({
    code: 'ROW_REJECTED',
  })
  const { workspace } = await holdall.ask(
    'query ($id: ID!) { workspace(by: { id: $id }) { tables { name } } }',
    { id: workspaceId },
  )
  expect(workspace.tables).toEqual([])
})

test('viewers read rows and do not write; outsiders and tokens without the scope do neither', async () => {
  await makeTable()
  const file = await linked('1.png')
  const viewer = await invite(holdall, workspaceId, 'VIEWER')
  expect(await rows('', viewer)).toHaveLength(1)
  const to = { table: 'plates', column: 'image' }
  expect((await link(file.id, to, viewer)).code).toBe('FORBIDDEN')
  const create = { workspaceId, name: 'x', columns }
  expect((await attempt(holdall, 'createTable', create, '__typename', viewer)).code).toBe(
    'FORBIDDEN',
  )

  const editor = await invite(holdall, workspaceId, 'EDITOR', ['FILES_READ', 'FILES_WRITE'])
  const upload = await createUpload(holdall, { workspaceId, name: 'e.png', size: 0 }, editor)
  expect((await confirm(upload.id, to, editor)).code).toBe('FORBIDDEN')
  expect(await statusOf(upload.id)).toBe('RECEIVED')
  expect((await confirmUpload(holdall, { uploadId: upload.id }, editor)).path).toBe('e.png')
  const unlinking = { entries: items(file), unlinkRows: to }
  const refusal = await attempt(holdall, 'trashEntries', unlinking, '__typename', editor)
  expect(refusal.code).toBe('FORBIDDEN')

  await act(holdall, 'updateWorkspace', { workspaceId, visibility: 'PUBLIC' }, '__typename')
  const query = 'query ($id: ID!) { workspace(by: { id: $id }) { tables { name } } }'
  const { data } = await holdall.graphql(query, { id: workspaceId }, { token: null })
  expect(data?.workspace ?? null).toBe(null)

  const other = await createWorkspace(holdall)
  const foreign = await uploadFile(holdall, { workspaceId: other.id, name: 'f', bytes: 'f' })
  expect((await link(foreign.id, to)).reason).toBe('the workspace has no such table')
  expect(await rows()).toHaveLength(1)
})

describe("an operator's own tables", () => {
  const types = onPostgres
    ? { key: 'integer generated by default as identity', bytes: 'bytea', moment: 'timestamp' }
    : { key: 'integer', bytes: 'blob', moment: 'datetime' }
  const make = `
    create table "Runs" (id integer primary key, name text not null unique);
    create table "Plates" (
      id ${types.key} primary key, image varchar(200) unique, mask text, run integer references "Runs"(id),
      note text check (length(note) < 5), raw ${types.bytes}, at ${types.moment}, "odd name" text, big bigint
    );
    insert into "Runs" values (1, 'first');
  `
  const makeLinkable = async (...allowed: string[]) => {
    env.LINKABLE_TABLES = allowed.join(', ')
    await holdall.restart()
  }
  const to = { table: 'Plates', column: 'image' }
  const plates = () => sqlRows('Plates')

  test('are linked to one workspace, with all their rows', async () => {
    const bytes = onPostgres ? "'\\x00ff'" : "x'00ff'"
    await otherProgram(
      `${make} insert into "Plates" (id, run, raw, big) values (41, 1, ${bytes}, 9223372036854775807)`,
    )
    await makeLinkable(`plates.image+id+run+at+big@${slug}`)
    const { workspace } = await holdall.ask(
      'query ($id: ID!) { workspace(by: { id: $id }) { tables { name sqlName columns { name type } } } }',
      { id: workspaceId },
    )
    expect(workspace.tables).toEqual([
      {
        name: 'Plates',
        sqlName: 'Plates',
        columns: [
          { name: 'id', type: 'INTEGER' },
          { name: 'image', type: 'FILE_PATH' },
          { name: 'run', type: 'INTEGER' },
          { name: 'at', type: 'TIMESTAMP' },
          { name: 'big', type: 'INTEGER' },
        ],
      },
    ])
    const { row, file } = await confirm(await received('a.png'), { ...to, key: { id: 41 } })
    expect(row.values).toMatchObject({ id: 41, image: 'a.png', big: '9223372036854775807' })
    const kept = () => readSql(holdall, `select *, cast(big as text) as big from "Plates"`)
    const before = await kept()
    const { rowsUnlinked } = await trash([file], { unlinkRows: to })
    expect([rowsUnlinked, await plates()]).toEqual([1, []])
    await restore([file.id])
    expect(await kept()).toEqual(before)
    const other = await createWorkspace(holdall)
    const query = 'query ($id: ID!) { workspace(by: { id: $id }) { tables { name } } }'
    expect((await holdall.ask(query, { id: other.id })).workspace.tables).toEqual([])
  })

  const refused = {
    code: 'ROW_REJECTED',
    column: null,
    reason: 'the table does not take this row',
  }

  test('report violated constraints uniformly, and the upload stays confirmable', async () => {
    await otherProgram(make)
    await makeLinkable('Plates.image+run+note', 'Plates.mask')
    const first = await confirm(await received('a.png'), { ...to, values: { run: 1 } })
    expect(first.row.values).toEqual({ image: 'a.png', mask: null, run: 1, note: null })
    const id = await received('b.png')
    for (const values of [{ run: 7 }, { note: 'too long' }])
      expect(await confirm(id, { ...to, values })).toMatchObject(refused)
    expect(await statusOf(id)).toBe('RECEIVED')
    expect(await link(first.file.id, to)).toMatchObject(refused)
    expect((await confirm(id, to)).row.values).toMatchObject({ image: 'b.png' })
    expect(await plates()).toHaveLength(2)
  })

  test.each(['', `+id`])('neither show, compare nor write unlisted columns: %s', async (more) => {
    await otherProgram(
      `${make} insert into "Plates" (id, image, mask, run) values (41, 'x', 'hidden', 1)`,
    )
    await makeLinkable(`Plates.image${more}@${slug}`)
    const [row] = await rows('', {}, 'Plates')
    expect(row.values).toEqual(more ? { id: 41, image: 'x' } : { image: 'x' })
    const file = await uploadFile(holdall, { workspaceId, name: 'a.png', bytes: 'a' })
    const noColumn = { code: 'ROW_REJECTED', reason: 'the table has no such column' }
    for (const column of [
      'mask',
      'run',
      'note',
      'at',
      'big',
      'raw',
      'odd name',
      'nowhere',
      'rowid',
      'ctid',
    ]) {
      for (const wrong of [{ values: { [column]: null } }, { key: { [column]: null } }])
        expect([column, await link(file.id, { ...to, ...wrong })]).toMatchObject([
          column,
          { ...noColumn, column },
        ])
      const where = { [column]: null }
      const query = `query ($id: ID!, $where: JSONObject) { workspace(by: { id: $id }) {
        table(name: "Plates") { rows(where: $where) { totalCount } } } }`
      const { errors } = await holdall.graphql(query, { id: workspaceId, where })
      expect([column, errors?.[0]?.extensions?.code]).toEqual([column, 'INVALID_INPUT'])
    }
    expect(await plates()).toMatchObject([{ id: 41, image: 'x', mask: 'hidden', run: 1 }])
  })

  test('never write keys, listed or not', async () => {
    await otherProgram(`${make} insert into "Plates" (id, image) values (41, 'x')`)
    const file = await uploadFile(holdall, { workspaceId, name: 'a.png', bytes: 'a' })
    for (const allowed of ['Plates.image', 'Plates.image+id']) {
      await makeLinkable(`${allowed}@${slug}`)
      for (const id of [41, 42, null])
        for (const more of [{}, { key: { image: 'x' } }]) {
          const answer = await link(file.id, { ...to, ...more, values: { id } })
          expect([allowed, id, answer.code, answer.column]).toEqual([
            allowed,
            id,
            'ROW_REJECTED',
            'id',
          ])
        }
    }
    expect(await plates()).toMatchObject([{ id: 41, image: 'x' }])
    expect((await link(file.id, { ...to, key: { id: 41 } })).row.id).toMatch(/\.41$/)
  })

  test('with an unlisted required column reject rows, without naming the column', async () => {
    await otherProgram(
      `create table "Needs" (id ${types.key} primary key, image text, secret text not null)`,
    )
    await makeLinkable('Needs.image')
    const file = await uploadFile(holdall, { workspaceId, name: 'a.png', bytes: 'a' })
    expect(await link(file.id, { table: 'Needs', column: 'image' })).toMatchObject(refused)
  })

  test('do not pass on messages of triggers', async () => {
    const trigger = onPostgres
      ? `create function "say"() returns trigger language plpgsql as $$ begin
           raise exception 'secret of row 1' using errcode = case when new.image = 'a.png' then 'P0001' else 'ZZ001' end; end $$;
         create trigger "says" before insert on "Guarded" for each row execute function "say"();`
      : `create trigger "says" before insert on "Guarded" begin select raise(abort, 'secret of row 1'); end;`
    await otherProgram(
      `create table "Guarded" (id ${types.key} primary key, image text); ${trigger}`,
    )
    await makeLinkable('Guarded.image')
    for (const name of ['a.png', 'b.png']) {
      const file = await uploadFile(holdall, { workspaceId, name, bytes: name })
      expect(await link(file.id, { table: 'Guarded', column: 'image' })).toMatchObject(refused)
    }
  })

  test.runIf(onPostgres)(
    'reject a constraint that is deferred to the commit like any other',
    async () => {
      await otherProgram(`create table "Late" (id ${types.key} primary key, image text unique deferrable initially deferred);
      insert into "Late" (image) values ('a.png')`)
      await makeLinkable('Late.image')
      const file = await uploadFile(holdall, { workspaceId, name: 'a.png', bytes: 'a' })
      expect(await link(file.id, { table: 'Late', column: 'image' })).toMatchObject(refused)
    },
  )

  test('refuse a rename that a row cannot follow', async () => {
    await otherProgram(make)
    await makeLinkable('Plates.image')
    const { file } = await confirm(await received('a.png'), to)
    await otherProgram(`insert into "Plates" (image) values ('b.png')`)
    const change = { entry: { id: file.id }, name: 'b.png' }
    expect(await attempt(holdall, 'updateEntry', change, '__typename')).toMatchObject({
      code: 'ROW_REJECTED',
      message: 'Plates: the table does not take this row',
    })
    expect(await entryByPath(holdall, workspaceId, 'a.png')).toMatchObject({ id: file.id })
  })

  test('shared by all workspaces show and change only the rows of each', async () => {
    await otherProgram(`${make} create table "Shots" (id ${types.key} primary key, image text, n int);
      insert into "Shots" (image, n) values ('1.png', 1), ('loose', 1)`)
    await makeLinkable('Shots.image+n')
    const shots = { table: 'Shots', column: 'image' }
    const other = (await createWorkspace(holdall)).id
    const file = await uploadFile(holdall, { workspaceId, name: '1.png', bytes: '1' })
    const theirs = await uploadFile(holdall, { workspaceId: other, name: '1.png', bytes: '1' })
    await link(file.id, { ...shots, values: { n: 1 } })
    await link(theirs.id, { ...shots, values: { n: 1 } })
    const seen = async (id: string) =>
      (await rows('', {}, 'Shots', id)).map((row) => row.id.split('.').at(-1))
    expect([await seen(workspaceId), await seen(other)]).toEqual([['3'], ['4']])
    await link(file.id, { ...shots, key: { n: 1 }, values: { n: 2 } })
    expect((await sqlRows('Shots')).map((row: any) => row.n)).toEqual([1, 1, 2, 1])
    expect(await trash([theirs], { unlinkRows: shots })).toMatchObject({ rowsUnlinked: 1 })
    expect((await sqlRows('Shots')).map((row: any) => row.id)).toEqual([1, 2, 3])
    await act(holdall, 'updateEntry', { entry: { id: file.id }, name: '2.png' }, '__typename')
    expect((await sqlRows('Shots')).map((row: any) => row.image)).toEqual([
      '1.png',
      'loose',
      '2.png',
    ])
    // A key of another row by now gives a workspace no access.
    await otherProgram(
      `delete from "Shots" where id = 3; insert into "Shots" values (3, 'secret', 1)`,
    )
    expect(await seen(workspaceId)).toEqual([])
  })

  test('appear and disappear with the setting', async () => {
    await otherProgram(make)
    await makeLinkable('Plates.image')
    const { file } = await confirm(await received('a.png'), to)
    await makeLinkable()
    expect((await link(file.id, to)).reason).toBe('the workspace has no such table')
    await act(holdall, 'updateEntry', { entry: { id: file.id }, name: 'b.png' }, '__typename')
    expect(await plates()).toMatchObject([{ image: 'a.png' }])
  })

  test.each([
    ['entries.name', 'entries, which is a table of the server'],
    ['ENTRIES.path', 'ENTRIES, which is a table of the server'],
    ['sqlite_schema.name', 'sqlite_schema, which is a table of the server'],
    ['sqlite_sequence.name', 'LINKABLE_TABLES names sqlite_sequence'],
    ['kysely_migration.name', 'kysely_migration, which is a table of the server'],
    ['userTables.name', 'userTables, which is a table of the server'],
    ['nowhere.image', 'nowhere, which is not a table of the database'],
    ['Seen.image', 'Seen, which is not a table of the database'],
    ['Plates.nowhere', 'Plates.nowhere, which is not a text column'],
    ['Plates.run', 'Plates.run, which is not a text column'],
    ['Loose.image', 'Loose, which has no INTEGER PRIMARY KEY'],
    [
      'Plates.image+nowhere',
      'Plates.nowhere, which is not a column of that table or has an unsupported type',
    ],
    [
      'Plates.image+raw',
      'Plates.raw, which is not a column of that table or has an unsupported type',
    ],
    ['Plates.image+', 'it must be table.column'],
    ['Plates.image@missing', 'the workspace missing, which does not exist'],
    ['Plates.image@a,plates.mask', 'Plates for two workspaces'],
    ['Plates', 'it must be table.column, table.column+a+b or table.column@workspace-slug'],
    ['Plates.image; drop table entries', 'it must be table.column'],
  ])('LINKABLE_TABLES=%s is refused at the start', async (allowed, sentence) => {
    await otherProgram(`${make} create view "Seen" as select * from "Plates";
        create table "Loose" (image text primary key)`)
    env.LINKABLE_TABLES = allowed
    await expect(holdall.restart()).rejects.toThrow(sentence)
  })

  test('cannot be a table of a workspace', async () => {
    const { sqlName } = await makeTable()
    env.LINKABLE_TABLES = `${sqlName}.image`
    await expect(holdall.restart()).rejects.toThrow('which is a table of the server')
  })
})
