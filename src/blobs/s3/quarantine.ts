import type { BlobStore, Quarantine } from '../blob-store.ts'

/**
 * Creates a quarantine that leaves objects at their names, because moving an object means copying it. Only
 * the caller's rows record which blobs are in quarantine.
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
