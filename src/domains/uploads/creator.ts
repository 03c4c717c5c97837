import type { ServiceContext, Viewer } from '../../context.ts'
import type { Db } from '../../database/database.ts'
import type { Tx } from '../../database/transaction.ts'
import { Forbidden } from '../../errors/access.ts'
import { viewerOf, viewerUnlessRevoked } from '../accounts/reads.ts'
import { requireOwnUpload } from './reads.ts'
import type { UploadRow } from './rules.ts'

/**
 * Returns a context that acts as the creator of an upload, with the token that created it. For requests
 * without a token. Checks the current rights: throws Forbidden if the token is expired or revoked, and
 * NotFound or Forbidden if the creator may no longer write.
 */
export async function asCreator(ctx: ServiceContext, upload: UploadRow): Promise<ServiceContext> {
  return actingAs(ctx, upload, (tokenId) => viewerOf(ctx, tokenId))
}

/**
 * Returns a context like asCreator for a confirm that has already begun: the token may have expired since
 * then, but must not be revoked.
 */
export async function asConfirmer(ctx: ServiceContext, upload: UploadRow): Promise<ServiceContext> {
  return actingAs(ctx, upload, (tokenId) => viewerUnlessRevoked(ctx.db, tokenId))
}

async function actingAs(
  ctx: ServiceContext,
  { id, tokenId }: UploadRow,
  viewerFor: (tokenId: string) => Promise<Viewer>,
): Promise<ServiceContext> {
  const viewer = tokenId === null ? null : await viewerFor(tokenId)
  if (!viewer) throw tokenRevoked()
  await requireOwnUpload(ctx.db, viewer, id)
  return { ...ctx, viewer }
}

/**
 * Throws Forbidden if the token of the viewer was revoked. Called at the end of a body and in the transaction
 * that creates the file, because these may run hours after the token was authenticated.
 */
export async function requireUnrevokedCreator(db: Db | Tx, viewer: Viewer): Promise<void> {
  if (!viewer || !(await viewerUnlessRevoked(db, viewer.tokenId))) throw tokenRevoked()
}

const tokenRevoked = () =>
  new Forbidden({ message: 'the token of this upload is expired or revoked' })
