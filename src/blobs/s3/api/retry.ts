import { setTimeout as wait } from 'node:timers/promises'

/** Waits 200 ms, doubled `tried` times, minus up to 50 % jitter. */
export const pause = (tried: number) => wait(200 * 2 ** tried * (0.5 + Math.random() / 2))

/**
 * Calls `look` up to three times until the result is not null: in some buckets a new object becomes visible
 * only after a moment.
 */
export async function retryWhileMissing<T>(look: () => Promise<T | null>): Promise<T | null> {
  for (const tried of [0, 1]) {
    const found = await look()
    if (found !== null) return found
    await pause(tried)
  }
  return look()
}
