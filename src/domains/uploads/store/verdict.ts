import type { BlobStore, StoreRecordFile } from '../../../blobs/blob-store.ts'
import { checkSize } from '../../../blobs/verify.ts'
import type { Db } from '../../../database/database.ts'
import { type Installation, installationOf, isKnownStamp } from './installation.ts'
import { hasBlobs, knownKeys, sampleBlobs, sampleKeys } from './samples.ts'

export type FoundRecord = NonNullable<Awaited<ReturnType<StoreRecordFile['read']>>>

/** Whether a store and a database belong together: `found` is what the store says of itself. */
export type Verdict = { own: Installation; found: FoundRecord | null } & (
  | { kind: 'own' }
  /** The store says nothing, and what lies in it is of this database. */
  | { kind: 'unmarked' }
  /** `isMissing`: files of the database were looked for, and are not there. */
  | { kind: 'foreign'; because: string; isMissing: boolean }
)

/**
 * Compares the store with the database and changes nothing. The record of the store is read before the rows: a stamp that another
 * server writes meanwhile is committed before. Throws what stands in the way of reading either.
 */
export async function evaluateStore(s: { db: Db; blobs: BlobStore }): Promise<Verdict> {
  const found = await s.blobs.record.read()
  const own = await installationOf(s.db)
  const both = { own, found }
  const id = found?.record.installation ?? null
  const isOther = id !== null && id !== own.id
  const misfit = await misfitOf(s, own, found !== null)
  const because = isOther
    ? `the store belongs to installation ${id}, the database to installation ${own.id}`
    : misfit?.because
  const isMissing = misfit?.isMissing ?? false
  if (because) return { ...both, kind: 'foreign', because, isMissing }
  return { ...both, kind: found ? 'own' : 'unmarked' }
}

/** Whether the store was used since with another database, or with a later state of this one. */
export const isAhead = async (db: Db, found: FoundRecord | null): Promise<boolean> =>
  found !== null && !(await isKnownStamp(db, found.record.stamp))

/** The one value of ADOPT_STORE that holds now, and once: it names database, store, and how often they were confirmed. */
export const permitOf = ({ own, found }: Verdict) =>
  `${own.id}/${found?.record.installation ?? 'none'}/${own.starts}`

/** Three of ten may be missing: they are damage, and no sign of another store. */
const isMost = (present: number, of: number) => of - present <= Math.floor(of * 0.3)

/** Why the content of the store is not that of the database, in words; null where it is. */
async function misfitOf(
  { db, blobs }: { db: Db; blobs: BlobStore },
  own: Installation,
  isMarked: boolean,
): Promise<{ because: string; isMissing: boolean } | null> {
  const sample = await sampleBlobs(db, own.acceptedUpTo)
  if (sample.length === 0) {
    const because = isMarked ? null : await unmarkedWords(db, blobs)
    return because === null ? null : { because, isMissing: false }
  }
  const missing = await Promise.all(
    sample.map(async (key) => (await checkSize(blobs, key, 0)) === 'MISSING'),
  )
  const present = missing.filter((isMissing) => !isMissing).length
  if (present > 0 && (isMarked || isMost(present, sample.length))) return null
  const [there, asked] = [present === 0 ? 'none' : `only ${present}`, sample.length]
  const because = `of ${asked} files of the database that were looked for in the store, ${there} could be found`
  return { because, isMissing: true }
}

/**
 * For a database without files to look for and a store that says nothing: what lies in it has to be known to the database. It is not
 * empty where the database has files, also damaged ones and those whose loss was accepted.
 */
async function unmarkedWords(db: Db, blobs: BlobStore) {
  const keys = await sampleKeys(blobs)
  if (keys.length === 0)
    return (await hasBlobs(db)) ? 'the store is empty, and the database has files' : null
  const known = await knownKeys(db, keys)
  if (isMost(known.size, keys.length)) return null
  return `the store holds files, and the database knows ${known.size === 0 ? 'none' : `only ${known.size}`} of ${keys.length} that were looked at`
}
