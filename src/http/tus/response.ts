import type { ServerResponse } from 'node:http'
import { uploadUrl } from '../../domains/uploads/reads.ts'
import { canExpire, isConcatenating, statusAt } from '../../domains/uploads/rules.ts'
import { HttpError } from '../errors.ts'
import type { TusRequestState } from './request-state.ts'

/**
 * Sets the headers of every response about an upload, errors included: location, offset, expiry and
 * status. tus requires Upload-Offset with HEAD, PATCH and a POST with bytes. Holdall also sends it with
 * 409, 423 and 460, which saves clients a HEAD, and adds the Holdall- headers.
 */
export function setUploadHeaders(res: ServerResponse, { request, ctx, upload }: TusRequestState) {
  if (!upload) return
  const { method } = request
  const status = statusAt(upload, ctx.now())
  const values = {
    Location: method === 'POST' ? uploadUrl(ctx, upload.id) : null,
    // tus: HEAD of a final upload has no offset "unless the concatenation has been successfully finished".
    'Upload-Offset':
      (method !== 'POST' || request.hasBody) && !isConcatenating(upload) ? upload.offset : null,
    'Upload-Concat': method === 'HEAD' ? upload.concat : null,
    'Upload-Expires':
      canExpire(upload) && status !== 'EXPIRED' ? toHttpDate(upload.expiresAt) : null,
    'Upload-Metadata': method === 'HEAD' ? upload.tusMetadata : null,
    'Holdall-Upload-Id': upload.id,
    'Holdall-Upload-Status': status,
    'Holdall-File-Id': upload.fileId,
  }
  for (const [name, value] of Object.entries(values)) if (value !== null) res.setHeader(name, value)
}

/** tus requires the date format of RFC 7231, section 7.1.1.1. */
const toHttpDate = (moment: number) => new Date(moment).toUTCString()

const lengthHeaders = ['upload-length', 'upload-defer-length']

/** Sends the status and the length headers of the response of @tus/server. */
export function sendResponse(res: ServerResponse, { status, headers }: Response) {
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

/** Returns the error that a handler threw, else an HttpError for the error response of @tus/server. */
export async function toHttpError(
  response: Response,
  { error, upload }: TusRequestState,
): Promise<unknown> {
  if (error instanceof Error) return error
  const { status } = response
  const text = (await response.text()).trim()
  const message =
    status === 409
      ? `Upload-Offset does not match the offset of the upload: ${upload?.offset} bytes`
      : text
  return new HttpError(status, codes[status] ?? 'BAD_REQUEST', message)
}
