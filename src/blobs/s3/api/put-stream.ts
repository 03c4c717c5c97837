import type { Readable } from 'node:stream'
import { isRetryable } from './errors.ts'
import { pause } from './retry.ts'

/** The body of a request: a buffer, or a stream of `length` bytes that can be opened again. */
export type Bytes = Buffer | { length: number; open: () => Readable }

const MAX_ATTEMPTS = 3

type Body = { Body: Buffer | Readable; ContentLength: number }
type Send<T> = (body: Body, options: { abortSignal?: AbortSignal }) => Promise<T>

/**
 * Sends a body. The SDK does not repeat a request with a stream, so it is opened again here for up to
 * MAX_ATTEMPTS attempts.
 */
export async function putBytes<T>(bytes: Bytes, send: Send<T>): Promise<T> {
  const { length } = bytes
  if (Buffer.isBuffer(bytes)) return send({ Body: bytes, ContentLength: length }, {})
  for (let tried = 1; ; tried++) {
    try {
      return await sendStream(bytes.open(), length, send)
    } catch (error) {
      if (tried === MAX_ATTEMPTS || !isRetryable(error)) throw error
      await pause(tried)
    }
  }
}

async function sendStream<T>(Body: Readable, ContentLength: number, send: Send<T>): Promise<T> {
  const broken = new AbortController()
  // The SDK does not handle errors of the source stream: the request would stay open.
  Body.once('error', (cause) => broken.abort(cause))
  try {
    return await send({ Body, ContentLength }, { abortSignal: broken.signal })
  } finally {
    Body.destroy()
  }
}
