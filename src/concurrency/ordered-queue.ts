/** Jobs that run a few at a time and whose results are taken in the order in which they were started. */
export function createOrderedQueue<T>(atOnce: number) {
  const finished: T[] = []
  const running = new Set<Promise<unknown>>()
  let inOrder = Promise.resolve()
  let failure: { cause: unknown } | undefined

  return {
    /** Waits until another job may start. */
    async slot(): Promise<void> {
      while (running.size >= atOnce) await Promise.race(running)
    },
    /** Starts at once. Of a job that fails, and of those after it, nothing is ever taken. */
    start(job: () => Promise<T>): Promise<unknown> {
      const started = job()
      const settled = started.then(
        () => {},
        (cause) => {
          failure ??= { cause }
        },
      )
      running.add(settled)
      void settled.then(() => running.delete(settled))
      inOrder = inOrder.then(async () => {
        await settled
        if (!failure) finished.push(await started)
      })
      return settled
    },
    isIdle: () => running.size === 0,
    hasFinished: () => finished.length > 0,
    lastFinished: () => finished.at(-1),
    throwIfFailed() {
      if (failure) throw failure.cause
    },
    /** What has finished without a gap, each once. */
    takeFinished: () => finished.splice(0),
    /** Waits until nothing runs any more. */
    settled: () => inOrder,
  }
}
