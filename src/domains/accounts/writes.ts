import type { Db } from '../../database/database.ts'
import { newId } from '../../database/ids.ts'
import { type Tx, transact } from '../../database/transaction.ts'
import { type ApiScope, apiScopes } from '../../scope.ts'
import type { TokenRow, UserRow } from './reads.ts'
import { formatScopes, hashSecret, newSecret, secretPrefix } from './rules.ts'

type NewToken = {
  name: string
  userId: string
  workspaceId: string | null
  scopes: readonly ApiScope[]
  expiresAt: number | null
  secret?: string
}

/** On the very first start makes the owner and a token with every scope, and answers with its secret; later null. */
export async function ensureOwner(
  { db, now }: { db: Db; now: () => number },
  adminToken: string | null,
): Promise<{ secret: string } | null> {
  return transact(db, async (tx) => {
    const someone = await tx.selectFrom('users').select('id').limit(1).executeTakeFirst()
    if (someone || !(await isFirst(tx))) return null
    const owner = await createUser(tx, { name: 'Owner', email: null, createdAt: now() })
    const secret = adminToken ?? newSecret()
    const token = { name: 'First token', userId: owner.id, scopes: apiScopes, secret }
    await createToken(tx, { ...token, workspaceId: null, expiresAt: null }, now())
    return { secret }
  })
}

/** Of processes that start at the same moment: the others wait here until this one has committed, and find themselves late. */
async function isFirst(tx: Tx): Promise<boolean> {
  const { numInsertedOrUpdatedRows } = await tx
    .insertInto('settings')
    .values({ name: 'owner', value: 'made' })
    .onConflict((c) => c.doNothing())
    .executeTakeFirst()
  return numInsertedOrUpdatedRows === 1n
}

export async function createUser(tx: Tx, user: Omit<UserRow, 'id'>): Promise<UserRow> {
  return tx
    .insertInto('users')
    .values({ id: newId('usr'), ...user })
    .returningAll()
    .executeTakeFirstOrThrow()
}

/** A new token; its secret is in the answer and nowhere else. */
export async function createToken(
  tx: Tx,
  { secret = newSecret(), scopes, ...token }: NewToken,
  createdAt: number,
): Promise<{ token: TokenRow; secret: string }> {
  const row = await tx
    .insertInto('apiTokens')
    .values({
      id: newId('tok'),
      ...token,
      scopes: formatScopes(scopes),
      prefix: secretPrefix(secret),
      secretHash: hashSecret(secret),
      createdAt,
      lastUsedAt: null,
      revokedAt: null,
    })
    .returningAll()
    .executeTakeFirstOrThrow()
  return { token: row, secret }
}

/** From now on the token opens nothing. Revoking twice is not an error: false. */
export async function revokeToken(tx: Tx, id: string, revokedAt: number): Promise<boolean> {
  const { numUpdatedRows } = await tx
    .updateTable('apiTokens')
    .set({ revokedAt })
    .where('id', '=', id)
    .where('revokedAt', 'is', null)
    .executeTakeFirst()
  return numUpdatedRows > 0n
}
