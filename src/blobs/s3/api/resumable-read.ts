import { Readable } from 'node:stream'
import { pause } from './retry.ts'

/** Maximum number of consecutive failures without a received byte. */
const MAX_FAILURES = 3
/** A read that waits longer for its next bytes counts as a broken connection. */
const IDLE_TIMEOUT_MS = 10_000
const IDLE_MESSAGE = `the bucket sent nothing for ${IDLE_TIMEOUT_MS} ms`

type Whole = {
  first: Readable
  length: number
  /** Opens the same object from an offset relative to `first`. */
  reopen: (from: number) => Promise<Readable>
}

/**
 * Returns a stream of `length` bytes, of which `first` is the beginning. If the connection breaks, reading
 * resumes at the current offset. The stream fails after MAX_FAILURES attempts that received nothing.
 */
export function resumableRead({ first, length, reopen }: Whole): Readable {
  let [source, at, failures] = [first, 0, 0]
  let chunks = first.iterator()

  async function next(): Promise<Buffer | null> {
    try {
      const { value, done } = await nextChunk()
      if (done) return null
      ;[at, failures] = [at + value.length, 0]
      return value
    } catch (cause) {
      if (at >= length) return null
      failures += 1
      if (failures > MAX_FAILURES || bytes.destroyed) throw cause
      return resume()
    }
  }

  async function nextChunk() {
    const timer = setTimeout(() => source.destroy(new Error(IDLE_MESSAGE)), IDLE_TIMEOUT_MS)
    try {
      return await chunks.next()
    } finally {
      clearTimeout(timer)
    }
  }

  async function resume() {
    await pause(failures - 1)
    source = await reopen(at)
    if (bytes.destroyed) source.destroy()
    chunks = source.iterator()
    return next()
  }

  const bytes = new Readable({
    // Passes chunks on as they arrive; `source` buffers enough.
    highWaterMark: 1,
    read() {
      next().then(
        (chunk) => bytes.push(chunk),
        (cause) => bytes.destroy(cause),
      )
    },
    destroy(cause, done) {
      source.destroy()
      done(cause)
    },
  })
  return bytes
}
