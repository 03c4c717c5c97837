import type { Readable } from 'node:stream'

const batchBytes = 1024 * 1024
/** As many pieces as Linux takes in one writev; a client that sends single bytes fills memory no faster. */
const batchChunks = 1024

/**
 * What `source` brings, in batches of a MiB or so, each meant for one writev: a small write per socket read halves the
 * speed of an upload. While one batch is being written the next is gathered, and then the source waits. On a slow line
 * a batch goes after `patienceMs` with what it has.
 *
 * Ends when the source ends, breaks or `signal` says so, with all that arrived until then; whether it was the end says
 * `source.readableEnded`. The source stays its owner's: it is left paused, not destroyed, so that the owner can still answer.
 */
export async function* gather(
  source: Readable,
  patienceMs: number,
  signal?: AbortSignal,
): AsyncGenerator<Buffer[]> {
  let batch: Buffer[] = []
  let bytes = 0
  let over = source.destroyed || source.readableEnded || signal?.aborted === true
  let wake = () => {}
  const full = () => bytes >= batchBytes || batch.length >= batchChunks
  const take = (chunk: Buffer) => {
    batch.push(chunk)
    bytes += chunk.length
    if (!full()) return
    source.pause()
    wake()
  }
  const finish = () => {
    over = true
    wake()
  }
  const empty = () => {
    const gathered = batch
    batch = []
    bytes = 0
    return gathered
  }
  const detach = () => {
    source.pause()
    source.off('data', take).off('end', finish).off('close', finish)
    signal?.removeEventListener('abort', finish)
    clearInterval(clock)
  }
  const clock = setInterval(() => wake(), patienceMs)
  // The listener for errors stays: a source that breaks after we have left it must not take the process along.
  source.on('error', finish).on('end', finish).on('close', finish)
  signal?.addEventListener('abort', finish)
  if (!over) source.on('data', take).resume()
  try {
    while (!over) {
      if (!full()) await new Promise<void>((resolve) => (wake = resolve))
      if (over) break
      if (batch.length === 0) continue
      const gathered = empty()
      source.resume()
      yield gathered
    }
    detach()
    const last = [...empty(), ...unread(source)]
    if (last.length > 0) yield last
  } finally {
    detach()
  }
}

/** What arrived but was not handed out yet; a broken stream still has it. One read takes it all. */
function unread(source: Readable): Buffer[] {
  const chunk: Buffer | null = source.read()
  return chunk === null ? [] : [chunk]
}
