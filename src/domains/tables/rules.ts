import { createHash } from 'node:crypto'
import type { ColumnType } from '../../database/tables.ts'
import type { UserColumn } from '../../database/user-tables/tables.ts'
import { InvalidInput, type Issue, RowRejected } from '../../errors.ts'

export type NewColumn = { name: string; type: ColumnType; nullable: boolean }

const NAME = /^[A-Za-z_][A-Za-z0-9_]{0,62}$/
const RIGHT_NAME = '1 to 63 of A-Z, a-z, 0-9 and "_", with no digit first'
export const MAX_COLUMNS = 100
/** Each of them can name a file in every row. */
export const MAX_PATH_COLUMNS = 20
const unsayable = ['__proto__', 'constructor', 'prototype']
export const MOST_TABLES = 100

/** Columns that every table of PostgreSQL or of SQLite has by itself; refused on both, so that rows can move to the other. */
const systemColumns = new Set(
  ['tableoid', 'xmin', 'cmin', 'xmax', 'cmax', 'ctid'].concat('rowid', 'oid', '_rowid_'),
)

/** Databases compare names without regard to case. */
export const nameKeyOf = (name: string) => name.toLowerCase()
export const isName = (name: string) => NAME.test(name)

/** Throws InvalidInput with all that is wrong; `key` is the column that the house adds. */
export function checkTable(name: string, columns: readonly NewColumn[], key: string) {
  const issues: Issue[] = []
  if (!isName(name)) issues.push({ path: ['name'], message: RIGHT_NAME })
  if (columns.length === 0 || columns.length > MAX_COLUMNS) {
    issues.push({ path: ['columns'], message: `1 to ${MAX_COLUMNS} columns` })
  }
  const paths = columns.filter(({ type }) => type === 'FILE_PATH').length
  if (paths > MAX_PATH_COLUMNS) {
    issues.push({ path: ['columns'], message: `at most ${MAX_PATH_COLUMNS} of type FILE_PATH` })
  }
  const taken = new Set([key])
  for (const [index, column] of columns.slice(0, MAX_COLUMNS).entries()) {
    const message = whatIsWrong(column.name, taken)
    if (message) issues.push({ path: ['columns', String(index), 'name'], message })
    taken.add(nameKeyOf(column.name))
  }
  const [first, ...others] = issues
  if (first) throw new InvalidInput(first, ...others)
}

function whatIsWrong(name: string, taken: ReadonlySet<string>) {
  if (!isName(name)) return RIGHT_NAME
  if (unsayable.includes(name)) return 'no JSON object here may have this key'
  if (systemColumns.has(nameKeyOf(name))) return 'databases have a column of their own of this name'
  return taken.has(nameKeyOf(name)) ? 'another column has this name' : null
}

/** What the database is to call a table; at most 63 characters, which is all that PostgreSQL keeps of a name. */
export function sqlNameOf(workspaceId: string, name: string): string {
  const key = nameKeyOf(name)
  const whole = `ws_${workspaceId.slice(-12)}_${key}`
  if (whole.length <= 63) return whole
  const hash = createHash('sha256').update(key).digest('hex').slice(0, 8)
  return `${whole.slice(0, 54)}_${hash}`
}

type Columns = { name: string; columns: readonly UserColumn[] }
type ShownColumn = UserColumn & { type: ColumnType }

/** The columns that people may know of. */
export const shownColumns = ({ columns }: Columns) =>
  columns.filter((column): column is ShownColumn => column.type !== null)

export const pathColumns = (table: Columns) =>
  shownColumns(table).flatMap(({ name, type }) => (type === 'FILE_PATH' ? [name] : []))

/** The column of this name, looked up and never made from what was asked; RowRejected. */
export function requireColumn(table: Columns, column: string): ShownColumn {
  const found = shownColumns(table).find(({ name }) => name === column)
  if (found) return found
  throw new RowRejected({ table: table.name, column, reason: 'the table has no such column' })
}

/** The same for the column that is to hold a path. */
export function requirePathColumn(table: Columns, column: string): string {
  const { name, type } = requireColumn(table, column)
  if (type === 'FILE_PATH') return name
  const reason = `this column is ${type}, not FILE_PATH`
  throw new RowRejected({ table: table.name, column, reason })
}
