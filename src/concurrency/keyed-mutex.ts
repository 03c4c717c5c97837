import { withDeadline } from './deadline.ts'

export type KeyedMutex = ReturnType<typeof createKeyedMutex>

/** Creates mutexes by key, with a FIFO queue each. A key without holder takes no memory. */
export function createKeyedMutex() {
  const tails = new Map<string, Promise<void>>()

  /**
   * Resolves with a function that releases the key, when all earlier holders have released it; null if that
   * takes longer than `timeoutMs`.
   */
  async function acquire(key: string, timeoutMs?: number): Promise<(() => void) | null> {
    const previous = tails.get(key)
    const { promise, resolve } = Promise.withResolvers<void>()
    tails.set(key, promise)
    const release = () => {
      if (tails.get(key) === promise) tails.delete(key)
      resolve()
    }
    if (!previous) return release
    const free = previous.then(() => true)
    if (timeoutMs === undefined ? await free : await withDeadline(free, timeoutMs, false))
      return release
    // Later calls wait for the previous holder in place of this call.
    void previous.then(release)
    return null
  }

  return {
    acquire,
    /** Runs `fn` while it holds the key. */
    async run<T>(key: string, fn: () => Promise<T>): Promise<T> {
      const release = await acquire(key)
      try {
        return await fn()
      } finally {
        release?.()
      }
    },
  }
}
