import type { BlobStore } from './blobs/blob-store.ts'
import type { Limits } from './config.ts'
import type { Db } from './database/database.ts'
import type { Counter } from './database/rate-limiter.ts'
import { type Tx, transact } from './database/transaction.ts'
import { transactShared } from './database/transaction-batching.ts'
import type { SigningKeys } from './signing/signing-keys.ts'

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

/** Who asks: a user by one of their tokens; null is nobody in particular, who sees PUBLIC workspaces only. */
export type Viewer = {
  userId: string
  tokenId: string
  scopes: ReadonlySet<ApiScope>
  /** A token bound to a workspace sees no other. */
  workspaceId: string | null
} | null

/** What a domain function is given; it takes only what it needs. */
export type ServiceContext = {
  db: Db
  blobs: BlobStore
  viewer: Viewer
  /** Milliseconds since 1970, UTC. */
  now: () => number
  limits: Limits
  /** Of what there must not be too much. */
  counter: Counter
  /** Sign upload URLs, download links, share tokens and sync cursors. */
  signingKeys: SigningKeys
  /** Where clients reach the house, without a closing slash. */
  publicUrl: string
}

/** The same inside a transaction: `tx` where `db` was, so that nothing slips past it. */
export type TxContext = Omit<ServiceContext, 'db'> & { tx: Tx }

/** What it takes to write down what happened. */
export type LogScope = Pick<TxContext, 'tx' | 'viewer' | 'now'>

/** Runs `story` in one transaction: all of it or nothing. */
export function inTransaction<T>(
  { db, ...scope }: ServiceContext,
  story: (ctx: TxContext) => Promise<T>,
): Promise<T> {
  return transact(db, (tx) => story({ ...scope, tx }))
}

/**
 * The same, for what is short and often done many times at the same moment by one user in one workspace: it shares a transaction with
 * the others of its kind, and never with what another user does, who would tell by the time what is there.
 */
export function inBatchedTransaction<T>(
  { db, ...scope }: ServiceContext,
  workspaceId: string,
  story: (ctx: TxContext) => Promise<T>,
): Promise<T> {
  const key = `${workspaceId} ${scope.viewer?.userId}`
  return transactShared(db, key, (tx) => story({ ...scope, tx }))
}
