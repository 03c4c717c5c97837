/** An upload that buffers bytes until they fill a part. */
export type Holder = {
  held: () => number
  /** Sends the buffered bytes at once. */
  spill: () => void
}

export type MemoryBudget = ReturnType<typeof createMemoryBudget>

/**
 * Limits the bytes that all uploads of the process buffer in total. Requests for more wait in a queue. Bytes
 * that are being sent are freed when the bucket has stored them. If none are being sent, the upload that
 * buffers most sends its bytes early, so that many slow uploads cannot block each other.
 */
export function createMemoryBudget(limitBytes: number) {
  const holders = new Set<Holder>()
  const queue: { bytes: number; grant: () => void }[] = []
  let [used, sending] = [0, 0]

  const fits = (bytes: number) => used === 0 || used + bytes <= limitBytes
  function serve() {
    for (let next = queue[0]; next && fits(next.bytes); next = queue[0]) {
      used += next.bytes
      queue.shift()
      next.grant()
    }
    if (queue.length > 0 && sending === 0) largest()?.spill()
  }
  const largest = () =>
    [...holders].filter((holder) => holder.held() > 0).toSorted((a, b) => b.held() - a.held())[0]

  return {
    join: (holder: Holder) => void holders.add(holder),
    quit: (holder: Holder) => void holders.delete(holder),
    /** Resolves when `bytes` more are available. */
    take(bytes: number): Promise<void> {
      const { promise, resolve } = Promise.withResolvers<void>()
      queue.push({ bytes, grant: resolve })
      serve()
      return promise
    },
    /** Counts buffered bytes as being sent. */
    send(bytes: number) {
      sending += bytes
    },
    /** Frees bytes that were stored or dropped. */
    free(bytes: number, { sent }: { sent: boolean }) {
      used -= bytes
      if (sent) sending -= bytes
      serve()
    },
  }
}
