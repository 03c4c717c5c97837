import { type Kysely, sql } from 'kysely'
import { type Db, openDatabase } from './database.ts'
import { migrateToLatest } from './migrate.ts'
import type { ColumnType } from './tables.ts'
import type { Tx } from './transaction.ts'

/** A column of a table that is not the house's own. No type: kept as it is, neither shown nor filled. */
export type UserColumn = { name: string; type: ColumnType | null; nullable: boolean }
export type UserTable = {
  /** As people call it. */
  name: string
  /** As the database does. */
  sqlName: string
  keyColumn: string
  columns: UserColumn[]
}

/** The key of every table made here; numbers that were given once are never given again. */
export const KEY_COLUMN = '_id'

type Storage = 'text' | 'integer' | 'real'
const storage: Record<ColumnType, Storage> = {
  TEXT: 'text',
  INTEGER: 'integer',
  REAL: 'real',
  BOOLEAN: 'integer',
  TIMESTAMP: 'text',
  JSON: 'text',
  FILE_PATH: 'text',
}

/** Makes a real table. STRICT, with checks: what other programs write is of the type that the column says, too. */
export async function makeUserTable(tx: Tx, { sqlName, columns }: UserTable): Promise<void> {
  const schema = (tx as unknown as Kysely<unknown>).schema
  const key = schema
    .createTable(sqlName)
    .addColumn(KEY_COLUMN, 'integer', (c) => c.primaryKey().autoIncrement())
  const table = columns.reduce((made, { name, type, nullable }) => {
    const check = checkOf(name, type)
    return made.addColumn(name, storage[type ?? 'TEXT'], (c) => {
      const column = nullable ? c : c.notNull()
      return check ? column.check(check) : column
    })
  }, key)
  await table.modifyEnd(sql`strict`).execute()
  for (const { name, type } of columns) {
    if (type !== 'FILE_PATH') continue
    await schema.createIndex(`${sqlName}_${name}`).on(sqlName).column(name).execute()
  }
}

function checkOf(name: string, type: ColumnType | null) {
  if (type === 'BOOLEAN') return sql`${sql.id(name)} in (0, 1)`
  if (type === 'JSON') return sql`json_valid(${sql.id(name)})`
  return null
}

/** Those of these tables that the database has: any program may drop them. */
export async function standing(db: Db | Tx, sqlNames: readonly string[]): Promise<Set<string>> {
  if (sqlNames.length === 0) return new Set()
  const { rows } = await sql<{ name: string }>`
    select name from pragma_table_list where schema = 'main' and name in (${sql.join(sqlNames)})
  `.execute(db)
  return new Set(rows.map(({ name }) => name))
}

/** What the house's own tables are called, in lower case: whatever its migrations make in an empty database. */
export async function ownTables(): Promise<Set<string>> {
  const empty = openDatabase({ kind: 'sqlite', path: ':memory:' })
  try {
    await migrateToLatest(empty)
    const { rows } = await sql<{ name: string }>`select name from pragma_table_list`.execute(empty)
    return new Set(rows.map(({ name }) => name.toLowerCase()))
  } finally {
    await empty.destroy()
  }
}

type Described = Omit<UserTable, 'keyColumn'> & { keyColumn: string | null }

/**
 * A table as the database's own catalogue describes it; null where there is none, or it is a view or virtual. Its key is a
 * column that SQLite itself numbers rows by (INTEGER PRIMARY KEY), or null. No column is taken for a FILE_PATH.
 */
export async function describeTable(db: Db | Tx, named: string): Promise<Described | null> {
  const { rows: tables } = await sql<{ name: string }>`
    select name from pragma_table_list
    where schema = 'main' and type = 'table' and name = ${named} collate nocase
      and name not like 'sqlite!_%' escape '!'
  `.execute(db)
  const name = tables[0]?.name
  if (name === undefined) return null
  const { rows } = await sql<{ name: string; type: string; notnull: number; pk: number }>`
    select name, type, "notnull", pk from pragma_table_xinfo(${name}) where hidden = 0
  `.execute(db)
  const keys = rows.filter(({ pk }) => pk > 0)
  const [key] = keys
  const numbered = keys.length === 1 && key?.type.toUpperCase() === 'INTEGER'
  const columns = rows.map(({ name, type, notnull }) => ({
    name,
    type: typeOf(type),
    nullable: notnull === 0,
  }))
  return { name, sqlName: name, keyColumn: numbered ? (key?.name ?? null) : null, columns }
}

const declared: [RegExp, ColumnType][] = [
  [/BOOL/i, 'BOOLEAN'],
  [/JSON/i, 'JSON'],
  [/DATETIME|TIMESTAMP/i, 'TIMESTAMP'],
  // From here on SQLite's own rules of affinity, in their order.
  [/INT/i, 'INTEGER'],
  [/CHAR|CLOB|TEXT/i, 'TEXT'],
  [/REAL|FLOA|DOUB|NUMERIC|DECIMAL/i, 'REAL'],
]
const typeOf = (words: string) => declared.find(([pattern]) => pattern.test(words))?.[1] ?? null
