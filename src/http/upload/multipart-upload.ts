import type { ServerResponse } from 'node:http'
import type { App } from '../../app.ts'
import type { ServiceContext } from '../../context.ts'
import type { UploadRow } from '../../domains/uploads/rules.ts'
import { Unauthenticated } from '../../errors/access.ts'
import type { Handler } from '../request-context.ts'
import type { BodyLimits } from '../tus/receive-body.ts'
import { createBodyHandler } from './body-handler.ts'
import { fileJson } from './file-json.ts'
import { storeForm } from './store-form.ts'

/**
 * Creates the handler of POST /files, which creates, stores and confirms the files of a form, all of them or
 * none, and returns a file as JSON, or several as a list.
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

async function sendResult(res: ServerResponse, ctx: ServiceContext, uploads: UploadRow[]) {
  const results = []
  for (const upload of uploads) results.push(await resultOf(ctx, upload))
  const body = `${JSON.stringify(results.length === 1 ? results[0] : results)}\n`
  const fileIds = uploads.map(({ fileId }) => fileId)
  const areFiles = fileIds.every((id) => id !== null)
  res.writeHead(areFiles ? 201 : 202, {
    ...(areFiles &&
      fileIds.length === 1 && { Location: `${ctx.publicUrl}/download/${fileIds[0]}` }),
    'Content-Type': 'application/json; charset=utf-8',
    'Content-Length': Buffer.byteLength(body),
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
  })
  res.end(body)
}

const resultOf = (ctx: ServiceContext, { id, status, fileId }: UploadRow) =>
  fileId ? fileJson(ctx, fileId) : { uploadId: id, status }
