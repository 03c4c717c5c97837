import { once } from 'node:events'
import type { ServerResponse } from 'node:http'

/** Proxies cut what is silent for a minute or less. */
const PING_MS = 12_000

const headers = {
  'Content-Type': 'text/event-stream; charset=utf-8',
  'Cache-Control': 'no-store, no-transform',
  // nginx would gather the events before it passes them on.
  'X-Accel-Buffering': 'no',
}

/**
 * Sends results, each a line of JSON, as Server-Sent Events, in the distinct connections mode of GraphQL over SSE: `next` for each, `complete` after
 * the last. The next result is asked for when the one before is on its way, so a client that reads slowly makes nothing grow.
 * A client that goes away ends the results; with `closing` the answer ends without `complete`, so that clients come back.
 */
export async function sendEvents(
  res: ServerResponse,
  results: AsyncIterable<string>,
  closing: AbortSignal,
): Promise<void> {
  const steps = results[Symbol.asyncIterator]()
  using over = whenOver(res, closing, () => void steps.return?.())
  res.writeHead(200, headers).write(':\n\n')
  const ping = setInterval(() => res.writableNeedDrain || res.write(':\n\n'), PING_MS)
  try {
    for (let step = await steps.next(); !step.done; step = await steps.next()) {
      if (over.signal.aborted) break
      await write(res, `event: next\ndata: ${step.value}\n\n`, over.signal)
    }
    if (!over.signal.aborted) res.write('event: complete\ndata:\n\n')
  } finally {
    clearInterval(ping)
    res.end()
  }
}

async function write(res: ServerResponse, text: string, signal: AbortSignal) {
  if (!res.write(text)) await once(res, 'drain', { signal }).catch(() => {})
}

/** One signal for the client's end and the house's. */
function whenOver(res: ServerResponse, closing: AbortSignal, act: () => void) {
  const over = new AbortController()
  const end = () => {
    over.abort()
    act()
  }
  res.once('close', end)
  closing.addEventListener('abort', end, { once: true })
  if (closing.aborted || res.destroyed) end()
  return {
    signal: over.signal,
    [Symbol.dispose]() {
      res.removeListener('close', end)
      closing.removeEventListener('abort', end)
    },
  }
}
