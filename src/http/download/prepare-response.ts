import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http'
import { HttpError } from '../errors.ts'
import type { contentHeaders } from './content-headers.ts'
import { evaluatePreconditions, ifRangeMatches, type Validators } from './preconditions.ts'
import { createFileResponse, type FileResponse } from './send-file.ts'

/** A representation of known size that a GET or HEAD requests. */
export type Representation = Validators & {
  /** What the client requests, for messages. */
  kind: 'file' | 'archive'
  size: number
  /** Headers of every successful response, 304 included. */
  validators: OutgoingHttpHeaders
  content: ReturnType<typeof contentHeaders>
}

/**
 * Returns the response to a GET, whose bytes the caller charges and sends. Answers HEAD and 304 itself and
 * then returns null. Throws HttpError (412, 416).
 */
export function prepareResponse(
  req: IncomingMessage,
  res: ServerResponse,
  copy: Representation,
): FileResponse | null {
  const { kind, size, validators, content } = copy
  const outcome = evaluatePreconditions(req.headers, copy)
  if (outcome === 'failed') throw preconditionFailed(kind)
  if (outcome === 'not modified') return end(res, 304, validators)
  const isGet = req.method === 'GET'
  // RFC 9110, section 14.2: Range applies to GET only.
  const range = isGet && ifRangeMatches(req.headers, copy) ? req.headers.range : undefined
  const response = createFileResponse({ size, contentType: content['Content-Type'] }, range)
  const headers = { ...validators, ...content, ...response.headers }
  return isGet ? { ...response, headers } : end(res, response.status, headers)
}

function end(res: ServerResponse, status: number, headers: OutgoingHttpHeaders) {
  res.writeHead(status, headers).end()
  return null
}

const preconditionFailed = (kind: string) =>
  new HttpError(
    412,
    'PRECONDITION_FAILED',
    `the ${kind} does not match If-Match or If-Unmodified-Since`,
  )
