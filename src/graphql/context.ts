import type { ServiceContext } from '../context.ts'
import type { ExecutionBudget } from './limits/execution-budget.ts'

/** The context of one request, which every resolver receives. */
export type Context = ServiceContext & {
  /** Identifies the request in the log and in the response to an internal error. */
  requestId: string
  /** The client address: an IPv4 address, or an IPv6 network. */
  address: string
  /** Logs an error whose details the client does not receive. */
  report: (error: unknown) => void
  /** The remaining limits of the execution. Each event of a subscription has its own budget. */
  budget: ExecutionBudget
  /** Returns the rate limit of the caller after this request is charged. */
  rateLimit: () => RateLimit
}

/** Points per minute. A limit of 0 means unlimited; `cost` is the cost of this request. */
export type RateLimit = { limit: number; cost: number; remaining: number; resetAt: number }
