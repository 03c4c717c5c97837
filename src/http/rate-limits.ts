import type { IncomingMessage, ServerResponse } from 'node:http'
import { RateLimiterMemory } from 'rate-limiter-flexible'
import type { App } from '../app.ts'
import { isPostgres } from '../database/database.ts'
import { addToTally } from '../database/tallies.ts'
import { RateLimited, Unauthenticated } from '../errors.ts'
import type { RateLimit } from '../graphql/context.ts'
import type { Scope } from '../scope.ts'
import { addressOf } from './forwarded.ts'

const WINDOW_SECONDS = 60

/** What one request pays, once or in parts. */
export type Toll = {
  /** Throws RateLimited where fewer points are left; what is refused is not taken. 0 points are never refused. */
  pay: (points: number) => Promise<void>
  /** Of who pays, after the last payment. */
  standing: () => RateLimit
}
type TollFor = (req: IncomingMessage, res: ServerResponse, scope: () => Promise<Scope>) => Toll
type Payer = { key: string; failed: boolean }

/** What was taken in a minute, and how long that still lasts. */
type Taken = { consumedPoints: number; msBeforeNext: number }
type Counter = (key: string, points: number) => Promise<Taken>

/**
 * The points a minute of RATE_LIMIT: of each token, and of each address for who has none. A token that is wrong costs its address a
 * hundredth of the minute; what a right one may do does not hang on the address. On PostgreSQL all processes count together.
 */
export function openRateLimits(app: Pick<App, 'config' | 'db' | 'now'>): TollFor {
  const { config, db, now } = app
  const { rateLimit: limit, trustProxy } = config
  if (limit === null) return () => freeToll(now)
  const count = isPostgres(db) ? countedByAll(app) : countedHere(limit)
  const forFailure = Math.ceil(limit / 100)

  return (req, res, scope) => {
    let payer: Payer | undefined
    let standing: RateLimit = { limit, cost: 0, remaining: limit, resetAt: now() }

    async function pay(points: number) {
      const isFirst = payer === undefined
      payer ??= await payerOf(req, scope, trustProxy)
      const cost = points + (isFirst && payer.failed ? forFailure : 0)
      const taken = await count(payer.key, cost)
      const refused = points > 0 && taken.consumedPoints > (limit ?? 0)
      const left = refused ? await count(payer.key, -cost) : taken
      tell(left, standing.cost + (refused ? 0 : cost))
      if (refused) throw new RateLimited(secondsLeft(left))
    }

    function tell(left: Taken, cost: number) {
      const { consumedPoints, msBeforeNext } = left
      const remaining = Math.max((limit ?? 0) - consumedPoints, 0)
      standing = { limit: standing.limit, cost, remaining, resetAt: now() + msBeforeNext }
      if (res.headersSent) return
      res.setHeader('RateLimit-Limit', standing.limit)
      res.setHeader('RateLimit-Remaining', remaining)
      res.setHeader('RateLimit-Reset', secondsLeft(left))
    }

    return { pay, standing: () => standing }
  }
}

const countedHere = (points: number): Counter => {
  const limiter = new RateLimiterMemory({ points, duration: WINDOW_SECONDS })
  return (key, points) => limiter.penalty(key, points)
}

const countedByAll =
  ({ db, now }: Pick<App, 'db' | 'now'>): Counter =>
  async (key, points) => {
    const window = { now: now(), windowMs: WINDOW_SECONDS * 1000 }
    const tally = await addToTally(db, { key, points, ...window })
    return { consumedPoints: tally.points, msBeforeNext: tally.endsAt - window.now }
  }

/** Where no limit is set: counts, and refuses nothing. */
export function freeToll(now: () => number): Toll {
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
  scope: () => Promise<Scope>,
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

const secondsLeft = ({ msBeforeNext }: Taken) => Math.max(Math.ceil(msBeforeNext / 1000), 1)
