import { type RawBuilder, sql } from 'kysely'
import type { EntryKind } from '../tables.ts'

/** A kind as part of the text of a statement: by it the planner chooses the indexes that have folders, or files, alone. */
export const kindOf = (kind: EntryKind): RawBuilder<EntryKind> => sql.lit(kind)
export const folderKind = kindOf('folder')
export const fileKind = kindOf('file')
