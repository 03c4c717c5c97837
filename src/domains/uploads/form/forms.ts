import { inTransaction, type ServiceContext, type TxContext } from '../../../context.ts'
import { newId } from '../../../database/ids.ts'
import { Forbidden, Unauthenticated } from '../../../errors.ts'
import { requireUnrevoked } from '../../accounts/reads.ts'
import { toWrite } from '../../entries/writes.ts'
import type { RowLink } from '../../tables/links.ts'
import { requireAccess } from '../../workspaces/reads.ts'
import { confirmUpload } from '../confirm/confirm.ts'
import { createUploadRow, type NewUpload } from '../create/upload-row.ts'
import { uploadById } from '../reads.ts'
import { commitOffset } from '../receive/offsets.ts'
import { isTerminal, type UploadRow } from '../rules.ts'
import { deleteBytes, terminateUpload } from '../terminate.ts'
import { insertUpload } from '../writes.ts'
import { releaseReservation, reserveRoom, throwReservationGone } from './reservation.ts'
import { clearUnplaced, countUnplaced } from './unplaced.ts'

/**
 * A file that comes as part of a form. What is to become of it is known when the form has ended, for its fields may come behind
 * it; where they come before, or in the query, a row holds the room for its bytes from the first one on.
 */
export type FormUpload = { id: string; held: UploadRow | null }

/**
 * Makes room for bytes of which at least `bytes` will come. With a workspace, role and quota are asked now: NotFound,
 * Forbidden, QuotaExceeded, RateLimited. Without one, only what the token may do: Unauthenticated, Forbidden.
 */
export async function beginForm(
  ctx: ServiceContext,
  { workspaceId, bytes }: { workspaceId: string | null; bytes: number },
): Promise<FormUpload> {
  const { viewer } = ctx
  if (!viewer) throw new Unauthenticated()
  if (!viewer.scopes.has('FILES_WRITE')) throw new Forbidden({ missingScopes: ['FILES_WRITE'] })
  const held = workspaceId && (await inTransaction(ctx, (s) => reserveRoom(s, workspaceId, bytes)))
  const form = held ? { id: held.id, held } : { id: newId('upl'), held: null }
  try {
    if (!held) await countUnplaced(ctx, form.id, bytes)
    await ctx.blobs.stage(form.id)
  } catch (error) {
    await abortForm(ctx, form)
    throw error
  }
  return form
}

/** So many bytes are durable: the room for them is reserved, and the upload waits for more. QuotaExceeded, RateLimited, InvalidState. */
export async function extendReservation(
  ctx: ServiceContext,
  form: FormUpload,
  offset: number,
): Promise<void> {
  if (!form.held) return countUnplaced(ctx, form.id, offset)
  form.held = (await commitOffset(ctx, form.held, offset)) ?? throwReservationGone()
}

/** A form that was cancelled has lost its bytes: that is no fault of the storage. */
export async function requireHeld({ db }: ServiceContext, { held }: FormUpload): Promise<void> {
  const upload = held && (await uploadById(db, held.id))
  if (upload && isTerminal(upload.status)) throwReservationGone()
}

/** All `size` bytes are there: makes the file as createUpload and confirmUpload do, and throws what they throw. */
export async function completeForm(
  ctx: ServiceContext,
  form: FormUpload,
  input: NewUpload,
  { size, linkRow }: { size: number; linkRow: RowLink | null },
): Promise<UploadRow> {
  const upload = await inTransaction(ctx, (s) => writeUpload(s, form, { ...input, size }))
  clearUnplaced(ctx, form.id)
  return confirmUpload(ctx, { uploadId: upload.id, linkRow })
}

/** The row as createUpload would have made it, in the place of the one that held the room. */
async function writeUpload(s: TxContext, { id, held }: FormUpload, input: NewUpload) {
  await requireUnrevoked(s.tx, s.viewer)
  if (held) await releaseReservation(s, held)
  const need = requireAccess(s.tx, s.viewer, input.workspaceId, toWrite)
  const draft = createUploadRow(s, { ...input, transport: 'FORM' }, (await need).autoFile === 1, id)
  return insertUpload(s, { ...draft, offset: input.size ?? 0, status: 'RECEIVED' })
}

/** Gives back what was reserved, and the bytes. */
export async function abortForm(ctx: ServiceContext, { id }: FormUpload): Promise<void> {
  clearUnplaced(ctx, id)
  await inTransaction(ctx, (s) => terminateUpload(s, { id }, 'CANCELED'))
  const upload = await uploadById(ctx.db, id)
  // One that is a file, or becomes one, keeps its bytes whatever else went wrong. Those of one that somebody else has ended may have
  // come after that.
  const isFile = upload && (upload.fileId !== null || !isTerminal(upload.status))
  if (!isFile) await deleteBytes(ctx.blobs, id)
}
