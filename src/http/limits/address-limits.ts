import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Config } from '../../config/config.ts'
import { addressOf, networkOf } from '../client-address.ts'
import { createConcurrencyLimit } from './concurrency-limit.ts'
import type { RateLimitCharge } from './rate-limits.ts'

/** Connections per request in flight. Idle connections and requests rejected with 429 need one, too. */
const CONNECTIONS_PER_REQUEST = 2

/**
 * Limits the requests in flight and the connections of one client address (MAX_REQUESTS_PER_ADDRESS).
 * Behind a trusted proxy the address is the one that the proxy reports, and connections are not limited,
 * because all of them come from the proxy.
 */
export function createAddressLimits({ maxRequestsPerAddress, trustProxy }: Config) {
  const max = maxRequestsPerAddress ?? Number.POSITIVE_INFINITY
  const requests = createConcurrencyLimit(
    max,
    `too many concurrent requests from this address (limit ${max})`,
  )
  const connections = createConcurrencyLimit(CONNECTIONS_PER_REQUEST * max)

  return {
    /** Wraps a charge. The first points throw RateLimited if the address has too many requests in flight. */
    limit(charge: RateLimitCharge, req: IncomingMessage, res: ServerResponse): RateLimitCharge {
      let admitted = false
      const admit = () => {
        if (!admitted) requests.admit(addressOf(req, trustProxy), res)
        admitted = true
      }
      return {
        ...charge,
        async consume(points) {
          if (points > 0) admit()
          await charge.consume(points)
        },
      }
    },
    /** Closes a connection that exceeds the limit. */
    admitConnection(socket: Socket) {
      if (trustProxy) return
      try {
        connections.admit(networkOf(socket.remoteAddress ?? ''), socket)
      } catch {
        socket.destroy()
      }
    },
  }
}
