import { type ExpressionBuilder, type SelectQueryBuilder, sql } from 'kysely'
import type { Db } from '../../../database/database.ts'
import { contains, startsWith } from '../../../database/query/like.ts'
import type { WorkBudget } from '../../../database/query/work-budget.ts'
import type { EntryKind, MediaKind, Row, Tables } from '../../../database/tables.ts'
import { foldName, prefixUpperBound } from '../../../names.ts'
import type { Pattern } from '../patterns/patterns.ts'
import type { EntryRow, FolderRow } from '../reads.ts'

type Maybe<T> = T | null | undefined
export type EntryFilter = {
  type?: Maybe<'FILE' | 'FOLDER'>
  kinds?: Maybe<readonly MediaKind[]>
  mediaTypes?: Maybe<readonly string[]>
  nameContains?: Maybe<string>
  pathPrefix?: Maybe<string>
  /** The work budget of the request, which conditions without an index consume. */
  budget?: WorkBudget | undefined
  /** The compiled pathGlob and pathRegex. */
  patterns?: readonly Pattern[]
  tags?: Maybe<{
    anyOf?: Maybe<readonly string[]>
    allOf?: Maybe<readonly string[]>
    noneOf?: Maybe<readonly string[]>
  }>
  size?: Maybe<{ gte?: Maybe<number>; lte?: Maybe<number> }>
  createdAt?: Maybe<{ gte?: Maybe<number>; lt?: Maybe<number> }>
  updatedAt?: Maybe<{ gte?: Maybe<number>; lt?: Maybe<number> }>
  contentModifiedAt?: Maybe<{ gte?: Maybe<number>; lt?: Maybe<number> }>
  createdBy?: Maybe<readonly string[]>
  /** The folder, which is already loaded and authorised. */
  within?: Maybe<FolderRow>
  /** The folder at which the scan starts; see scan-root.ts. */
  scanRoot?: FolderRow | null | undefined
  sha256?: Maybe<string>
}

type Scoped = { e: Row<'entries'> }
/** A query for entries with the alias `e`. */
export type Entries = SelectQueryBuilder<Tables & Scoped, 'e', EntryRow>
/** Returns a query for whole entries with the alias `e`, to which lists add their conditions. */
export const selectEntries = (db: Db): Entries =>
  db.selectFrom('entries as e').selectAll('e').$castTo<EntryRow>()
export type Where = ExpressionBuilder<Tables & Scoped, 'e'>

/** Returns the kinds of entries that can match a filter. Conditions on columns of files exclude folders. */
export function entryKinds(filter: EntryFilter): EntryKind[] {
  const both: EntryKind[] = ['folder', 'file']
  const { type, kinds, mediaTypes, sha256, contentModifiedAt } = filter
  const bounds = [contentModifiedAt?.gte, contentModifiedAt?.lt]
  const ofFiles = [kinds, mediaTypes, sha256, ...bounds]
  const filesOnly = type === 'FILE' || ofFiles.some((condition) => condition != null)
  return both.filter((kind) => (kind === 'file' ? type !== 'FOLDER' : !filesOnly))
}

/** Returns the texts with which the folded path of each match begins. */
export const prefixesOf = ({ pathPrefix, patterns = [] }: EntryFilter): string[] => [
  foldName(pathPrefix ?? ''),
  ...patterns.map(({ prefix }) => prefix),
]

/** Adds the conditions of a filter to a query, except its patterns. */
export function applyFilter(rows: Entries, filter: EntryFilter): Entries {
  const { kinds, mediaTypes, nameContains, tags, size, createdAt, updatedAt } = filter
  const { contentModifiedAt, createdBy, within, sha256 } = filter
  let q = rows
  if (kinds != null) q = q.where('e.mediaKind', 'in', [...new Set(kinds)])
  if (mediaTypes != null) q = q.where((eb) => eb.or(mediaTypes.map(mediaTypeIs)))
  if (nameContains != null) q = q.where(contains('e.nameKey', foldName(nameContains)))
  for (const prefix of prefixesOf(filter))
    if (prefix !== '') q = q.where((eb) => pathStartsWith(eb, prefix))
  if (within != null) q = q.where((eb) => parentMatches(eb, (p) => isBelow(p, within)))
  if (tags?.anyOf != null) q = q.where((eb) => hasTag(eb, 't.nameKey', nameKeysOf(tags.anyOf)))
  for (const name of tags?.allOf ?? [])
    q = q.where((eb) => hasTag(eb, 't.nameKey', nameKeysOf([name])))
  if (tags?.noneOf != null)
    q = q.where((eb) => eb.not(hasTag(eb, 't.nameKey', nameKeysOf(tags.noneOf))))
  if (size?.gte != null) q = q.where('e.size', '>=', size.gte)
  if (size?.lte != null) q = q.where('e.size', '<=', size.lte)
  if (createdAt?.gte != null) q = q.where('e.createdAt', '>=', createdAt.gte)
  if (createdAt?.lt != null) q = q.where('e.createdAt', '<', createdAt.lt)
  if (updatedAt?.gte != null) q = q.where('e.updatedAt', '>=', updatedAt.gte)
  if (updatedAt?.lt != null) q = q.where('e.updatedAt', '<', updatedAt.lt)
  if (contentModifiedAt?.gte != null)
    q = q.where('e.contentModifiedAt', '>=', contentModifiedAt.gte)
  if (contentModifiedAt?.lt != null) q = q.where('e.contentModifiedAt', '<', contentModifiedAt.lt)
  if (createdBy != null) q = q.where('e.createdBy', 'in', [...createdBy])
  if (sha256 != null) q = q.where('e.sha256', '=', sha256.toLowerCase())
  return q
}

type WhereParent = ExpressionBuilder<Tables & Scoped & { p: Row<'entries'> }, 'e' | 'p'>

/** Returns the condition that the parent folder of an entry meets `is`. */
export const parentMatches = (eb: Where, is: (p: WhereParent) => ReturnType<WhereParent>) =>
  eb.exists((q: Where) =>
    q
      .selectFrom('entries as p')
      .select('p.id')
      .whereRef('p.id', '=', 'e.parentId')
      .where((p) => is(p as unknown as WhereParent)),
  )

const isInPathRange = (p: WhereParent, start: string) =>
  p.and([p('p.pathKey', '>=', start), p('p.pathKey', '<', prefixUpperBound(start))])

/** Compares the trash root too, because a trashed folder may have the path of a live one. */
const isBelow = (p: WhereParent, { pathKey, trashRootId }: FolderRow) =>
  p.and([
    isInPathRange(p, pathKey),
    trashRootId === null ? p('p.trashRootId', 'is', null) : p('p.trashRootId', '=', trashRootId),
  ])

/**
 * Matches entries whose full path starts with `prefix`: either the path of the parent starts with it, or it
 * ends within the name of the entry.
 */
function pathStartsWith(eb: Where, prefix: string) {
  const slash = prefix.lastIndexOf('/') + 1
  const isChild = eb.and([
    eb('e.nameKey', '>=', prefix.slice(slash)),
    eb('e.nameKey', '<', prefixUpperBound(prefix.slice(slash))),
    parentMatches(eb, (p) => p('p.pathKey', '=', prefix.slice(0, slash))),
  ])
  return eb.or([isChild, parentMatches(eb, (p) => isInPathRange(p, prefix))])
}

const nameKeysOf = (names: Maybe<readonly string[]>) =>
  (names ?? []).map((name) => foldName(name.trim()))

/** Returns the condition that the entry has a tag with one of these values. */
export const hasTag = (eb: Where, column: 't.nameKey' | 'et.tagId', values: string[]) =>
  eb.exists((q: Where) =>
    q
      .selectFrom('entryTags as et')
      .innerJoin('tags as t', 't.id', 'et.tagId')
      .select('et.tagId')
      .whereRef('et.entryId', '=', 'e.id')
      .where(column, 'in', values),
  )

/** Matches a media type; `image/*` matches all images. */
const mediaTypeIs = (type: string) =>
  type.endsWith('/*')
    ? startsWith('e.mediaType', type.slice(0, -1))
    : sql<boolean>`${sql.ref('e.mediaType')} = ${type.toLowerCase()}`
