import type { BlobStore, Quarantine } from '../blob-store.ts'

/** Objects of a bucket stay where they are: to move them is to copy them. The caller's rows say which are in quarantine. */
export const s3Quarantine = ({
  discard,
  remove,
}: Pick<BlobStore, 'discard' | 'remove'>): Quarantine => ({
  async move() {},
  async takeBack() {},
  has: async () => false,
  async *list() {},
  remove: (key, place) => (place === 'staged' ? discard(key) : remove(key)),
})
