import type { TxContext } from '../../context.ts'
import { afterCommit, type Tx } from '../../database/transaction.ts'
import { roleChanged } from '../members/writes.ts'
import { memberTokensRevoked } from '../tokens/revoking.ts'
import { statusesBefore } from './rules.ts'
import { deleteBytes, recordFailure, terminateUpload } from './terminate.ts'

/** Whoever may no longer write in a workspace leaves no unfinished upload there: it could not be confirmed, and holds room. */
roleChanged.listen(async (_, { ctx, workspaceId, userId, role }) => {
  if (role === 'OWNER' || role === 'EDITOR') return
  const unfinished = await unfinishedBy(ctx.tx, workspaceId, userId)
  for (const { id } of unfinished) await endUnfinished(ctx, id)
})

/** Nor do those who made tokens for service accounts leave the unfinished uploads of these tokens. */
memberTokensRevoked.listen(async (_, { ctx, workspaceId, tokens }) => {
  const ended = new Set(tokens.map(({ id }) => id))
  for (const userId of new Set(tokens.map((token) => token.userId))) {
    for (const { id, tokenId } of await unfinishedBy(ctx.tx, workspaceId, userId)) {
      if (tokenId && ended.has(tokenId)) await endUnfinished(ctx, id)
    }
  }
})

const unfinishedBy = (tx: Tx, workspaceId: string, userId: string) =>
  tx
    .selectFrom('uploads')
    .select(['id', 'tokenId'])
    .where('createdBy', '=', userId)
    .where('workspaceId', '=', workspaceId)
    .where('status', 'in', [...statusesBefore('CANCELED'), 'PROCESSING'])
    .execute()

async function endUnfinished(s: TxContext, id: string) {
  const ended = await terminateUpload(s, { id }, 'CANCELED')
  if (!ended) return endConfirming(s, id)
  await recordFailure(s, ended, 'CANCELED')
  afterCommit(s.tx, () => deleteBytes(s.blobs, id))
}

/** A confirm that is under way is refused when it asks for its rights again: what it gives back is over by its time. */
const endConfirming = ({ tx, now }: TxContext, id: string) =>
  tx
    .updateTable('uploads')
    .set({ expiresAt: now() })
    .where('id', '=', id)
    .where('status', '=', 'PROCESSING')
    .execute()
