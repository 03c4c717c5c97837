import type { IncomingMessage, ServerResponse } from 'node:http'
import type { App } from '../../app.ts'
import type { ServiceContext } from '../../context.ts'
import { type Count, consume } from '../../database/rate-limit/limiter.ts'
import { Unauthenticated } from '../../errors/access.ts'
import { RateLimited } from '../../errors/availability.ts'
import type { RateLimit } from '../../graphql/context.ts'
import { addressOf } from '../client-address.ts'

const MINUTE_MS = 60_000

/** Consumes the rate limit points of one request, at once or in parts. */
export type RateLimitCharge = {
  /**
   * Consumes points. Throws RateLimited, without consuming any, if fewer are left. 0 points always succeed.
   */
  consume: (points: number) => Promise<void>
  /** Returns the state of the rate limit after the last call of `consume`. */
  state: () => RateLimit
}
type ChargeFor = (
  req: IncomingMessage,
  res: ServerResponse,
  authenticate: () => Promise<ServiceContext>,
) => RateLimitCharge
type RateLimitKey = { key: string; failed: boolean }

/**
 * Creates the rate limit of RATE_LIMIT points per minute: per token, or per client address without a token.
 * An invalid token costs its address a hundredth of the limit. The limit of a valid token is independent of
 * the address. On PostgreSQL all processes share the counters.
 */
export function createRateLimits({ config, counter, now }: App): ChargeFor {
  const { rateLimit: limit, trustProxy } = config
  if (limit === null) return () => unlimited(now)
  const failureCost = Math.ceil(limit / 100)

  return (req, res, authenticate) => {
    let caller: RateLimitKey | undefined
    let state: RateLimit = { limit, cost: 0, remaining: limit, resetAt: now() }

    async function consumePoints(points: number) {
      const isFirst = caller === undefined
      caller ??= await resolveKey(req, authenticate, trustProxy)
      const cost = points + (isFirst && caller.failed ? failureCost : 0)
      const effectiveLimit = points > 0 ? state.limit : Number.POSITIVE_INFINITY
      const request = { key: caller.key, points: cost, windowMs: MINUTE_MS, limit: effectiveLimit }
      const { refused, ...count } = await consume(counter, request)
      report(count, state.cost + (refused ? 0 : cost))
      if (refused) throw new RateLimited(secondsUntil(count.endsAt, now()))
    }

    function report({ points, endsAt }: Count, cost: number) {
      const remaining = Math.max(state.limit - points, 0)
      state = { limit: state.limit, cost, remaining, resetAt: endsAt }
      if (res.headersSent) return
      res.setHeader('RateLimit-Limit', state.limit)
      res.setHeader('RateLimit-Remaining', remaining)
      res.setHeader('RateLimit-Reset', secondsUntil(endsAt, now()))
    }

    return { consume: consumePoints, state: () => state }
  }
}

/** Returns a charge without a limit, which only counts points. */
export function unlimited(now: () => number): RateLimitCharge {
  let cost = 0
  return {
    async consume(points) {
      cost += points
    },
    state: () => ({ limit: 0, cost, remaining: 0, resetAt: now() }),
  }
}

/**
 * Returns the key of the caller's counter, and whether its token is invalid. Other authentication errors are
 * left to the handler, which authenticates again.
 */
async function resolveKey(
  req: IncomingMessage,
  authenticate: () => Promise<ServiceContext>,
  trustProxy: boolean,
): Promise<RateLimitKey> {
  try {
    const { viewer } = await authenticate()
    if (viewer) return { key: `token ${viewer.tokenId}`, failed: false }
    return { key: `address ${addressOf(req, trustProxy)}`, failed: false }
  } catch (error) {
    const failed = error instanceof Unauthenticated
    return { key: `address ${addressOf(req, trustProxy)}`, failed }
  }
}

/** Returns the whole seconds until `endsAt`, at least 1, as Retry-After needs them. */
export const secondsUntil = (endsAt: number, now: number) =>
  Math.max(Math.ceil((endsAt - now) / 1000), 1)
