import type { BlobStore } from '../../../blobs/blob-store.ts'
import type { Db } from '../../../database/database.ts'

const SAMPLE_SIZE = 10
/** Number of keys read at each random position. */
const NEIGHBOUR_COUNT = 5

/**
 * Returns up to ten random blobs whose bytes must exist in the store: not marked as damaged, and with ids
 * greater than `after`. Uses index lookups at random keys instead of reading all rows.
 */
export async function sampleBlobs(db: Db, after: string | null): Promise<string[]> {
  const first = await blobsFrom(db, after, '', SAMPLE_SIZE + 1)
  if (first.length <= SAMPLE_SIZE) return first
  const [low = '', high = ''] = [first[0], await lastBlob(db)]
  const drawn = new Set([...first.slice(0, 1), high])
  for (let i = 0; i < SAMPLE_SIZE; i += 1)
    for (const key of await blobsFrom(db, after, keyBetween(low, high), NEIGHBOUR_COUNT))
      drawn.add(key)
  for (const key of first) drawn.add(key)
  return shuffled([...drawn]).slice(0, SAMPLE_SIZE)
}

/** Returns up to ten arbitrary keys of the store. */
export async function sampleKeys(blobs: BlobStore): Promise<string[]> {
  const keys = new Set<string>()
  const lists = [blobs.list('kept'), blobs.list('staged'), blobs.quarantine.list()]
  for (const list of lists)
    for await (const { key } of list) {
      keys.add(key)
      if (keys.size === SAMPLE_SIZE) return [...keys]
    }
  return [...keys]
}

/** Returns whether a file of the database needs bytes. Includes damaged files. */
export async function hasBlobs(db: Db): Promise<boolean> {
  const needed = db.selectFrom('blobs').select('id').where('unreferencedAt', 'is', null)
  return (await needed.limit(1).executeTakeFirst()) !== undefined
}

/** Returns the keys that a row refers to. */
export async function knownKeys(db: Db, keys: readonly string[]): Promise<Set<string>> {
  if (keys.length === 0) return new Set()
  const rows = await db
    .selectFrom('uploads')
    .select('id')
    .where('id', 'in', keys)
    .union(db.selectFrom('blobs').select('id').where('id', 'in', keys))
    .union(db.selectFrom('quarantine').select('key as id').where('key', 'in', keys))
    .execute()
  return new Set(rows.map(({ id }) => id))
}

const undamagedBlobs = (db: Db) =>
  db
    .selectFrom('blobs')
    .select('id')
    .where('unreferencedAt', 'is', null)
    .where('damage', 'is', null)

async function blobsFrom(db: Db, after: string | null, from: string, limit: number) {
  const rows = await undamagedBlobs(db)
    .where('id', '>=', from)
    .$if(after !== null, (q) => q.where('id', '>', after))
    .orderBy('id')
    .limit(limit)
    .execute()
  return rows.map(({ id }) => id)
}

async function lastBlob(db: Db) {
  const last = await undamagedBlobs(db).orderBy('id', 'desc').limit(1).executeTakeFirst()
  return last?.id ?? ''
}

/** Returns a random key between two keys. A key is a prefix and 32 hex digits that start with the time. */
function keyBetween(low: string, high: string): string {
  const number = (key: string) => BigInt(`0x${key.slice(-32, -16)}`)
  const span = Number(number(high) - number(low))
  const at = number(low) + BigInt(Math.floor(Math.random() * Math.max(span, 0)))
  return `${low.slice(0, -32)}${at.toString(16).padStart(16, '0')}`
}

function shuffled<T>(items: T[]): T[] {
  for (let i = items.length - 1; i > 0; i -= 1) {
    const j = Math.floor(Math.random() * (i + 1))
    ;[items[i], items[j]] = [items[j] as T, items[i] as T]
  }
  return items
}
