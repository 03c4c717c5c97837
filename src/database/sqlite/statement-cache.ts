import type SqliteFile from 'better-sqlite3'
import type { CompiledQuery, QueryResult } from 'kysely'

/** So many statements stay prepared, each some ten KiB; most of what the house says is among them. */
const MOST = 500

/** Runs queries on a connection, and prepares each text once. */
export function runner(file: SqliteFile.Database) {
  const prepared = new Map<string, SqliteFile.Statement>()

  function statementOf(sql: string) {
    const known = prepared.get(sql)
    if (known) return known
    const statement = file.prepare(sql)
    const [eldest = ''] = prepared.size >= MOST ? prepared.keys() : []
    prepared.delete(eldest)
    prepared.set(sql, statement)
    return statement
  }

  return <R>({ sql, parameters }: CompiledQuery): QueryResult<R> => {
    const statement = statementOf(sql)
    if (statement.reader) return { rows: statement.all(parameters) as R[] }
    const { changes, lastInsertRowid } = statement.run(parameters)
    return { insertId: BigInt(lastInsertRowid), numAffectedRows: BigInt(changes), rows: [] }
  }
}
