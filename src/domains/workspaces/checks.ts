import { sql } from 'kysely'
import { inTransaction, type ServiceContext } from '../../context.ts'
import type { Db } from '../../database/database.ts'
import { lockWorkspace, type Tx } from '../../database/transaction.ts'
import { type Check, idsOf } from '../../fsck/check.ts'

const figures = ['usedBytes', 'reservedBytes', 'trashedBytes', 'storedBytes', 'lastSeq'] as const
type Figures = Record<(typeof figures)[number], number>
type Counted = { id: string; said: Figures; counted: Figures }

/** A workspace counts what its root counts and what was put in its trash, its blobs, and its open uploads. One statement, one moment. */
async function countAll(db: Db | Tx, ids: readonly string[]): Promise<Counted[]> {
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
  return rows.map(({ id, living, trashed, stored, reserved, seq, ...said }) => {
    const used = { usedBytes: living + trashed, reservedBytes: reserved, trashedBytes: trashed }
    // A number that was given out is never given again, also where the log has lost it.
    const lastSeq = Math.max(seq, said.lastSeq)
    return { id, said, counted: { ...used, storedBytes: stored, lastSeq } }
  })
}
type Row = { id: string } & Figures &
  Record<'living' | 'trashed' | 'stored' | 'reserved' | 'seq', number>

/** What a workspace says that it uses, holds for uploads, has in the trash and in blobs, and how long its log is. */
export const figuresCheck: Check = {
  scan: ({ db }) => idsOf(db, 'workspaces'),
  async evaluate(c, ids) {
    const all = await countAll(c.db, ids)
    return all.flatMap(({ id, said, counted }) => {
      const wrong = figures.filter((name) => said[name] !== counted[name])
      if (wrong.length === 0) return []
      const says = wrong.map((name) => `${name} is ${said[name]}, and should be ${counted[name]}`)
      const about = { code: 'WORKSPACE_FIGURES', subject: id, says: says.join('; ') }
      return { ...about, repair: () => recount(c, id) }
    })
  },
}

/** Counts all figures of a workspace anew, while nobody else writes in it. */
function recount(ctx: ServiceContext, id: string): Promise<void> {
  return inTransaction(ctx, async ({ tx }) => {
    lockWorkspace(tx, id)
    const [workspace] = await countAll(tx, [id])
    if (!workspace) return
    await tx.updateTable('workspaces').set(workspace.counted).where('id', '=', id).execute()
  })
}
