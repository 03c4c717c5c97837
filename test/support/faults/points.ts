import { AsyncLocalStorage } from 'node:async_hooks'
import { type Armed, type Fault, isKill, meets, type Step, type Tally } from './kinds.ts'

/*
 * The steps of this process, counted. Whatever is patched sends its calls through here, and the one that is armed is struck. Steps
 * count that are made on behalf of a request, or all of them where that was asked for: the house has work of its own besides.
 */

const requests = new AsyncLocalStorage<true>()
/** The queue is looked through all the time; that is no step of any operation. */
const ownBusiness = /"jobs"/

let armed: Armed | null = null
let tally: Tally = { seen: 0, struck: [], trace: [] }

export const onBehalfOfRequest = <T>(act: () => T): T => requests.run(true, act)

/** From now on; what was counted until now is answered. */
export function arm(next: Armed | null): Tally {
  const counted = tally
  armed = next
  tally = { seen: 0, struck: [], trace: [] }
  return counted
}

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
  requests.getStore() === true || (everywhere === true && !ownBusiness.test(step.name))

type Ways<T> = {
  act: () => T
  /** What whoever called is told in place of the outcome. */
  error: (fault: Fault) => Error
}

/** A step that this thread waits for, with what befalls it. */
export function throughSync<T>(step: Step, ways: Ways<T>): T {
  const fault = fateOf(step)
  if (!fault) return ways.act()
  if (isKill(fault) && !isAfterwards(fault)) die()
  if (!isAfterwards(fault)) throw ways.error(fault)
  ways.act()
  if (isKill(fault)) die()
  throw ways.error(fault)
}

/** The same for a step that takes its time. */
export const through = <T>(step: Step, ways: Ways<Promise<T>>): Promise<T> =>
  befall(fateOf(step), ways)

export async function befall<T>(fault: Fault | null, { act, error }: Ways<Promise<T>>): Promise<T> {
  if (!fault) return act()
  if (isKill(fault) && !isAfterwards(fault)) die()
  if (!isAfterwards(fault)) throw error(fault)
  const outcome = await act()
  if (isKill(fault)) die()
  // Nobody will hear of the file that was opened.
  if (outcome instanceof Object && 'fd' in outcome) await (outcome as any).close()
  throw error(fault)
}

export const isAfterwards = (fault: Fault) => /^(KILL_AFTER|LOST)/.test(fault)

/** Not a statement more: the signal may take a moment to arrive. */
export function die(): never {
  process.kill(process.pid, 'SIGKILL')
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
  throw new Error('the dead say nothing')
}
