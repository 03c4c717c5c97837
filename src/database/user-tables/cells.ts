import { type Db, isPostgres } from '../database.ts'
import * as postgres from '../postgres/user-cells.ts'
import * as sqlite from '../sqlite/user-cells.ts'
import type { Tx } from '../transaction.ts'

/**
 * The value of a cell in either database. Numbers that JavaScript would round are text, when read and when
 * written.
 */
export type Cell = string | number | Buffer | null
export type Cells = Record<string, Cell>

/** Returns the functions for cells of this database. */
export const dialectOf = (db: Db | Tx) => (isPostgres(db) ? postgres : sqlite)
