import type SqliteFile from 'better-sqlite3'
import type { CompiledQuery, QueryResult } from 'kysely'

/** Maximum number of cached statements of about 10 KiB each; covers most statements of the application. */
const MAX_STATEMENTS = 500

/** Runs one statement synchronously on a connection. */
export type Run = <R>(query: Statement) => QueryResult<R>
export type Statement = Pick<CompiledQuery, 'sql' | 'parameters'>

/** Returns a function that runs queries on a connection and caches prepared statements by SQL text. */
export function createRunner(file: SqliteFile.Database): Run {
  const prepared = new Map<string, SqliteFile.Statement>()

  function statementOf(sql: string) {
    const cached = prepared.get(sql)
    if (cached) return cached
    const statement = file.prepare(sql)
    const [oldest = ''] = prepared.size >= MAX_STATEMENTS ? prepared.keys() : []
    prepared.delete(oldest)
    prepared.set(sql, statement)
    return statement
  }

  return <R>({ sql, parameters }: Statement): QueryResult<R> => {
    const statement = statementOf(sql)
    if (statement.reader) return { rows: statement.all(parameters) as R[] }
    const { changes, lastInsertRowid } = statement.run(parameters)
    return { insertId: BigInt(lastInsertRowid), numAffectedRows: BigInt(changes), rows: [] }
  }
}
