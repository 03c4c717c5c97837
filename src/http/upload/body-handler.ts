import type { IncomingMessage, ServerResponse } from 'node:http'
import type { App } from '../../app.ts'
import { closeAfter } from '../connections.ts'
import { createConcurrencyLimit, MAX_BODIES_PER_USER } from '../limits/concurrency-limit.ts'
import type { Handler, RequestContext } from '../request-context.ts'
import { createSenderWatch } from '../sender-watch.ts'
import { abortIfIdle, type BodyLimits, defaultBodyTimeouts } from '../tus/receive-body.ts'

/** The limits of the bodies of one route. */
type BodyGuard = {
  /** Counts a body of the user until the response closes. Throws RateLimited at the limit. */
  admit: (userId: string, res: ServerResponse) => void
  /** Aborts `stop` with `idle` or `revoked`, until the returned object is disposed. */
  watch: (req: IncomingMessage, stop: AbortController, tokenId: string) => Disposable
}

type Receive = (
  req: IncomingMessage,
  res: ServerResponse,
  context: RequestContext & { guard: BodyGuard },
) => Promise<unknown>

/**
 * Creates the handler of a route that stores a whole body or nothing. An error while the body is still
 * arriving is sent at once and closes the connection. `drain` waits for running requests.
 */
export function createBodyHandler(app: App, limits: BodyLimits, receive: Receive): Handler {
  const guard = createBodyGuard(app, limits)
  const running = new Set<Promise<unknown>>()
  return {
    async handle(req, res, context) {
      const received = receive(req, res, { ...context, guard })
      running.add(received)
      try {
        await received
      } catch (error) {
        if (!req.complete) closeAfter(res)
        throw error
      } finally {
        running.delete(received)
      }
    },
    drain: () => Promise.allSettled(running),
  }
}

function createBodyGuard(
  { db }: App,
  { maxBodiesPerUser = MAX_BODIES_PER_USER, ...timeouts }: BodyLimits,
): BodyGuard {
  const senders = createConcurrencyLimit(maxBodiesPerUser)
  const revocations = createSenderWatch(db)
  return {
    admit: senders.admit,
    watch(req, stop, tokenId) {
      const watches = new DisposableStack()
      watches.use(abortIfIdle(req, stop, { ...defaultBodyTimeouts, ...timeouts }))
      watches.use(revocations.follow(stop, tokenId))
      return watches
    },
  }
}
