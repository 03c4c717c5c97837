import type { ExpressionBuilder } from 'kysely'
import { isPutKey, isUploadKey, putKeyMac, uploadKeyMac } from '../../blobs/signed-links.ts'
import { rowsById } from '../../database/by-id.ts'
import type { Db } from '../../database/database.ts'
import type { List } from '../../database/keyset.ts'
import type { Tables, UploadStatus } from '../../database/tables.ts'
import type { Tx } from '../../database/transaction.ts'
import { NotFound } from '../../errors.ts'
import type { Viewer } from '../../scope.ts'
import { requireAccess } from '../workspaces/reads.ts'
import { statusesBefore, type UploadRow } from './rules.ts'

const KEY = /^([0-9a-f]{32})\.([\w-]{22})$/

/** Where the bytes of an upload go. Nothing of it is stored: the second half is an HMAC of the first. */
export const uploadUrl = (house: { publicUrl: string; secret: string }, id: string) =>
  `${house.publicUrl}/uploads/${id.slice('upl_'.length)}.${uploadKeyMac(house.secret, id)}`

/** The same where the URL is all that it takes: one PUT of the whole body, without a token. */
const putUrl = (house: { publicUrl: string; secret: string }, id: string) =>
  `${house.publicUrl}/uploads/put/${id.slice('upl_'.length)}.${putKeyMac(house.secret, id)}`

/** Where the house takes the bytes of this upload. */
export function houseUrl(house: { publicUrl: string; secret: string }, upload: UploadRow): string {
  if (upload.transport === 'FORM') return `${house.publicUrl}/files`
  return (upload.transport === 'SIGNED_PUT' ? putUrl : uploadUrl)(house, upload.id)
}

/** The id in the last part of an upload's URL, or null for what was not made here. Asks no database. */
export const uploadIdOf = (secret: string, key: string) => idIn(secret, key, isUploadKey)

/** The same of a URL for PUT; the one is never the other. */
export const putIdOf = (secret: string, key: string) => idIn(secret, key, isPutKey)

function idIn(secret: string, key: string, isKey: typeof isUploadKey): string | null {
  const [, hex, mac] = KEY.exec(key) ?? []
  if (!hex || !mac) return null
  const id = `upl_${hex}`
  return isKey(secret, id, mac) ? id : null
}

export async function uploadById(db: Db | Tx, id: string): Promise<UploadRow | null> {
  return (await uploadsById(db, [id]))[0] ?? null
}

export const uploadsById = rowsById('uploads')

/** Uploads whose length is known and that still miss bytes. */
export async function openUploads(db: Db): Promise<{ id: string; missingBytes: number }[]> {
  const rows = await db
    .selectFrom('uploads')
    .select(['id', 'size', 'offset'])
    .where('status', 'in', statusesBefore('RECEIVED'))
    .where('size', 'is not', null)
    .execute()
  return rows.map(({ id, size, offset }) => ({ id, missingBytes: (size ?? 0) - offset }))
}

/** The viewer's own upload, while they may write in its workspace: NotFound for anybody else's, Forbidden. */
export async function requireOwnUpload(
  db: Db | Tx,
  viewer: Viewer,
  id: string,
): Promise<UploadRow> {
  const upload = await uploadById(db, id)
  if (!upload || upload.createdBy !== viewer?.userId) throw new NotFound(id)
  const need = { scope: 'FILES_WRITE', role: 'EDITOR' } as const
  await requireAccess(db, viewer, upload.workspaceId, need, id)
  return upload
}

/**
 * The uploads of a workspace that a member sees, newest first; with `statuses` only those that have one of them at `now`.
 * What is over by its time is EXPIRED here too, before the job has written it down.
 */
export function uploadsList(
  db: Db,
  workspaceId: string,
  { statuses, now }: { statuses?: readonly UploadStatus[] | null | undefined; now: number },
): List<UploadRow> {
  const uploads = db.selectFrom('uploads').selectAll().where('workspaceId', '=', workspaceId)
  return {
    ordering: 'uploads',
    keys: [
      { column: 'uploads.createdAt', as: 'createdAt', direction: 'desc', numeric: true },
      { column: 'uploads.id', as: 'id', direction: 'desc' },
    ],
    segments: [statuses ? uploads.where((eb) => isOneOf(eb, statuses, now)) : uploads],
  }
}

function isOneOf(
  eb: ExpressionBuilder<Tables, 'uploads'>,
  statuses: readonly UploadStatus[],
  now: number,
) {
  if (statuses.length === 0) return eb.lit(false)
  const overdue = eb.and([
    eb('status', 'in', statusesBefore('EXPIRED')),
    eb('expiresAt', '<=', now),
  ])
  const statusNow = eb.case().when(overdue).then('EXPIRED').else(eb.ref('status')).end()
  return eb(statusNow, 'in', [...new Set(statuses)])
}
