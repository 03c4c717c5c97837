import { sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readConfig } from '../../src/config/config.ts'
import { type Db, openDatabase, openInMemory } from '../../src/database/database.ts'
import { migrateToLatest } from '../../src/database/migrate.ts'
import { database, newDatabase } from '../support/databases.ts'

/** The databases use different tables for search, and indexes other than B-trees. */
const isShared = (table: string) => !/^(search|sqlite_|kysely_)/.test(table)

type Column = { name: string; type: string; nullable: boolean; hasDefault: boolean }
type Index = { table: string; columns: string; unique: boolean; partial: boolean }

describe.skipIf(database === 'SQLite')(
  'one set of migrations makes the same of both databases',
  () => {
    const stack = new AsyncDisposableStack()
    let sqlite: Db
    let postgres: Db
    beforeAll(async () => {
      sqlite = stack.adopt(openInMemory(), (db) => db.destroy())
      await migrateToLatest(sqlite)
      const { env } = stack.use(await newDatabase())
      postgres = stack.adopt(openDatabase(readConfig(env).database), (db) => db.destroy())
    })
    afterAll(() => stack.disposeAsync())

    test('has the same tables and columns', async () => {
      const [one, other] = await Promise.all([
        tablesOf(sqlite, await sqliteKeys(sqlite)),
        tablesOf(postgres),
      ])
      expect(Object.keys(one).length).toBeGreaterThan(15)
      expect(other).toEqual(one)
    })

    test('has the same indexes and keys', async () => {
      const [one, other] = await Promise.all([sqliteIndexes(sqlite), postgresIndexes(postgres)])
      expect(one.length).toBeGreaterThan(40)
      expect(other).toEqual(one)
    })

    test('compares text by its bytes, whatever the locale of the database', async () => {
      const { rows } = await sql<{ collation: string }>`
      select distinct collation_name as collation from information_schema.columns
      where table_schema = 'public' and data_type = 'text' and table_name not like 'kysely%'
    `.execute(postgres)
      expect(rows).toEqual([{ collation: 'C' }])
      const {
        rows: [order],
      } = await sql`select 'a' < 'B' as "here", 'a' < 'B' collate "C" as "there"`.execute(postgres)
      expect(order).toEqual({ here: true, there: false })
    })
  },
)

/** Returns a common name for the type of a column. */
const kindOf = (type: string) =>
  /int/i.test(type) ? 'integer' : /text/i.test(type) ? 'text' : type

async function tablesOf(db: Db, keys = new Set<string>()): Promise<Record<string, Column[]>> {
  const tables = await db.introspection.getTables()
  const shared = tables.filter(({ name }) => isShared(name))
  const columns = shared.map(({ name: table, columns }): [string, Column[]] => [
    table,
    columns.map(({ name, dataType, isNullable, hasDefaultValue }) => ({
      name,
      type: kindOf(dataType),
      nullable: isNullable && !keys.has(`${table}.${name}`),
      hasDefault: hasDefaultValue,
    })),
  ])
  return Object.fromEntries(columns.sort(([a], [b]) => (a < b ? -1 : 1)))
}

/** SQLite allows null even in a text primary key; no code writes it. */
async function sqliteKeys(db: Db): Promise<Set<string>> {
  const { rows } = await sql<{ key: string }>`
    select m.name || '.' || c.name as "key" from sqlite_master m, pragma_table_info(m.name) c where c.pk > 0
  `.execute(db)
  return new Set(rows.map(({ key }) => key))
}

async function sqliteIndexes(db: Db): Promise<Index[]> {
  const { rows } = await sql<Index>`
    select m.name as "table", (select group_concat(name) from (select name from pragma_index_info(i.name) order by seqno)) as "columns",
      i."unique", i.partial
    from sqlite_master m, pragma_index_list(m.name) i where m.type = 'table'
  `.execute(db)
  return inOrder(rows.map((row) => ({ ...row, unique: !!row.unique, partial: !!row.partial })))
}

async function postgresIndexes(db: Db): Promise<Index[]> {
  const { rows } = await sql<Index>`
    select t.relname as "table",
      (select string_agg(a.attname, ',' order by k.n) from unnest(i.indkey) with ordinality k(attnum, n)
        join pg_attribute a on a.attrelid = t.oid and a.attnum = k.attnum) as "columns",
      i.indisunique as "unique", i.indpred is not null as "partial"
    from pg_index i join pg_class t on t.oid = i.indrelid join pg_namespace s on s.oid = t.relnamespace
      join pg_class x on x.oid = i.indexrelid join pg_am m on m.oid = x.relam
    where s.nspname = 'public' and m.amname = 'btree'
  `.execute(db)
  return inOrder(rows)
}

const inOrder = (indexes: Index[]) =>
  indexes
    .filter(({ table }) => isShared(table))
    .map(({ table, columns, unique, partial }) => ({ table, columns, unique, partial }))
    .sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1))
