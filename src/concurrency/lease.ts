/**
 * Calls `renew` every `intervalMs` until the result is disposed. A failed renewal is ignored: the next one
 * may succeed, and a lease that is not renewed expires. The timer does not keep the process alive.
 */
export function keepLease(intervalMs: number, renew: () => Promise<unknown>): Disposable {
  const timer = setInterval(() => void renew().catch(() => {}), intervalMs).unref()
  return { [Symbol.dispose]: () => clearInterval(timer) }
}
