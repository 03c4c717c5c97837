/**
 * Creates a queue that runs at most `concurrency` jobs at a time and yields their results in the order of
 * start.
 */
export function createOrderedQueue<T>(concurrency: number) {
  const finished: T[] = []
  const running = new Set<Promise<unknown>>()
  let inOrder = Promise.resolve()
  let failure: { cause: unknown } | undefined

  return {
    /** Waits until another job may start. */
    async slot(): Promise<void> {
      while (running.size >= concurrency) await Promise.race(running)
    },
    /** Starts a job at once. After a failed job, no more results are yielded. */
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
    /** Returns the finished results up to the first job that still runs, each result once. */
    takeFinished: () => finished.splice(0),
    /** Waits until no job is running. */
    settled: () => inOrder,
  }
}
