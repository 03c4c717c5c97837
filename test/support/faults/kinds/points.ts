import { AsyncLocalStorage } from 'node:async_hooks'
import { type Armed, canStrike, type Fault, isKill, type Step, type Tally } from './kinds.ts'

/*
 * Counts the steps of this process and strikes the armed one. Every patched call passes through this module.
 * Only the steps of requests count, because the server also has background work; with `everywhere` all steps
 * count.
 */

const requests = new AsyncLocalStorage<true>()
/** Statements that poll the job queue, which are not steps of an operation. */
const jobQueue = /"jobs"/

let armed: Armed | null = null
let tally: Tally = { seen: 0, struck: [], trace: [] }

export const runAsRequest = <T>(act: () => T): T => requests.run(true, act)

/** Arms a fault. Returns the tally so far. */
export function arm(next: Armed | null): Tally {
  const counted = tally
  armed = next
  tally = { seen: 0, struck: [], trace: [] }
  return counted
}

/** Returns the fault of this step, or null, and counts the step. */
export function faultOf(step: Step): Fault | null {
  if (!armed || !counts(step, armed)) return null
  tally.trace.push(step.name)
  if (!canStrike[armed.fault](step)) return null
  tally.seen += 1
  const isHit = armed.isPermanent ? tally.seen >= armed.at : tally.seen === armed.at
  if (!isHit) return null
  tally.struck.push(step.name)
  return armed.fault
}

const counts = (step: Step, { everywhere }: Armed) =>
  requests.getStore() === true || (everywhere === true && !jobQueue.test(step.name))

type StepActions<T> = {
  act: () => T
  /** The result that the caller gets in place of the real one. */
  error: (fault: Fault) => Error
}

/** Runs a synchronous step with its fault. */
export function runStepSync<T>(step: Step, actions: StepActions<T>): T {
  const fault = faultOf(step)
  if (!fault) return actions.act()
  if (isKill(fault) && !strikesAfterwards(fault)) killSelf()
  if (!strikesAfterwards(fault)) throw actions.error(fault)
  actions.act()
  if (isKill(fault)) killSelf()
  throw actions.error(fault)
}

/** Runs an asynchronous step with its fault. */
export const runStep = <T>(step: Step, actions: StepActions<Promise<T>>): Promise<T> =>
  applyFault(faultOf(step), actions)

export async function applyFault<T>(
  fault: Fault | null,
  { act, error }: StepActions<Promise<T>>,
): Promise<T> {
  if (!fault) return act()
  if (isKill(fault) && !strikesAfterwards(fault)) killSelf()
  if (!strikesAfterwards(fault)) throw error(fault)
  const outcome = await act()
  if (isKill(fault)) killSelf()
  // Closes the file, because the caller never receives its handle.
  if (outcome instanceof Object && 'fd' in outcome) await (outcome as any).close()
  throw error(fault)
}

export const strikesAfterwards = (fault: Fault) => /^(KILL_AFTER|LOST)/.test(fault)

/** Blocks: no further statement may run until the signal arrives. */
export function killSelf(): never {
  process.kill(process.pid, 'SIGKILL')
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
  throw new Error('the process was killed')
}
