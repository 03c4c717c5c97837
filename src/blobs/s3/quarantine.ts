import type { BlobStore, Quarantine } from '../blob-store.ts'

/**
 * Leaves objects where they are, because moving an object means copying it. The caller's rows say which blobs
 * are in quarantine.
 */
export const s3Quarantine = ({
  discard,
  remove,
}: Pick<BlobStore, 'discard' | 'remove'>): Quarantine => ({
  async move() {},
  async restore() {},
  has: async () => false,
  async *list() {},
  remove: (key, place) => (place === 'staged' ? discard(key) : remove(key)),
})
