import { randomBytes } from 'node:crypto'
import type { OutgoingHttpHeaders, ServerResponse } from 'node:http'
import type { Readable } from 'node:stream'
import { releaseBuffers } from '../../blobs/streams/release-buffers.ts'
import { CorruptBlob, StorageError } from '../../errors/availability.ts'
import { HttpError } from '../errors.ts'
import {
  type ByteRange,
  contentRange,
  createMultipart,
  lengthOf,
  parseRange,
} from './byte-ranges.ts'

/** The response to a download: `parts` in order, each preceded by its `head`, and then `tail`. */
export type FileResponse = {
  status: 200 | 206
  headers: OutgoingHttpHeaders
  parts: { head: string; range: ByteRange }[]
  tail: string
}

/** Returns the number of file bytes that a response sends. */
export const bytesOf = ({ parts }: Pick<FileResponse, 'parts'>) =>
  parts.reduce((sum, { range }) => sum + lengthOf(range), 0)

/** Returns 200 with all `size` bytes or 206 with the requested ranges. Throws HttpError (416). */
export function createFileResponse(
  { size, contentType }: { size: number; contentType: string },
  rangeHeader: string | undefined,
): FileResponse {
  const ranges = parseRange(rangeHeader, size)
  if (ranges === 'unsatisfiable') throw rangeNotSatisfiable(size)
  if (ranges === 'whole') return wholeFile(size)
  const [range] = ranges
  if (range && ranges.length === 1) return oneRange(range, size)
  // RFC 9110, section 14.6: the boundary must not occur in the parts.
  const boundary = randomBytes(16).toString('hex')
  const { parts, tail, ...frame } = createMultipart(ranges, { size, contentType, boundary })
  const headers = { 'Content-Type': frame.contentType, 'Content-Length': frame.contentLength }
  return { status: 206, headers, parts, tail }
}

function wholeFile(size: number): FileResponse {
  const parts = size === 0 ? [] : [{ head: '', range: { start: 0, end: size - 1 } }]
  return { status: 200, headers: { 'Content-Length': size }, parts, tail: '' }
}

function oneRange(range: ByteRange, size: number): FileResponse {
  const headers = { 'Content-Range': contentRange(range, size), 'Content-Length': lengthOf(range) }
  return { status: 206, headers, parts: [{ head: '', range }], tail: '' }
}

const rangeNotSatisfiable = (size: number) =>
  new HttpError(
    416,
    'RANGE_NOT_SATISFIABLE',
    `no requested range overlaps the file of ${size} bytes`,
    {
      'Content-Range': `bytes */${size}`,
    },
  )

/**
 * Sends a response and opens each part only when it is due, so memory use stays constant. Stops reading
 * when the client closes the connection. Headers are sent with the first byte, so a storage error before it
 * still becomes a 5xx response. Throws StorageError and CorruptBlob.
 */
export async function sendFile(
  res: ServerResponse,
  response: FileResponse,
  { name, open, onBegin }: Source,
) {
  const begin = () => {
    if (res.headersSent) return res
    onBegin?.()
    return res.writeHead(response.status, response.headers)
  }
  for (const { head, range } of response.parts) {
    const bytes = await open(range)
    const sendHead = () => begin().write(head)
    const sent = await copyPart(bytes, { res, sendHead }).catch((cause) => {
      if (cause instanceof CorruptBlob) throw cause
      throw new StorageError(`${name} could not be read`, { cause })
    })
    // A body shorter than Content-Length must not look complete.
    if (sent !== lengthOf(range))
      throw new StorageError(`${name} is shorter than the size in its row`)
  }
  begin().end(response.tail)
}
/** The bytes of a response. */
export type Source = {
  /** Name in error messages, which are for the log only. */
  name: string
  open: (range: ByteRange) => Readable | Promise<Readable>
  /** Called before the headers are sent. */
  onBegin?: () => void
}

/**
 * Copies a part to `res` and returns the bytes sent. pipe() would leave its listeners on `res` for every
 * part.
 */
async function copyPart(
  bytes: Readable,
  { res, sendHead }: { res: ServerResponse; sendHead: () => void },
): Promise<number> {
  let sent = 0
  const stop = () => void bytes.destroy()
  res.once('close', stop)
  if (res.closed) stop()
  try {
    for await (const chunk of bytes) {
      if (sent === 0) sendHead()
      sent += chunk.length
      const written = (error?: Error | null) => error ?? releaseBuffers([chunk])
      if (!res.write(chunk, written)) await drained(res)
    }
  } finally {
    res.off('close', stop)
  }
  return sent
}

/** Resolves when `res` accepts more data or has closed. */
function drained(res: ServerResponse) {
  if (res.closed) return
  const { promise, resolve } = Promise.withResolvers<void>()
  const done = () => {
    res.off('drain', done).off('close', done)
    resolve()
  }
  res.on('drain', done).on('close', done)
  return promise
}
