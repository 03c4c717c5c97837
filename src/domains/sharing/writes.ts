import { inLockedTransaction, type ServiceContext, type TxContext } from '../../context.ts'
import type { Db } from '../../database/database.ts'
import { newId } from '../../database/ids.ts'
import type { Tx } from '../../database/transaction.ts'
import { record } from '../activity/writes.ts'
import { withInputPath } from '../entries/input-path.ts'
import { type EntryRef, entryById, loadPath, pathOf, requireLive } from '../entries/reads.ts'
import { entriesDeleted } from '../entries/trash.ts'
import { roleChanged } from '../members/writes.ts'
import { requireScope } from '../workspaces/reads.ts'
import { hashPassword } from './passwords.ts'
import { requireShareLink, toShare } from './reads.ts'
import { checkTerms, type ShareRow, type ShareTerms } from './rules.ts'

/**
 * Creates a share link to a live entry. Requires role EDITOR and scopes FILES_READ and SHARES_WRITE. Throws
 * NotFound, Forbidden, InvalidInput, InvalidState.
 */
export async function createShareLink(
  ctx: ServiceContext,
  { entry: ref, ...terms }: ShareTerms & { entry: EntryRef },
): Promise<ShareRow> {
  // Check before hashing the password, which is slow, and again inside the transaction.
  const found = await withInputPath('entry', requireLive(ctx.db, ctx.viewer, ref, toShare))
  requireScope(ctx.viewer, 'FILES_READ')
  checkTerms(terms, ctx.now())
  const passwordHash = terms.password == null ? null : await hashPassword(terms.password)
  return inLockedTransaction(ctx, [found.workspace.id], async (s) => {
    const { entry, parent } = await withInputPath(
      'entry',
      requireLive(s.tx, s.viewer, ref, toShare),
    )
    const share = await insertShare(s, {
      workspaceId: entry.workspaceId,
      entryId: entry.id,
      passwordHash,
      expiresAt: terms.expiresAt ?? null,
      maxDownloads: terms.maxDownloads ?? null,
    })
    await log(s, share, 'SHARE_LINK_CREATED', pathOf(entry, parent))
    return share
  })
}

type NewShare = Pick<
  ShareRow,
  'workspaceId' | 'entryId' | 'passwordHash' | 'expiresAt' | 'maxDownloads'
>

const insertShare = ({ tx, viewer, now }: TxContext, share: NewShare) =>
  tx
    .insertInto('shareLinks')
    .values({
      id: newId('shr'),
      ...share,
      failures: 0,
      lockedUntil: 0,
      downloadCount: 0,
      createdAt: now(),
      createdBy: viewer?.userId ?? null,
    })
    .returningAll()
    .executeTakeFirstOrThrow()

/**
 * Revokes a share link and all download links created through it. Requires role EDITOR and scope
 * SHARES_WRITE. Throws NotFound, Forbidden.
 */
export async function revokeShareLink(ctx: ServiceContext, shareLinkId: string): Promise<ShareRow> {
  const require = (db: Db) =>
    withInputPath('shareLinkId', requireShareLink(db, ctx.viewer, shareLinkId))
  const { workspaceId } = await require(ctx.db)
  return inLockedTransaction(ctx, [workspaceId], async (s) => {
    const share = await require(s.tx)
    await s.tx.deleteFrom('shareLinks').where('id', '=', shareLinkId).execute()
    await log(s, share, 'SHARE_LINK_REVOKED', await sharedPath(s.tx, share))
    return share
  })
}

const log = (
  s: TxContext,
  { id, workspaceId, entryId, passwordHash, expiresAt, maxDownloads }: ShareRow,
  action: 'SHARE_LINK_CREATED' | 'SHARE_LINK_REVOKED',
  path: string | null,
) => {
  const terms = { hasPassword: passwordHash !== null, expiresAt, maxDownloads }
  return record(s, { workspaceId, action, entryId, path, details: { shareLinkId: id, ...terms } })
}

/**
 * When a member may no longer share, transfers their share links to `newSharer`, or revokes them if there is
 * none.
 */
roleChanged.listen(async (tx, { ctx, workspaceId, userId, role, newSharer }) => {
  if (role === 'OWNER' || role === 'EDITOR') return
  const sharer = { workspaceId, userId }
  if (newSharer) return transferShares(tx, sharer, newSharer)
  for (const share of await deleteShares(tx, sharer)) {
    await log(ctx, share, 'SHARE_LINK_REVOKED', await sharedPath(tx, share))
  }
})

type Sharer = { workspaceId: string; userId: string }

const transferShares = (tx: Tx, { workspaceId, userId }: Sharer, newSharer: string) =>
  tx
    .updateTable('shareLinks')
    .set({ createdBy: newSharer })
    .where('workspaceId', '=', workspaceId)
    .where('createdBy', '=', userId)
    .execute()

const deleteShares = (tx: Tx, { workspaceId, userId }: Sharer): Promise<ShareRow[]> =>
  tx
    .deleteFrom('shareLinks')
    .where('workspaceId', '=', workspaceId)
    .where('createdBy', '=', userId)
    .returningAll()
    .execute()

async function sharedPath(tx: Tx, { entryId }: ShareRow): Promise<string | null> {
  const entry = await entryById(tx, entryId)
  return entry && loadPath(tx, entry)
}

entriesDeleted.listen((tx, { ids }) =>
  tx.deleteFrom('shareLinks').where('entryId', 'in', ids).execute(),
)
