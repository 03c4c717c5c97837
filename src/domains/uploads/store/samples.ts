import type { BlobStore } from '../../../blobs/blob-store.ts'
import type { Db } from '../../../database/database.ts'

const SAMPLE = 10
/** Around each random place in the order of keys so many are drawn from. */
const NEIGHBOURS = 5

/**
 * Ten blobs of the database whose bytes must be in its store, or all where it has fewer; none that is known to be damaged, and none up
 * to `after`. By seeks in the order of keys: to draw from all rows would read all of them.
 */
export async function sampleBlobs(db: Db, after: string | null): Promise<string[]> {
  const first = await blobsFrom(db, after, '', SAMPLE + 1)
  if (first.length <= SAMPLE) return first
  const [low = '', high = ''] = [first[0], await lastBlob(db)]
  const drawn = new Set([...first.slice(0, 1), high])
  for (let i = 0; i < SAMPLE; i += 1)
    for (const key of await blobsFrom(db, after, keyBetween(low, high), NEIGHBOURS)) drawn.add(key)
  for (const key of first) drawn.add(key)
  return shuffled([...drawn]).slice(0, SAMPLE)
}

/** Ten keys that lie in the store, whatever they are. */
export async function sampleKeys(blobs: BlobStore): Promise<string[]> {
  const keys = new Set<string>()
  const lists = [blobs.list('kept'), blobs.list('staged'), blobs.quarantine.list()]
  for (const list of lists)
    for await (const { key } of list) {
      keys.add(key)
      if (keys.size === SAMPLE) return [...keys]
    }
  return [...keys]
}

/** Whether any file of the database needs bytes, also where they are damaged. */
export async function hasBlobs(db: Db): Promise<boolean> {
  const needed = db.selectFrom('blobs').select('id').where('unreferencedAt', 'is', null)
  return (await needed.limit(1).executeTakeFirst()) !== undefined
}

/** Those of the keys that any row names. */
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

const sound = (db: Db) =>
  db
    .selectFrom('blobs')
    .select('id')
    .where('unreferencedAt', 'is', null)
    .where('damage', 'is', null)

async function blobsFrom(db: Db, after: string | null, from: string, limit: number) {
  const rows = await sound(db)
    .where('id', '>=', from)
    .$if(after !== null, (q) => q.where('id', '>', after))
    .orderBy('id')
    .limit(limit)
    .execute()
  return rows.map(({ id }) => id)
}

async function lastBlob(db: Db) {
  const last = await sound(db).orderBy('id', 'desc').limit(1).executeTakeFirst()
  return last?.id ?? ''
}

/** Keys are a prefix and 32 hex digits that begin with the time: a random number between two of them is a random time. */
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
