import type { Readable } from 'node:stream'
import { isBusy, yieldIfBusy } from '../yield-to-requests.ts'

const batchBytes = { most: 1024 * 1024, least: 128 * 1024 }
/** Where many gather at once each takes less: a MiB of each, read and hashed in one go, is what everybody else waits for, if anybody does. */
const togetherBytes = { alone: 16 * 1024 * 1024, asked: 8 * 1024 * 1024 }
let gathering = 0
/** As many pieces as Linux takes in one writev; a client that sends single bytes fills memory no faster. */
const MAX_CHUNKS = 1024

/**
 * What `source` brings, in batches of a MiB or less, each meant for one writev: a small write per socket read halves the
 * speed of an upload. While one batch is being written the next is gathered, and then the source waits. On a slow line
 * a batch goes after `patienceMs` with what it has, be it nothing: the time has passed all the same.
 *
 * Ends when the source ends, breaks or `signal` says so, with all that arrived until then; whether it was the end says
 * `source.readableEnded`. The source stays its owner's: it is not destroyed, so that the owner can still answer.
 */
export async function* batchChunks(
  source: Readable,
  patienceMs: number,
  signal?: AbortSignal,
): AsyncGenerator<Buffer[]> {
  gathering += 1
  const batch = chunkBuffer()
  let over = source.destroyed || source.readableEnded || signal?.aborted === true
  let wake = () => {}
  // Read, not listened to: bytes stay in the source until they are asked for, and a source that breaks loses none.
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
  const clock = setInterval(() => wake(), patienceMs)
  // The listener for errors stays: a source that breaks after we have left it must not take the process along.
  source.on('error', finish).on('end', finish).on('close', finish)
  signal?.addEventListener('abort', finish)
  if (!over) source.on('readable', fill)
  try {
    while (!over) {
      if (!batch.isFull()) await new Promise<void>((resolve) => (wake = resolve))
      if (over) break
      const gathered = batch.empty()
      fill()
      await yieldIfBusy()
      yield gathered
    }
    // What arrived but was not asked for; one read takes it all.
    const unread: Buffer | null = source.read()
    yield unread ? [...batch.empty(), unread] : batch.empty()
  } finally {
    gathering -= 1
    clearInterval(clock)
    signal?.removeEventListener('abort', finish)
    source.off('readable', fill).off('end', finish).off('close', finish)
  }
}

function shareBytes() {
  const together = isBusy() ? togetherBytes.asked : togetherBytes.alone
  return Math.min(Math.max(together / gathering, batchBytes.least), batchBytes.most)
}

function chunkBuffer() {
  let chunks: Buffer[] = []
  let bytes = 0
  // For as long as it fills: what is full must not become unfull because another has ended, for nobody would look again.
  let most = shareBytes()
  return {
    add(chunk: Buffer) {
      chunks.push(chunk)
      bytes += chunk.length
    },
    isFull: () => bytes >= most || chunks.length >= MAX_CHUNKS,
    empty() {
      const gathered = chunks
      chunks = []
      bytes = 0
      most = shareBytes()
      return gathered
    },
  }
}
