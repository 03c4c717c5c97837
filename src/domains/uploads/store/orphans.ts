import type { ServiceContext } from '../../../context.ts'
import type { Db } from '../../../database/database.ts'
import type { Place } from '../../../database/tables.ts'
import { uploadsById } from '../reads.ts'
import { isTerminal } from '../rules.ts'

const BATCH = 100
export const places: Place[] = ['staged', 'kept']

/** An object of the store that no row knows. */
export type Orphan = { key: string; place: Place; size: number }
type OrphanScope = Pick<ServiceContext, 'db' | 'blobs' | 'now'>
type Wanted = { graceMs: number; signal?: AbortSignal | undefined }

/**
 * Lists the store by batches: how many objects each has, and which of them no row knows once they are older than `graceMs`. What is in
 * quarantine already counts as neither.
 */
export async function* orphanBatches(
  s: OrphanScope,
  { graceMs, signal }: Wanted,
): AsyncGenerator<{ count: number; orphans: Orphan[] }> {
  for (const place of places)
    for await (const objects of batches(s.blobs.list(place))) {
      signal?.throwIfAborted()
      const old = objects.filter(({ modifiedAt }) => modifiedAt <= s.now() - graceMs)
      const orphans = await orphansAmong(s, place, old.map(keyOf))
      const known = await inQuarantine(s.db, place, orphans)
      const isFound = new Set(orphans.filter((key) => !known.has(key)))
      yield {
        count: objects.length - known.size,
        orphans: old
          .filter(({ key }) => isFound.has(key))
          .map(({ key, size }) => ({ key, place, size })),
      }
    }
}

const keyOf = ({ key }: { key: string }) => key

async function* batches<T>(items: AsyncIterable<T>): AsyncGenerator<T[]> {
  let batch: T[] = []
  for await (const item of items) {
    if (batch.push(item) < BATCH) continue
    yield batch
    batch = []
  }
  if (batch.length > 0) yield batch
}

/** Those of the keys that are in quarantine, as the rows have it. */
export async function inQuarantine(
  db: Db,
  place: Place,
  keys: readonly string[],
): Promise<Set<string>> {
  if (keys.length === 0) return new Set()
  const rows = await db
    .selectFrom('quarantine')
    .select('key')
    .where('place', '=', place)
    .where('key', 'in', keys)
    .execute()
  return new Set(rows.map(keyOf))
}

/** Those of the keys that no row knows. The upload is asked first: from one that is over no blob row will come. */
export async function orphansAmong(
  { db }: Pick<ServiceContext, 'db'>,
  place: Place,
  keys: readonly string[],
): Promise<string[]> {
  if (keys.length === 0) return []
  const uploads = await uploadsById(db, keys)
  const over = keys.filter((_, index) => isTerminal(uploads[index]?.status ?? 'EXPIRED'))
  if (place === 'staged' || over.length === 0) return over
  const rows = await db.selectFrom('blobs').select('id').where('id', 'in', over).execute()
  const known = new Set(rows.map(({ id }) => id))
  return over.filter((key) => !known.has(key))
}
