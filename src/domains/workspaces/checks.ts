import { sql } from 'kysely'
import { inLockedTransaction, type ServiceContext } from '../../context.ts'
import type { Db } from '../../database/database.ts'
import type { Tx } from '../../database/transaction.ts'
import { type Check, idsOf } from '../../fsck/check.ts'

const figures = ['usedBytes', 'reservedBytes', 'trashedBytes', 'storedBytes', 'lastSeq'] as const
type Figures = Record<(typeof figures)[number], number>
type CountedWorkspace = { id: string; stored: Figures; counted: Figures }

/**
 * Recounts the figures of workspaces from the root folder, the trash, the blobs, the uploads and the log.
 * Uses one statement, and therefore one snapshot.
 */
async function countAll(db: Db | Tx, ids: readonly string[]): Promise<CountedWorkspace[]> {
  if (ids.length === 0) return []
  const { rows } = await sql<Row>`
    SELECT w."id", w."usedBytes", w."reservedBytes", w."trashedBytes", w."storedBytes", w."lastSeq",
      coalesce((SELECT r."size" + r."olderBytes" FROM "entries" r WHERE r."id" = w."rootId"), 0) AS "living",
      coalesce((SELECT sum(e."size" + e."olderBytes") FROM "entries" e WHERE e."workspaceId" = w."id"
        AND e."trashedAt" IS NOT NULL AND e."purgingAt" IS NULL), 0) AS "trashed",
      coalesce((SELECT sum(b."size") FROM "blobs" b WHERE b."workspaceId" = w."id"
        AND b."unreferencedAt" IS NULL), 0) AS "stored",
      coalesce((SELECT sum(u."reservedBytes") FROM "uploads" u WHERE u."workspaceId" = w."id"), 0) AS "reserved",
      coalesce((SELECT max(a."seq") FROM "activity" a WHERE a."workspaceId" = w."id"), 0) AS "seq"
    FROM "workspaces" w WHERE w."id" IN (${sql.join(ids)})`.execute(db)
  return rows.map(({ id, living, trashed, stored: blobBytes, reserved, seq, ...stored }) => {
    const used = { usedBytes: living + trashed, reservedBytes: reserved, trashedBytes: trashed }
    // A sequence number is never used twice, even if its event is missing from the log.
    const lastSeq = Math.max(seq, stored.lastSeq)
    return { id, stored, counted: { ...used, storedBytes: blobBytes, lastSeq } }
  })
}
type Row = { id: string } & Figures &
  Record<'living' | 'trashed' | 'stored' | 'reserved' | 'seq', number>

/**
 * Compares the stored figures of each workspace with recounted ones: used, reserved, trashed and stored
 * bytes, and the last sequence number of the log.
 */
export const figuresCheck: Check = {
  scan: ({ db }) => idsOf(db, 'workspaces'),
  async evaluate(c, ids) {
    const all = await countAll(c.db, ids)
    return all.flatMap(({ id, stored, counted }) => {
      const wrong = figures.filter((name) => stored[name] !== counted[name])
      if (wrong.length === 0) return []
      const says = wrong.map((name) => `${name} is ${stored[name]}, expected ${counted[name]}`)
      const about = { code: 'WORKSPACE_FIGURES', subject: id, says: says.join('; ') }
      return { ...about, repair: () => recount(c, id) }
    })
  },
}

/** Recounts and stores the figures of a workspace while it is locked. */
function recount(ctx: ServiceContext, id: string): Promise<void> {
  return inLockedTransaction(ctx, [id], async ({ tx }) => {
    const [workspace] = await countAll(tx, [id])
    if (!workspace) return
    await tx.updateTable('workspaces').set(workspace.counted).where('id', '=', id).execute()
  })
}
