import { type ExpressionBuilder, type SelectQueryBuilder, sql } from 'kysely'
import { contains, startsWith } from '../../database/query/like.ts'
import type { WorkBudget } from '../../database/query/work-budget.ts'
import type { EntryKind, MediaKind, Row, Tables } from '../../database/tables.ts'
import { foldName, prefixUpperBound } from '../../names.ts'
import type { Pattern } from './patterns.ts'
import type { EntryRow } from './reads.ts'

type Maybe<T> = T | null | undefined
export type EntryFilter = {
  type?: Maybe<'FILE' | 'FOLDER'>
  kinds?: Maybe<readonly MediaKind[]>
  mediaTypes?: Maybe<readonly string[]>
  nameContains?: Maybe<string>
  pathPrefix?: Maybe<string>
  /** Of the request, for what is not found by an index. */
  budget?: WorkBudget | undefined
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
/** A query for entries, which are `e` in it. */
export type Entries = SelectQueryBuilder<Tables & Scoped, 'e', EntryRow>
export type Where = ExpressionBuilder<Tables & Scoped, 'e'>

/** What only files have leaves folders out. */
export function entryKinds({ type, kinds, mediaTypes, sha256 }: EntryFilter): EntryKind[] {
  const both: EntryKind[] = ['folder', 'file']
  const filesOnly = type === 'FILE' || kinds != null || mediaTypes != null || sha256 != null
  return both.filter((kind) => (kind === 'file' ? type !== 'FOLDER' : !filesOnly))
}

/** The rows that a filter lets through. */
export function filtered(rows: Entries, filter: EntryFilter): Entries {
  const { kinds, mediaTypes, nameContains, pathPrefix, tags, size, createdAt, updatedAt } = filter
  const { createdBy, within, sha256, patterns = [] } = filter
  let q = rows
  if (kinds != null) q = q.where('e.mediaKind', 'in', [...new Set(kinds)])
  if (mediaTypes != null) q = q.where((eb) => eb.or(mediaTypes.map(mediaTypeIs)))
  if (nameContains != null) q = q.where(contains('e.nameKey', foldName(nameContains)))
  const prefixes = [foldName(pathPrefix ?? ''), ...patterns.map(({ prefix }) => prefix)]
  for (const prefix of prefixes) if (prefix !== '') q = q.where((eb) => pathBegins(eb, prefix))
  if (within != null) q = q.where((eb) => parentMatches(eb, (p) => isBelow(p, within)))
  if (tags?.anyOf != null) q = q.where((eb) => hasTag(eb, 't.nameKey', keys(tags.anyOf)))
  for (const name of tags?.allOf ?? []) q = q.where((eb) => hasTag(eb, 't.nameKey', keys([name])))
  if (tags?.noneOf != null) q = q.where((eb) => eb.not(hasTag(eb, 't.nameKey', keys(tags.noneOf))))
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

/** What is true of the folder that holds an entry. */
export const parentMatches = (eb: Where, is: (p: WhereParent) => ReturnType<WhereParent>) =>
  eb.exists((q: Where) =>
    q
      .selectFrom('entries as p')
      .select('p.id')
      .whereRef('p.id', '=', 'e.parentId')
      .where((p) => is(p as unknown as WhereParent)),
  )

const pathIn = (p: WhereParent, start: string) =>
  p.and([p('p.pathKey', '>=', start), p('p.pathKey', '<', prefixUpperBound(start))])

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
    eb('e.nameKey', '<', prefixUpperBound(prefix.slice(slash))),
    parentMatches(eb, (p) => p('p.pathKey', '=', prefix.slice(0, slash))),
  ])
  return eb.or([isChild, parentMatches(eb, (p) => pathIn(p, prefix))])
}

const keys = (names: Maybe<readonly string[]>) => (names ?? []).map((name) => foldName(name.trim()))

/** The entry carries a tag with one of these values. */
export const hasTag = (eb: Where, column: 't.nameKey' | 'et.tagId', values: string[]) =>
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
