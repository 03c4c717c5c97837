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
  /** Who makes it, and with which token; both are absent where it is made on the server. */
  issuerId?: string
  parentId?: string
  secret?: string
}
/** So many rows are changed by one statement. */
const BATCH_SIZE = 500

/** On the very first start makes the owner and a token with every scope, and answers with its secret; later null. */
export async function ensureOwner(
  { db, now }: { db: Db; now: () => number },
  adminToken: string | null,
): Promise<{ secret: string } | null> {
  return transact(db, async (tx) => {
    const someone = await tx.selectFrom('users').select('id').limit(1).executeTakeFirst()
    if (someone || !(await isFirst(tx))) return null
    const owner = await createUser(tx, { name: 'Owner', email: null, createdAt: now() })
    await tx.insertInto('settings').values({ name: FIRST_OWNER, value: owner.id }).execute()
    const token = { name: 'First token', userId: owner.id, scopes: apiScopes }
    const chosen = adminToken === null ? {} : { secret: adminToken }
    const terms = { ...token, workspaceId: null, expiresAt: null, ...chosen }
    const { secret } = await createToken(tx, terms, now())
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

type NewUser = Pick<UserRow, 'name' | 'email' | 'createdAt'> &
  Partial<Pick<UserRow, 'kind' | 'workspaceId'>>

export async function createUser(tx: Tx, user: NewUser): Promise<UserRow> {
  return tx
    .insertInto('users')
    .values({ id: newId('usr'), ...user })
    .returningAll()
    .executeTakeFirstOrThrow()
}

/** A new token; its secret is in the answer and nowhere else. */
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
      // The first characters of a secret that somebody chose may say much of the rest.
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
 * Locks a token until the transaction ends, so that nobody revokes it meanwhile: what is made with it is either seen by the one who
 * revokes it, or not made. Null where it opens nothing any more.
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
 * Revokes tokens and all that were made with them, however indirectly and also through tokens that were revoked before; `spared`
 * stays, with what was made with it. Answers with those that were not revoked before.
 */
export async function revokeTokens(
  tx: Tx,
  ids: readonly string[],
  revokedAt: number,
  spared?: string,
): Promise<TokenRow[]> {
  const [revoked, queue]: [TokenRow[], string[]] = [[], [...ids]]
  while (queue.length > 0) {
    const some = queue.splice(0, BATCH_SIZE)
    revoked.push(...(await revokeTokensAlone(tx, some, revokedAt)))
    // Only now: these are locked, so nothing more is made with them.
    queue.push(...(await childrenOf(tx, some)).filter((id) => id !== spared))
  }
  return revoked
}

/**
 * Revokes these tokens and no others. What was made with them keeps its parent, so that it still ends when one above it is revoked
 * with all that was made with it.
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
