import { once } from 'node:events'
import type { ServerResponse } from 'node:http'

/** Proxies close connections that are idle for a minute or less. */
const PING_MS = 12_000

const headers = {
  'Content-Type': 'text/event-stream; charset=utf-8',
  'Cache-Control': 'no-store, no-transform',
  // Disables buffering in nginx.
  'X-Accel-Buffering': 'no',
}

/**
 * Sends results, each a line of JSON, as Server-Sent Events in the distinct connections mode of GraphQL
 * over SSE: `next` for each and `complete` after the last. Pulls the next result only after the previous
 * one was written, so a slow client uses constant memory. Ends the results when the client closes the
 * connection. When `closing` is aborted, the response ends without `complete`, so that clients reconnect.
 */
export async function sendEvents(
  res: ServerResponse,
  results: AsyncIterable<string>,
  closing: AbortSignal,
): Promise<void> {
  const iterator = results[Symbol.asyncIterator]()
  using over = createEndSignal(res, closing, () => void iterator.return?.())
  res.writeHead(200, headers).write(':\n\n')
  const ping = setInterval(() => res.writableNeedDrain || res.write(':\n\n'), PING_MS)
  try {
    for (let step = await iterator.next(); !step.done; step = await iterator.next()) {
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

/** Combines the close of the connection and the shutdown of the server in one signal. */
function createEndSignal(res: ServerResponse, closing: AbortSignal, onEnd: () => void) {
  const over = new AbortController()
  const end = () => {
    over.abort()
    onEnd()
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
