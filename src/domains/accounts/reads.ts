import { timingSafeEqual } from 'node:crypto'
import type { Viewer } from '../../context.ts'
import type { Db } from '../../database/database.ts'
import { rowsById } from '../../database/query/load-by-id.ts'
import { prepared } from '../../database/query/prepared.ts'
import type { Row } from '../../database/tables.ts'
import type { Tx } from '../../database/transaction.ts'
import { Unauthenticated } from '../../errors/access.ts'
import { hashSecret, parseScopes } from './rules.ts'

export type UserRow = Row<'users'>
export type TokenRow = Row<'apiTokens'>

/** Precision of lastUsedAt, so that each token causes at most one write per minute. */
const LAST_USED_PRECISION_MS = 60_000

/**
 * Returns the viewer whose token has this secret. Throws Unauthenticated for unknown, revoked and expired
 * tokens alike, after the same work.
 */
export async function authenticate(
  { db, now }: { db: Db; now: () => number },
  secret: string,
): Promise<Viewer> {
  const hash = hashSecret(secret)
  const [token] = await tokensByHash(db, hash)
  if (!token || !isSameText(token.secretHash, hash) || !isAlive(token, now())) {
    throw new Unauthenticated()
  }
  // A failed write, for example on a full disk, must not prevent reads. Any other error recurs in the next
  // statement.
  if (now() - (token.lastUsedAt ?? 0) > LAST_USED_PRECISION_MS)
    await markUsed(db, token.id, now()).catch(() => {})
  return viewerFrom(token)
}

const tokensByHash = prepared((db, hash: string) =>
  db.selectFrom('apiTokens').selectAll().where('secretHash', '=', hash),
)

/** Loads users by id, with null for each that does not exist. */
export const usersById = rowsById('users')

/** Returns the user with this email address, or undefined. `email` must be in lower case. */
export const userByEmail = (db: Db | Tx, email: string): Promise<UserRow | undefined> =>
  db.selectFrom('users').selectAll().where('email', '=', email).executeTakeFirst()

/** Name of the setting that stores the id of the user that the first start created. */
export const FIRST_OWNER = 'firstOwner'

/** Returns whether this user is the one that the first start created. */
export async function isFirstOwner(db: Db, userId: string): Promise<boolean> {
  const setting = await db
    .selectFrom('settings')
    .select('value')
    .where('name', '=', FIRST_OWNER)
    .executeTakeFirst()
  return setting?.value === userId
}

/** Loads tokens by id, with null for each that does not exist. */
export const tokensById = rowsById('apiTokens')

/**
 * Returns whether the token `id` was created with the token `ancestorId`, directly or through other tokens.
 */
export async function isDescendantToken(tx: Tx, id: string, ancestorId: string): Promise<boolean> {
  const match = await tx
    .withRecursive('above', (q) =>
      q
        .selectFrom('apiTokens')
        .select('parentId')
        .where('id', '=', id)
        .unionAll((eb) =>
          eb
            .selectFrom('apiTokens')
            .innerJoin('above', 'above.parentId', 'apiTokens.id')
            .select('apiTokens.parentId'),
        ),
    )
    .selectFrom('above')
    .select('parentId')
    .where('parentId', '=', ancestorId)
    .executeTakeFirst()
  return match !== undefined
}

/** Returns the viewer of a token, or null if it does not exist, is revoked or has expired. */
export async function viewerOf(
  { db, now }: { db: Db; now: () => number },
  tokenId: string,
): Promise<Viewer> {
  const [token] = await tokensById(db, [tokenId])
  return token && isAlive(token, now()) ? viewerFrom(token) : null
}

/**
 * Returns the viewer of a token at the end of a request that has already started: null if the token is
 * revoked, but not if it has only expired.
 */
export async function viewerUnlessRevoked(db: Db | Tx, tokenId: string): Promise<Viewer> {
  const [token] = await tokensById(db, [tokenId])
  return token && token.revokedAt === null ? viewerFrom(token) : null
}

/**
 * Throws Unauthenticated if the viewer's token is revoked. The last transaction of a long request calls it:
 * expiry is checked only when a request starts, but revocation is checked again at its end.
 */
export async function requireUnrevoked(db: Db | Tx, viewer: Viewer): Promise<void> {
  if (viewer && !(await viewerUnlessRevoked(db, viewer.tokenId))) throw new Unauthenticated()
}

/** Returns those of `ids` whose tokens are revoked or do not exist. */
export async function findRevokedTokens(db: Db, ids: readonly string[]): Promise<Set<string>> {
  const tokens = await tokensById(db, ids)
  return new Set(ids.filter((_, i) => tokens[i]?.revokedAt !== null))
}

const viewerFrom = ({ id, userId, workspaceId, scopes }: TokenRow): Viewer => ({
  userId,
  tokenId: id,
  scopes: new Set(parseScopes(scopes)),
  workspaceId,
})

/** Returns whether a token is neither revoked nor expired. */
export const isAlive = ({ expiresAt, revokedAt }: TokenRow, now: number) =>
  revokedAt === null && (expiresAt === null || expiresAt > now)

const isSameText = (a: string, b: string) =>
  a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b))

const markUsed = (db: Db, id: string, lastUsedAt: number) =>
  db.updateTable('apiTokens').set({ lastUsedAt }).where('id', '=', id).execute()
