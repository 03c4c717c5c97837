import { QueryTooComplex } from '../../errors/input.ts'

/**
 * CPU time that one request may spend on work without an index. The elapsed time may be five times as long.
 */
export const workLimits = { ms: 1000 }
const WAITING_FACTOR = 5

/** Time budget that the fields of one request share, for patterns, list scans, searches and highlights. */
export type WorkBudget = {
  /** Whether the time is used up. It starts with the first call. */
  isSpent: () => boolean
  /**
   * Returns the cached result of `create` for `key`. Throws QueryTooComplex if it is new and the time is used
   * up.
   */
  once: <T>(key: string, create: () => T) => T
}

/** Creates a budget for one request, or for work outside a request. */
export function createBudget(): WorkBudget {
  const cache = new Map<string, unknown>()
  let began: { at: number; cpu: NodeJS.CpuUsage } | null = null
  function isSpent() {
    if (began === null) {
      began = { at: performance.now(), cpu: process.threadCpuUsage() }
      return false
    }
    const ms = performance.now() - began.at
    // Reading the CPU time is slower, and it never exceeds the elapsed time.
    if (ms <= workLimits.ms) return false
    const { user, system } = process.threadCpuUsage(began.cpu)
    return (user + system) / 1000 > workLimits.ms || ms > WAITING_FACTOR * workLimits.ms
  }
  return {
    isSpent,
    once<T>(key: string, create: () => T): T {
      if (cache.has(key)) return cache.get(key) as T
      if (isSpent())
        throw new QueryTooComplex(`the patterns of this request take more than ${workLimits.ms} ms`)
      const value = create()
      cache.set(key, value)
      return value
    },
  }
}

const budgets = new WeakMap<object, WorkBudget>()

/**
 * Returns the budget of a request by its context. Each event of a subscription has its own context and
 * budget.
 */
export function budgetOf(context: object): WorkBudget {
  const budget = budgets.get(context) ?? createBudget()
  budgets.set(context, budget)
  return budget
}
