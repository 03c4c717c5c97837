export type Mutex = ReturnType<typeof createMutex>

/** Lets one in at a time, in the order in which they came. Between two of them the process hears of the world. */
export function createMutex() {
  const waiting: (() => void)[] = []
  let taken = false

  function leave() {
    const next = waiting.shift()
    // Not at once: a hundred that wait would else be one long moment in which nobody is answered.
    if (next) setImmediate(next)
    else taken = false
  }

  return {
    async take(): Promise<void> {
      if (taken) return new Promise((resolve) => waiting.push(resolve))
      taken = true
    },
    leave,
    isFree: () => !taken,
    leaveAfter<T>(act: () => T): T {
      try {
        return act()
      } finally {
        leave()
      }
    },
  }
}
