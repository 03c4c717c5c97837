import type { Scope } from '../scope.ts'

/** What every resolver is given: the scope of its request. */
export type Context = Scope & {
  /** One per request: loaders and what was already authorised. */
  requestId: string
}
