/** A part of a multipart upload as the bucket has stored it. */
export type Part = { number: number; etag: string; size: number }

/**
 * A separate object with bytes of the upload, from offset `start`, that do not fill a part yet. Only its
 * first `size` bytes count.
 */
export type IncompletePart = { name: string; start: number; size: number }

/** The durable state of a staged key: `inParts` bytes in parts 1, 2, …, followed by the incomplete parts. */
export type Staged = {
  key: string
  /** The expected number of bytes; null if it is not known. */
  size: number | null
  partSize: number
  multipartId: string | null
  /** Increases with every append. A writer with an older token can no longer write. */
  fencingToken: number
  length: number
  inParts: number
  /**
   * The ETag of the object at its final name once all bytes are in one object; parts no longer count then.
   */
  whole: string | null
  /** Ordered by `start`. Some may be below `inParts` or superseded by others. */
  incompleteParts: IncompletePart[]
}

/** An atomic change of the state. Parts and incomplete parts replace those with the same number or name. */
export type Change = Partial<Pick<Staged, 'length' | 'inParts' | 'multipartId' | 'whole'>> & {
  parts?: Part[]
  incompleteParts?: IncompletePart[]
  removedIncompleteParts?: string[]
  /** Deletes the parts with a higher number. */
  partsUpTo?: number
}

/**
 * Records what the bucket holds of staged keys, so that the bucket need not be queried. The rows are in the
 * database, which this folder does not depend on: the caller provides the implementation.
 */
export type MultipartStore = {
  /**
   * Creates the state of a key without bytes. An existing state stays; its size is set if it was unknown and
   * no part exists.
   */
  stage(key: string, about: Pick<Staged, 'size' | 'partSize'>): Promise<void>
  load(key: string): Promise<Staged | null>
  /** Loads the state and increments its fencing token; returns null if the key is not staged. */
  acquireFencingToken(key: string): Promise<Staged | null>
  /**
   * Applies all of `change` or nothing; returns false if the fencing token is outdated or the key was
   * deleted.
   */
  write(key: string, fencingToken: number, change: Change): Promise<boolean>
  /**
   * Sets the multipart upload unless one is set. Returns the current one, or null if the key is not staged.
   */
  nameMultipart(key: string, multipartId: string): Promise<string | null>
  parts(key: string): Promise<Part[]>
  delete(key: string): Promise<void>
  list(): AsyncIterable<{ key: string; size: number; modifiedAt: number }>
  /** Returns which of these keys are staged. */
  known(keys: string[]): Promise<Set<string>>
}
