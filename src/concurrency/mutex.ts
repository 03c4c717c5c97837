/** Creates a mutex with a FIFO queue. It yields to the event loop between two holders. */
export function createMutex() {
  const waiting: (() => void)[] = []
  let isHeld = false

  function release() {
    const next = waiting.shift()
    // Not synchronously: a hundred waiting callers would block the event loop until the last one is done.
    if (next) setImmediate(next)
    else isHeld = false
  }

  return {
    async acquire(): Promise<void> {
      if (isHeld) return new Promise((resolve) => waiting.push(resolve))
      isHeld = true
    },
    release,
    isFree: () => !isHeld,
    /** Runs `fn` and releases the mutex afterwards. */
    releaseAfter<T>(fn: () => T): T {
      try {
        return fn()
      } finally {
        release()
      }
    },
  }
}
