import type { Readable } from 'node:stream'
import { isBusy, yieldIfBusy } from '../yield-to-requests.ts'

const MAX_BATCH_BYTES = 1024 * 1024
const MIN_BATCH_BYTES = 128 * 1024
/**
 * Bytes that all concurrent batches share, without and with interactive requests. With many uploads each
 * batch is smaller: reading and hashing a MiB of each in one go would delay all other requests.
 */
const sharedBytes = { idle: 16 * 1024 * 1024, busy: 8 * 1024 * 1024 }
let activeCount = 0
/**
 * The maximum that Linux accepts in one writev (IOV_MAX); it also bounds the memory for a client that sends
 * single bytes.
 */
const MAX_CHUNKS = 1024

/**
 * Yields the data of `source` in batches of about 1 MiB at most, each meant for one writev: one small write
 * per socket read halves the speed of an upload. While a batch is written, the next one is collected; when
 * that is full, the source waits. On a slow connection a batch is yielded after `flushMs` milliseconds, even
 * if it is empty, so that the caller can act on time.
 *
 * Ends when the source ends or breaks or `signal` aborts, with all data received until then;
 * `source.readableEnded` shows whether it ended. The source is not destroyed, so that its owner can still
 * respond.
 */
export async function* batchChunks(
  source: Readable,
  flushMs: number,
  signal?: AbortSignal,
): AsyncGenerator<Buffer[]> {
  activeCount += 1
  const batch = chunkBuffer()
  let over = source.destroyed || source.readableEnded || signal?.aborted === true
  let wake = () => {}
  // Reads in paused mode: unread bytes stay in the source, and a source that breaks loses none.
  const fill = () => {
    while (!batch.isFull()) {
      const chunk: Buffer | null = source.read()
      if (chunk === null) return
      batch.add(chunk)
    }
    wake()
  }
  const finish = () => {
    over = true
    wake()
  }
  const clock = setInterval(() => wake(), flushMs)
  // The error listener stays: an error after this generator returns must not crash the process.
  source.on('error', finish).on('end', finish).on('close', finish)
  signal?.addEventListener('abort', finish)
  if (!over) source.on('readable', fill)
  try {
    while (!over) {
      if (!batch.isFull()) await new Promise<void>((resolve) => (wake = resolve))
      if (over) break
      const taken = batch.take()
      fill()
      await yieldIfBusy()
      yield taken
    }
    // One read returns all remaining data that was received.
    const unread: Buffer | null = source.read()
    yield unread ? [...batch.take(), unread] : batch.take()
  } finally {
    activeCount -= 1
    clearInterval(clock)
    signal?.removeEventListener('abort', finish)
    source.off('readable', fill).off('end', finish).off('close', finish)
  }
}

function currentBatchBytes() {
  const total = isBusy() ? sharedBytes.busy : sharedBytes.idle
  return Math.min(Math.max(total / activeCount, MIN_BATCH_BYTES), MAX_BATCH_BYTES)
}

function chunkBuffer() {
  let chunks: Buffer[] = []
  let bytes = 0
  // The limit is fixed for each batch: a full batch must not become non-full when another upload ends,
  // because no event would then wake the reader.
  let maxBytes = currentBatchBytes()
  return {
    add(chunk: Buffer) {
      chunks.push(chunk)
      bytes += chunk.length
    },
    isFull: () => bytes >= maxBytes || chunks.length >= MAX_CHUNKS,
    take() {
      const taken = chunks
      chunks = []
      bytes = 0
      maxBytes = currentBatchBytes()
      return taken
    },
  }
}
