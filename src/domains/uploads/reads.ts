import type { ExpressionBuilder } from 'kysely'
import type { Viewer } from '../../context.ts'
import type { Db } from '../../database/database.ts'
import type { List } from '../../database/query/keyset.ts'
import { rowsById } from '../../database/query/load-by-id.ts'
import type { Tables, UploadStatus } from '../../database/tables.ts'
import type { Tx } from '../../database/transaction.ts'
import { NotFound } from '../../errors/access.ts'
import {
  isIdSignature,
  signedIdPattern,
  signPutId,
  signUploadId,
} from '../../signing/signed-links.ts'
import type { Purpose, SigningKeys } from '../../signing/signing-keys.ts'
import { type EntryRow, entryById, folderById, trashRootOf } from '../entries/reads.ts'
import { requireAccess } from '../workspaces/reads.ts'
import { isAwaitingConfirm } from './confirm/pending-confirms.ts'
import { statusesBefore, type UploadRow } from './rules.ts'

type UrlContext = { publicUrl: string; signingKeys: SigningKeys }
const KEY = new RegExp(`^${signedIdPattern}$`)

/** Returns the tus URL of an upload: its id and an HMAC of the id. The URL is not stored. */
export const uploadUrl = ({ publicUrl, signingKeys }: UrlContext, id: string) =>
  `${publicUrl}/uploads/${id.slice('upl_'.length)}.${signUploadId(signingKeys, id)}`

/** Returns the signed URL that accepts one PUT of the whole body without a token. */
const putUrl = ({ publicUrl, signingKeys }: UrlContext, id: string) =>
  `${publicUrl}/uploads/put/${id.slice('upl_'.length)}.${signPutId(signingKeys, id)}`

/** Returns the URL at which this server receives the bytes of the upload. */
export function serverUploadUrl(context: UrlContext, upload: UploadRow): string {
  if (upload.transport === 'FORM') return `${context.publicUrl}/files`
  return (upload.transport === 'SIGNED_PUT' ? putUrl : uploadUrl)(context, upload.id)
}

/**
 * Returns the id in the last segment of a tus URL, or null if its signature is wrong. Does not access the
 * database.
 */
export const uploadIdOf = (keys: SigningKeys, key: string) => idIn(keys, key, 'upload')

/**
 * Returns the id in the last segment of a signed PUT URL, or null if its signature is wrong. Does not access
 * the database.
 */
export const putIdOf = (keys: SigningKeys, key: string) => idIn(keys, key, 'put')

function idIn(keys: SigningKeys, key: string, purpose: Purpose): string | null {
  const [, hex, signature] = KEY.exec(key) ?? []
  if (!hex || !signature) return null
  const id = `upl_${hex}`
  return isIdSignature(keys, purpose, id, signature) ? id : null
}

/** Returns the upload, or null if it does not exist. */
export async function uploadById(db: Db | Tx, id: string): Promise<UploadRow | null> {
  return (await uploadsById(db, [id]))[0] ?? null
}

/** Loads uploads by id, with null for each that does not exist. */
export const uploadsById = rowsById('uploads')

/** Returns the file of an upload, or null if it has none, or if the file is in the trash or purged. */
export async function liveFileOf(
  db: Db | Tx,
  { fileId }: Pick<UploadRow, 'fileId'>,
): Promise<EntryRow | null> {
  const file = fileId ? await entryById(db, fileId) : null
  const parent = await folderById(db, file?.parentId)
  return file && parent && !trashRootOf(file, parent) ? file : null
}

/**
 * Returns the unfinished uploads with a known length, and how many bytes each of them is missing. Uploads
 * that are being confirmed are included with 0.
 */
export async function openUploads(db: Db): Promise<{ id: string; missingBytes: number }[]> {
  const rows = await db
    .selectFrom('uploads')
    .select(['id', 'size', 'offset'])
    .where('status', 'in', statusesBefore('RECEIVED'))
    .where('size', 'is not', null)
    .$narrowType<{ size: number }>()
    .execute()
  return rows.map(({ id, size, offset }) => ({ id, missingBytes: size - offset }))
}

/**
 * Returns an upload that the viewer created. Throws NotFound for the uploads of other users, and Forbidden
 * unless the viewer has role EDITOR and scope FILES_WRITE.
 */
export async function requireOwnUpload(
  db: Db | Tx,
  viewer: Viewer,
  id: string,
): Promise<UploadRow> {
  const upload = await uploadById(db, id)
  if (!upload || upload.createdBy !== viewer?.userId) throw new NotFound(id)
  const access = { scope: 'FILES_WRITE', role: 'EDITOR' } as const
  await requireAccess(db, viewer, upload.workspaceId, access, id)
  return upload
}

/**
 * Returns the list of the uploads of a workspace, newest first. With `statuses`, the list contains only the
 * uploads with one of these statuses at `now`. An overdue upload counts as EXPIRED, even before the expiry
 * job has updated its row.
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

/**
 * Returns the condition for uploads that have expired by `now` but have not ended yet: canExpire of rules.ts
 * as SQL.
 */
export const isOverdue = (eb: ExpressionBuilder<Tables, 'uploads'>, now: number) =>
  eb.and([
    eb('status', 'in', statusesBefore('EXPIRED')),
    eb('expiresAt', '<=', now),
    eb('joinedInto', 'is', null),
    eb.not(isAwaitingConfirm),
  ])

function isOneOf(
  eb: ExpressionBuilder<Tables, 'uploads'>,
  statuses: readonly UploadStatus[],
  now: number,
) {
  if (statuses.length === 0) return eb.lit(false)
  const statusNow = eb.case().when(isOverdue(eb, now)).then('EXPIRED').else(eb.ref('status')).end()
  return eb(statusNow, 'in', [...new Set(statuses)])
}
