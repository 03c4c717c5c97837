import type { Readable } from 'node:stream'
import { isRetryable } from './errors.ts'
import { pause } from './retry.ts'

/** What a request brings: bytes at hand, or so many of a stream that can be opened anew. */
export type Bytes = Buffer | { length: number; open: () => Readable }

const TRIES = 3

type Body = { Body: Buffer | Readable; ContentLength: number }
type Send<T> = (body: Body, options: { abortSignal?: AbortSignal }) => Promise<T>

/** A stream runs once, so the SDK does not repeat a request with one: here it is opened anew. */
export async function putBytes<T>(bytes: Bytes, send: Send<T>): Promise<T> {
  const { length } = bytes
  if (Buffer.isBuffer(bytes)) return send({ Body: bytes, ContentLength: length }, {})
  for (let tried = 1; ; tried++) {
    try {
      return await sendStream(bytes.open(), length, send)
    } catch (error) {
      if (tried === TRIES || !isRetryable(error)) throw error
      await pause(tried)
    }
  }
}

async function sendStream<T>(Body: Readable, ContentLength: number, send: Send<T>): Promise<T> {
  const broken = new AbortController()
  // The SDK does not look at what it pipes from: a source that breaks would leave the request open.
  Body.once('error', (cause) => broken.abort(cause))
  try {
    return await send({ Body, ContentLength }, { abortSignal: broken.signal })
  } finally {
    Body.destroy()
  }
}
