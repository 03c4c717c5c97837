import type { ServiceContext } from '../../../context.ts'
import type { Db } from '../../../database/database.ts'
import type { Place } from '../../../database/tables.ts'
import { uploadsById } from '../reads.ts'
import { isTerminal } from '../rules.ts'

const BATCH_SIZE = 100
export const places: Place[] = ['staged', 'kept']

/** An object in the store that no row refers to. */
export type Orphan = { key: string; place: Place; size: number }
type OrphanContext = Pick<ServiceContext, 'db' | 'blobs' | 'now'>
type ListOptions = { graceMs: number; signal?: AbortSignal | undefined }

/**
 * Lists the store in batches. Yields the number of objects in each batch, and those of them without a row
 * that are older than `graceMs`. Objects in quarantine are not counted.
 */
export async function* orphanBatches(
  s: OrphanContext,
  { graceMs, signal }: ListOptions,
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
    if (batch.push(item) < BATCH_SIZE) continue
    yield batch
    batch = []
  }
  if (batch.length > 0) yield batch
}

/** Returns the keys that have a row in quarantine. */
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

/**
 * Returns the keys that no row refers to. Reads uploads before blobs, because a terminal upload gets no new
 * blob row.
 */
export async function orphansAmong(
  { db }: Pick<ServiceContext, 'db'>,
  place: Place,
  keys: readonly string[],
): Promise<string[]> {
  if (keys.length === 0) return []
  const uploads = await uploadsById(db, keys)
  const terminal = keys.filter((_, index) => isTerminal(uploads[index]?.status ?? 'EXPIRED'))
  if (place === 'staged' || terminal.length === 0) return terminal
  const rows = await db.selectFrom('blobs').select('id').where('id', 'in', terminal).execute()
  const known = new Set(rows.map(({ id }) => id))
  return terminal.filter((key) => !known.has(key))
}
