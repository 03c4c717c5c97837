import type { ColumnType } from '../tables.ts'

/** A column of a user table. A column without a type is preserved, but neither shown nor written. */
export type UserColumn = { name: string; type: ColumnType | null; nullable: boolean }
export type UserTable = {
  /** The name that users see. */
  name: string
  /** The name in the database. */
  sqlName: string
  keyColumn: string
  columns: UserColumn[]
  /**
   * Whether it is an operator's table: its errors must not disclose rows and columns that are not exposed.
   */
  letIn: boolean
}
/** A table as described by the database's catalog. */
export type TableDescription = Omit<UserTable, 'keyColumn' | 'letIn'> & {
  /** The integer column that is its primary key; null if there is none. */
  keyColumn: string | null
  /** The columns that accept any text: only these can be used as FILE_PATH. */
  textColumns: string[]
}

/**
 * The value of a cell in either database. Numbers that JavaScript would round are text, when read and when
 * written.
 */
export type Cell = string | number | Buffer | null
export type Cells = Record<string, Cell>
