import { AsyncLocalStorage } from 'node:async_hooks'
import type { Armed, Fault, Step, Tally } from './kinds.ts'
import { meets } from './kinds.ts'

/*
 * The steps of this process, counted. Whatever is patched sends its calls through here, and the one that is armed is struck. Steps
 * count that are made on behalf of a request, or all of them where that was asked for: the house has work of its own besides.
 */

const requests = new AsyncLocalStorage<true>()
/** The queue is looked through all the time; that is no step of any operation. */
const ownBusiness = /"jobs"|kysely_migration_lock/

let armed: Armed | null = null
let tally: Tally = { seen: 0, struck: [], trace: [] }

export const onBehalfOfRequest = <T>(act: () => T): T => requests.run(true, act)

export function arm(next: Armed | null): void {
  armed = next
  tally = { seen: 0, struck: [], trace: [] }
}

export const told = (): Tally => tally

/** What befalls this step, if anything; it counts by being asked about. */
export function fateOf(step: Step): Fault | null {
  if (!armed || !counts(step, armed)) return null
  tally.trace.push(step.name)
  if (!meets[armed.fault](step)) return null
  tally.seen += 1
  const isHit = armed.forGood ? tally.seen >= armed.at : tally.seen === armed.at
  if (!isHit) return null
  tally.struck.push(step.name)
  return armed.fault
}

const counts = (step: Step, { everywhere }: Armed) =>
  requests.getStore() === true || (everywhere && !ownBusiness.test(step.name))

type Ways<T> = {
  act: () => Promise<T>
  /** What whoever called is told in place of the outcome. */
  error: (fault: Fault) => Error
}

/** A step that takes its time, with what befalls it. */
export async function through<T>(step: Step, { act, error }: Ways<T>): Promise<T> {
  const fault = fateOf(step)
  if (!fault) return act()
  if (fault === 'KILL_BEFORE') die()
  if (!isAfterwards(fault)) throw error(fault)
  const outcome = await act()
  if (fault === 'KILL_AFTER') die()
  if (outcome instanceof Object && 'close' in outcome) await (outcome as any).close()
  throw error(fault)
}

/** The same for a step that this thread waits for. */
export function throughSync<T>(
  step: Step,
  { act, error }: { act: () => T; error: (fault: Fault) => Error },
): T {
  const fault = fateOf(step)
  if (!fault) return act()
  if (fault === 'KILL_BEFORE') die()
  if (!isAfterwards(fault)) throw error(fault)
  act()
  if (fault === 'KILL_AFTER') die()
  throw error(fault)
}

const isAfterwards = (fault: Fault) => fault === 'KILL_AFTER' || fault === 'LOST'

/** Not a statement more: the signal may take a moment to arrive. */
export function die(): never {
  process.kill(process.pid, 'SIGKILL')
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
  throw new Error('dead processes say nothing')
}
