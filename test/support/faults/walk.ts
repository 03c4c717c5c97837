import type { Faulty } from './faulty.ts'
import { type Armed, type Fault, isKill } from './kinds.ts'
import { type Course, tryOnce } from './trial.ts'

/** More steps no operation has. */
const MOST = 400

/** Faults that were injected, by operation and kind. */
export type Figures = Map<string, Map<string, number>>

/** `heals`: the client is told nothing of it. `of`: the names of those operations that it can meet, where it is not all. */
export type Walk = { fault: Fault; forGood?: boolean; heals?: boolean; of?: RegExp }
/** Nothing is struck after `until` (milliseconds since 1970). */
export type Bounds = { figures: Figures; until: number }

/** Strikes one step after the other of an operation, from the first to the last one that the fault can meet. */
export async function walk(
  faulty: Faulty,
  course: Course,
  { fault, forGood = false, heals = false }: Walk,
  { figures, until }: Bounds,
): Promise<void> {
  const { name } = course.operation
  let at = 1
  for (; Date.now() < until; at++) {
    const armed = { fault, at, forGood }
    const struck = await named(name, armed, () => tryOnce(faulty, course, armed, heals))
    if (!struck) break
    if (isKill(fault)) await named(name, armed, () => nothingFound(faulty))
    if (at > MOST) throw new Error(`${name} has no end`)
  }
  await named(name, { fault, at, forGood }, () => nothingFound(faulty))
  count(figures, name, forGood ? `${fault} for good` : fault, at - 1)
}

export function count(figures: Figures, operation: string, kind: string, more: number): void {
  const kinds = figures.get(operation) ?? new Map<string, number>()
  figures.set(operation, kinds.set(kind, (kinds.get(kind) ?? 0) + more))
}

/** One line for each operation. */
export const told = (figures: Figures): string[] =>
  [...figures].map(([operation, kinds]) => {
    const each = [...kinds].map(([kind, number]) => `${kind} ${number}`)
    return `${operation}: ${each.join(', ')}`
  })

/** All that is wrong are bytes that a crash or a fault has left between bytes and rows; once those are swept, nothing is. */
async function nothingFound(faulty: Faulty): Promise<void> {
  const everything = { deep: true, graceMs: -1e12 }
  const found = await faulty.findings({ ...everything, repair: true })
  const others = found.filter(({ code }) => !/^BYTES_(STAGED|KEPT)_UNKNOWN$/.test(code))
  if (others.length > 0) throw new Error(`fsck: ${JSON.stringify(others)}`)
  if (found.length === 0) return
  // Among so few objects they may be too many to be moved unasked.
  await faulty.sweep(everything.graceMs)
  const left = await faulty.findings(everything)
  if (left.length > 0) throw new Error(`fsck, once more: ${JSON.stringify(left)}`)
}

async function named<T>(operation: string, { fault, at, forGood }: Armed, act: () => Promise<T>) {
  try {
    return await act()
  } catch (cause) {
    const which = `${fault}${forGood ? ' for good' : ''} at step ${at} of ${operation}`
    throw new Error(`${which}: ${cause instanceof Error ? cause.message : cause}`, { cause })
  }
}
