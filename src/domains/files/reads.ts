import type { ServiceContext, Viewer } from '../../context.ts'
import type { Db } from '../../database/database.ts'
import type { List } from '../../database/query/keyset.ts'
import { rowsById } from '../../database/query/load-by-id.ts'
import { prepared } from '../../database/query/prepared.ts'
import type { Row } from '../../database/tables.ts'
import type { Tx } from '../../database/transaction.ts'
import { CorruptBlob, NotFound } from '../../errors.ts'
import { type ResolvedEntry, requireEntry } from '../entries/reads.ts'
import type { AccessRequirement } from '../workspaces/reads.ts'
import { damageOf, type RecordedDamage } from './rules.ts'

export type VersionRow = Row<'versions'>

/** What a download needs to know of one version. */
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

export const versionsById = rowsById('versions')

/** The versions of a file, newest first. */
export function versionsList(db: Db, fileId: string): List<VersionRow> {
  return {
    ordering: `versions:${fileId}`,
    keys: [{ column: 'versions.number', as: 'number', direction: 'desc', numeric: true }],
    segments: [db.selectFrom('versions').selectAll().where('fileId', '=', fileId)],
  }
}

/** Looked for where there is no version, so that this takes as long as a version of others. */
const NO_FILE = `file_${'0'.repeat(32)}`

/** A version that the viewer may use, with its file; NotFound, Forbidden. */
export async function requireVersion(
  db: Db | Tx,
  viewer: Viewer,
  versionId: string,
  need: AccessRequirement,
): Promise<ResolvedEntry & { version: VersionRow }> {
  const [version] = await versionsById(db, [versionId])
  const found = await requireEntry(db, viewer, version?.fileId ?? NO_FILE, need).catch((error) => {
    throw error instanceof NotFound ? new NotFound(versionId) : error
  })
  if (!version) throw new NotFound(versionId)
  return { ...found, version }
}

/** What the bytes of a key must be, and whether they were found to be others; null for a key that is no blob. */
export async function expectedBytes(db: Db, key: string) {
  const [blob] = await blobsOfKey(db, key)
  return blob ? { ...blob, damaged: blob.damage !== null } : null
}

const blobsOfKey = prepared((db, key: string) =>
  db.selectFrom('blobs').select(['size', 'sha256', 'damage']).where('id', '=', key),
)

/** What was found wrong with the bytes of versions; null for those that are right. */
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
  const known = new Map(rows.map(({ id, damage }) => [id, damageOf(damage)]))
  return versionIds.map((id) => {
    const damage = known.get(id)
    return damage ? { id, ...damage } : null
  })
}

/** What a signed link of this version gives; NotFound once the file is in the trash or gone, CorruptBlob where its bytes are not right. */
export async function downloadableVersion(
  { db }: ServiceContext,
  versionId: string,
): Promise<Downloadable> {
  const [found] = await livingVersions(db, versionId)
  if (!found) throw new NotFound(versionId, 'nothing is here')
  const { damage, ...downloadable } = found
  if (damage !== null) throw new CorruptBlob()
  return downloadable
}

/** The current bytes of a file that the viewer may read; NotFound, Forbidden, CorruptBlob. */
export async function downloadableFile(ctx: ServiceContext, fileId: string): Promise<Downloadable> {
  const { entry } = await requireEntry(ctx.db, ctx.viewer, fileId, { scope: 'FILES_READ' })
  return downloadableVersion(ctx, entry.versionId ?? '').catch((error) => {
    throw error instanceof NotFound ? new NotFound(fileId) : error
  })
}

/** Of files that are neither in the trash nor being purged, by themselves or with a folder above them. */
const livingVersions = prepared((db, versionId: string) =>
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
