import type { IncomingMessage, ServerResponse } from 'node:http'
import { type ErrorContext, errorResponse } from './errors.ts'

const LINGER_MS = 2000

/**
 * Sends an error while the request body is still arriving, and closes the connection. Node closes the
 * socket when the response ends, and closing with unread bytes resets the connection, which may lose the
 * response. The end of the response therefore waits for the end of the body, for at most LINGER_MS.
 */
export function rejectEarly(
  req: IncomingMessage,
  res: ServerResponse,
  error: unknown,
  context: ErrorContext,
) {
  const { status, headers, body } = errorResponse(error, context)
  if (res.headersSent || res.destroyed) return void res.destroy()
  res.writeHead(status, { ...headers, Connection: 'close' })
  res.write(body)
  const timer = setTimeout(() => res.end(), LINGER_MS).unref()
  req.once('close', () => clearTimeout(timer))
  req.once('end', () => res.end()).resume()
}
