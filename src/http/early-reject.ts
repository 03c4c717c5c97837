import type { IncomingMessage, ServerResponse } from 'node:http'
import { type ProblemContext, problemAnswer } from './errors.ts'

const LINGER_MS = 2000

/**
 * Refuses a request whose body is still coming, and ends the connection with it. Node closes with the end of the last answer,
 * and a close over unread bytes is a reset that may take the answer along: so the end waits while a little more is dropped.
 */
export function refuseEarly(
  req: IncomingMessage,
  res: ServerResponse,
  error: unknown,
  context: ProblemContext,
) {
  const { status, headers, line } = problemAnswer(error, context)
  if (res.headersSent || res.destroyed) return void res.destroy()
  res.writeHead(status, { ...headers, Connection: 'close' })
  res.write(line)
  const enough = setTimeout(() => res.end(), LINGER_MS).unref()
  req.once('close', () => clearTimeout(enough))
  req.once('end', () => res.end()).resume()
}
