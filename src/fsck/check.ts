import type { ServiceContext } from '../context.ts'
import type { Db } from '../database/database.ts'
import { batchesBy } from '../database/query/batches.ts'

/**
 * An inconsistency: its code, the id of its subject and a description, with either a function that repairs it
 * or the reason why it is left to the operator.
 */
export type Finding = { code: string; subject: string; says: string } & (
  | { repair: () => Promise<unknown> }
  | { left: string }
)

/** The context of a check. */
export type CheckContext = ServiceContext & {
  /** Younger blobs are skipped: their row may not exist yet. */
  graceMs: number
  /** Whether bytes are read and hashed, and not only listed. */
  deep: boolean
  /** Returns the size in bytes of each committed key at the time the store was listed. */
  kept: () => Promise<ReadonlyMap<string, number>>
}

/**
 * An invariant of rows or bytes. `scan` yields the subjects to check in batches, without a transaction: all
 * of them, or only those that look wrong at first. `evaluate` returns the current findings for the given
 * subjects; it runs twice before a finding is reported, because rows change in the meantime.
 */
export type Check = {
  scan: (checking: CheckContext) => AsyncIterable<readonly string[]>
  evaluate: (checking: CheckContext, subjects: readonly string[]) => Promise<Finding[]>
}

const BATCH_SIZE = 500

/** Yields ids in order, in batches; `next` returns those after a given id. */
export async function* paginateIds(
  next: (after: string, limit: number) => Promise<{ id: string }[]>,
): AsyncGenerator<string[]> {
  for await (const rows of batchesBy('id', BATCH_SIZE, (after) => next(after, BATCH_SIZE)))
    yield rows.map(({ id }) => id)
}

type Table = 'entries' | 'blobs' | 'workspaces' | 'tags' | 'searchDocuments'

/** Yields all ids of a table in batches. */
export const idsOf = (db: Db, table: Table) =>
  paginateIds((after, limit) =>
    db.selectFrom(table).select('id').where('id', '>', after).orderBy('id').limit(limit).execute(),
  )

/** Groups subjects into batches. */
export async function* chunked(subjects: AsyncIterable<string>): AsyncGenerator<string[]> {
  let batch: string[] = []
  for await (const subject of subjects) {
    batch.push(subject)
    if (batch.length < BATCH_SIZE) continue
    yield batch
    batch = []
  }
  if (batch.length > 0) yield batch
}
