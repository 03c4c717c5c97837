import type { Db } from '../../database/database.ts'
import { fileKind, folderKind } from '../../database/query/entry-kinds.ts'
import type { List } from '../../database/query/keyset.ts'
import { startsWith } from '../../database/query/like.ts'
import { type EntryFilter, filtered } from '../entries/filters.ts'
import { patternPredicate } from '../entries/lists.ts'
import type { EntryRow } from '../entries/reads.ts'

export type TrashOrder = {
  field: 'TRASHED_AT' | 'NAME' | 'SIZE'
  direction: 'ASC' | 'DESC'
}
export const latestFirst: TrashOrder = { field: 'TRASHED_AT', direction: 'DESC' }

/** Paths of the trash are the ones that entries had. */
const wasAt = (prefix: string) => startsWith('e.originalPath', prefix)

const below = (folder: EntryRow | null | undefined) => (folder?.path ? `${folder.path}/` : '')

const columns = { TRASHED_AT: 'trashedAt', NAME: 'nameKey', SIZE: 'size' } as const

/** What was itself put in the trash; what went with it is not listed. */
export function trashList(
  db: Db,
  workspaceId: string,
  filter: EntryFilter,
  { field, direction }: TrashOrder,
): List<EntryRow> {
  const way = direction === 'ASC' ? 'asc' : 'desc'
  const trashed = db
    .selectFrom('entries as e')
    .selectAll('e')
    .where('e.workspaceId', '=', workspaceId)
    .where('e.trashedAt', 'is not', null)
    .where('e.purgingAt', 'is', null)
    .$if(filter.pathPrefix != null, (q) => q.where(wasAt(filter.pathPrefix ?? '')))
    .$if(filter.within != null, (q) => q.where(wasAt(below(filter.within))))
    .$if(filter.type != null, (q) =>
      q.where('e.kind', '=', filter.type === 'FILE' ? fileKind : folderKind),
    )
  return {
    ordering: `trash:${workspaceId}:${field}:${direction}`,
    keys: [
      {
        column: `e.${columns[field]}`,
        as: columns[field],
        direction: way,
        numeric: field !== 'NAME',
      },
      { column: 'e.id', as: 'id', direction: way },
    ],
    segments: [filtered(trashed, { ...filter, pathPrefix: null, patterns: [], within: null })],
    keep: patternPredicate(filter),
    budget: filter.budget,
  }
}
