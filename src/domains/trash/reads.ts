import type { Db } from '../../database/database.ts'
import { fileKind, folderKind } from '../../database/query/entry-kinds.ts'
import type { List } from '../../database/query/keyset.ts'
import { startsWith } from '../../database/query/like.ts'
import { applyFilter, type EntryFilter, selectEntries } from '../entries/lists/filters.ts'
import { patternPredicate } from '../entries/lists/lists.ts'
import type { EntryRow, FolderRow } from '../entries/reads.ts'

export type TrashOrder = {
  field: 'TRASHED_AT' | 'NAME' | 'SIZE'
  direction: 'ASC' | 'DESC'
}
export const latestFirst: TrashOrder = { field: 'TRASHED_AT', direction: 'DESC' }

/** Conditions on the path of trashed entries compare their original paths. */
const originalPathStartsWith = (prefix: string) => startsWith('e.originalPath', prefix)

const pathPrefixOf = ({ path }: FolderRow) => (path === '' ? '' : `${path}/`)

const columns = { TRASHED_AT: 'trashedAt', NAME: 'nameKey', SIZE: 'size' } as const

/** Returns the list of directly trashed entries, without the entries below them. */
export function trashList(
  db: Db,
  workspaceId: string,
  filter: EntryFilter,
  { field, direction }: TrashOrder,
): List<EntryRow> {
  const sortDirection = direction === 'ASC' ? 'asc' : 'desc'
  const { pathPrefix, within, type } = filter
  let trashed = selectEntries(db)
    .where('e.workspaceId', '=', workspaceId)
    .where('e.trashedAt', 'is not', null)
    .where('e.purgingAt', 'is', null)
  if (pathPrefix != null) trashed = trashed.where(originalPathStartsWith(pathPrefix))
  if (within != null) trashed = trashed.where(originalPathStartsWith(pathPrefixOf(within)))
  if (type != null) trashed = trashed.where('e.kind', '=', type === 'FILE' ? fileKind : folderKind)
  return {
    ordering: `trash:${workspaceId}:${field}:${direction}`,
    keys: [
      {
        column: `e.${columns[field]}`,
        as: columns[field],
        direction: sortDirection,
        numeric: field !== 'NAME',
      },
      { column: 'e.id', as: 'id', direction: sortDirection },
    ],
    segments: [applyFilter(trashed, { ...filter, pathPrefix: null, patterns: [], within: null })],
    postFilter: patternPredicate(filter),
    budget: filter.budget,
  }
}
