import type { World } from './model-state.ts'

/** What the API answers in place of doing it: the code of an error. */
class Refusal extends Error {
  readonly code: string
  /** What was done by then stays done, as that an upload has failed for good. */
  readonly lasting: boolean
  constructor(code: string, lasting = false) {
    super(code)
    this.code = code
    this.lasting = lasting
  }
}

export function refuse(code: string, lasting = false): never {
  throw new Refusal(code, lasting)
}

/** A story in a world that is as before where it is refused; then its code. */
export function attempted<T>(world: World, story: () => T): { done: T } | { code: string } {
  const before = structuredClone(world)
  try {
    return { done: story() }
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    if (!error.lasting) Object.assign(world, before)
    return { code: error.code }
  }
}
