import { randomBytes } from 'node:crypto'
import type { OutgoingHttpHeaders, ServerResponse } from 'node:http'
import type { Readable } from 'node:stream'
import type { BlobStore } from '../../blobs/blob-store.ts'
import { releaseBuffers } from '../../blobs/streams/release-buffers.ts'
import { CorruptBlob, StorageError } from '../../errors.ts'
import { HttpError } from '../errors.ts'
import { type ByteRange, contentRange, lengthOf, multipart, parseRange } from './byte-ranges.ts'

/** How the bytes of a file are sent: `parts` one after the other, each behind its `head`, then `tail`. */
export type FileResponse = {
  status: 200 | 206
  headers: OutgoingHttpHeaders
  parts: { head: string; range: ByteRange }[]
  tail: string
}

/** Of the file, as often as they are sent. */
export const bytesOf = ({ parts }: Pick<FileResponse, 'parts'>) =>
  parts.reduce((sum, { range }) => sum + lengthOf(range), 0)

/** 200 with all of `size` bytes, or 206 with what a Range header asks; throws 416. */
export function fileAnswer(
  { size, contentType }: { size: number; contentType: string },
  rangeHeader: string | undefined,
): FileResponse {
  const ranges = parseRange(rangeHeader, size)
  if (ranges === 'unsatisfiable') throw behindTheEnd(size)
  if (ranges === 'whole') return whole(size)
  const [range] = ranges
  if (range && ranges.length === 1) return oneRange(range, size)
  // RFC 9110, section 14.6: the boundary must not occur in the parts.
  const boundary = randomBytes(16).toString('hex')
  const { heads, tail, ...frame } = multipart(ranges, { size, contentType, boundary })
  const headers = { 'Content-Type': frame.contentType, 'Content-Length': frame.contentLength }
  const parts = ranges.map((range, i) => ({ head: heads[i] ?? '', range }))
  return { status: 206, headers, parts, tail }
}

function whole(size: number): FileResponse {
  const parts = size === 0 ? [] : [{ head: '', range: { start: 0, end: size - 1 } }]
  return { status: 200, headers: { 'Content-Length': size }, parts, tail: '' }
}

function oneRange(range: ByteRange, size: number): FileResponse {
  const headers = { 'Content-Range': contentRange(range, size), 'Content-Length': lengthOf(range) }
  return { status: 206, headers, parts: [{ head: '', range }], tail: '' }
}

const behindTheEnd = (size: number) =>
  new HttpError(416, 'RANGE_NOT_SATISFIABLE', `the file has ${size} bytes`, {
    'Content-Range': `bytes */${size}`,
  })

/**
 * Sends the answer, opening each part when its turn comes; memory stays constant, and a client that goes away ends the reading.
 * Headers go out with the first byte: until then a fault of the storage is still a clean 5xx. Throws StorageError.
 */
export async function sendFile(
  res: ServerResponse,
  answer: FileResponse,
  { blobs, blobId, onBegin }: Source,
) {
  const begun = () => {
    if (res.headersSent) return res
    onBegin?.()
    return res.writeHead(answer.status, answer.headers)
  }
  for (const { head, range } of answer.parts) {
    const bytes = await blobs.open(blobId, range)
    const begin = () => begun().write(head)
    const sent = await pour(bytes, { res, begin }).catch((cause) => {
      if (cause instanceof CorruptBlob) throw cause
      throw new StorageError(`${blobId} could not be read`, { cause })
    })
    // Content-Length is promised: a body that comes short must not look whole.
    if (sent !== lengthOf(range)) throw new StorageError(`${blobId} is shorter than its row says`)
  }
  begun().end(answer.tail)
}
type Source = {
  blobs: Pick<BlobStore, 'open'>
  blobId: string
  /** Called when nothing is in the way of the answer any more. */
  onBegin?: () => void
}

/** As fast as pipe(), which would leave its listeners on `res` for each of many parts; ends with whoever waits for the bytes. */
async function pour(
  bytes: Readable,
  { res, begin }: { res: ServerResponse; begin: () => void },
): Promise<number> {
  let sent = 0
  const stop = () => void bytes.destroy()
  res.once('close', stop)
  if (res.closed) stop()
  try {
    for await (const chunk of bytes) {
      if (sent === 0) begin()
      sent += chunk.length
      const written = (error?: Error | null) => error ?? releaseBuffers([chunk])
      if (!res.write(chunk, written)) await roomIn(res)
    }
  } finally {
    res.off('close', stop)
  }
  return sent
}

/** Whoever has gone waits no more. */
function roomIn(res: ServerResponse) {
  if (res.closed) return
  const { promise, resolve } = Promise.withResolvers<void>()
  const go = () => {
    res.off('drain', go).off('close', go)
    resolve()
  }
  res.on('drain', go).on('close', go)
  return promise
}
