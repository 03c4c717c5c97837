import type { ServiceContext } from '../context.ts'
import type { ExecutionBudget } from './budget.ts'

/** What every resolver is given: the scope of its request. */
export type Context = ServiceContext & {
  /** Stands in the log, and in what a client is told of a fault. */
  requestId: string
  /** Where the request comes from: an IPv4 address, or a network of IPv6. */
  address: string
  /** Tells the log what the client is not told. */
  report: (error: unknown) => void
  /** What the execution may still produce. Each event of a subscription has its own. */
  budget: ExecutionBudget
  /** Of who asks, with this request paid. */
  rateLimit: () => RateLimit
}

/** Points of a minute. A limit of 0 is none; `cost` is that of the request. */
export type RateLimit = { limit: number; cost: number; remaining: number; resetAt: number }
