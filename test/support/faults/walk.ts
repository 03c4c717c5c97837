import type { Faulty } from './faulty.ts'
import { type Armed, type Fault, isKill } from './kinds/kinds.ts'
import { type Baseline, tryOnce } from './trial.ts'

/** More steps than any operation has. */
const MAX_STEPS = 400

/** The injected faults, by operation and kind. */
export type FaultCounts = Map<string, Map<string, number>>

/** `recovers`: the client gets no error. `of`: the operations that the fault can strike, if not all. */
export type FaultCase = { fault: Fault; isPermanent?: boolean; recovers?: boolean; of?: RegExp }
/** No fault is injected after `until` (milliseconds since 1970). */
export type Limits = { counts: FaultCounts; until: number }

/** Strikes each step of an operation that the fault can strike, one per run. */
export async function strikeEachStep(
  faulty: Faulty,
  baseline: Baseline,
  { fault, isPermanent = false, recovers = false }: FaultCase,
  { counts, until }: Limits,
): Promise<void> {
  const { name } = baseline.operation
  let at = 1
  for (; Date.now() < until; at++) {
    const armed = { fault, at, isPermanent }
    const struck = await named(name, armed, () => tryOnce(faulty, baseline, armed, recovers))
    if (!struck) break
    if (isKill(fault)) await named(name, armed, () => expectCleanFsck(faulty))
    if (at > MAX_STEPS) throw new Error(`${name} has more than ${MAX_STEPS} steps`)
  }
  await named(name, { fault, at, isPermanent }, () => expectCleanFsck(faulty))
  count(counts, name, isPermanent ? `${fault} permanently` : fault, at - 1)
}

export function count(counts: FaultCounts, operation: string, kind: string, more: number): void {
  const kinds = counts.get(operation) ?? new Map<string, number>()
  counts.set(operation, kinds.set(kind, (kinds.get(kind) ?? 0) + more))
}

/** Returns one line for each operation. */
export const formatCounts = (counts: FaultCounts): string[] =>
  [...counts].map(([operation, kinds]) => {
    const each = [...kinds].map(([kind, number]) => `${kind} ${number}`)
    return `${operation}: ${each.join(', ')}`
  })

/** Expects only unreferenced bytes after a crash or fault, and no finding once they are swept. */
async function expectCleanFsck(faulty: Faulty): Promise<void> {
  const everything = { deep: true, graceMs: -1e12 }
  const found = await faulty.findings({ ...everything, repair: true })
  const others = found.filter(({ code }) => !/^BYTES_(STAGED|KEPT)_UNKNOWN$/.test(code))
  if (others.length > 0) throw new Error(`fsck: ${JSON.stringify(others)}`)
  if (found.length === 0) return
  // Among so few objects they may be too many for an unconfirmed sweep.
  await faulty.sweep(everything.graceMs)
  const left = await faulty.findings(everything)
  if (left.length > 0) throw new Error(`fsck after the repair: ${JSON.stringify(left)}`)
}

async function named<T>(
  operation: string,
  { fault, at, isPermanent }: Armed,
  act: () => Promise<T>,
) {
  try {
    return await act()
  } catch (cause) {
    const which = `${fault}${isPermanent ? ' permanently' : ''} at step ${at} of ${operation}`
    throw new Error(`${which}: ${cause instanceof Error ? cause.message : cause}`, { cause })
  }
}
