import type { IncomingMessage } from 'node:http'
import type { ServiceContext } from '../../context.ts'
import { completeForm } from '../../domains/uploads/form/complete.ts'
import {
  abortForm,
  beginForm,
  extendReservation,
  type FormUpload,
  requireActiveForm,
  settleReservation,
} from '../../domains/uploads/form/forms.ts'
import type { UploadRow } from '../../domains/uploads/rules.ts'
import { urlOf } from '../request-context.ts'
import { tooLarge } from './form-errors.ts'
import { fieldReader, rowLinkFromForm, uploadsFromForm, workspaceFrom } from './form-fields.ts'
import type { FilePart } from './form-files.ts'
import { type Fields, MAX_FORM_OVERHEAD_BYTES, readForm } from './multipart-parser.ts'

/** A file of the form whose bytes arrive or have arrived. */
type ReceivedFile = { form: FormUpload; size: number }

/**
 * Reads a form, stores its files and confirms them, all of them or none. Returns the uploads in the order of
 * the files. Throws the errors of readForm, createUpload and confirmUpload.
 */
export async function storeForm(
  ctx: ServiceContext,
  req: IncomingMessage,
  stop: AbortSignal,
): Promise<UploadRow[]> {
  const { searchParams: query } = urlOf(req)
  const maxFileBytes = Math.min(ctx.limits.maxFormBytes, ctx.limits.maxUploadBytes)
  const announced = Number(req.headers['content-length'] ?? 0)
  if (announced > ctx.limits.maxFormBytes + MAX_FORM_OVERHEAD_BYTES) {
    throw tooLarge(ctx.limits.maxFormBytes)
  }
  const received: ReceivedFile[] = []
  const store = (part: FilePart, fields: Fields) =>
    storeFile(ctx, part, {
      ...{ received, announced, stop },
      workspaceId: workspaceFrom(fieldReader(fields, query), ctx.viewer),
    })
  try {
    const { fields, files } = await readForm(req, { maxFileBytes, store, stop })
    const field = fieldReader(fields, query)
    const parts = files.map(({ part }) => part)
    const inputs = uploadsFromForm(field, parts, ctx.viewer)
    const stored = files.flatMap(({ stored }, i) =>
      inputs[i] ? { ...stored, input: inputs[i] } : [],
    )
    return await completeForm(ctx, stored, rowLinkFromForm(field))
  } catch (error) {
    for (const { form } of received) await abortForm(ctx, form).catch(() => {})
    throw error
  }
}

type Storing = {
  /** The files of the form so far. */
  received: ReceivedFile[]
  /** Content-Length of the form, or 0 if unknown. */
  announced: number
  workspaceId: string | null
  stop: AbortSignal
}

/** Stores the bytes of the next file of a form. Throws HttpError (413) above the limit for all files. */
async function storeFile(ctx: ServiceContext, { bytes }: FilePart, storing: Storing) {
  const { received, announced, workspaceId, stop } = storing
  const previous = received.at(-1)
  if (previous) await settleReservation(ctx, previous.form, previous.size)
  const before = received.reduce((sum, { size }) => sum + size, 0)
  const minBytes = Math.max(0, announced - before - MAX_FORM_OVERHEAD_BYTES)
  const form = await beginForm(ctx, { workspaceId, bytes: minBytes })
  const file = { form, size: 0 }
  received.push(file)
  const { maxFormBytes } = ctx.limits
  const checkTotal = (size: number) => {
    if (before + size > maxFormBytes) throw tooLarge(maxFormBytes)
  }
  const onDurable = (offset: number) => {
    checkTotal(offset)
    return extendReservation(ctx, form, offset)
  }
  const appending = ctx.blobs.append(form.id, 0, bytes, { signal: stop, onDurable })
  file.size = await appending.catch(async (error) => {
    await requireActiveForm(ctx, form)
    throw error
  })
  checkTotal(file.size)
  return file
}
