import type { Readable } from 'node:stream'
import type { Checksum } from './streams/checksum.ts'

/**
 * Bytes, by key. The rows elsewhere give a key its meaning; a key (`upl_` and 32 hex digits) is made by the house, never by a
 * client, and what does not look like one is refused with a TypeError before anything is touched.
 *
 * A key lives twice. While its upload is open it is staged: bytes are appended at an offset that the caller
 * keeps, and what lies beyond that offset counts for nothing. Adopted, it is kept: written once, never changed,
 * read by range, removed when nobody refers to it. Keys are never used again. An upload of no bytes is a key like others.
 *
 * Every step can be repeated after a crash: staging what is staged or kept, adopting what is adopted, and removing
 * what is gone are not errors. Faults of the disk or bucket, and bytes that should be there and are not, are
 * StorageError with the cause kept. Only one may append to a key at a time: who that is, the caller decides.
 */
export interface BlobStore {
  /**
   * Makes room for a new upload: an empty staged key. Bytes that are there stay. `size`: how many will come, where that is
   * known; a bucket cuts its parts by it, and a disk waits for the first of them.
   */
  stage(key: string, size?: number | null): Promise<void>
  /**
   * Writes `source` at `offset`, after cutting off whatever lay beyond it, and returns the new length. Ends when the
   * source ends, when it breaks, or when `signal` says so: what arrived before is kept. Before a length is told it is durable:
   * `onDurable` hears of it every 64 MiB or ten seconds or so, the result says the last. On a fault of the disk, and when
   * `onDurable` throws, what nobody was told of counts for nothing. The source is left to its owner, not destroyed.
   *
   * With a checksum nothing counts before all of it is proven: `onDurable` stays silent; bytes that do not fit are cut off and
   * ChecksumMismatch is thrown, or `offset` returned where the source broke before its end.
   */
  append(key: string, offset: number, source: Readable, options?: AppendOptions): Promise<number>
  /**
   * sha256 (lower-case hex) of the first `size` bytes, staged or already adopted: known from the writing, else they are
   * read once more. StorageError where fewer are there.
   */
  sha256(key: string, size: number): Promise<string>
  /** The first bytes of a key, staged or already adopted, at most `length`. */
  peek(key: string, length: number): Promise<Uint8Array>
  /** For when bytes that were appended here do not count, since another process writes now: what is remembered of them is forgotten. */
  distrust?(key: string): void
  /** Forgets a staged key and its bytes; a kept one is not touched. */
  discard(key: string): Promise<void>
  /** Moves a staged key among the kept, durably; when this returns, its bytes survive a loss of power. */
  adopt(key: string): Promise<void>
  /**
   * Bytes `start` to `end`, both included (to the last where `end` is absent); throws StorageError where the key is not kept.
   * The stream is to be read or destroyed, else it holds the file open.
   */
  open(key: string, range?: ByteRange): Promise<Readable>
  /**
   * Opens as `open` does, where the store can tell by a file's stamp whether anything was written to it
   * since: a change of its bytes, and any other change of the file, gives it another stamp.
   */
  openStamped?(key: string, range?: ByteRange): Promise<StampedRead>
  /** Forgets a kept key and its bytes; who reads them at this moment reads to the end. */
  remove(key: string): Promise<void>
  /** Keys that are there, with their bytes' number and age (milliseconds since 1970), for those who look after the house. */
  list(where: 'staged' | 'kept'): AsyncIterable<{ key: string; size: number; modifiedAt: number }>
  /** Objects that the sweeper has put aside; every method above still finds them. */
  quarantine: Quarantine
  /** Says which installation the store belongs to. */
  record: StoreRecordFile
  /** The bucket's own doors, where the store is a bucket: bytes that do not pass through the house. */
  direct?: PresignedUrls
}

export type Place = 'staged' | 'kept'

/** Objects are put aside before they are deleted. A bucket leaves them in place: there the caller's rows alone say which they are. */
export type Quarantine = {
  /** Puts an object aside, durably; one that does not exist is no error. */
  move(key: string, place: Place): Promise<void>
  /** Puts an object back where it was; one that is not in quarantine is no error. */
  takeBack(key: string, place: Place): Promise<void>
  /** Whether the store itself has it aside. */
  has(key: string, place: Place): Promise<boolean>
  /** Lists what is in quarantine, as far as the store itself knows. */
  list(): AsyncIterable<{ key: string; place: Place; size: number }>
  /** Deletes an object that is in quarantine for good. */
  remove(key: string, place: Place): Promise<void>
}

/** What a store says of itself: its installation, and the number and stamp of the last start that used it. */
export type StoreRecord = { installation: string; number: number; stamp: string }

/** The one place in the store where its record is. Replacing never writes over what another process wrote since `version`. */
export type StoreRecordFile = {
  /** Returns the record, or null if the store has none; throws if it cannot be read or understood. */
  read(): Promise<{ record: StoreRecord; version: string } | null>
  /** Writes the first record; false where there is one already. */
  create(record: StoreRecord): Promise<boolean>
  /** Writes the next record; false where another process was first. */
  replace(record: StoreRecord, version: string): Promise<boolean>
}

/** A read of a file that stays open until `bytes` are destroyed, which their end does not do. */
export type StampedRead = {
  bytes: Readable
  /** `changedAt` in milliseconds since 1970. */
  stamp: () => Promise<{ id: string; changedAt: number }>
  /** The number and sha256 of the first `size` bytes, fewer where there are fewer, beside what is read. */
  hash: (size: number) => Promise<{ size: number; sha256: string }>
}

/** URLs that let whoever holds one do one thing with one key, until `expiresAt` (milliseconds since 1970; a week at most). */
export type PresignedUrls = {
  /** One PUT brings the whole body, of exactly `size` bytes; `headers` go with it. For at most 5 GiB. */
  putUrl(key: string, wanted: PutWanted): Promise<{ url: string; headers: Record<string, string> }>
  /** One PUT brings one part; parts are `partSize` bytes each, but for the last, and may come in any order and at once. */
  partSize(size: number): number
  partUrl(key: string, wanted: PutWanted & { number: number }): Promise<string>
  /** How many of `size` bytes are there by these doors: all of them, or 0. What parts brought is put together by adopt. */
  arrived(key: string, size: number): Promise<number>
  getUrl(key: string, wanted: GetWanted): Promise<string>
}
type PutWanted = { size: number; expiresAt: number }
type GetWanted = { expiresAt: number; contentType: string; contentDisposition: string }

type ByteRange = { start: number; end?: number }

export type AppendOptions = {
  checksum?: Checksum | undefined
  /** The place to commit the offset: called once for each, one after the other, while more may already be written behind it. */
  onDurable?: ((offset: number) => Promise<void>) | undefined
  /** Stop reading, keep what arrived. */
  signal?: AbortSignal | undefined
  /**
   * Is asked right before bytes are written or cut off, and throws where that is another process's business by now. A store
   * that finds out by itself who may write needs not ask.
   */
  mayWrite?: (() => void) | undefined
  /** Is asked before so many bytes are written to a disk, and throws StorageError where it has no room for them. */
  admit?: ((bytes: number) => Promise<void>) | undefined
  /** Nobody else has what `source` brings: its memory may be given back as soon as it is written. */
  mayFree?: boolean | undefined
}
