import type { Scope } from '../scope.ts'

/** What every resolver is given: the scope of its request. */
export type Context = Scope & {
  /** Stands in the log, and in what a client is told of a fault. */
  requestId: string
  /** Tells the log what the client is not told. */
  report: (error: unknown) => void
}
