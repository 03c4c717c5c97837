import { type Db, isPostgres } from '../database.ts'
import * as postgres from '../postgres/user-cells.ts'
import * as sqlite from '../sqlite/user-cells.ts'
import type { Tx } from '../transaction.ts'

/** Returns the functions for cells of this database. */
export const dialectOf = (db: Db | Tx) => (isPostgres(db) ? postgres : sqlite)
