import type { ServiceContext } from '../context.ts'
import type { Db } from '../database/database.ts'

/** Something that is not as it must be: what, of which id, in words; and how it is put right, or why that is left to people. */
export type Finding = { code: string; subject: string; says: string } & (
  | { mend: () => Promise<unknown> }
  | { left: string }
)

/** What a check is given. */
export type CheckContext = ServiceContext & {
  /** What is younger is spared: it may be about to get its row. */
  graceMs: number
  /** Whether bytes are read, and not only counted. */
  deep: boolean
  /** Keys that were kept when the store was listed, with the number of their bytes. */
  kept: () => Promise<ReadonlyMap<string, number>>
}

/**
 * One thing that must be true of rows, or of bytes. `walk` names what is to be looked at, some hundred at a time and nothing held
 * in between: all of it, or only what looks wrong at first sight. `judge` says what is wrong with those at this moment, one of its
 * subjects being one of them; it is asked twice before anything is told, for rows move meanwhile.
 */
export type Check = {
  walk: (checking: CheckContext) => AsyncIterable<readonly string[]>
  judge: (checking: CheckContext, subjects: readonly string[]) => Promise<Finding[]>
}

const AT_ONCE = 500

/** Ids in their order, some hundred at a time; `next` finds those behind one. */
export async function* paginateIds(
  next: (after: string, most: number) => Promise<{ id: string }[]>,
): AsyncGenerator<string[]> {
  for (let after = ''; ; ) {
    const ids = (await next(after, AT_ONCE)).map(({ id }) => id)
    if (ids.length > 0) yield ids
    if (ids.length < AT_ONCE) return
    after = ids.at(-1) ?? ''
  }
}

type Table = 'entries' | 'blobs' | 'workspaces' | 'tags' | 'searchDocuments'

/** All ids of a table. */
export const idsOf = (db: Db, table: Table) =>
  paginateIds((after, most) =>
    db.selectFrom(table).select('id').where('id', '>', after).orderBy('id').limit(most).execute(),
  )

/** Subjects one by one, gathered to some hundred at a time. */
export async function* chunked(subjects: AsyncIterable<string>): AsyncGenerator<string[]> {
  let some: string[] = []
  for await (const subject of subjects) {
    some.push(subject)
    if (some.length < AT_ONCE) continue
    yield some
    some = []
  }
  if (some.length > 0) yield some
}
