import { join } from 'node:path'
import SqliteFile from 'better-sqlite3'
import { Client, types } from 'pg'
import type { TestServer } from './test-server.ts'

/** Runs statements of another program in the server's database. */
export async function runSql(holdall: TestServer, statements: string): Promise<void> {
  await (holdall.databaseUrl
    ? onPostgres(holdall.databaseUrl, statements)
    : onSqlite(holdall, (db) => db.exec(statements)))
}

/** Returns what another program reads in the server's database. */
export async function readSql(holdall: TestServer, select: string): Promise<any[]> {
  return holdall.databaseUrl
    ? onPostgres(holdall.databaseUrl, select)
    : onSqlite(holdall, (db) => db.prepare(select).all())
}

/** Returns all rows of a table, ordered by its first column. */
export const readTable = (holdall: TestServer, sqlName: string): Promise<any[]> =>
  readSql(holdall, `select * from "${sqlName}" order by 1`)

/** Returns every column of every table, to detect any change of the schema. */
export const readSchema = (holdall: TestServer): Promise<any[]> =>
  readSql(
    holdall,
    holdall.databaseUrl
      ? `select table_name, column_name, data_type from information_schema.columns
         where table_schema = current_schema() order by table_name, ordinal_position`
      : 'select name, sql from sqlite_master order by name',
  )

function onSqlite<T>({ dir }: TestServer, ask: (db: SqliteFile.Database) => T): T {
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
