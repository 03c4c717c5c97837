import type { CompiledQuery } from 'kysely'
import { type Db, isPostgres } from '../database.ts'
import { nameStatement } from '../postgres/statement-names.ts'
import { selectSync } from '../sqlite/dialect.ts'
import type { WriteOptions } from '../sqlite/driver.ts'
import type { Tx } from '../transaction.ts'

type Scalar = string | number | null
export type Argument = Scalar | readonly Scalar[]
/** What Kysely builds, before it is executed. */
type Built<R> = { compile: () => CompiledQuery<R> }

/** Stands in a query that is built where an argument will be: which one, and which element of it. */
class Placeholder {
  readonly argument: number
  readonly element: number | null
  constructor(argument: number, element: number | null) {
    this.argument = argument
    this.element = element
  }
}

/** Lists of more elements are rare; to keep a text for each length of those would fill memory. */
const LONGEST = 128

/**
 * A query that is asked over and over: `build` is called once for each database, and for each number of elements of its lists, and the
 * SQL is kept. To build and compile takes Kysely longer than SQLite takes to answer. `build` must not look at its arguments,
 * for it is not given any: it may only hand them on to Kysely as values.
 */
export function prepared<A extends readonly Argument[], R>(
  build: (db: Db, ...args: A) => Built<R>,
  { mayBeLost = false }: WriteOptions = {},
): (db: Db | Tx, ...args: A) => Promise<R[]> {
  const kept = { sqlite: new Map<string, CompiledQuery<R>>(), postgres: new Map() }
  return async (db, ...args) => {
    const shape = args.map((arg) => (Array.isArray(arg) ? arg.length : 0))
    if (Math.max(...shape) > LONGEST) return rowsOf(db, build(db as Db, ...args).compile())
    const texts = isPostgres(db) ? kept.postgres : kept.sqlite
    const key = shape.join()
    const text = texts.get(key) ?? build(db as Db, ...(args.map(holed) as unknown as A)).compile()
    if (!texts.has(key)) nameStatement(text.sql)
    texts.set(key, text)
    return rowsOf(db, {
      ...text,
      ...(mayBeLost && { mayBeLost }),
      parameters: text.parameters.map((value: unknown) => filled(value, args)),
    })
  }
}

const rowsOf = async <R>(db: Db | Tx, query: CompiledQuery<R>): Promise<R[]> =>
  selectSync(db, query) ?? (await db.executeQuery(query)).rows

const holed = (arg: Argument, index: number) =>
  Array.isArray(arg)
    ? arg.map((_, element) => new Placeholder(index, element))
    : new Placeholder(index, null)

function filled(value: unknown, args: readonly Argument[]): unknown {
  if (!(value instanceof Placeholder)) return value
  const arg = args[value.argument]
  return value.element === null ? arg : (arg as readonly Scalar[])[value.element]
}
