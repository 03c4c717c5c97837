import { timingSafeEqual } from 'node:crypto'
import type { Viewer } from '../../context.ts'
import type { Db } from '../../database/database.ts'
import { rowsById } from '../../database/query/load-by-id.ts'
import { prepared } from '../../database/query/prepared.ts'
import type { Row } from '../../database/tables.ts'
import type { Tx } from '../../database/transaction.ts'
import { Unauthenticated } from '../../errors.ts'
import { hashSecret, parseScopes } from './rules.ts'

export type UserRow = Row<'users'>
export type TokenRow = Row<'apiTokens'>

/** How stale lastUsedAt may be: one write a minute for each token, not one for each request. */
const LAST_USED_STEP_MS = 60_000

/** Who holds this secret. Unknown, revoked and expired tokens are all Unauthenticated, after the same work. */
export async function authenticate(
  { db, now }: { db: Db; now: () => number },
  secret: string,
): Promise<Viewer> {
  const hash = hashSecret(secret)
  const [token] = await tokensByHash(db, hash)
  if (!token || !sameText(token.secretHash, hash) || !isAlive(token, now())) {
    throw new Unauthenticated()
  }
  // A disk that is full keeps nobody from reading; what else is wrong the next statement will say.
  if (now() - (token.lastUsedAt ?? 0) > LAST_USED_STEP_MS)
    await markUsed(db, token.id, now()).catch(() => {})
  return viewerFrom(token)
}

const tokensByHash = prepared((db, hash: string) =>
  db.selectFrom('apiTokens').selectAll().where('secretHash', '=', hash),
)

export const usersById = rowsById('users')

export const userByEmail = (db: Db | Tx, email: string): Promise<UserRow | undefined> =>
  db.selectFrom('users').selectAll().where('email', '=', email).executeTakeFirst()

/** The setting that names the user whom the very first start has made. */
export const FIRST_OWNER = 'firstOwner'

/** Whether this user is the one whom the very first start has made. */
export async function isFirstOwner(db: Db, userId: string): Promise<boolean> {
  const setting = await db
    .selectFrom('settings')
    .select('value')
    .where('name', '=', FIRST_OWNER)
    .executeTakeFirst()
  return setting?.value === userId
}

export const tokensById = rowsById('apiTokens')

/** Whether the token `id` was made with the token `ancestorId`, however indirectly. */
export async function isMadeWith(tx: Tx, id: string, ancestorId: string): Promise<boolean> {
  const found = await tx
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
  return found !== undefined
}

/** Who acts by this token where it is not at hand, with the rights of this moment; null once it opens nothing any more. */
export async function viewerOf(
  { db, now }: { db: Db; now: () => number },
  tokenId: string,
): Promise<Viewer> {
  const [token] = await tokensById(db, [tokenId])
  return token && isAlive(token, now()) ? viewerFrom(token) : null
}

/**
 * The same for the end of what a request has begun: null where the token was revoked, not where it has only
 * expired since.
 */
export async function viewerOfBegun(db: Db | Tx, tokenId: string): Promise<Viewer> {
  const [token] = await tokensById(db, [tokenId])
  return token && token.revokedAt === null ? viewerFrom(token) : null
}

/**
 * For the transaction that ends what a request began long before. Expiry is checked when a request starts,
 * revocation here as well. Throws Unauthenticated.
 */
export async function requireUnrevoked(db: Db | Tx, viewer: Viewer): Promise<void> {
  if (viewer && !(await viewerOfBegun(db, viewer.tokenId))) throw new Unauthenticated()
}

/** Those of the tokens that were revoked, or are not there. */
export async function revokedAmong(db: Db, ids: readonly string[]): Promise<Set<string>> {
  const tokens = await tokensById(db, ids)
  return new Set(ids.filter((_, i) => tokens[i]?.revokedAt !== null))
}

const viewerFrom = ({ id, userId, workspaceId, scopes }: TokenRow): Viewer => ({
  userId,
  tokenId: id,
  scopes: new Set(parseScopes(scopes)),
  workspaceId,
})

/** Whether a token still opens what it once did. */
export const isAlive = ({ expiresAt, revokedAt }: TokenRow, now: number) =>
  revokedAt === null && (expiresAt === null || expiresAt > now)

const sameText = (a: string, b: string) =>
  a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b))

const markUsed = (db: Db, id: string, lastUsedAt: number) =>
  db.updateTable('apiTokens').set({ lastUsedAt }).where('id', '=', id).execute()
