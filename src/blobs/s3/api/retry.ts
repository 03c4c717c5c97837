import { setTimeout as wait } from 'node:timers/promises'

/** Longer each time (`tried` from 0), and not just as long as that of others who were turned away at the same moment. */
export const pause = (tried: number) => wait(200 * 2 ** tried * (0.5 + Math.random() / 2))

/** Looks again, twice, for what must be there: some buckets show what was just written only a moment later. */
export async function retryWhileMissing<T>(look: () => Promise<T | null>): Promise<T | null> {
  for (const tried of [0, 1]) {
    const found = await look()
    if (found !== null) return found
    await pause(tried)
  }
  return look()
}
