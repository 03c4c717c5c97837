import type { IncomingMessage, ServerResponse } from 'node:http'
import type { App } from '../../app.ts'
import type { ServiceContext } from '../../context.ts'
import {
  abortForm,
  beginForm,
  completeForm,
  extendReservation,
  type FormUpload,
  requireHeld,
} from '../../domains/uploads/form/forms.ts'
import type { UploadRow } from '../../domains/uploads/rules.ts'
import { Unauthenticated } from '../../errors.ts'
import { refuseEarly } from '../early-reject.ts'
import { HttpError } from '../errors.ts'
import { atOnce, MOST_SENDERS } from '../limits/concurrency-limit.ts'
import type { Handler } from '../request-context.ts'
import { openSenderWatch, type SenderWatch } from '../sender-watch.ts'
import {
  abortIfIdle,
  type BodyTimeouts,
  type DoorLimits,
  usualPatience,
} from '../tus/receive-body.ts'
import { fileJson } from './file-json.ts'
import { fieldReader, rowLinkFromForm, uploadFromForm, workspaceIn } from './form-fields.ts'
import {
  type Fields,
  type FilePart,
  MOST_AROUND_BYTES,
  readForm,
  tooLarge,
} from './multipart-parser.ts'

/** POST /files: one form with one file in it is created, written and confirmed, and answered with the file as JSON. */
export function formsDoor(
  app: App,
  { mostSenders = MOST_SENDERS, ...patience }: DoorLimits = {},
): Handler {
  const running = new Set<Promise<unknown>>()
  const senders = atOnce(mostSenders)
  const watch = openSenderWatch(app.db)
  const taking = { senders, watch, patience: { ...usualPatience, ...patience } }
  const log = (err: unknown) => app.log.error({ err }, 'unexpected')
  return {
    async handle(req, res, { scope, requestId }) {
      const served = scope().then((ctx) => takeForm(ctx, req, res, taking))
      running.add(served)
      try {
        await served
      } catch (error) {
        if (req.complete) throw error
        refuseEarly(req, res, error, { requestId, log })
      } finally {
        running.delete(served)
      }
    },
    // What has begun may end; then the house is closed over it.
    drain: () => Promise.allSettled(running),
  }
}

type Taking = { senders: ReturnType<typeof atOnce>; watch: SenderWatch; patience: BodyTimeouts }

async function takeForm(
  ctx: ServiceContext,
  req: IncomingMessage,
  res: ServerResponse,
  { senders, watch, patience }: Taking,
) {
  if (req.method !== 'POST') {
    throw new HttpError(405, 'METHOD_NOT_ALLOWED', 'only POST here', { Allow: 'POST, OPTIONS' })
  }
  if (!ctx.viewer) throw new Unauthenticated()
  senders.admit(ctx.viewer.userId, res)
  const stop = new AbortController()
  using _idle = abortIfIdle(req, stop, patience)
  using _revoked = watch.follow(stop, ctx.viewer.tokenId)
  await answer(res, ctx, await fileFrom(ctx, req, stop.signal))
}

async function fileFrom(
  ctx: ServiceContext,
  req: IncomingMessage,
  stop: AbortSignal,
): Promise<UploadRow> {
  const { searchParams: query } = new URL(req.url ?? '', 'http://door')
  const { limits, viewer } = ctx
  const maxFileBytes = Math.min(limits.maxFormBytes, limits.maxUploadBytes)
  const announced = Number(req.headers['content-length'] ?? 0)
  if (announced > maxFileBytes + MOST_AROUND_BYTES) throw tooLarge(maxFileBytes)
  const came: { form?: FormUpload } = {}
  const store = async ({ bytes }: FilePart, fields: Fields) => {
    const workspaceId = workspaceIn(fieldReader(fields, query), viewer)
    const atLeast = Math.max(0, announced - MOST_AROUND_BYTES)
    const form = await beginForm(ctx, { workspaceId, bytes: atLeast })
    came.form = form
    const onDurable = (offset: number) => extendReservation(ctx, form, offset)
    const appended = ctx.blobs.append(form.id, 0, bytes, { signal: stop, onDurable })
    const size = await appended.catch(async (error) => {
      await requireHeld(ctx, form)
      throw error
    })
    return { form, size }
  }
  try {
    const { fields, part, stored } = await readForm(req, { maxFileBytes, store, stop })
    const said = fieldReader(fields, query)
    const input = uploadFromForm(said, part, viewer)
    return await completeForm(ctx, stored.form, input, {
      size: stored.size,
      linkRow: rowLinkFromForm(said),
    })
  } catch (error) {
    if (came.form) await abortForm(ctx, came.form)
    throw error
  }
}

async function answer(res: ServerResponse, ctx: ServiceContext, { id, status, fileId }: UploadRow) {
  const made = fileId ? await fileJson(ctx, fileId) : { uploadId: id, status }
  const body = `${JSON.stringify(made)}\n`
  res.writeHead(fileId ? 201 : 202, {
    ...(fileId && { Location: `${ctx.publicUrl}/download/${fileId}` }),
    'Content-Type': 'application/json; charset=utf-8',
    'Content-Length': Buffer.byteLength(body),
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
  })
  res.end(body)
}
