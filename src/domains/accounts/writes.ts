import { type ApiScope, apiScopes } from '../../context.ts'
import type { Db } from '../../database/database.ts'
import { newId } from '../../database/ids.ts'
import { type Tx, transact } from '../../database/transaction.ts'
import { FIRST_OWNER, isAlive, type TokenRow, type UserRow } from './reads.ts'
import { formatScopes, hashSecret, newSecret, secretPrefix } from './rules.ts'

type NewToken = {
  name: string
  userId: string
  workspaceId: string | null
  scopes: readonly ApiScope[]
  expiresAt: number | null
  /**
   * The user who creates the token and the token that they use. Both are absent if the token is created on
   * the server.
   */
  issuerId?: string
  parentId?: string
  secret?: string
}
/** Maximum number of rows that one statement changes. */
const BATCH_SIZE = 500

/**
 * On the first start, creates the owner and a token with all scopes, and returns the secret of the token. On
 * later starts, returns null.
 */
export async function ensureOwner(
  { db, now }: { db: Db; now: () => number },
  adminToken: string | null,
): Promise<{ secret: string } | null> {
  return transact(db, async (tx) => {
    const existing = await tx.selectFrom('users').select('id').limit(1).executeTakeFirst()
    if (existing || !(await claimFirstStart(tx))) return null
    const owner = await createUser(tx, { name: 'Owner', email: null, createdAt: now() })
    await tx.insertInto('settings').values({ name: FIRST_OWNER, value: owner.id }).execute()
    const token = { name: 'First token', userId: owner.id, scopes: apiScopes }
    const chosen = adminToken === null ? {} : { secret: adminToken }
    const newToken = { ...token, workspaceId: null, expiresAt: null, ...chosen }
    const { secret } = await createToken(tx, newToken, now())
    return { secret }
  })
}

/**
 * Returns true in one process only. Other processes that start at the same time wait here until its
 * transaction commits, and get false.
 */
async function claimFirstStart(tx: Tx): Promise<boolean> {
  const { numInsertedOrUpdatedRows } = await tx
    .insertInto('settings')
    .values({ name: 'owner', value: 'made' })
    .onConflict((c) => c.doNothing())
    .executeTakeFirst()
  return numInsertedOrUpdatedRows === 1n
}

type NewUser = Pick<UserRow, 'name' | 'email' | 'createdAt'> &
  Partial<Pick<UserRow, 'kind' | 'workspaceId'>>

/** Creates a user and returns its row. */
export async function createUser(tx: Tx, user: NewUser): Promise<UserRow> {
  return tx
    .insertInto('users')
    .values({ id: newId('usr'), ...user })
    .returningAll()
    .executeTakeFirstOrThrow()
}

/** Creates a token. The returned secret is not stored anywhere. */
export async function createToken(
  tx: Tx,
  { secret: chosen, scopes, ...token }: NewToken,
  createdAt: number,
): Promise<{ token: TokenRow; secret: string }> {
  const secret = chosen ?? newSecret()
  const row = await tx
    .insertInto('apiTokens')
    .values({
      id: newId('tok'),
      ...token,
      scopes: formatScopes(scopes),
      // The first characters of a chosen secret may reveal much of the rest.
      prefix: chosen === undefined ? secretPrefix(secret) : '',
      secretHash: hashSecret(secret),
      createdAt,
      lastUsedAt: null,
      revokedAt: null,
    })
    .returningAll()
    .executeTakeFirstOrThrow()
  return { token: row, secret }
}

/**
 * Locks a token until the transaction ends, so that it cannot be revoked meanwhile: a revocation either
 * happens first and prevents what the transaction creates with the token, or happens later and sees it.
 * Returns null if the token is revoked or expired.
 */
export async function lockToken(tx: Tx, id: string, now: number): Promise<TokenRow | null> {
  const token = await tx
    .updateTable('apiTokens')
    .set((eb) => ({ lastUsedAt: eb.ref('lastUsedAt') }))
    .where('id', '=', id)
    .where('revokedAt', 'is', null)
    .returningAll()
    .executeTakeFirst()
  return token && isAlive(token, now) ? token : null
}

/**
 * Revokes the tokens `ids` and all their descendants, including the descendants of tokens that are already
 * revoked. Skips `excludedId` when it is a descendant, and so the tokens below it, unless `ids` contains
 * them. Returns the tokens that this call revoked.
 */
export async function revokeTokens(
  tx: Tx,
  ids: readonly string[],
  revokedAt: number,
  excludedId?: string,
): Promise<TokenRow[]> {
  const [revoked, queue]: [TokenRow[], string[]] = [[], [...ids]]
  while (queue.length > 0) {
    const batch = queue.splice(0, BATCH_SIZE)
    revoked.push(...(await revokeTokensAlone(tx, batch, revokedAt)))
    // Children are read after the update: it locks the batch, so no further children can appear.
    queue.push(...(await childrenOf(tx, batch)).filter((id) => id !== excludedId))
  }
  return revoked
}

/**
 * Revokes these tokens without their descendants. The descendants keep their parent, so they still end when
 * an ancestor is revoked with its descendants. Returns the tokens that this call revoked.
 */
export const revokeTokensAlone = (
  tx: Tx,
  ids: readonly string[],
  revokedAt: number,
): Promise<TokenRow[]> =>
  tx
    .updateTable('apiTokens')
    .set({ revokedAt })
    .where('id', 'in', ids)
    .where('revokedAt', 'is', null)
    .returningAll()
    .execute()

async function childrenOf(tx: Tx, ids: readonly string[]): Promise<string[]> {
  const children = await tx
    .selectFrom('apiTokens')
    .select('id')
    .where('parentId', 'in', ids)
    .execute()
  return children.map(({ id }) => id)
}
