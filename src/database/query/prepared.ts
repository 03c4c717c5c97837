import type { CompiledQuery } from 'kysely'
import { type Db, isPostgres } from '../database.ts'
import { nameStatement } from '../postgres/statement-names.ts'
import type { WriteOptions } from '../sqlite/connections.ts'
import { selectSync } from '../sqlite/dialect.ts'
import type { Tx } from '../transaction.ts'

type Scalar = string | number | null
export type Argument = Scalar | readonly Scalar[]
/** A Kysely query builder that can be compiled. */
type Compilable<R> = { compile: () => CompiledQuery<R> }

/** Stands for an argument, or an element of a list argument, while the query is built. */
class Placeholder {
  readonly argument: number
  readonly element: number | null
  constructor(argument: number, element: number | null) {
    this.argument = argument
    this.element = element
  }
}

/** Longer lists are rare, and caching the SQL for each length would fill memory. */
const MAX_CACHED_LIST_LENGTH = 128

/**
 * Returns a function that runs a query with cached SQL: `build` is called once per database and per length of
 * its list arguments, because Kysely takes longer to build and compile a query than SQLite to run it. `build`
 * is called with placeholders: it must not look at its arguments, and may only pass them to Kysely as values.
 */
export function prepared<A extends readonly Argument[], R>(
  build: (db: Db, ...args: A) => Compilable<R>,
  { skipSync = false }: WriteOptions = {},
): (db: Db | Tx, ...args: A) => Promise<R[]> {
  const cached = { sqlite: new Map<string, CompiledQuery<R>>(), postgres: new Map() }
  return async (db, ...args) => {
    const shape = args.map((arg) => (Array.isArray(arg) ? arg.length : 0))
    if (Math.max(...shape) > MAX_CACHED_LIST_LENGTH)
      return rowsOf(db, build(db as Db, ...args).compile())
    const queries = isPostgres(db) ? cached.postgres : cached.sqlite
    const key = shape.join()
    const compiled =
      queries.get(key) ?? build(db as Db, ...(args.map(toPlaceholders) as unknown as A)).compile()
    if (!queries.has(key)) nameStatement(compiled.sql)
    queries.set(key, compiled)
    return rowsOf(db, {
      ...compiled,
      ...(skipSync && { skipSync }),
      parameters: compiled.parameters.map((value: unknown) => fill(value, args)),
    })
  }
}

const rowsOf = async <R>(db: Db | Tx, query: CompiledQuery<R>): Promise<R[]> =>
  selectSync(db, query) ?? (await db.executeQuery(query)).rows

const toPlaceholders = (arg: Argument, index: number) =>
  Array.isArray(arg)
    ? arg.map((_, element) => new Placeholder(index, element))
    : new Placeholder(index, null)

function fill(value: unknown, args: readonly Argument[]): unknown {
  if (!(value instanceof Placeholder)) return value
  const arg = args[value.argument]
  return value.element === null ? arg : (arg as readonly Scalar[])[value.element]
}
