import type { ExpressionBuilder } from 'kysely'
import type { Viewer } from '../../context.ts'
import type { Db } from '../../database/database.ts'
import type { List } from '../../database/query/keyset.ts'
import { rowsById } from '../../database/query/load-by-id.ts'
import type { Tables, UploadStatus } from '../../database/tables.ts'
import type { Tx } from '../../database/transaction.ts'
import { NotFound } from '../../errors.ts'
import {
  isIdSignature,
  signedIdPattern,
  signPutId,
  signUploadId,
} from '../../signing/signed-links.ts'
import type { Purpose, SigningKeys } from '../../signing/signing-keys.ts'
import { requireAccess } from '../workspaces/reads.ts'
import { isAwaitingConfirm } from './confirm/pending-confirms.ts'
import { statusesBefore, type UploadRow } from './rules.ts'

type UrlContext = { publicUrl: string; signingKeys: SigningKeys }
const KEY = new RegExp(`^${signedIdPattern}$`)

/** Where the bytes of an upload go. Nothing of it is stored: the second half is an HMAC of the first. */
export const uploadUrl = ({ publicUrl, signingKeys }: UrlContext, id: string) =>
  `${publicUrl}/uploads/${id.slice('upl_'.length)}.${signUploadId(signingKeys, id)}`

/** The same where the URL is all that it takes: one PUT of the whole body, without a token. */
const putUrl = ({ publicUrl, signingKeys }: UrlContext, id: string) =>
  `${publicUrl}/uploads/put/${id.slice('upl_'.length)}.${signPutId(signingKeys, id)}`

/** Where the house takes the bytes of this upload. */
export function serverUploadUrl(context: UrlContext, upload: UploadRow): string {
  if (upload.transport === 'FORM') return `${context.publicUrl}/files`
  return (upload.transport === 'SIGNED_PUT' ? putUrl : uploadUrl)(context, upload.id)
}

/** The id in the last part of an upload's URL, or null for what was not made here. Asks no database. */
export const uploadIdOf = (keys: SigningKeys, key: string) => idIn(keys, key, 'upload')

/** The same of a URL for PUT; the one is never the other. */
export const putIdOf = (keys: SigningKeys, key: string) => idIn(keys, key, 'put')

function idIn(keys: SigningKeys, key: string, purpose: Purpose): string | null {
  const [, hex, signature] = KEY.exec(key) ?? []
  if (!hex || !signature) return null
  const id = `upl_${hex}`
  return isIdSignature(keys, purpose, id, signature) ? id : null
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

/** Uploads whose time was over at `now`, and which nothing has ended yet: mayExpire of rules.ts in SQL. */
export const isOverdue = (eb: ExpressionBuilder<Tables, 'uploads'>, now: number) =>
  eb.and([
    eb('status', 'in', statusesBefore('EXPIRED')),
    eb('expiresAt', '<=', now),
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
