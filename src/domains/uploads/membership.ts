import { afterCommit, type Tx } from '../../database/transaction.ts'
import { roleChanged } from '../members/writes.ts'
import { endUpload, forgetBytes, tellEnd } from './endings.ts'
import { statusesBefore } from './rules.ts'

/** Whoever may no longer write in a workspace leaves no unfinished upload there: it could not be confirmed, and holds room. */
roleChanged.listen(async (tx, { scope, workspaceId, userId, role }) => {
  if (role === 'OWNER' || role === 'EDITOR') return
  await endConfirming(tx, { workspaceId, userId, now: scope.now() })
  for (const id of await unfinishedIds(tx, workspaceId, userId)) {
    const ended = await endUpload(scope, { id }, 'CANCELED')
    if (!ended) continue
    await tellEnd(scope, ended, 'CANCELED')
    afterCommit(tx, () => forgetBytes(scope.blobs, id))
  }
})

async function unfinishedIds(tx: Tx, workspaceId: string, userId: string): Promise<string[]> {
  const rows = await tx
    .selectFrom('uploads')
    .select('id')
    .where('createdBy', '=', userId)
    .where('workspaceId', '=', workspaceId)
    .where('status', 'in', statusesBefore('CANCELED'))
    .execute()
  return rows.map(({ id }) => id)
}

/** A confirm that is under way is refused when it asks for its rights again: what it gives back is over by its time. */
const endConfirming = (
  tx: Tx,
  { workspaceId, userId, now }: { workspaceId: string; userId: string; now: number },
) =>
  tx
    .updateTable('uploads')
    .set({ expiresAt: now })
    .where('createdBy', '=', userId)
    .where('workspaceId', '=', workspaceId)
    .where('status', '=', 'PROCESSING')
    .execute()
