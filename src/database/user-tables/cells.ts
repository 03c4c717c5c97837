import { type Db, isPostgres } from '../database.ts'
import * as postgres from '../postgres/user-cells.ts'
import * as sqlite from '../sqlite/user-cells.ts'
import type { Tx } from '../transaction.ts'

/** What a cell holds, whichever database it is; numbers that JavaScript would round come as text and may go back so. */
export type Cell = string | number | Buffer | null
export type Cells = Record<string, Cell>

/** What this database has its own way of doing with cells. */
export const dialectOf = (db: Db | Tx) => (isPostgres(db) ? postgres : sqlite)
