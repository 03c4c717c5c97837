import type { BlobStore, StoreRecordFile } from '../../../blobs/blob-store.ts'
import { checkSize } from '../../../blobs/verify.ts'
import type { Db } from '../../../database/database.ts'
import { type Installation, installationOf, isKnownStamp } from './installation.ts'
import { hasBlobs, knownKeys, sampleBlobs, sampleKeys } from './samples.ts'

export type FoundRecord = NonNullable<Awaited<ReturnType<StoreRecordFile['read']>>>

/** The result of comparing a store with a database. `found` is the record of the store. */
export type Verdict = { own: Installation; found: FoundRecord | null } & (
  | { kind: 'own' }
  /** The store has no record, and its objects belong to this database. */
  | { kind: 'unmarked' }
  /** `isMissing`: too many of the sampled files of the database were not found in the store. */
  | { kind: 'foreign'; because: string; isMissing: boolean }
)

/**
 * Compares the store with the database without changing either. Reads the record of the store before the
 * rows, because another server commits a new stamp to the database before it writes it to the store. Throws
 * if store or database cannot be read.
 */
export async function evaluateStore(s: { db: Db; blobs: BlobStore }): Promise<Verdict> {
  const found = await s.blobs.record.read()
  const own = await installationOf(s.db)
  const both = { own, found }
  const id = found?.record.installation ?? null
  const isOther = id !== null && id !== own.id
  const mismatch = await findMismatch(s, own, found !== null)
  const because = isOther
    ? `the store belongs to installation ${id}, the database to installation ${own.id}`
    : mismatch?.because
  const isMissing = mismatch?.isMissing ?? false
  if (because) return { ...both, kind: 'foreign', because, isMissing }
  return { ...both, kind: found ? 'own' : 'unmarked' }
}

/** Returns whether the store was used with another database, or with a later state of this one. */
export const isAhead = async (db: Db, found: FoundRecord | null): Promise<boolean> =>
  found !== null && !(await isKnownStamp(db, found.record.stamp))

/**
 * Returns the only valid value of ADOPT_STORE. It contains a counter of stamps, so that it can be used only
 * once.
 */
export const adoptionPermit = ({ own, found }: Verdict) =>
  `${own.id}/${found?.record.installation ?? 'none'}/${own.starts}`

/** Returns whether at most 30 % are missing, which indicates damage rather than another store. */
const isMostlyPresent = (present: number, of: number) => of - present <= Math.floor(of * 0.3)

/** Returns why the content of the store does not match the database, or null if it matches. */
async function findMismatch(
  { db, blobs }: { db: Db; blobs: BlobStore },
  own: Installation,
  isMarked: boolean,
): Promise<{ because: string; isMissing: boolean } | null> {
  const sample = await sampleBlobs(db, own.acceptedUpTo)
  if (sample.length === 0) {
    const because = isMarked ? null : await findUnmarkedMismatch(db, blobs)
    return because === null ? null : { because, isMissing: false }
  }
  const missing = await Promise.all(
    sample.map(async (key) => (await checkSize(blobs, key, 0)) === 'MISSING'),
  )
  const present = missing.filter((isMissing) => !isMissing).length
  if (present > 0 && (isMarked || isMostlyPresent(present, sample.length))) return null
  const found = present === 0 ? 'none' : `only ${present}`
  const because = `of ${sample.length} sampled files of the database, ${found} could be found in the store`
  return { because, isMissing: true }
}

/**
 * Compares a store without a record with a database without files to sample. The objects of the store must be
 * known to the database, and the store must not be empty if the database has files, including damaged ones
 * and those whose loss was accepted.
 */
async function findUnmarkedMismatch(db: Db, blobs: BlobStore) {
  const keys = await sampleKeys(blobs)
  if (keys.length === 0)
    return (await hasBlobs(db)) ? 'the store is empty, but the database has files' : null
  const known = await knownKeys(db, keys)
  if (isMostlyPresent(known.size, keys.length)) return null
  return `of ${keys.length} sampled files of the store, the database knows ${known.size === 0 ? 'none' : `only ${known.size}`}`
}
