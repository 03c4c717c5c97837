import { type Db, isPostgres } from './database.ts'
import type { Tx } from './transaction.ts'
import * as postgres from './user-cells-postgres.ts'
import * as sqlite from './user-cells-sqlite.ts'

/** What a cell holds, whichever database it is; numbers that JavaScript would round come as text and may go back so. */
export type Cell = string | number | Buffer | null
export type Cells = Record<string, Cell>

/** What this database has its own way of doing with cells. */
export const engineOf = (db: Db | Tx) => (isPostgres(db) ? postgres : sqlite)
