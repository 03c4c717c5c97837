import type { ServerResponse } from 'node:http'
import { uploadUrl } from '../../domains/uploads/reads.ts'
import { isConcatenating, mayExpire, statusAt } from '../../domains/uploads/rules.ts'
import { HttpError } from '../errors.ts'
import type { TusRequestState } from './request-state.ts'

/**
 * What every answer about an upload tells, whichever its status: where it is (of a new one), how far it came, how long it waits,
 * and what has become of it. tus: the offset goes with HEAD, PATCH and a POST with bytes; here also with 409, 423 and 460, so
 * that a client need not ask. The Holdall- headers are ours.
 */
export function setUploadHeaders(res: ServerResponse, { asked, ctx, upload }: TusRequestState) {
  if (!upload) return
  const { method } = asked
  const status = statusAt(upload, ctx.now())
  const told = {
    Location: method === 'POST' ? uploadUrl(ctx, upload.id) : null,
    // tus: HEAD of a final upload has no offset "unless the concatenation has been successfully finished".
    'Upload-Offset':
      (method !== 'POST' || asked.hasBody) && !isConcatenating(upload) ? upload.offset : null,
    'Upload-Concat': method === 'HEAD' ? upload.concat : null,
    'Upload-Expires': mayExpire(upload) && status !== 'EXPIRED' ? httpDate(upload.expiresAt) : null,
    'Upload-Metadata': method === 'HEAD' ? upload.tusMetadata : null,
    'Holdall-Upload-Id': upload.id,
    'Holdall-Upload-Status': status,
    'Holdall-File-Id': upload.fileId,
  }
  for (const [name, value] of Object.entries(told)) if (value !== null) res.setHeader(name, value)
}

/** RFC 7231, 7.1.1.1, as tus asks. */
const httpDate = (moment: number) => new Date(moment).toUTCString()

const lengthHeaders = ['upload-length', 'upload-defer-length']

/** The rest of what @tus/server has to say: the status, and the length. */
export function answer(res: ServerResponse, { status, headers }: Response) {
  for (const name of lengthHeaders) {
    const value = headers.get(name)
    if (value !== null) res.setHeader(name, value)
  }
  res.writeHead(status).end()
}

const codes: Record<number, string> = {
  400: 'BAD_REQUEST',
  404: 'NOT_FOUND',
  409: 'OFFSET_MISMATCH',
  413: 'FILE_TOO_LARGE',
}

/** What a handler threw where it is ours, else @tus/server's own refusal in our words. */
export async function problemOf(
  response: Response,
  { problem, upload }: TusRequestState,
): Promise<unknown> {
  if (problem instanceof Error) return problem
  const { status } = response
  const text = (await response.text()).trim()
  const message = status === 409 ? `the upload has ${upload?.offset} bytes` : text
  return new HttpError(status, codes[status] ?? 'BAD_REQUEST', message)
}
