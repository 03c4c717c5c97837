import type { IncomingMessage, ServerResponse } from 'node:http'

const LINGER_MS = 5000
const BODY_TIMEOUT_MS = 60_000

/** Closes the connection after this response, so that it carries no further request. */
export function closeAfter(res: ServerResponse) {
  const { socket } = res
  if (res.headersSent) res.once('finish', () => socket?.end())
  else res.setHeader('Connection', 'close')
}

/**
 * Discards the rest of a request body after the response has finished, for at most LINGER_MS, and then
 * closes the connection. Closing a connection with unread bytes resets it, and the client may lose the
 * response.
 */
export function drainRequest(req: IncomingMessage, res: ServerResponse) {
  res.once('finish', () => {
    if (req.complete) return
    const { socket } = req
    const timer = setTimeout(() => socket.destroy(), LINGER_MS).unref()
    req.once('end', () => clearTimeout(timer)).resume()
  })
}

/** Destroys a request whose body has not arrived completely within BODY_TIMEOUT_MS. */
export function limitBodyTime(req: IncomingMessage) {
  if (req.complete) return
  // A request without a body is complete but stays open until its response ends, which may be a long
  // download.
  const timer = setTimeout(() => req.complete || req.destroy(), BODY_TIMEOUT_MS).unref()
  req.once('close', () => clearTimeout(timer))
}
