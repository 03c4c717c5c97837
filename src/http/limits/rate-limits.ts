import type { IncomingMessage, ServerResponse } from 'node:http'
import type { App } from '../../app.ts'
import type { ServiceContext } from '../../context.ts'
import { type Count, consume } from '../../database/rate-limiter.ts'
import { RateLimited, Unauthenticated } from '../../errors.ts'
import type { RateLimit } from '../../graphql/context.ts'
import { addressOf } from '../client-address.ts'

const MINUTE_MS = 60_000

/** What one request pays, once or in parts. */
export type RateLimitCharge = {
  /** Throws RateLimited where fewer points are left; what is refused is not taken. 0 points are never refused. */
  pay: (points: number) => Promise<void>
  /** Of who pays, after the last payment. */
  standing: () => RateLimit
}
type TollFor = (
  req: IncomingMessage,
  res: ServerResponse,
  scope: () => Promise<ServiceContext>,
) => RateLimitCharge
type Payer = { key: string; failed: boolean }

/**
 * The points a minute of RATE_LIMIT: of each token, and of each address for who has none. A token that is wrong costs its address a
 * hundredth of the minute; what a right one may do does not hang on the address. On PostgreSQL all processes count together.
 */
export function openRateLimits({ config, counter, now }: App): TollFor {
  const { rateLimit: limit, trustProxy } = config
  if (limit === null) return () => unlimited(now)
  const forFailure = Math.ceil(limit / 100)

  return (req, res, scope) => {
    let payer: Payer | undefined
    let standing: RateLimit = { limit, cost: 0, remaining: limit, resetAt: now() }

    async function pay(points: number) {
      const isFirst = payer === undefined
      payer ??= await payerOf(req, scope, trustProxy)
      const cost = points + (isFirst && payer.failed ? forFailure : 0)
      const within = points > 0 ? standing.limit : Number.POSITIVE_INFINITY
      const taking = { key: payer.key, points: cost, windowMs: MINUTE_MS, limit: within }
      const { refused, ...count } = await consume(counter, taking)
      tell(count, standing.cost + (refused ? 0 : cost))
      if (refused) throw new RateLimited(secondsUntil(count.endsAt, now()))
    }

    function tell({ points, endsAt }: Count, cost: number) {
      const remaining = Math.max(standing.limit - points, 0)
      standing = { limit: standing.limit, cost, remaining, resetAt: endsAt }
      if (res.headersSent) return
      res.setHeader('RateLimit-Limit', standing.limit)
      res.setHeader('RateLimit-Remaining', remaining)
      res.setHeader('RateLimit-Reset', secondsUntil(endsAt, now()))
    }

    return { pay, standing: () => standing }
  }
}

/** Where no limit is set: counts, and refuses nothing. */
export function unlimited(now: () => number): RateLimitCharge {
  let cost = 0
  return {
    async pay(points) {
      cost += points
    },
    standing: () => ({ limit: 0, cost, remaining: 0, resetAt: now() }),
  }
}

/** What else may go wrong with the token, the door will meet and tell. */
async function payerOf(
  req: IncomingMessage,
  scope: () => Promise<ServiceContext>,
  trustProxy: boolean,
): Promise<Payer> {
  try {
    const { viewer } = await scope()
    if (viewer) return { key: `token ${viewer.tokenId}`, failed: false }
    return { key: `address ${addressOf(req, trustProxy)}`, failed: false }
  } catch (error) {
    const failed = error instanceof Unauthenticated
    return { key: `address ${addressOf(req, trustProxy)}`, failed }
  }
}

/** As Retry-After tells it: whole seconds, at least one. */
export const secondsUntil = (endsAt: number, now: number) =>
  Math.max(Math.ceil((endsAt - now) / 1000), 1)
