import type { ServiceContext, Viewer } from '../../context.ts'
import type { Db } from '../../database/database.ts'
import type { List } from '../../database/query/keyset.ts'
import { rowsById } from '../../database/query/load-by-id.ts'
import { prepared } from '../../database/query/prepared.ts'
import type { Row } from '../../database/tables.ts'
import type { Tx } from '../../database/transaction.ts'
import { NotFound } from '../../errors/access.ts'
import { CorruptBlob } from '../../errors/availability.ts'
import { type FileRow, type ResolvedEntry, requireEntry } from '../entries/reads.ts'
import type { AccessRequirement } from '../workspaces/reads.ts'
import { damageOf, type RecordedDamage } from './rules.ts'

export type VersionRow = Row<'versions'>

/** A version as required for a download. */
export type Downloadable = {
  workspaceId: string
  versionId: string
  blobId: string
  size: number
  sha256: string
  mediaType: string
  name: string
  /** Milliseconds since 1970. */
  modifiedAt: number
}

/** Loads versions by id, with null for each that does not exist. */
export const versionsById = rowsById('versions')

/** Returns the list of the versions of a file, newest first. */
export function versionsList(db: Db, fileId: string): List<VersionRow> {
  return {
    ordering: `versions:${fileId}`,
    keys: [{ column: 'versions.number', as: 'number', direction: 'desc', numeric: true }],
    segments: [db.selectFrom('versions').selectAll().where('fileId', '=', fileId)],
  }
}

/**
 * Id to look up if the version does not exist, so that the response takes as long as for an inaccessible
 * version.
 */
export const NONEXISTENT_FILE_ID = `file_${'0'.repeat(32)}`

/** Returns a version with its file, authorised like requireEntry. Throws NotFound and Forbidden. */
export async function requireVersion(
  db: Db | Tx,
  viewer: Viewer,
  versionId: string,
  need: AccessRequirement,
): Promise<ResolvedEntry & { entry: FileRow; version: VersionRow }> {
  const [version] = await versionsById(db, [versionId])
  const found = await requireEntry(db, viewer, version?.fileId ?? NONEXISTENT_FILE_ID, need).catch(
    (error) => {
      throw error instanceof NotFound ? new NotFound(versionId) : error
    },
  )
  const { entry } = found
  if (!version || entry.kind !== 'file') throw new NotFound(versionId)
  return { ...found, entry, version }
}

/**
 * Returns the expected size and hash of a blob and whether it is marked as damaged, or null for an unknown
 * key.
 */
export async function expectedBytes(db: Db, key: string) {
  const [blob] = await blobsByKey(db, key)
  return blob ? { ...blob, damaged: blob.damage !== null } : null
}

const blobsByKey = prepared((db, key: string) =>
  db.selectFrom('blobs').select(['size', 'sha256', 'damage']).where('id', '=', key),
)

/** Returns the recorded damage of versions, aligned to their ids, with null for intact ones. */
export async function damagesOf(
  db: Db,
  versionIds: readonly string[],
): Promise<(({ id: string } & RecordedDamage) | null)[]> {
  const rows = await db
    .selectFrom('versions as v')
    .innerJoin('blobs as b', 'b.id', 'v.blobId')
    .select(['v.id', 'b.damage'])
    .where('v.id', 'in', versionIds)
    .execute()
  const damages = new Map(rows.map(({ id, damage }) => [id, damageOf(damage)]))
  return versionIds.map((id) => {
    const damage = damages.get(id)
    return damage ? { id, ...damage } : null
  })
}

/**
 * Returns the version for a signed link, without checking access. Throws NotFound if the version does not
 * exist or its file is in the trash, and CorruptBlob if it is marked as damaged.
 */
export async function downloadableVersion(
  { db }: ServiceContext,
  versionId: string,
): Promise<Downloadable> {
  const [found] = await liveVersions(db, versionId)
  if (!found) throw new NotFound(versionId, 'nothing is here')
  const { damage, ...downloadable } = found
  if (damage !== null) throw new CorruptBlob()
  return downloadable
}

/**
 * Returns the current version of a file that the viewer may read. Throws NotFound, Forbidden and
 * CorruptBlob.
 */
export async function downloadableFile(ctx: ServiceContext, fileId: string): Promise<Downloadable> {
  const { entry } = await requireEntry(ctx.db, ctx.viewer, fileId, { scope: 'FILES_READ' })
  if (entry.kind !== 'file') throw new NotFound(fileId)
  return downloadableVersion(ctx, entry.versionId).catch((error) => {
    throw error instanceof NotFound ? new NotFound(fileId) : error
  })
}

/** Selects a version, unless its file or an ancestor of the file is in the trash or being purged. */
const liveVersions = prepared((db, versionId: string) =>
  db
    .selectFrom('versions as v')
    .innerJoin('entries as f', 'f.id', 'v.fileId')
    .innerJoin('entries as p', 'p.id', 'f.parentId')
    .leftJoin('blobs as b', 'b.id', 'v.blobId')
    .select(['v.workspaceId', 'v.id as versionId', 'v.blobId', 'v.size', 'v.sha256'])
    .select(['v.mediaType', 'f.name', 'v.createdAt as modifiedAt', 'b.damage'])
    .where('v.id', '=', versionId)
    .where('f.trashedAt', 'is', null)
    .where('f.purgingAt', 'is', null)
    .where('p.trashRootId', 'is', null)
    .where('p.purgingAt', 'is', null),
)
