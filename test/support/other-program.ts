import { join } from 'node:path'
import SqliteFile from 'better-sqlite3'
import { Client, types } from 'pg'
import type { House } from './test-server.ts'

/** Statements of another program, in the house's own database. */
export async function runSql(house: House, statements: string): Promise<void> {
  await (house.databaseUrl
    ? onPostgres(house.databaseUrl, statements)
    : onSqlite(house, (db) => db.exec(statements)))
}

/** What another program reads there. */
export async function readSql(house: House, select: string): Promise<any[]> {
  return house.databaseUrl
    ? onPostgres(house.databaseUrl, select)
    : onSqlite(house, (db) => db.prepare(select).all())
}

/** All of a table, by its first column. */
export const readTable = (house: House, sqlName: string): Promise<any[]> =>
  readSql(house, `select * from "${sqlName}" order by 1`)

/** Every column of every table; whatever somebody has made, dropped or altered is told by it. */
export const readSchema = (house: House): Promise<any[]> =>
  readSql(
    house,
    house.databaseUrl
      ? `select table_name, column_name, data_type from information_schema.columns
         where table_schema = current_schema() order by table_name, ordinal_position`
      : 'select name, sql from sqlite_master order by name',
  )

function onSqlite<T>({ dir }: House, ask: (db: SqliteFile.Database) => T): T {
  const db = new SqliteFile(join(dir, 'holdall.db'))
  db.pragma('foreign_keys = ON')
  try {
    return ask(db)
  } finally {
    db.close()
  }
}

async function onPostgres(url: string, statements: string): Promise<any[]> {
  const client = new Client({ connectionString: url })
  client.setTypeParser(types.builtins.INT8, Number)
  await client.connect()
  try {
    return (await client.query(statements)).rows
  } finally {
    await client.end()
  }
}
