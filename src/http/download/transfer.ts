import type { IncomingHttpHeaders, OutgoingHttpHeaders, ServerResponse } from 'node:http'
import { HttpError } from '../errors.ts'
import type { contentHeaders } from './content-headers.ts'
import { evaluatePreconditions, ifRangeMatches, type Validators } from './preconditions.ts'
import { createFileResponse, type FileResponse, type Source, sendFile } from './send-file.ts'

/** A representation of known size that a GET or HEAD requests. */
export type Representation = Validators & {
  /** What the client requests, for messages. */
  kind: 'file' | 'archive'
  size: number
  /** Headers of every successful response, 304 included. */
  validators: OutgoingHttpHeaders
  content: ReturnType<typeof contentHeaders>
  /**
   * Charges and records the response to a GET and returns its bytes, or null if it has sent another response
   * itself. Throws to refuse the response.
   */
  begin: (response: FileResponse) => Promise<Source | null>
}

/** The method and the headers of a GET or HEAD request. */
type Request = { method?: string | undefined; headers: IncomingHttpHeaders }

/**
 * Sends a representation: 200, 206, 304, or the headers of a HEAD. Throws HttpError (412, 416), the error of
 * `begin`, StorageError and CorruptBlob.
 */
export async function transfer(req: Request, res: ServerResponse, copy: Representation) {
  const { kind, validators } = copy
  const outcome = evaluatePreconditions(req.headers, copy)
  if (outcome === 'failed') throw preconditionFailed(kind)
  if (outcome === 'not modified') return void res.writeHead(304, validators).end()
  const response = describe(req, copy)
  if (req.method === 'HEAD') return void res.writeHead(response.status, response.headers).end()
  const source = await copy.begin(response)
  if (source) await sendFile(res, response, source)
}

/** Ignores errors after the client has closed the connection: it receives no error, and none is logged. */
export async function ignoreIfClosed(res: ServerResponse, sending: Promise<void>) {
  await sending.catch((error) => {
    if (!res.destroyed) throw error
  })
}

/** RFC 9110, section 14.2: Range applies to GET only. */
function describe(req: Request, copy: Representation): FileResponse {
  const { size, validators, content } = copy
  const hasRange = req.method === 'GET' && ifRangeMatches(req.headers, copy)
  const range = hasRange ? req.headers.range : undefined
  const response = createFileResponse({ size, contentType: content['Content-Type'] }, range)
  return { ...response, headers: { ...validators, ...content, ...response.headers } }
}

const preconditionFailed = (kind: string) =>
  new HttpError(
    412,
    'PRECONDITION_FAILED',
    `the ${kind} does not match If-Match or If-Unmodified-Since`,
  )
