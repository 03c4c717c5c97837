import type { BlobStore } from './blobs/blob-store.ts'
import type { Limits } from './config/config.ts'
import type { Db } from './database/database.ts'
import type { Counter } from './database/rate-limit/limiter.ts'
import { type Tx, transact } from './database/transaction.ts'
import { transactBatched } from './database/transaction-batching.ts'
import type { SigningKeys } from './signing/signing-keys.ts'

/** The scopes that a token can have. */
export const apiScopes = [
  'FILES_READ',
  'FILES_WRITE',
  'TRASH_PURGE',
  'SHARES_WRITE',
  'MEMBERS_WRITE',
  'TOKENS_WRITE',
  'ACTIVITY_READ',
  'TABLES_WRITE',
  'WORKSPACES_WRITE',
] as const
export type ApiScope = (typeof apiScopes)[number]

/** The authenticated user and token; null if there is no viewer: only PUBLIC workspaces are visible then. */
export type Viewer = {
  userId: string
  tokenId: string
  scopes: ReadonlySet<ApiScope>
  /** The only workspace that the token gives access to; null if it is not bound to one. */
  workspaceId: string | null
} | null

/** The dependencies of domain functions. */
export type ServiceContext = {
  db: Db
  blobs: BlobStore
  viewer: Viewer
  /** The current time in milliseconds since 1970. */
  now: () => number
  limits: Limits
  /** Rate limit counters. */
  counter: Counter
  /** Keys that sign upload URLs, download links, share tokens and sync cursors. */
  signingKeys: SigningKeys
  /** The URL at which clients reach the server, without a trailing slash. */
  publicUrl: string
}

/** The dependencies inside a transaction: `tx` replaces `db`, so that no query runs outside it. */
export type TxContext = Omit<ServiceContext, 'db'> & { tx: Tx }

/** The dependencies for writing to the activity log. */
export type LogContext = Pick<TxContext, 'tx' | 'viewer' | 'now'>

/** Runs `fn` in one transaction, all or nothing. `fn` may be retried (see `transact`). */
export const inTransaction = <T>(
  ctx: ServiceContext,
  fn: (ctx: TxContext) => Promise<T>,
): Promise<T> => inLockedTransaction(ctx, [], fn)

/**
 * Runs `fn` in one transaction that has locked these workspaces. Their ids come from rows: for those of a
 * request use inWorkspaceTransaction.
 */
export function inLockedTransaction<T>(
  { db, ...rest }: ServiceContext,
  workspaceIds: readonly string[],
  fn: (ctx: TxContext) => Promise<T>,
): Promise<T> {
  return transact(db, (tx) => fn({ ...rest, tx }), workspaceIds)
}

/**
 * Runs `fn` in a transaction that has locked these workspaces, and that it may share with concurrent calls of
 * the same user in the same workspaces (see `transactBatched`). Use it for short, frequent writes. Users
 * never share a transaction, because timing would disclose what others do.
 */
export function inBatchedTransaction<T>(
  { db, ...rest }: ServiceContext,
  workspaceIds: readonly string[],
  fn: (ctx: TxContext) => Promise<T>,
): Promise<T> {
  const key = [...workspaceIds, rest.viewer?.userId].join(' ')
  return transactBatched(db, key, (tx) => fn({ ...rest, tx }), workspaceIds)
}
