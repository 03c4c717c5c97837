import { QueryTooComplex } from '../../errors.ts'

/** How long one request may work on what no index answers; it may wait for others, and for the database, some times as long. */
export const workLimits = { ms: 1000 }
const WAITING_FACTOR = 5

/** What the fields of one request share: patterns, lists that are searched row by row, searches and highlights. */
export type WorkBudget = {
  /** Whether the time is over; it begins with the first question. */
  isSpent: () => boolean
  /** What `make` has made for `key` before in this request; QueryTooComplex where it is new and the time is over. */
  once: <T>(key: string, make: () => T) => T
}

/** A budget of its own, for a request or for what is asked without one. */
export function openBudget(): WorkBudget {
  const made = new Map<string, unknown>()
  let began: { at: number; cpu: NodeJS.CpuUsage } | null = null
  function isSpent() {
    if (began === null) {
      began = { at: performance.now(), cpu: process.threadCpuUsage() }
      return false
    }
    const ms = performance.now() - began.at
    // To ask for the time of the processor takes longer, and it is never more than what has passed.
    if (ms <= workLimits.ms) return false
    const { user, system } = process.threadCpuUsage(began.cpu)
    return (user + system) / 1000 > workLimits.ms || ms > WAITING_FACTOR * workLimits.ms
  }
  return {
    isSpent,
    once<T>(key: string, make: () => T): T {
      if (made.has(key)) return made.get(key) as T
      if (isSpent())
        throw new QueryTooComplex(`the patterns of one request have ${workLimits.ms} ms`)
      const thing = make()
      made.set(key, thing)
      return thing
    },
  }
}

const budgets = new WeakMap<object, WorkBudget>()

/** The budget of a request by its context; each event of a subscription has a context, and so a budget, of its own. */
export function budgetOf(context: object): WorkBudget {
  const budget = budgets.get(context) ?? openBudget()
  budgets.set(context, budget)
  return budget
}
