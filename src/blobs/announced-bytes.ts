/** An upload that receives no bytes for this time no longer reserves disk space. */
const MAX_IDLE_MS = 3_600_000

/** Tracks the bytes that open uploads of this process have announced but not sent yet, by key. */
export function createAnnouncedBytes(now = () => performance.now()) {
  const byKey = new Map<string, { bytes: number; at: number }>()
  let total = 0

  function remove(key: string) {
    total -= byKey.get(key)?.bytes ?? 0
    byKey.delete(key)
  }

  /** Re-inserts the key, so that the map is ordered by idle time, longest first. */
  function set(key: string, bytes: number) {
    remove(key)
    byKey.set(key, { bytes, at: now() })
    total += bytes
  }

  return {
    set,
    remove,
    has: (key: string) => byKey.has(key),
    /** Subtracts received bytes. */
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
