import { type RawBuilder, sql } from 'kysely'
import type { EntryKind } from '../tables.ts'

/**
 * Returns a kind as an SQL literal instead of a parameter, so that the planner can choose the partial indexes
 * for folders or files.
 */
export const kindOf = (kind: EntryKind): RawBuilder<EntryKind> => sql.lit(kind)
export const folderKind = kindOf('folder')
export const fileKind = kindOf('file')
