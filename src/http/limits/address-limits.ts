import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Config } from '../../config.ts'
import { addressOf, networkOf } from '../client-address.ts'
import { atOnce } from './concurrency-limit.ts'
import type { RateLimitCharge } from './rate-limits.ts'

/** Open connections for each request that may be in flight: those above it are answered 429, and not all are busy. */
const CONNECTIONS_PER_REQUEST = 2

/**
 * What one address may have open at once, by MAX_REQUESTS_PER_ADDRESS. Behind a trusted proxy a request has the address that the proxy
 * reports, and connections are not counted: all are the proxy's.
 */
export function openAddressLimits({ maxRequestsPerAddress: most, trustProxy }: Config) {
  const requests = atOnce(most ?? Number.POSITIVE_INFINITY, 'too many requests at once from here')
  const connections = atOnce(CONNECTIONS_PER_REQUEST * (most ?? Number.POSITIVE_INFINITY))

  return {
    /** The same toll, which throws RateLimited where the address of the request has too many in flight. What is free is not refused. */
    limit(toll: RateLimitCharge, req: IncomingMessage, res: ServerResponse): RateLimitCharge {
      let admitted = false
      const admit = () => {
        if (!admitted) requests.admit(addressOf(req, trustProxy), res)
        admitted = true
      }
      return {
        ...toll,
        async pay(points) {
          if (points > 0) admit()
          await toll.pay(points)
        },
      }
    },
    /** Closes a connection beyond the limit, unanswered. */
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
