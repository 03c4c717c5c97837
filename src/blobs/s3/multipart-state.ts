/** One part of a multipart upload, as the bucket took it. */
export type Part = { number: number; etag: string; size: number }

/** An object of its own that holds bytes from `start` of the upload on; of the object only the first `size` bytes count. */
export type Tail = { name: string; start: number; size: number }

/** What is durable of a key whose bytes are still arriving: `inParts` bytes in parts 1, 2, …, then the tails. */
export type Staged = {
  key: string
  /** How many bytes will come; null: not known. */
  size: number | null
  partSize: number
  multipartId: string | null
  /** Rises with every append: who holds an older one writes nothing any more. */
  turn: number
  length: number
  inParts: number
  /** ETag of the object at its final place, once all bytes are there as one; then there are no parts. */
  whole: string | null
  /** By `start`; some may lie below `inParts` still, or overlap nothing else. */
  tails: Tail[]
}

/** What changes at once. Tails and parts that are named replace those of the same name or number. */
export type Change = Partial<Pick<Staged, 'length' | 'inParts' | 'multipartId' | 'whole'>> & {
  parts?: Part[]
  tails?: Tail[]
  dropTails?: string[]
  /** The parts with a higher number go. */
  partsUpTo?: number
}

/**
 * Where the store writes down what the bucket holds of staged keys, so that it need not ask. Rows of the house's database;
 * this folder does not know it, so who opens the store hands the ledger in.
 */
export type MultipartStore = {
  /** A key without bytes. Where it is known its bytes stay, and a size that was not known is learnt while no part is there. */
  stage(key: string, about: Pick<Staged, 'size' | 'partSize'>): Promise<void>
  load(key: string): Promise<Staged | null>
  /** As load, with the next turn. */
  takeTurn(key: string): Promise<Staged | null>
  /** All of `change` or nothing; false where `turn` is over or the key forgotten. */
  write(key: string, turn: number, change: Change): Promise<boolean>
  /** Names the multipart upload where none is named yet; answers which one it is now, null where the key is not staged. */
  nameMultipart(key: string, multipartId: string): Promise<string | null>
  parts(key: string): Promise<Part[]>
  forget(key: string): Promise<void>
  list(): AsyncIterable<{ key: string; size: number; modifiedAt: number }>
  /** Which of these are staged. */
  known(keys: string[]): Promise<Set<string>>
}
