import type { BlobStore } from './blob-store.ts'

/**
 * The same store, which deletes nothing while `mayDelete` says no. What stays behind is no row's any more, and is found by the next
 * sweep that is allowed. Keys are never used again.
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
