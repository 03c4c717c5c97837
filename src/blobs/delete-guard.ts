import type { BlobStore } from './blob-store.ts'

/**
 * Wraps a store so that it deletes nothing while `mayDelete` resolves to false. The next sweep that may
 * delete finds the remaining bytes, since no row references them and keys are never reused.
 */
export function guardDeletes(store: BlobStore, mayDelete: () => Promise<boolean>): BlobStore {
  return {
    ...store,
    async discard(key) {
      if (await mayDelete()) await store.discard(key)
    },
    async remove(key) {
      if (await mayDelete()) await store.remove(key)
    },
    quarantine: {
      ...store.quarantine,
      async remove(key, place) {
        if (await mayDelete()) await store.quarantine.remove(key, place)
      },
    },
  }
}
