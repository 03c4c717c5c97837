import { createHash } from 'node:crypto'
import type { ColumnType } from '../../database/tables.ts'
import type { UserColumn } from '../../database/user-tables/user-table.ts'
import { RowRejected } from '../../errors/entries.ts'
import { InvalidInput, type Issue } from '../../errors/input.ts'

export type NewColumn = { name: string; type: ColumnType; nullable: boolean }

const NAME = /^[A-Za-z_][A-Za-z0-9_]{0,62}$/
const INVALID_NAME_MESSAGE = 'must be 1 to 63 of A-Z, a-z, 0-9 and "_", not starting with a digit'
export const MAX_COLUMNS = 100
/** Limited, because each of these columns can link a file in every row. */
export const MAX_PATH_COLUMNS = 20
const forbiddenKeys = ['__proto__', 'constructor', 'prototype']
export const MAX_TABLES = 100

/**
 * System columns of PostgreSQL and SQLite. All of them are refused in both databases, so that tables can be
 * migrated between the two.
 */
const systemColumns = new Set(
  ['tableoid', 'xmin', 'cmin', 'xmax', 'cmax', 'ctid'].concat('rowid', 'oid', '_rowid_'),
)

/** Returns the key by which names are compared, because databases compare them case-insensitively. */
export const nameKeyOf = (name: string) => name.toLowerCase()
export const isName = (name: string) => NAME.test(name)

/**
 * Throws InvalidInput with all issues of a new table. `key` is the name of the key column that the server
 * adds.
 */
export function checkTable(name: string, columns: readonly NewColumn[], key: string) {
  const issues: Issue[] = []
  if (!isName(name)) issues.push({ path: ['name'], message: INVALID_NAME_MESSAGE })
  if (columns.length === 0 || columns.length > MAX_COLUMNS) {
    issues.push({ path: ['columns'], message: `must be 1 to ${MAX_COLUMNS} columns` })
  }
  const paths = columns.filter(({ type }) => type === 'FILE_PATH').length
  if (paths > MAX_PATH_COLUMNS) {
    issues.push({
      path: ['columns'],
      message: `at most ${MAX_PATH_COLUMNS} columns can be of type FILE_PATH`,
    })
  }
  const taken = new Set([key])
  for (const [index, column] of columns.slice(0, MAX_COLUMNS).entries()) {
    const message = nameIssue(column.name, taken)
    if (message) issues.push({ path: ['columns', String(index), 'name'], message })
    taken.add(nameKeyOf(column.name))
  }
  const [first, ...others] = issues
  if (first) throw new InvalidInput(first, ...others)
}

function nameIssue(name: string, taken: ReadonlySet<string>) {
  if (!isName(name)) return INVALID_NAME_MESSAGE
  if (forbiddenKeys.includes(name)) return 'this name is reserved in JSON objects'
  if (systemColumns.has(nameKeyOf(name))) return 'databases have a system column of this name'
  return taken.has(nameKeyOf(name)) ? 'another column has this name' : null
}

/**
 * Returns the SQL name of a table. PostgreSQL truncates names after 63 characters, so a longer name is
 * shortened and ends with a hash.
 */
export function sqlNameOf(workspaceId: string, name: string): string {
  const key = nameKeyOf(name)
  const fullName = `ws_${workspaceId.slice(-12)}_${key}`
  if (fullName.length <= 63) return fullName
  const hash = createHash('sha256').update(key).digest('hex').slice(0, 8)
  return `${fullName.slice(0, 54)}_${hash}`
}

type Columns = { name: string; columns: readonly UserColumn[] }
type ShownColumn = UserColumn & { type: ColumnType }

/** Returns the columns that are visible to clients. */
export const shownColumns = ({ columns }: Columns) =>
  columns.filter((column): column is ShownColumn => column.type !== null)

export const pathColumns = (table: Columns) =>
  shownColumns(table).flatMap(({ name, type }) => (type === 'FILE_PATH' ? [name] : []))

/** Returns the visible column of this name. Throws RowRejected if there is none. */
export function requireColumn(table: Columns, column: string): ShownColumn {
  const found = shownColumns(table).find(({ name }) => name === column)
  if (found) return found
  throw new RowRejected({ table: table.name, column, reason: 'the table has no such column' })
}

/** Returns the name of a FILE_PATH column. Throws RowRejected if it does not exist or has another type. */
export function requirePathColumn(table: Columns, column: string): string {
  const { name, type } = requireColumn(table, column)
  if (type === 'FILE_PATH') return name
  const reason = `this column is ${type}, not FILE_PATH`
  throw new RowRejected({ table: table.name, column, reason })
}
