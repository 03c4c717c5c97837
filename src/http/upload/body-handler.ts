import type { IncomingMessage, ServerResponse } from 'node:http'
import type { App } from '../../app.ts'
import { rejectEarly } from '../early-reject.ts'
import type { Handler, RequestContext } from '../request-context.ts'

type Receive = (
  req: IncomingMessage,
  res: ServerResponse,
  context: RequestContext,
) => Promise<unknown>

/**
 * Creates the handler of a route that stores a whole body or nothing. An error while the body is still
 * arriving is sent at once and closes the connection. `drain` waits for running requests.
 */
export function createBodyHandler({ log }: Pick<App, 'log'>, receive: Receive): Handler {
  const running = new Set<Promise<unknown>>()
  const report = (err: unknown) => log.error({ err }, 'unexpected')
  return {
    async handle(req, res, context) {
      const received = receive(req, res, context)
      running.add(received)
      try {
        await received
      } catch (error) {
        if (req.complete) throw error
        rejectEarly(req, res, error, { requestId: context.requestId, log: report })
      } finally {
        running.delete(received)
      }
    },
    drain: () => Promise.allSettled(running),
  }
}
