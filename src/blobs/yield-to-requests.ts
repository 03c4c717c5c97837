import { setImmediate as nextTurn } from 'node:timers/promises'

/** Who asks once will ask again, for so long. */
const BUSY_MS = 50

let askedAt = Number.NEGATIVE_INFINITY
let hasTaken = false

/** Somebody waits for an answer, and not for the end of many bytes. */
export function recordRequest(): void {
  askedAt = performance.now()
}

export const isBusy = (): boolean => performance.now() - askedAt <= BUSY_MS

/**
 * To be awaited before each batch of bytes: while somebody asks there is one in each turn of the event loop, and answers go out in
 * between. Otherwise nobody waits: sockets that are looked at too often give little each time, which costs a fifth of the speed.
 */
export async function yieldIfBusy(): Promise<void> {
  if (!isBusy()) return
  while (hasTaken) await nextTurn()
  hasTaken = true
  void nextTurn().then(() => (hasTaken = false))
}
