import type { IncomingMessage, ServerResponse } from 'node:http'
import type { App } from '../../app.ts'
import type { ServiceContext } from '../../context.ts'
import {
  abortForm,
  beginForm,
  completeForm,
  extendReservation,
  type FormUpload,
  requireActiveForm,
} from '../../domains/uploads/form/forms.ts'
import type { UploadRow } from '../../domains/uploads/rules.ts'
import { Unauthenticated } from '../../errors/access.ts'
import type { Handler } from '../request-context.ts'
import type { BodyLimits } from '../tus/receive-body.ts'
import { createBodyHandler } from './body-handler.ts'
import { fileJson } from './file-json.ts'
import { fieldReader, rowLinkFromForm, uploadFromForm, workspaceFrom } from './form-fields.ts'
import {
  type Fields,
  type FilePart,
  MAX_FORM_OVERHEAD_BYTES,
  readForm,
  tooLarge,
} from './multipart-parser.ts'

/**
 * Creates the handler of POST /files, which creates, stores and confirms the file of a form and returns it
 * as JSON.
 */
export const createFormHandler = (app: App, limits: BodyLimits = {}): Handler =>
  createBodyHandler(app, limits, async (req, res, { authenticate, guard }) => {
    const ctx = await authenticate()
    if (!ctx.viewer) throw new Unauthenticated()
    guard.admit(ctx.viewer.userId, res)
    const stop = new AbortController()
    using _ = guard.watch(req, stop, ctx.viewer.tokenId)
    await sendResult(res, ctx, await storeForm(ctx, req, stop.signal))
  })

async function storeForm(
  ctx: ServiceContext,
  req: IncomingMessage,
  stop: AbortSignal,
): Promise<UploadRow> {
  const { searchParams: query } = new URL(req.url ?? '', 'http://localhost')
  const { limits, viewer } = ctx
  const maxFileBytes = Math.min(limits.maxFormBytes, limits.maxUploadBytes)
  const announced = Number(req.headers['content-length'] ?? 0)
  if (announced > maxFileBytes + MAX_FORM_OVERHEAD_BYTES) throw tooLarge(maxFileBytes)
  const begun: { form?: FormUpload } = {}
  const store = async ({ bytes }: FilePart, fields: Fields) => {
    const workspaceId = workspaceFrom(fieldReader(fields, query), viewer)
    const minBytes = Math.max(0, announced - MAX_FORM_OVERHEAD_BYTES)
    const form = await beginForm(ctx, { workspaceId, bytes: minBytes })
    begun.form = form
    const onDurable = (offset: number) => extendReservation(ctx, form, offset)
    const appending = ctx.blobs.append(form.id, 0, bytes, { signal: stop, onDurable })
    const size = await appending.catch(async (error) => {
      await requireActiveForm(ctx, form)
      throw error
    })
    return { form, size }
  }
  try {
    const { fields, part, stored } = await readForm(req, { maxFileBytes, store, stop })
    const field = fieldReader(fields, query)
    const input = uploadFromForm(field, part, viewer)
    return await completeForm(ctx, stored.form, input, {
      size: stored.size,
      linkRow: rowLinkFromForm(field),
    })
  } catch (error) {
    if (begun.form) await abortForm(ctx, begun.form)
    throw error
  }
}

async function sendResult(
  res: ServerResponse,
  ctx: ServiceContext,
  { id, status, fileId }: UploadRow,
) {
  const result = fileId ? await fileJson(ctx, fileId) : { uploadId: id, status }
  const body = `${JSON.stringify(result)}\n`
  res.writeHead(fileId ? 201 : 202, {
    ...(fileId && { Location: `${ctx.publicUrl}/download/${fileId}` }),
    'Content-Type': 'application/json; charset=utf-8',
    'Content-Length': Buffer.byteLength(body),
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
  })
  res.end(body)
}
