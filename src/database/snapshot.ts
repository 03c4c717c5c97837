/** Bytes that a row refers to, as it knows them. */
export type BlobEntry = { id: string; size: number; sha256: string }

/** All rows as they were at one moment, whatever is written meanwhile. */
export type Snapshot = {
  /** Writes them into a new file. */
  dump: (path: string) => Promise<void>
  /** The blobs that files refer to at that moment, without those that are known to be damaged. */
  blobs: () => AsyncIterable<BlobEntry>
} & AsyncDisposable

/** Where both databases hold them: what their rows know to be damaged cannot be copied. */
export const blobsAfter = (parameter: string) =>
  `select "id", "size", "sha256" from "blobs" where "unreferencedAt" is null and "damage" is null
   and "id" > ${parameter} order by "id" limit 1000`
