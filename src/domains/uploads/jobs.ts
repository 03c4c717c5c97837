import type { Scope } from '../../scope.ts'
import { inTransaction } from '../../scope.ts'
import { endUpload, forgetBytes, tellEnd } from './endings.ts'
import { uploadsById } from './reads.ts'
import { isOver, statusesBefore } from './rules.ts'

const BATCH = 100
const HOUR_MS = 3_600_000

/** Ends the uploads whose time is over: their bytes go, their room is given back. Answers how many; may run anywhere, any number of times. */
export async function expireUploads(scope: Scope, signal?: AbortSignal): Promise<number> {
  let count = 0
  for (;;) {
    signal?.throwIfAborted()
    const ids = await overdue(scope)
    for (const id of ids) if (await expireUpload(scope, id)) count += 1
    if (ids.length < BATCH) return count
  }
}

async function overdue({ db, now }: Scope): Promise<string[]> {
  const rows = await db
    .selectFrom('uploads')
    .select('id')
    .where('status', 'in', statusesBefore('EXPIRED'))
    .where('expiresAt', '<=', now())
    .limit(BATCH)
    .execute()
  return rows.map(({ id }) => id)
}

/** Ends one upload whose time is over; false where it is not, or where it has ended otherwise. */
export async function expireUpload(scope: Scope, id: string): Promise<boolean> {
  const ended = await inTransaction(scope, async (s) => {
    const ended = await endUpload(s, { id }, 'EXPIRED')
    if (ended) await tellEnd(s, ended, 'UPLOAD_EXPIRED')
    return ended
  })
  if (ended) await forgetBytes(scope.blobs, id)
  return ended !== null
}

/**
 * Puts back what a confirm left PROCESSING when it died, unless a job goes on with it: it waits for the next confirm, or for its
 * end. Answers how many.
 */
export async function releaseDeadConfirms({ db, now }: Scope): Promise<number> {
  const { numUpdatedRows } = await db
    .updateTable('uploads')
    .set((eb) => ({ status: 'RECEIVED', leaseUntil: null, fence: eb('fence', '+', 1) }))
    .where('status', '=', 'PROCESSING')
    .where('leaseUntil', '<=', now())
    .where('confirmJob', 'is', null)
    .executeTakeFirst()
  return Number(numUpdatedRows)
}

/**
 * Takes away bytes that no row knows, once they are older than `graceMs`: what a crash left between bytes and rows. An
 * upload that is not over keeps its bytes, staged or adopted; a kept blob with a row is its row's. Answers the keys.
 */
export async function sweepOrphans(
  scope: Scope,
  { graceMs = 24 * HOUR_MS, signal }: { graceMs?: number; signal?: AbortSignal } = {},
): Promise<string[]> {
  const swept: string[] = []
  for (const where of ['staged', 'kept'] as const) {
    for await (const keys of oldKeys(scope, where, graceMs)) {
      signal?.throwIfAborted()
      const orphans = await orphansAmong(scope, where, keys)
      for (const key of orphans) {
        await (where === 'staged' ? scope.blobs.discard(key) : scope.blobs.remove(key))
      }
      swept.push(...orphans)
    }
  }
  return swept
}

async function* oldKeys({ blobs, now }: Scope, where: 'staged' | 'kept', graceMs: number) {
  let keys: string[] = []
  for await (const { key, modifiedAt } of blobs.list(where)) {
    if (modifiedAt > now() - graceMs) continue
    keys.push(key)
    if (keys.length < BATCH) continue
    yield keys
    keys = []
  }
  yield keys
}

/** Those of the keys that no row knows. The upload is asked first: from one that is over no blob row will come. */
export async function orphansAmong(
  { db }: Scope,
  where: 'staged' | 'kept',
  keys: readonly string[],
): Promise<string[]> {
  if (keys.length === 0) return []
  const uploads = await uploadsById(db, keys)
  const over = keys.filter((_, index) => isOver(uploads[index]?.status ?? 'EXPIRED'))
  if (where === 'staged' || over.length === 0) return over
  const rows = await db.selectFrom('blobs').select('id').where('id', 'in', over).execute()
  const known = new Set(rows.map(({ id }) => id))
  return over.filter((key) => !known.has(key))
}
