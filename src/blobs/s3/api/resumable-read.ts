import { Readable } from 'node:stream'
import { pause } from './retry.ts'

/** So often in a row, without a byte in between, the way may break. */
const MOST_BREAKS = 3
/** A read that waits longer for its next bytes has lost its connection without notice. */
const SILENCE_MS = 10_000
const SILENT = `the bucket sent nothing for ${SILENCE_MS} ms`

type Whole = {
  first: Readable
  length: number
  /** The same bytes, from there on. */
  reopen: (from: number) => Promise<Readable>
}

/** All `length` bytes that `first` begins with; where the way to the bucket breaks in the middle they go on from there. */
export function resumableRead({ first, length, reopen }: Whole): Readable {
  let [source, at, breaks] = [first, 0, 0]
  let chunks = first.iterator()

  async function next(): Promise<Buffer | null> {
    try {
      const { value, done } = await nextChunk()
      if (done) return null
      ;[at, breaks] = [at + value.length, 0]
      return value
    } catch (cause) {
      if (at >= length) return null
      breaks += 1
      if (breaks > MOST_BREAKS || bytes.destroyed) throw cause
      return goOn()
    }
  }

  async function nextChunk() {
    const silence = setTimeout(() => source.destroy(new Error(SILENT)), SILENCE_MS)
    try {
      return await chunks.next()
    } finally {
      clearTimeout(silence)
    }
  }

  async function goOn() {
    await pause(breaks - 1)
    source = await reopen(at)
    if (bytes.destroyed) source.destroy()
    chunks = source.iterator()
    return next()
  }

  const bytes = new Readable({
    // What comes is passed on as it came; `source` holds enough of it ready.
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
