import type { Db } from '../../../database/database.ts'
import { folderKind, kindOf } from '../../../database/query/entry-kinds.ts'
import type { List } from '../../../database/query/keyset.ts'
import type { PreparedSegment, Segment } from '../../../database/query/segments.ts'
import type { EntryKind } from '../../../database/tables.ts'
import { foldName, prefixUpperBound } from '../../../names.ts'
import type { Path } from '../patterns/patterns.ts'
import type { EntryRow, FolderRow } from '../reads.ts'
import {
  applyFilter,
  type Entries,
  type EntryFilter,
  entryKinds,
  hasTag,
  parentMatches,
  selectEntries,
  type Where,
} from './filters.ts'
import { subtreeSize } from './scan-root.ts'

export type EntryOrder = {
  field: 'NAME' | 'SIZE' | 'CREATED_AT' | 'UPDATED_AT' | 'CONTENT_MODIFIED_AT'
  direction: 'ASC' | 'DESC'
  foldersFirst: boolean
}
export const byName: EntryOrder = { field: 'NAME', direction: 'ASC', foldersFirst: true }

const columns = {
  NAME: 'nameKey',
  SIZE: 'size',
  CREATED_AT: 'createdAt',
  UPDATED_AT: 'updatedAt',
  CONTENT_MODIFIED_AT: 'contentModifiedAt',
} as const

/** Returns the list of the direct children of a folder. */
export function childrenList(
  db: Db,
  folder: FolderRow,
  filter: EntryFilter,
  order: EntryOrder,
): List<EntryRow> {
  const segmentOf = (part: ListPart) => {
    if (part.kind === 'folder' && folder.folderCount === 0) return null
    return isPlain(filter)
      ? preparedChildren(db, folder.id, part)
      : filtered(childrenOf(db, folder.id, part), filter)
  }
  return entryList({ id: folder.id, segmentOf, filter, order })
}

const preparedChildren = (db: Db, id: string, part: ListPart): PreparedSegment<EntryRow> => ({
  db,
  name: `children ${part.kind} ${part.isDated ?? ''}`,
  args: [id],
  build: (db, folderId) => childrenOf(db, folderId, part),
})

const childrenOf = (db: Db, folderId: string, part: ListPart): Entries =>
  inPart(selectEntries(db).where('e.parentId', '=', folderId), part)

/** Returns whether a filter has no condition except `type`. */
const isPlain = ({ type: _, budget: __, patterns = [], ...others }: EntryFilter) =>
  patterns.length === 0 && Object.values(others).every((condition) => condition == null)

/**
 * Returns the flat list of the live entries of a workspace. With `tagId`, the list contains only entries with
 * this tag.
 */
export function workspaceList(
  db: Db,
  workspaceId: string,
  filter: EntryFilter,
  order: EntryOrder,
  tagId?: string,
): List<EntryRow> {
  const { scanRoot } = filter
  const below =
    scanRoot && subtreeSize(scanRoot) <= MAX_SORTED_COUNT ? liveBelow(db, scanRoot) : null
  const rows = scanRoot === null ? noEntries(db) : (below ?? liveEntries(db, workspaceId))
  const tagged = tagId === undefined ? rows : rows.where((eb) => hasTag(eb, 'et.tagId', [tagId]))
  const segmentOf = (part: ListPart) => filtered(inPart(tagged, part), filter)
  return entryList({ id: tagId ?? workspaceId, segmentOf, filter, order })
}

/**
 * Maximum size of a subtree that is collected and sorted. For a larger one, scanning the index of the whole
 * workspace is faster.
 */
const MAX_SORTED_COUNT = 10_000

/** Returns a query for the live entries of a workspace except its root. */
const liveEntries = (db: Db, workspaceId: string): Entries =>
  selectEntries(db)
    .where('e.workspaceId', '=', workspaceId)
    .where((eb) => parentMatches(eb, (p) => p('p.trashRootId', 'is', null)))

/**
 * Returns a query for the live entries among `ids`. It compares the workspace of the parent instead of that
 * of the entry, so that the database does not choose the index of the whole workspace.
 */
export const liveByIds = (db: Db, workspaceId: string, ids: readonly string[]): Entries =>
  selectEntries(db)
    .where('e.id', 'in', ids)
    .where((eb) =>
      parentMatches(eb, (p) =>
        p.and([p('p.trashRootId', 'is', null), p('p.workspaceId', '=', workspaceId)]),
      ),
    )

const noEntries = (db: Db): Entries => selectEntries(db).where((eb) => eb.lit(false))

/** Returns a query for the entries below a live folder, found through the folders of its subtree. */
const liveBelow = (db: Db, { workspaceId, pathKey }: FolderRow): Entries =>
  selectEntries(db).where('e.parentId', 'in', (q) =>
    q
      .selectFrom('entries as f')
      .select('f.id')
      .where('f.workspaceId', '=', workspaceId)
      .where('f.kind', '=', folderKind)
      .where('f.pathKey', '>=', pathKey)
      .where('f.pathKey', '<', prefixUpperBound(pathKey))
      .where('f.trashRootId', 'is', null),
  )

type Listed = {
  /** Part of the ordering, so that the cursors of one list are invalid in another. */
  id: string
  segmentOf: (part: ListPart) => Segment<EntryRow>
  filter: EntryFilter
  order: EntryOrder
}

/** The entries of one kind: all of them, or only those with or without a contentModifiedAt. */
type ListPart = { kind: EntryKind; isDated?: boolean }

function inPart(rows: Entries, { kind, isDated }: ListPart): Entries {
  const ofKind = rows.where('e.kind', '=', kindOf(kind))
  if (isDated === undefined) return ofKind
  return ofKind.where('e.contentModifiedAt', isDated ? 'is not' : 'is', null)
}

/** Splits a list by kind and, to sort by contentModifiedAt, files with one from files without one. */
function partsOf(filter: EntryFilter, { field, foldersFirst }: EntryOrder): ListPart[] {
  const parts = entryKinds(filter).map((kind) => ({ kind }))
  if (field !== 'CONTENT_MODIFIED_AT') return parts
  return (foldersFirst ? parts : parts.reverse()).flatMap((part) =>
    part.kind === 'folder' ? [part] : [true, false].map((isDated) => ({ ...part, isDated })),
  )
}

function entryList({ id, segmentOf, filter, order }: Listed): List<EntryRow> {
  const { field, direction, foldersFirst } = order
  const sortDirection = direction === 'ASC' ? 'asc' : 'desc'
  return {
    ordering: `entries:${id}:${field}:${direction}:${foldersFirst}`,
    keys: [
      {
        column: `e.${columns[field]}`,
        as: columns[field],
        direction: sortDirection,
        numeric: field !== 'NAME',
        ...(field === 'CONTENT_MODIFIED_AT' && { nullable: 'apart' }),
      },
      { column: 'e.id', as: 'id', direction: sortDirection },
    ],
    segments: partsOf(filter, order).map(segmentOf),
    merged: !foldersFirst && field !== 'CONTENT_MODIFIED_AT',
    postFilter: patternPredicate(filter),
    budget: filter.budget,
  }
}

function filtered(rows: Entries, filter: EntryFilter): Entries {
  const matching = applyFilter(rows, filter)
  return filter.patterns?.length ? withParentPath(matching) : matching
}

type WithParentPath = EntryRow & { parentPath?: string | null; parentKey?: string | null }

/** Also selects the path of the parent folder, which patternPredicate requires. */
export const withParentPath = (rows: Entries) =>
  rows.select((eb) => [
    parentOf(eb).select('p.path').as('parentPath'),
    parentOf(eb).select('p.pathKey').as('parentKey'),
  ])

const parentOf = (eb: Where) => eb.selectFrom('entries as p').whereRef('p.id', '=', 'e.parentId')

/** Returns a predicate for rows whose path matches all patterns of a filter, or undefined if it has none. */
export const patternPredicate = ({ patterns = [] }: EntryFilter) =>
  patterns.length === 0
    ? undefined
    : (row: EntryRow) => patterns.every(({ matches }) => matches(pathOf(row)))

/** Returns the path of an entry; for a directly trashed entry, its original path. */
function pathOf({ parentPath, parentKey, ...entry }: WithParentPath): Path {
  const { name, nameKey, originalPath } = entry
  if (originalPath !== null) return { path: originalPath, pathKey: foldName(originalPath) }
  if (entry.kind === 'folder') return { path: entry.path, pathKey: entry.pathKey.slice(0, -1) }
  return {
    path: parentPath ? `${parentPath}/${name}` : name,
    pathKey: `${parentKey ?? ''}${nameKey}`,
  }
}
