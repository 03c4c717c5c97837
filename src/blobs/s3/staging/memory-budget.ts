/** Who holds bytes in memory until there are enough for a part. */
export type Holder = {
  held: () => number
  /** Sends off at once what is held. */
  spill: () => void
}

export type MemoryBudget = ReturnType<typeof memoryBudget>

/**
 * How many bytes all uploads of the process together hold in memory. Who wants more waits in line. Bytes that are on their way
 * to the bucket come free by themselves; where none are, whoever holds most sends them off as they are, so that everybody gets on,
 * be the senders many and slow.
 */
export function memoryBudget(limitBytes: number) {
  const holders = new Set<Holder>()
  const line: { bytes: number; let: () => void }[] = []
  let [taken, leaving] = [0, 0]

  const fits = (bytes: number) => taken === 0 || taken + bytes <= limitBytes
  function serve() {
    for (let next = line[0]; next && fits(next.bytes); next = line[0]) {
      taken += next.bytes
      line.shift()
      next.let()
    }
    if (line.length > 0 && leaving === 0) largest()?.spill()
  }
  const largest = () =>
    [...holders].filter((holder) => holder.held() > 0).toSorted((a, b) => b.held() - a.held())[0]

  return {
    join: (holder: Holder) => void holders.add(holder),
    quit: (holder: Holder) => void holders.delete(holder),
    /** Waits until there is room for `bytes` more. */
    take(bytes: number): Promise<void> {
      const { promise, resolve } = Promise.withResolvers<void>()
      line.push({ bytes, let: resolve })
      serve()
      return promise
    },
    /** These are on their way to the bucket. */
    send(bytes: number) {
      leaving += bytes
    },
    /** And these have arrived there, or are given up. */
    free(bytes: number, { sent }: { sent: boolean }) {
      taken -= bytes
      if (sent) leaving -= bytes
      serve()
    },
  }
}
