import { setTimeout as wait } from 'node:timers/promises'

/** Waits with exponential backoff and jitter (`tried` counts from 0). */
export const pause = (tried: number) => wait(200 * 2 ** tried * (0.5 + Math.random() / 2))

/**
 * Calls `look` up to three times until it finds something: some buckets show a new object only a moment
 * later.
 */
export async function retryWhileMissing<T>(look: () => Promise<T | null>): Promise<T | null> {
  for (const tried of [0, 1]) {
    const found = await look()
    if (found !== null) return found
    await pause(tried)
  }
  return look()
}
