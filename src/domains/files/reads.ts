import { type Db, inOrder } from '../../database/database.ts'
import type { List } from '../../database/keyset.ts'
import type { Row } from '../../database/tables.ts'
import type { Tx } from '../../database/transaction.ts'
import { NotFound } from '../../errors.ts'
import type { Scope, Viewer } from '../../scope.ts'
import {
  type EntryRow,
  entryById,
  type Found,
  requireEntry,
  trashRootOf,
} from '../entries/reads.ts'
import type { Need } from '../workspaces/reads.ts'

export type VersionRow = Row<'versions'>

/** What a download needs to know of one version. */
export type Downloadable = {
  versionId: string
  blobId: string
  size: number
  sha256: string
  mediaType: string
  name: string
  /** Milliseconds since 1970. */
  modifiedAt: number
}

export async function versionsById(
  db: Db | Tx,
  ids: readonly string[],
): Promise<(VersionRow | null)[]> {
  return inOrder(ids, await db.selectFrom('versions').selectAll().where('id', 'in', ids).execute())
}

/** The versions of a file, newest first. */
export function versionsList(db: Db, fileId: string): List<VersionRow> {
  return {
    ordering: `versions:${fileId}`,
    keys: [{ column: 'versions.number', as: 'number', direction: 'desc', numeric: true }],
    segments: [db.selectFrom('versions').selectAll().where('fileId', '=', fileId)],
  }
}

/** A version that the viewer may use, with its file; NotFound, Forbidden. */
export async function requireVersion(
  db: Db | Tx,
  viewer: Viewer,
  versionId: string,
  need: Need,
): Promise<Found & { version: VersionRow }> {
  const [version] = await versionsById(db, [versionId])
  if (!version) throw new NotFound(versionId)
  const found = await requireEntry(db, viewer, version.fileId, need).catch((error) => {
    throw error instanceof NotFound ? new NotFound(versionId) : error
  })
  return { ...found, version }
}

/** What a signed link of this version gives; NotFound once the file is in the trash or gone. */
export async function downloadableVersion({ db }: Scope, versionId: string): Promise<Downloadable> {
  const [version] = await versionsById(db, [versionId])
  const file = version && (await livingFile(db, version.fileId))
  if (!version || !file) throw new NotFound(versionId, 'nothing is here')
  return downloadable(file, version)
}

/** The current bytes of a file that the viewer may read; NotFound, Forbidden. */
export async function downloadableFile(
  { db, viewer }: Scope,
  fileId: string,
): Promise<Downloadable> {
  const { entry } = await requireEntry(db, viewer, fileId, { scope: 'FILES_READ' })
  const [version] = await versionsById(db, [entry.versionId ?? ''])
  const file = await livingFile(db, fileId)
  if (!version || !file) throw new NotFound(fileId)
  return downloadable(file, version)
}

async function livingFile(db: Db, fileId: string): Promise<EntryRow | null> {
  const file = await entryById(db, fileId)
  const parent = file?.parentId ? await entryById(db, file.parentId) : null
  return file && parent && !trashRootOf(file, parent) ? file : null
}

const downloadable = ({ name }: EntryRow, version: VersionRow): Downloadable => ({
  versionId: version.id,
  blobId: version.blobId,
  size: version.size,
  sha256: version.sha256,
  mediaType: version.mediaType,
  name,
  modifiedAt: version.createdAt,
})
