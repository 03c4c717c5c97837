import type { Db } from '../../database/database.ts'
import { folderKind, kindOf } from '../../database/query/entry-kinds.ts'
import type { List, PreparedSegments } from '../../database/query/keyset.ts'
import type { EntryKind } from '../../database/tables.ts'
import { foldName, prefixUpperBound } from '../../names.ts'
import {
  type Entries,
  type EntryFilter,
  entryKinds,
  filtered,
  hasTag,
  parentMatches,
  type Where,
} from './filters.ts'
import type { Path } from './patterns.ts'
import type { EntryRow } from './reads.ts'
import { subtreeSize } from './scan-root.ts'

export type EntryOrder = {
  field: 'NAME' | 'SIZE' | 'CREATED_AT' | 'UPDATED_AT'
  direction: 'ASC' | 'DESC'
  foldersFirst: boolean
}
export const byName: EntryOrder = { field: 'NAME', direction: 'ASC', foldersFirst: true }

const columns = {
  NAME: 'nameKey',
  SIZE: 'size',
  CREATED_AT: 'createdAt',
  UPDATED_AT: 'updatedAt',
} as const

/** What lies directly in a folder. */
export function childrenList(
  db: Db,
  folder: EntryRow,
  filter: EntryFilter,
  order: EntryOrder,
): List<EntryRow> {
  const children = (kind: EntryKind) => childrenOf(db, folder.id, kind)
  const kinds = entryKinds(filter)
  const known = isPlain(filter) ? knownChildren(db, folder.id, kinds) : undefined
  const isEmpty = (segment: number) => kinds[segment] === 'folder' && folder.folderCount === 0
  return entryList({ id: folder.id, rows: children, filter, order, known, isEmpty })
}

const knownChildren = (db: Db, id: string, kinds: EntryKind[]): PreparedSegments<EntryRow> => ({
  db,
  count: kinds.length,
  name: `children ${kinds}`,
  args: [id],
  segments: (db, folderId) => kinds.map((kind) => childrenOf(db, folderId, kind)),
})

const childrenOf = (db: Db, folderId: string, kind: EntryKind): Entries =>
  db
    .selectFrom('entries as e')
    .selectAll('e')
    .where('e.parentId', '=', folderId)
    .where('e.kind', '=', kindOf(kind))

/** Asks for nothing but folders, or files. */
const isPlain = ({ type: _, budget: __, patterns = [], ...others }: EntryFilter) =>
  patterns.length === 0 && Object.values(others).every((asked) => asked == null)

/** All that lives in a workspace's tree, flat; with `tagId` only what carries that tag. */
export function workspaceList(
  db: Db,
  workspaceId: string,
  filter: EntryFilter,
  order: EntryOrder,
  tagId?: string,
): List<EntryRow> {
  const { start } = filter
  const some = start && subtreeSize(start) <= FEW ? below(db, start) : null
  const rows = start === null ? nothing(db) : (some ?? living(db, workspaceId))
  const listed = (kind: EntryKind) =>
    rows
      .where('e.kind', '=', kindOf(kind))
      .$if(tagId !== undefined, (q) => q.where((eb) => hasTag(eb, 'et.tagId', [tagId ?? ''])))
  return entryList({ id: tagId ?? workspaceId, rows: listed, filter, order })
}

/** So many rows are sooner gathered and sorted than met on a walk through all of a workspace. */
const FEW = 10_000

/** All that lives in a workspace but its root. */
const living = (db: Db, workspaceId: string): Entries =>
  db
    .selectFrom('entries as e')
    .selectAll('e')
    .where('e.workspaceId', '=', workspaceId)
    .where((eb) => parentMatches(eb, (p) => p('p.trashRootId', 'is', null)))

/** Those among `ids`. The folder is asked for the workspace, lest the database walk through all that is in it. */
export const liveByIds = (db: Db, workspaceId: string, ids: readonly string[]): Entries =>
  db
    .selectFrom('entries as e')
    .selectAll('e')
    .where('e.id', 'in', ids)
    .where((eb) =>
      parentMatches(eb, (p) =>
        p.and([p('p.trashRootId', 'is', null), p('p.workspaceId', '=', workspaceId)]),
      ),
    )

const nothing = (db: Db): Entries =>
  db
    .selectFrom('entries as e')
    .selectAll('e')
    .where((eb) => eb.lit(false))

/** All that lies below a living folder, by way of the folders. */
const below = (db: Db, { workspaceId, pathKey }: EntryRow): Entries =>
  db
    .selectFrom('entries as e')
    .selectAll('e')
    .where('e.parentId', 'in', (q) =>
      q
        .selectFrom('entries as f')
        .select('f.id')
        .where('f.workspaceId', '=', workspaceId)
        .where('f.kind', '=', folderKind)
        .where('f.pathKey', '>=', pathKey)
        .where('f.pathKey', '<', prefixUpperBound(pathKey ?? ''))
        .where('f.trashRootId', 'is', null),
    )

type Listed = {
  /** The cursors of a list are of no use in another one: its id is part of what they say. */
  id: string
  rows: (kind: EntryKind) => Entries
  filter: EntryFilter
  order: EntryOrder
} & Pick<List<EntryRow>, 'known' | 'isEmpty'>

function entryList({ id, rows, filter, order, ...more }: Listed): List<EntryRow> {
  const { field, direction, foldersFirst } = order
  const way = direction === 'ASC' ? 'asc' : 'desc'
  return {
    ordering: `entries:${id}:${field}:${direction}:${foldersFirst}`,
    keys: [
      {
        column: `e.${columns[field]}`,
        as: columns[field],
        direction: way,
        numeric: field !== 'NAME',
      },
      { column: 'e.id', as: 'id', direction: way },
    ],
    get segments() {
      return entryKinds(filter)
        .map((kind) => filtered(rows(kind), filter))
        .map((found) => (filter.patterns?.length ? withParentPath(found) : found))
    },
    ...more,
    merged: !foldersFirst,
    keep: patternPredicate(filter),
    budget: filter.budget,
  }
}

type Placed = EntryRow & { parentPath?: string | null; parentKey?: string | null }

/** With the path of the folder that holds each. */
export const withParentPath = (rows: Entries) =>
  rows.select((eb) => [
    parentOf(eb).select('p.path').as('parentPath'),
    parentOf(eb).select('p.pathKey').as('parentKey'),
  ])

const parentOf = (eb: Where) => eb.selectFrom('entries as p').whereRef('p.id', '=', 'e.parentId')

/** What tells whether the path of a row is like all patterns of a filter; undefined where there are none. */
export const patternPredicate = ({ patterns = [] }: EntryFilter) =>
  patterns.length === 0
    ? undefined
    : (row: EntryRow) => patterns.every(({ matches }) => matches(pathOf(row)))

/** What is itself in the trash is where it was. */
function pathOf({ parentPath, parentKey, ...entry }: Placed): Path {
  const { kind, name, nameKey, path, pathKey, originalPath } = entry
  if (originalPath !== null) return { path: originalPath, pathKey: foldName(originalPath) }
  if (kind === 'folder') return { path: path ?? '', pathKey: pathKey?.slice(0, -1) ?? '' }
  return {
    path: parentPath ? `${parentPath}/${name}` : name,
    pathKey: `${parentKey ?? ''}${nameKey}`,
  }
}
