import { inLockedTransaction, type ServiceContext, type TxContext } from '../../../context.ts'
import { newId } from '../../../database/ids.ts'
import { Forbidden, Unauthenticated } from '../../../errors/access.ts'
import { requireUnrevoked } from '../../accounts/reads.ts'
import { toWrite } from '../../entries/writes.ts'
import type { RowLink } from '../../tables/links.ts'
import { requireAccess } from '../../workspaces/reads.ts'
import { inWorkspaceTransaction } from '../../workspaces/transaction.ts'
import { confirmUpload } from '../confirm/confirm.ts'
import { createUploadRow, type NewUpload } from '../create/upload-row.ts'
import { uploadById } from '../reads.ts'
import { commitOffset } from '../receive/offsets.ts'
import { isTerminal, type UploadRow } from '../rules.ts'
import { deleteBytes, terminateUpload } from '../terminate.ts'
import { insertUpload } from '../writes.ts'
import { createReservation, releaseReservation, throwReservationEnded } from './reservation.ts'
import { clearUnassigned, countUnassigned } from './unplaced.ts'

/**
 * A file that arrives as part of a multipart form. Form fields may follow the file, so its target may be
 * unknown until the end. If the workspace is known before the file, `reservation` is an upload row that
 * reserves space for the bytes from the start.
 */
export type FormUpload = { id: string; reservation: UploadRow | null }

/**
 * Starts a form upload of at least `bytes` bytes. With a workspace, checks role and quota now and throws
 * NotFound, Forbidden, QuotaExceeded or RateLimited. Without a workspace, checks only the token and the
 * limits of the user and throws Unauthenticated, Forbidden or RateLimited.
 */
export async function beginForm(
  ctx: ServiceContext,
  { workspaceId, bytes }: { workspaceId: string | null; bytes: number },
): Promise<FormUpload> {
  const { viewer } = ctx
  if (!viewer) throw new Unauthenticated()
  if (!viewer.scopes.has('FILES_WRITE')) throw new Forbidden({ missingScopes: ['FILES_WRITE'] })
  const reservation =
    workspaceId &&
    (await inWorkspaceTransaction(ctx, workspaceId, (s) =>
      createReservation(s, workspaceId, bytes),
    ))
  const form = reservation
    ? { id: reservation.id, reservation }
    : { id: newId('upl'), reservation: null }
  try {
    if (!reservation) await countUnassigned(ctx, form.id, bytes)
    await ctx.blobs.stage(form.id)
  } catch (error) {
    await abortForm(ctx, form)
    throw error
  }
  return form
}

/**
 * Records that the first `offset` bytes are durable and reserves space for them. Throws QuotaExceeded,
 * RateLimited, and InvalidState if the reservation was canceled or has expired.
 */
export async function extendReservation(
  ctx: ServiceContext,
  form: FormUpload,
  offset: number,
): Promise<void> {
  if (!form.reservation) return countUnassigned(ctx, form.id, offset)
  form.reservation = (await commitOffset(ctx, form.reservation, offset)) ?? throwReservationEnded()
}

/**
 * Throws InvalidState if the upload of this form was canceled or has expired. Its bytes are deleted in that
 * case.
 */
export async function requireActiveForm(
  { db }: ServiceContext,
  { reservation }: FormUpload,
): Promise<void> {
  const upload = reservation && (await uploadById(db, reservation.id))
  if (upload && isTerminal(upload.status)) throwReservationEnded()
}

/** Creates the file once all `size` bytes are stored. Throws the errors of createUpload and confirmUpload. */
export async function completeForm(
  ctx: ServiceContext,
  form: FormUpload,
  input: NewUpload,
  { size, linkRow }: { size: number; linkRow: RowLink | null },
): Promise<UploadRow> {
  const reserved = form.reservation?.workspaceId
  const upload = await inWorkspaceTransaction(
    ctx,
    [input.workspaceId, reserved ?? []].flat(),
    (s) => writeUpload(s, form, { ...input, size }),
  )
  clearUnassigned(ctx, form.id)
  return confirmUpload(ctx, { uploadId: upload.id, linkRow })
}

/** Replaces the reservation with the row that createUpload would insert. */
async function writeUpload(ctx: TxContext, { id, reservation }: FormUpload, input: NewUpload) {
  await requireUnrevoked(ctx.tx, ctx.viewer)
  if (reservation) await releaseReservation(ctx, reservation)
  const need = requireAccess(ctx.tx, ctx.viewer, input.workspaceId, toWrite)
  const draft = createUploadRow(
    ctx,
    { ...input, transport: 'FORM' },
    (await need).autoFile === 1,
    id,
  )
  return insertUpload(ctx, { ...draft, offset: input.size ?? 0, status: 'RECEIVED' })
}

/** Cancels a form upload: releases its reserved space and deletes its bytes. */
export async function abortForm(ctx: ServiceContext, { id }: FormUpload): Promise<void> {
  clearUnassigned(ctx, id)
  const row = await uploadById(ctx.db, id)
  const workspaceIds = row ? [row.workspaceId] : []
  await inLockedTransaction(ctx, workspaceIds, (s) => terminateUpload(s, { id }, 'CANCELED'))
  const upload = await uploadById(ctx.db, id)
  // A file, or an upload that is being confirmed, keeps its bytes. If another request ended the upload, bytes
  // may have arrived since then.
  const isFile = upload && (upload.fileId !== null || !isTerminal(upload.status))
  if (!isFile) await deleteBytes(ctx.blobs, id)
}
