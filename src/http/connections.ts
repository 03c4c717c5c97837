import type { IncomingMessage, ServerResponse } from 'node:http'
import { Socket } from 'node:net'

const LINGER_MS = 5000
const MAX_DRAIN_BYTES = 64 * 1024 ** 2
const SAMPLE_MS = 50
const BODY_TIMEOUT_MS = 60_000

/** Closes the connection after this response, so that it carries no further request. */
export function closeAfter(res: ServerResponse) {
  const { socket } = res
  if (res.headersSent) res.once('finish', () => socket?.end())
  else res.setHeader('Connection', 'close')
}

/**
 * Reads and discards the rest of a request body after the response has finished: at most MAX_DRAIN_BYTES,
 * for at most LINGER_MS. After that the connection is destroyed. Closing a connection with unread bytes
 * resets it, and the client, or the proxy before it, may lose the response.
 */
export function drainRequest(req: IncomingMessage, res: ServerResponse) {
  const { socket } = req
  // Node calls this after the last response of a connection. RFC 9112, section 9.6: close in stages, first
  // the direction of the response.
  socket.destroySoon = () => {
    if (req.complete) Socket.prototype.destroySoon.call(socket)
    else socket.end()
  }
  res.once('finish', () => {
    if (!req.complete) destroyAfterLimits(req)
  })
}

/** Destroys the connection at the limits, or when the body ends and the response was the last one. */
function destroyAfterLimits(req: IncomingMessage) {
  const { socket } = req
  const lastByte = socket.bytesRead + MAX_DRAIN_BYTES
  const timeout = setTimeout(() => socket.destroy(), LINGER_MS).unref()
  // Node discards the body of a request that nothing has read without events.
  const sample = setInterval(
    () => socket.bytesRead > lastByte && socket.destroy(),
    SAMPLE_MS,
  ).unref()
  const stop = () => {
    clearTimeout(timeout)
    clearInterval(sample)
  }
  socket.once('close', stop)
  req.once('end', () => {
    stop()
    socket.off('close', stop)
    if (socket.writableEnded) socket.destroySoon()
  })
  req.resume()
}

/** Destroys a request whose body has not arrived completely within BODY_TIMEOUT_MS. */
export function limitBodyTime(req: IncomingMessage) {
  if (req.complete) return
  // A request without a body is complete but stays open until its response ends, which may be a long
  // download.
  const timer = setTimeout(() => req.complete || req.destroy(), BODY_TIMEOUT_MS).unref()
  req.once('close', () => clearTimeout(timer))
}
