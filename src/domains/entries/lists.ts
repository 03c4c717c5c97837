import { type ExpressionBuilder, type SelectQueryBuilder, sql } from 'kysely'
import type { Db } from '../../database/database.ts'
import type { List } from '../../database/keyset.ts'
import { contains, startsWith } from '../../database/like.ts'
import type { EntryKind, MediaKind, Row, Tables } from '../../database/tables.ts'
import { endOfPrefix, foldName } from '../../names.ts'
import type { Path, Pattern } from './patterns.ts'
import type { EntryRow } from './reads.ts'

export type EntryOrder = {
  field: 'NAME' | 'SIZE' | 'CREATED_AT' | 'UPDATED_AT'
  direction: 'ASC' | 'DESC'
  foldersFirst: boolean
}
export const byName: EntryOrder = { field: 'NAME', direction: 'ASC', foldersFirst: true }

type Maybe<T> = T | null | undefined
export type EntryFilter = {
  type?: Maybe<'FILE' | 'FOLDER'>
  kinds?: Maybe<readonly MediaKind[]>
  mediaTypes?: Maybe<readonly string[]>
  nameContains?: Maybe<string>
  pathPrefix?: Maybe<string>
  /** pathGlob and pathRegex, once they were read. */
  patterns?: readonly Pattern[]
  tags?: Maybe<{
    anyOf?: Maybe<readonly string[]>
    allOf?: Maybe<readonly string[]>
    noneOf?: Maybe<readonly string[]>
  }>
  size?: Maybe<{ gte?: Maybe<number>; lte?: Maybe<number> }>
  createdAt?: Maybe<{ gte?: Maybe<number>; lt?: Maybe<number> }>
  updatedAt?: Maybe<{ gte?: Maybe<number>; lt?: Maybe<number> }>
  createdBy?: Maybe<readonly string[]>
  /** The folder, once it was found and authorised. */
  within?: Maybe<EntryRow>
  /** See starts.ts. */
  start?: EntryRow | null | undefined
  sha256?: Maybe<string>
}

type Scoped = { e: Row<'entries'> }
type Entries = SelectQueryBuilder<Tables & Scoped, 'e', EntryRow>
type Where = ExpressionBuilder<Tables & Scoped, 'e'>

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
  const children = (kind: EntryKind) =>
    db
      .selectFrom('entries as e')
      .selectAll('e')
      .where('e.parentId', '=', folder.id)
      .where('e.kind', '=', kind)
  return entryList(folder.id, children, filter, order)
}

/** All that lives in a workspace's tree, flat; with `tagId` only what carries that tag. */
export function workspaceList(
  db: Db,
  workspaceId: string,
  filter: EntryFilter,
  order: EntryOrder,
  tagId?: string,
): List<EntryRow> {
  const { start } = filter
  const some = start && start.fileCount + start.folderCount <= FEW ? below(db, start) : null
  const rows = start === null ? nothing(db) : (some ?? living(db, workspaceId))
  const listed = (kind: EntryKind) =>
    rows
      .where('e.kind', '=', kind)
      .$if(tagId !== undefined, (q) => q.where((eb) => carries(eb, 'et.tagId', [tagId ?? ''])))
  return entryList(tagId ?? workspaceId, listed, filter, order)
}

/** So many rows are sooner gathered and sorted than met on a walk through all of a workspace. */
const FEW = 10_000

/** All that lives in a workspace but its root. */
export const living = (db: Db, workspaceId: string): Entries =>
  db
    .selectFrom('entries as e')
    .selectAll('e')
    .where('e.workspaceId', '=', workspaceId)
    .where((eb) => parentIs(eb, (p) => p('p.trashRootId', 'is', null)))

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
        .where('f.kind', '=', 'folder')
        .where('f.pathKey', '>=', pathKey)
        .where('f.pathKey', '<', endOfPrefix(pathKey ?? ''))
        .where('f.trashRootId', 'is', null),
    )

/** The cursors of a list are of no use in another one: its id is part of what they say. */
function entryList(
  id: string,
  rows: (kind: EntryKind) => Entries,
  filter: EntryFilter,
  { field, direction, foldersFirst }: EntryOrder,
): List<EntryRow> {
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
    segments: kindsAsked(filter)
      .map((kind) => filtered(rows(kind), filter))
      .map((found) => (filter.patterns?.length ? placed(found) : found)),
    merged: !foldersFirst,
    keep: keepOf(filter),
  }
}

type Placed = EntryRow & { parentPath?: string | null; parentKey?: string | null }

/** With the path of the folder that holds each. */
export const placed = (rows: Entries) =>
  rows.select((eb) => [
    parentOf(eb).select('p.path').as('parentPath'),
    parentOf(eb).select('p.pathKey').as('parentKey'),
  ])

const parentOf = (eb: Where) => eb.selectFrom('entries as p').whereRef('p.id', '=', 'e.parentId')

/** What tells whether the path of a row is like all patterns of a filter; undefined where there are none. */
export const keepOf = ({ patterns = [] }: EntryFilter) =>
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

/** What only files have leaves folders out. */
export function kindsAsked({ type, kinds, mediaTypes, sha256 }: EntryFilter): EntryKind[] {
  const both: EntryKind[] = ['folder', 'file']
  const filesOnly = type === 'FILE' || kinds != null || mediaTypes != null || sha256 != null
  return both.filter((kind) => (kind === 'file' ? type !== 'FOLDER' : !filesOnly))
}

/** The rows that a filter lets through. */
export function filtered(rows: Entries, filter: EntryFilter): Entries {
  const { kinds, mediaTypes, nameContains, pathPrefix, tags, size, createdAt, updatedAt } = filter
  const { createdBy, within, sha256, patterns = [] } = filter
  let q = rows
  if (kinds != null) q = q.where('e.mediaKind', 'in', [...kinds])
  if (mediaTypes != null) q = q.where((eb) => eb.or(mediaTypes.map(mediaTypeIs)))
  if (nameContains != null) q = q.where(contains('e.nameKey', foldName(nameContains)))
  const prefixes = [foldName(pathPrefix ?? ''), ...patterns.map(({ prefix }) => prefix)]
  for (const prefix of prefixes) if (prefix !== '') q = q.where((eb) => pathBegins(eb, prefix))
  if (within != null) q = q.where((eb) => parentIs(eb, (p) => isBelow(p, within)))
  if (tags?.anyOf != null) q = q.where((eb) => carries(eb, 't.nameKey', keys(tags.anyOf)))
  for (const name of tags?.allOf ?? []) q = q.where((eb) => carries(eb, 't.nameKey', keys([name])))
  if (tags?.noneOf != null) q = q.where((eb) => eb.not(carries(eb, 't.nameKey', keys(tags.noneOf))))
  if (size?.gte != null) q = q.where('e.size', '>=', size.gte)
  if (size?.lte != null) q = q.where('e.size', '<=', size.lte)
  if (createdAt?.gte != null) q = q.where('e.createdAt', '>=', createdAt.gte)
  if (createdAt?.lt != null) q = q.where('e.createdAt', '<', createdAt.lt)
  if (updatedAt?.gte != null) q = q.where('e.updatedAt', '>=', updatedAt.gte)
  if (updatedAt?.lt != null) q = q.where('e.updatedAt', '<', updatedAt.lt)
  if (createdBy != null) q = q.where('e.createdBy', 'in', [...createdBy])
  if (sha256 != null) q = q.where('e.sha256', '=', sha256.toLowerCase())
  return q
}

type WhereParent = ExpressionBuilder<Tables & Scoped & { p: Row<'entries'> }, 'e' | 'p'>

const parentIs = (eb: Where, is: (p: WhereParent) => ReturnType<WhereParent>) =>
  eb.exists((q: Where) =>
    q
      .selectFrom('entries as p')
      .select('p.id')
      .whereRef('p.id', '=', 'e.parentId')
      .where((p) => is(p as unknown as WhereParent)),
  )

const pathIn = (p: WhereParent, start: string) =>
  p.and([p('p.pathKey', '>=', start), p('p.pathKey', '<', endOfPrefix(start))])

/** A trashed folder may have had the path that a living one has now. */
const isBelow = (p: WhereParent, { pathKey, trashRootId }: EntryRow) =>
  p.and([
    pathIn(p, pathKey ?? ''),
    trashRootId === null ? p('p.trashRootId', 'is', null) : p('p.trashRootId', '=', trashRootId),
  ])

/** The whole path begins so: the folder's does, or the folder's is all but the last name of it. */
function pathBegins(eb: Where, prefix: string) {
  const slash = prefix.lastIndexOf('/') + 1
  const isChild = eb.and([
    eb('e.nameKey', '>=', prefix.slice(slash)),
    eb('e.nameKey', '<', endOfPrefix(prefix.slice(slash))),
    parentIs(eb, (p) => p('p.pathKey', '=', prefix.slice(0, slash))),
  ])
  return eb.or([isChild, parentIs(eb, (p) => pathIn(p, prefix))])
}

const keys = (names: Maybe<readonly string[]>) => (names ?? []).map((name) => foldName(name.trim()))

const carries = (eb: Where, column: 't.nameKey' | 'et.tagId', values: string[]) =>
  eb.exists((q: Where) =>
    q
      .selectFrom('entryTags as et')
      .innerJoin('tags as t', 't.id', 'et.tagId')
      .select('et.tagId')
      .whereRef('et.entryId', '=', 'e.id')
      .where(column, 'in', values),
  )

/** `image/*` stands for all images. */
const mediaTypeIs = (type: string) =>
  type.endsWith('/*')
    ? startsWith('e.mediaType', type.slice(0, -1))
    : sql<boolean>`${sql.ref('e.mediaType')} = ${type.toLowerCase()}`
