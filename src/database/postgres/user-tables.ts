import { createHash } from 'node:crypto'
import { type Kysely, sql } from 'kysely'
import type { Db } from '../database.ts'
import type { ColumnType } from '../tables.ts'
import type { Tx } from '../transaction.ts'
import type { TableDescription, UserTable } from '../user-tables/user-table.ts'

/*
 * Implements user-tables/tables.ts on PostgreSQL, in the schema of new tables (current_schema).
 */

/** Column types. Unlike jsonb, json preserves the text as written. Paths compare by bytes. */
const storage: Record<ColumnType, string> = {
  TEXT: 'text',
  INTEGER: 'bigint',
  REAL: 'double precision',
  BOOLEAN: 'boolean',
  TIMESTAMP: 'timestamptz(3)',
  JSON: 'json',
  FILE_PATH: 'text collate "C"',
}

export async function createUserTable(
  tx: Tx,
  { sqlName, keyColumn, columns }: UserTable,
): Promise<void> {
  const schema = (tx as unknown as Kysely<unknown>).schema
  const key = schema
    .createTable(sqlName)
    .addColumn(keyColumn, 'bigint', (c) => c.primaryKey().generatedAlwaysAsIdentity())
  const table = columns.reduce(
    (made, { name, type, nullable }) =>
      made.addColumn(name, sql.raw(storage[type ?? 'TEXT']), (c) => (nullable ? c : c.notNull())),
    key,
  )
  await table.execute()
  for (const { name, type } of columns) {
    if (type !== 'FILE_PATH') continue
    await schema.createIndex(indexName(sqlName, name)).on(sqlName).column(name).execute()
  }
}

/**
 * Returns a name of at most 63 characters, PostgreSQL's limit. Names of user tables have no dot, so that an
 * index never conflicts with a table.
 */
function indexName(sqlName: string, column: string): string {
  const hash = createHash('sha256').update(`${sqlName}.${column}`).digest('hex')
  return `${sqlName.slice(0, 46)}.${hash.slice(0, 16)}`
}

const IN_SCHEMA = sql`relnamespace = to_regnamespace(quote_ident(current_schema()))`

export async function existingTables(db: Db | Tx, sqlNames: readonly string[]): Promise<string[]> {
  const { rows } = await sql<{ name: string }>`
    select relname as name from pg_class
    where ${IN_SCHEMA} and relkind in ('r', 'p') and relname in (${sql.join(sqlNames)})
  `.execute(db)
  return rows.map(({ name }) => name)
}

export async function nameExists(db: Db | Tx, sqlName: string): Promise<boolean> {
  const { rows } = await sql`
    select 1 from pg_class where ${IN_SCHEMA} and lower(relname) = lower(${sqlName})
  `.execute(db)
  return rows.length > 0
}

type Attribute = {
  name: string
  type: string
  isEnum: boolean
  isNotNull: boolean
  isKey: boolean
}

/**
 * Describes a table. Its key column must be an integer primary key of one column. Generated columns are
 * omitted.
 */
export async function describeTable(
  db: Db | Tx,
  tableName: string,
): Promise<TableDescription | null> {
  const { rows: tables } = await sql<{ oid: number; name: string }>`
    select oid, relname as name from pg_class
    where ${IN_SCHEMA} and relkind in ('r', 'p') and lower(relname) = lower(${tableName})
      and oid = to_regclass(quote_ident(relname))
    order by relname = ${tableName} desc, relname limit 1
  `.execute(db)
  const [table] = tables
  if (!table) return null
  const { oid, name } = table
  const { rows } = await sql<Attribute>`
    select attname as name, base.typname as type, base.typtype = 'e' as "isEnum",
      attnotnull as "isNotNull", pk.indexrelid is not null as "isKey"
    from pg_attribute
      join pg_type t on t.oid = atttypid
      join pg_type base on base.oid = case t.typtype when 'd' then t.typbasetype else t.oid end
      left join pg_index pk on pk.indrelid = attrelid and pk.indisprimary and pk.indimmediate
        and pk.indnkeyatts = 1 and pk.indkey[0] = attnum
    where attrelid = ${oid} and attnum > 0 and not attisdropped and attgenerated = ''
    order by attnum
  `.execute(db)
  return { name, sqlName: name, ...columnsOf(rows) }
}

function columnsOf(attributes: Attribute[]) {
  const columns = attributes.map(({ name, type, isEnum, isNotNull }) => ({
    name,
    type: isEnum ? ('TEXT' as const) : (types.get(type) ?? null),
    nullable: !isNotNull,
  }))
  const key = attributes.find(({ type, isKey }) => isKey && types.get(type) === 'INTEGER')
  const texts = attributes.filter(({ type }) => type === 'text' || type === 'varchar')
  return { columns, keyColumn: key?.name ?? null, textColumns: texts.map(({ name }) => name) }
}

const types = new Map<string, ColumnType>([
  ...['int2', 'int4', 'int8'].map((name) => [name, 'INTEGER'] as const),
  ...['float4', 'float8', 'numeric'].map((name) => [name, 'REAL'] as const),
  ['bool', 'BOOLEAN'],
  ...['timestamp', 'timestamptz'].map((name) => [name, 'TIMESTAMP'] as const),
  ...['json', 'jsonb'].map((name) => [name, 'JSON'] as const),
  ...['text', 'varchar', 'bpchar', 'citext', 'name', 'uuid'].map((name) => [name, 'TEXT'] as const),
])
