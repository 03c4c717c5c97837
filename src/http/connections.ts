import type { IncomingMessage, ServerResponse } from 'node:http'

const LINGER_MS = 5000
const BODY_MS = 60_000

/** Ends the connection with this answer, so that no further request comes over it. */
export function closeAfter(res: ServerResponse) {
  const { socket } = res
  if (res.headersSent) res.once('finish', () => socket?.end())
  else res.setHeader('Connection', 'close')
}

/**
 * An answer may be ready before the body was read to its end. What still comes is dropped for a while, since an answer
 * on a connection that is closed with unread bytes is lost in the reset; then the connection goes.
 */
export function drainRequest(req: IncomingMessage, res: ServerResponse) {
  res.once('finish', () => {
    if (req.complete) return
    const { socket } = req
    const cut = setTimeout(() => socket.destroy(), LINGER_MS).unref()
    req.once('end', () => clearTimeout(cut)).resume()
  })
}

/** A body that does not take hours must not: what has not come within a minute is not waited for. */
export function limitBodyTime(req: IncomingMessage) {
  if (req.complete) return
  // A request without a body closes with its answer only, which may be a long download.
  const cut = setTimeout(() => req.complete || req.destroy(), BODY_MS).unref()
  req.once('close', () => clearTimeout(cut))
}
