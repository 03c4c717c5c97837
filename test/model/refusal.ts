import type { Model } from './state/model-state.ts'

/** An error response of the API. */
class Rejection extends Error {
  readonly code: string
  /** Whether changes before the error persist, as when an upload fails for good. */
  readonly persists: boolean
  constructor(code: string, persists = false) {
    super(code)
    this.code = code
    this.persists = persists
  }
}

export function reject(code: string, persists = false): never {
  throw new Rejection(code, persists)
}

/** Runs `fn`. If it is rejected, restores the model and returns the error code. */
export function tryInModel<T>(model: Model, fn: () => T): { done: T } | { code: string } {
  const before = structuredClone(model)
  try {
    return { done: fn() }
  } catch (error) {
    if (!(error instanceof Rejection)) throw error
    if (!error.persists) Object.assign(model, before)
    return { code: error.code }
  }
}
