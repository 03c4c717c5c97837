import { type Kysely, sql } from 'kysely'
import type { Db } from '../database.ts'
import type { ColumnType } from '../tables.ts'
import type { Tx } from '../transaction.ts'
import type { TableDescription, UserTable } from '../user-tables/user-table.ts'

/*
 * Implements user-tables/tables.ts on SQLite.
 */

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

export async function createUserTable(
  tx: Tx,
  { sqlName, keyColumn, columns }: UserTable,
): Promise<void> {
  const schema = (tx as unknown as Kysely<unknown>).schema
  const key = schema
    .createTable(sqlName)
    .addColumn(keyColumn, 'integer', (c) => c.primaryKey().autoIncrement())
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
    // Names of user tables have no dot, so that an index never conflicts with a table.
    await schema.createIndex(`${sqlName}.${name}`).on(sqlName).column(name).execute()
  }
}

function checkOf(name: string, type: ColumnType | null) {
  if (type === 'BOOLEAN') return sql`${sql.id(name)} in (0, 1)`
  if (type === 'JSON') return sql`json_valid(${sql.id(name)})`
  return null
}

export async function existingTables(db: Db | Tx, sqlNames: readonly string[]): Promise<string[]> {
  const { rows } = await sql<{ name: string }>`
    select name from pragma_table_list where schema = 'main' and name in (${sql.join(sqlNames)})
  `.execute(db)
  return rows.map(({ name }) => name)
}

export async function nameExists(db: Db | Tx, sqlName: string): Promise<boolean> {
  const { rows } = await sql`
    select 1 from sqlite_schema where name = ${sqlName} collate nocase
  `.execute(db)
  return rows.length > 0
}

/** Describes a table. Its key column must be SQLite's rowid: an INTEGER PRIMARY KEY. */
export async function describeTable(
  db: Db | Tx,
  tableName: string,
): Promise<TableDescription | null> {
  const { rows: tables } = await sql<{ name: string }>`
    select name from pragma_table_list
    where schema = 'main' and type = 'table' and name = ${tableName} collate nocase
      and name not like 'sqlite!_%' escape '!'
  `.execute(db)
  const name = tables[0]?.name
  if (name === undefined) return null
  const { rows } = await sql<{ name: string; type: string; notnull: number; pk: number }>`
    select name, type, "notnull", pk from pragma_table_xinfo(${name}) where hidden = 0
  `.execute(db)
  const keys = rows.filter(({ pk }) => pk > 0)
  const [key] = keys
  const isRowId = keys.length === 1 && key?.type.toUpperCase() === 'INTEGER'
  const columns = rows.map(({ name, type, notnull }) => ({
    name,
    type: typeOf(type),
    nullable: notnull === 0,
  }))
  const textColumns = columns.filter(({ type }) => type === 'TEXT').map(({ name }) => name)
  const keyColumn = isRowId ? (key?.name ?? null) : null
  return { name, sqlName: name, keyColumn, columns, textColumns }
}

const TYPE_PATTERNS: [RegExp, ColumnType][] = [
  [/BOOL/i, 'BOOLEAN'],
  [/JSON/i, 'JSON'],
  [/DATETIME|TIMESTAMP/i, 'TIMESTAMP'],
  // The rest follows SQLite's rules of type affinity, in their order.
  [/INT/i, 'INTEGER'],
  [/CHAR|CLOB|TEXT/i, 'TEXT'],
  [/REAL|FLOA|DOUB|NUMERIC|DECIMAL/i, 'REAL'],
]
const typeOf = (declaredType: string) =>
  TYPE_PATTERNS.find(([pattern]) => pattern.test(declaredType))?.[1] ?? null
