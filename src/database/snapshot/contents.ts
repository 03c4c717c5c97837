/** The recorded id, size in bytes and checksum of a blob. */
export type BlobEntry = { id: string; size: number; sha256: string }

/** A consistent view of all rows at one moment, unaffected by later writes. */
export type Snapshot = {
  /** Writes all rows into a new file at `path`. */
  dump: (path: string) => Promise<void>
  /** Iterates over the referenced blobs, except those that are known to be damaged. */
  blobs: () => AsyncIterable<BlobEntry>
} & AsyncDisposable

/** Returns the SQL for a page of referenced blobs, for both databases. Damaged blobs cannot be copied. */
export const blobsAfter = (parameter: string) =>
  `select "id", "size", "sha256" from "blobs" where "unreferencedAt" is null and "damage" is null
   and "id" > ${parameter} order by "id" limit 1000`
