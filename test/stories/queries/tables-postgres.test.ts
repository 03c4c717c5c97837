import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { systemTables } from '../../../src/database/user-tables/tables.ts'
import {
  act,
  attempt,
  batch,
  createWorkspace,
  entryByPath,
  items,
  uploadFile,
} from '../../support/client.ts'
import { database } from '../../support/databases.ts'
import { readSql, readTable, runSql } from '../../support/servers/other-program.ts'
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

/** Creates a table as another program does, and makes it linkable. */
async function makeLinkable(statements: string, ...allowed: string[]) {
  await runSql(holdall, statements)
  env.LINKABLE_TABLES = allowed.map((column) => `${column}@${slug}`).join(', ')
  await holdall.restart()
}
const file = (name: string) => uploadFile(holdall, { workspaceId, name, bytes: name })
const to = { table: 'shots', column: 'image' }

async function link({ id }: { id: string }, more: Input = {}): Promise<any> {
  const rejection = '... on RowRejectedError { code column reason }'
  const query = `mutation ($input: LinkRowInput!) { linkRow(input: $input) {
    ... on LinkRowPayload { row { id values } } ${rejection}
  } }`
  return (await holdall.ask(query, { input: { fileId: id, link: { ...to, ...more } } })).linkRow
}
async function readShots(where: Input | null = null): Promise<any> {
  const query = `query ($id: ID!, $where: JSONObject) { workspace(by: { id: $id }) { table(name: "shots") {
    columns { name type } rows(where: $where) { nodes { id values } }
  } } }`
  return (await holdall.ask(query, { id: workspaceId, where })).workspace.table
}
const trash = (entry: { id: string }) =>
  batch<{ rowsUnlinked: number }>(
    holdall,
    'trashEntries',
    { entries: items(entry), unlinkRows: to },
    'rowsUnlinked',
  )
const restore = ({ id }: { id: string }) =>
  batch(holdall, 'restoreEntries', { entries: [{ entry: { id: id } }] }, 'rowsRelinked')

describe.runIf(database === 'PostgreSQL')("an operator's own tables on PostgreSQL", () => {
  const everyColumn =
    'shots.image+id+uid+short+n+big+f+d+price+exact+ok+at+local+j+jb+feel+named+fixed'
  const natural = `
    create type mood as enum ('calm', 'busy');
    create domain label as varchar(20);
    create table shots (
      id serial primary key, image text, uid uuid, short smallint, n int, big bigint, f real, d double precision,
      price numeric(10, 2), exact numeric, ok boolean, at timestamptz, local timestamp, j json, jb jsonb,
      feel mood, named label, fixed char(5), bytes bytea, list int[], day date, span interval, doubled int generated always as (n * 2) stored
    );
    insert into shots values (default, null, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 7, 8, 9223372036854775807, 0.1, 1e23,
      1.10, 12345678901234567890.12, true, '2025-01-31 10:30:00.123456+01', '2025-01-31 10:30:00', '{"b": 1, "a": 2}', '{"b": 1, "a": 2}',
      'calm', 'x', 'ab', '\\x00ff', '{1,2}', '2025-01-31', '1 day'),
      (default, null, null, null, null, null, 'NaN', '-Infinity', 0, 'NaN', null, 'infinity', '0044-03-15 BC', null, null, null, null, null, null, null, null, null);
  `

  test('show columns of known types, and keep the others', async () => {
    await makeLinkable(natural, everyColumn)
    const { columns, rows } = await readShots()
    expect(columns.map(({ name, type }: any) => `${name} ${type}`)).toEqual([
      'id INTEGER',
      'image FILE_PATH',
      'uid TEXT',
      'short INTEGER',
      'n INTEGER',
      'big INTEGER',
      'f REAL',
      'd REAL',
      'price REAL',
      'exact REAL',
      'ok BOOLEAN',
      'at TIMESTAMP',
      'local TIMESTAMP',
      'j JSON',
      'jb JSON',
      'feel TEXT',
      'named TEXT',
      'fixed TEXT',
    ])
    const [one, other] = rows.nodes.map(({ values }: any) => values)
    expect(one).toEqual({
      id: 1,
      image: null,
      uid: 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11',
      short: 7,
      n: 8,
      big: '9223372036854775807',
      f: 0.1,
      d: 1e23,
      price: 1.1,
      exact: '12345678901234567890.12',
      ok: true,
      at: '2025-01-31T09:30:00.123456Z',
      local: '2025-01-31T10:30:00.000Z',
      j: { b: 1, a: 2 },
      jb: { b: 1, a: 2 },
      feel: 'calm',
      named: 'x',
      fixed: 'ab',
    })
    expect(other).toMatchObject({ f: 'NaN', d: '-Infinity', exact: 'NaN', at: 'infinity' })
    expect(other.local).toMatch(/BC$/)
  })

  test('return every cell unchanged', async () => {
    await makeLinkable(natural, everyColumn)
    const a = await file('a.png')
    for (const id of [1, 2]) await link(a, { key: { id } })
    const kept = () => readSql(holdall, 'select shots::text from shots order by id')
    const before = await kept()
    expect(await trash(a)).toMatchObject({ rowsUnlinked: 2 })
    expect(await kept()).toEqual([])
    expect(await restore(a)).toMatchObject({ rowsRelinked: 2 })
    expect(await kept()).toEqual(before)
  })

  test('are filtered by values of every type, and by impossible values without results', async () => {
    await makeLinkable(natural, everyColumn)
    const found = async (where: Input) =>
      (await readShots(where)).rows.nodes.map(({ values }: any) => values.id)
    for (const where of [
      { uid: 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11' },
      { short: 7, n: 8 },
      { f: 0.1 },
      { d: 1e23 },
      { price: 1.1 },
      { ok: true },
      { local: '2025-01-31T10:30:00Z' },
      { feel: 'calm', named: 'x', fixed: 'ab' },
    ]) {
      expect([where, await found(where)]).toEqual([where, [1]])
    }
    for (const where of [
      { uid: 'no uuid' },
      { short: 70_000 },
      { n: 2 ** 40 },
      { f: 1e300 },
      { ok: false },
      { feel: 'no mood' },
    ]) {
      expect([where, await found(where)]).toEqual([where, []])
    }
    expect(await found({ uid: null })).toEqual([2])
  })

  test('accept values of every type, and report what they reject', async () => {
    const trigger = `create function refuse() returns trigger language plpgsql as
      $$ begin raise exception 'not on sundays'; end $$;
      create trigger sundays before insert on shots for each row when (new.n = 7) execute function refuse();`
    await makeLinkable(`${natural} ${trigger}`, everyColumn)
    const a = await file('a.png')
    const values = {
      uid: 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12',
      big: Number.MAX_SAFE_INTEGER,
      exact: 0.1,
      ok: false,
      at: '2025-01-31T09:30:00.500Z',
      local: '2025-01-31T09:30:00.500Z',
      jb: { a: [1, 'x'] },
      feel: 'busy',
    }
    expect((await link(a, { values })).row.values).toMatchObject(values)
    const wrong = [
      ...[
        { uid: 'x' },
        { feel: 'x' },
        { short: 70_000 },
        { named: 'x'.repeat(21) },
        { price: 1e9 },
      ],
      ...[{ n: 7 }, { jb: { text: 'nul\0' } }],
    ]
    for (const values of wrong) {
      const { code, column, reason } = await link(a, { values })
      const rejection = ['ROW_REJECTED', null, 'the table does not take this row']
      expect([values, code, column, reason]).toEqual([values, ...rejection])
    }
    for (const [values, column, reason] of [
      [{ id: 1 }, 'id', 'the key column cannot be written'],
      [{ id: null }, 'id', 'the key column cannot be written'],
      [{ doubled: 1 }, 'doubled', 'the table has no such column'],
    ]) {
      const answer = await link(a, { values })
      expect([answer.code, answer.column, answer.reason]).toEqual(['ROW_REJECTED', column, reason])
    }
  })

  test('return times in UTC, and keep them, whatever time zone and date style the database has', async () => {
    const name = new URL(holdall.databaseUrl ?? '').pathname.slice(1)
    await runSql(
      holdall,
      `alter database ${name} set timezone = 'Asia/Kolkata'; alter database ${name} set datestyle = 'German'`,
    )
    await makeLinkable(
      `create table shots (id serial primary key, image text, at timestamptz, local timestamp);
       insert into shots (at, local) values ('-infinity', '10000-01-01'), ('0044-03-15 BC', 'infinity')`,
      'shots.image+id+at+local',
    )
    const a = await file('a.png')
    for (const id of [1, 2]) await link(a, { key: { id } })
    for (const at of ['0001-01-01T00:00:00.000Z', '9999-12-31T23:59:59.999Z']) {
      expect((await link(a, { values: { at, local: at } })).row.values).toMatchObject({
        at,
        local: at,
      })
      expect((await readShots({ at, local: at })).rows.nodes).toHaveLength(1)
    }
    const kept = () => readSql(holdall, 'select shots::text from shots order by id')
    const before = await kept()
    expect(await trash(a)).toMatchObject({ rowsUnlinked: 4 })
    await restore(a)
    expect(await kept()).toEqual(before)
  })

  test.each([
    'integer generated by default as identity',
    'bigint generated always as identity',
    'smallserial',
  ])('number their rows after keys that others chose: %s', async (type) => {
    await makeLinkable(`create table shots (id ${type} primary key, image text)`, 'shots.image')
    const chosen = "overriding system value values (1, 'x'), (2, 'x'), (7, 'x')"
    await runSql(holdall, `insert into shots ${chosen}`)
    const a = await file('a.png')
    expect((await link(a)).row.id).toMatch(/\.8$/)
    const rows = await trash(a)
    expect(await restore(a)).toMatchObject({ rowsRelinked: rows.rowsUnlinked })
    expect((await link(a)).row.id).toMatch(/\.9$/)
  })

  test('are found by the exact name first, and then ignoring case', async () => {
    await makeLinkable(
      `create table "Shots" (id serial primary key, image text);
       create table shots (id serial primary key, image text);
       create table "OTHER" (id serial primary key, image text)`,
      'shots.image',
      'other.image',
    )
    const query = 'query ($id: ID!) { workspace(by: { id: $id }) { tables { sqlName } } }'
    const { workspace } = await holdall.ask(query, { id: workspaceId })
    expect(workspace.tables).toEqual([{ sqlName: 'OTHER' }, { sqlName: 'shots' }])
  })

  test('follow files whatever collation their columns have', async () => {
    await makeLinkable(
      `create table shots (id serial primary key, image varchar(60) collate "en-x-icu", mask text collate "C")`,
      'shots.image',
      'shots.mask',
    )
    const made = []
    for (const path of ['É', 'É/a', 'É a/b', 'É-a', 'éa', 'É0']) {
      const [name = '', folder = ''] = path.split('/').reverse()
      const upload = { workspaceId, name: `${name}.png`, path: folder, bytes: path }
      const file = await uploadFile(holdall, upload)
      made.push(file)
      await link(file)
    }
    const images = async () => (await readTable(holdall, 'shots')).map(({ image }) => image)
    const folder = await entryByPath(holdall, workspaceId, 'É')
    await act(holdall, 'updateEntry', { entry: { id: folder?.id }, name: 'z' }, '__typename')
    expect(await images()).toEqual(['É.png', 'z/a.png', 'É a/b.png', 'É-a.png', 'éa.png', 'É0.png'])
    const moved = { entry: { id: made[0]?.id }, name: `${'x'.repeat(60)}.png` }
    const answer = await attempt(holdall, 'updateEntry', moved, '__typename')
    expect([answer.code, answer.message]).toEqual([
      'ROW_REJECTED',
      'shots: the table does not take this row',
    ])
    const entries = items({ id: folder?.id ?? '' })
    const input = { entries, recursive: true, unlinkRows: to }
    const taken = await batch(holdall, 'trashEntries', input, 'rowsUnlinked')
    expect(taken).toMatchObject({ rowsUnlinked: 1 })
    expect(await images()).toHaveLength(5)
  })

  test.each([
    ['shots.uid', 'shots.uid, which is not a text column of that table'],
    ['pg_class.relname', 'pg_class, which is not a table of the database'],
    ['elsewhere.image', 'elsewhere, which is not a table of the database'],
    ['loose.image', 'loose, which has no INTEGER PRIMARY KEY'],
    ['pairs.image', 'pairs, which has no INTEGER PRIMARY KEY'],
  ])('LINKABLE_TABLES=%s is refused at the start', async (allowed, sentence) => {
    const others = `create schema other; create table other.elsewhere (id serial primary key, image text);
      create table loose (id uuid primary key, image text); create table pairs (id int, n int, image text, primary key (id, n))`
    await expect(makeLinkable(`${natural} ${others}`, allowed)).rejects.toThrow(sentence)
  })

  test('are none of the server’s own tables', async () => {
    const tables = await readSql(
      holdall,
      `select lower(table_name) as name from information_schema.tables
       where table_schema = current_schema()`,
    )
    const own = await systemTables()
    expect(tables.length).toBeGreaterThan(20)
    expect(tables.filter(({ name }) => !own.has(name))).toEqual([])
  })
})
