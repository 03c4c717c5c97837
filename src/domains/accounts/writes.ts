import type { Db } from '../../database/database.ts'
import { newId } from '../../database/ids.ts'
import { type Tx, transact } from '../../database/transaction.ts'
import { type ApiScope, apiScopes } from '../../scope.ts'
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

/** Revokes tokens and all that were made with them, however indirectly. Answers with those that were not revoked before. */
export async function revokeTokens(
  tx: Tx,
  ids: readonly string[],
  revokedAt: number,
): Promise<TokenRow[]> {
  const [revoked, queue]: [TokenRow[], string[]] = [[], [...ids]]
  while (queue.length > 0) {
    const some = queue.splice(0, BATCH_SIZE)
    revoked.push(...(await revokeAlone(tx, some, revokedAt)))
    // Only now: these are locked, so nothing more is made with them.
    queue.push(...(await childrenOf(tx, some)))
  }
  return revoked
}

/** The same for these tokens alone: what was made with one of them passes to the token with which that one was made. */
export async function revokeTokenAlone(
  tx: Tx,
  token: TokenRow,
  revokedAt: number,
): Promise<TokenRow[]> {
  const { id, parentId } = token
  // A parent that ends at this moment takes all of them along.
  if (parentId && !(await lockToken(tx, parentId, revokedAt))) {
    return revokeTokens(tx, [id], revokedAt)
  }
  const revoked = await revokeAlone(tx, [id], revokedAt)
  await moveUp(tx, { column: 'parentId', id }, { parentId, ...lastingIssuer(token) })
  return revoked
}

/** Takes a token out of the descent of those in `doomed`: to the nearest ancestor that is not among them. */
export async function detachToken(
  tx: Tx,
  token: TokenRow,
  doomed: ReadonlySet<string>,
  now: number,
): Promise<void> {
  const place: Place = { parentId: token.parentId }
  while (place.parentId && doomed.has(place.parentId)) {
    const parent = await tx
      .selectFrom('apiTokens')
      .selectAll()
      .where('id', '=', place.parentId)
      .executeTakeFirstOrThrow()
    Object.assign(place, { parentId: parent.parentId }, lastingIssuer(parent))
  }
  if (place.parentId === token.parentId) return
  // One that ends at this moment takes it along.
  if (place.parentId && !(await lockToken(tx, place.parentId, now))) return
  await moveUp(tx, { column: 'id', id: token.id }, place)
}

/** Where a token is in the descent of others. */
type Place = { parentId: string | null; issuerId?: string }

/**
 * What was made with a token that another user had made remains theirs when it passes on: who made a token for a service account, and
 * with that one the next, has made that one, too, and loses both with the workspace.
 */
const lastingIssuer = ({ issuerId, userId }: TokenRow): { issuerId?: string } =>
  issuerId === null || issuerId === userId ? {} : { issuerId }

const revokeAlone = (tx: Tx, ids: readonly string[], revokedAt: number): Promise<TokenRow[]> =>
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
    .where('revokedAt', 'is', null)
    .execute()
  return children.map(({ id }) => id)
}

const moveUp = (tx: Tx, { column, id }: { column: 'id' | 'parentId'; id: string }, place: Place) =>
  tx
    .updateTable('apiTokens')
    .set(place)
    .where(column, '=', id)
    .where('revokedAt', 'is', null)
    .execute()
