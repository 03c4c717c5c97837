/** An upload that says nothing for so long holds no room of the disk back from others. */
const MAX_IDLE_MS = 3_600_000

/** Bytes that open uploads of this process will still bring, by key. */
export function createAnnouncedBytes(now = () => performance.now()) {
  const byKey = new Map<string, { bytes: number; at: number }>()
  let total = 0

  function remove(key: string) {
    total -= byKey.get(key)?.bytes ?? 0
    byKey.delete(key)
  }

  /** The one that has been idle for longest is the first of the map. */
  function set(key: string, bytes: number) {
    remove(key)
    byKey.set(key, { bytes, at: now() })
    total += bytes
  }

  return {
    set,
    remove,
    has: (key: string) => byKey.has(key),
    /** So many of its bytes have come. */
    subtract(key: string, bytes: number) {
      const known = byKey.get(key)
      if (known) set(key, Math.max(0, known.bytes - bytes))
    },
    totalBytes(): number {
      for (const [key, { at }] of byKey) {
        if (at >= now() - MAX_IDLE_MS) break
        remove(key)
      }
      return total
    },
  }
}
