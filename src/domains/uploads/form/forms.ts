import { inLockedTransaction, type ServiceContext } from '../../../context.ts'
import { newId } from '../../../database/ids.ts'
import { Forbidden, Unauthenticated } from '../../../errors/access.ts'
import { inWorkspaceTransaction } from '../../workspaces/transaction.ts'
import { uploadById } from '../reads.ts'
import { commitOffset } from '../receive/offsets.ts'
import { isTerminal, type UploadRow } from '../rules.ts'
import { deleteBytes, terminateUpload } from '../terminate.ts'
import { createReservation, shrinkReservation, throwReservationEnded } from './reservation.ts'
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

/**
 * Sets the reserved space of a file to its `size` bytes, all of which are stored, while further files of its
 * form arrive. Throws the errors of extendReservation.
 */
export async function settleReservation(
  ctx: ServiceContext,
  form: FormUpload,
  size: number,
): Promise<void> {
  await extendReservation(ctx, form, size)
  const { reservation } = form
  if (!reservation) return
  form.reservation = await inLockedTransaction(ctx, [reservation.workspaceId], (s) =>
    shrinkReservation(s, reservation, size),
  )
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
