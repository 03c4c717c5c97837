import type { TxContext } from '../../context.ts'
import { afterCommit, type Tx } from '../../database/transaction.ts'
import { roleChanged } from '../members/writes.ts'
import { memberTokensRevoked } from '../tokens/revoking.ts'
import { statusesBefore } from './rules.ts'
import { deleteBytes, recordFailure, terminateUpload } from './terminate.ts'

/**
 * Ends the unfinished uploads of a member who may no longer write, because they could not be confirmed but
 * reserve space.
 */
roleChanged.listen(async (_, { ctx, workspaceId, userId, role }) => {
  if (role === 'OWNER' || role === 'EDITOR') return
  const unfinished = await unfinishedBy(ctx.tx, workspaceId, userId)
  for (const { id } of unfinished) await terminateUnfinished(ctx, id)
})

/**
 * Ends the unfinished uploads that were created with the revoked tokens, such as those of service accounts.
 */
memberTokensRevoked.listen(async (_, { ctx, workspaceId, tokens }) => {
  const ended = new Set(tokens.map(({ id }) => id))
  for (const userId of new Set(tokens.map((token) => token.userId))) {
    for (const { id, tokenId } of await unfinishedBy(ctx.tx, workspaceId, userId)) {
      if (tokenId && ended.has(tokenId)) await terminateUnfinished(ctx, id)
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

async function terminateUnfinished(s: TxContext, id: string) {
  const ended = await terminateUpload(s, { id }, 'CANCELED')
  if (!ended) return expireConfirming(s, id)
  await recordFailure(s, ended, 'CANCELED')
  afterCommit(s.tx, () => deleteBytes(s.blobs, id))
}

/**
 * Lets an upload expire that is being confirmed. The running confirm fails when it checks its rights again,
 * and the upload that it releases then expires immediately.
 */
const expireConfirming = ({ tx, now }: TxContext, id: string) =>
  tx
    .updateTable('uploads')
    .set({ expiresAt: now() })
    .where('id', '=', id)
    .where('status', '=', 'PROCESSING')
    .execute()
