import type { ServiceContext, Viewer } from '../../context.ts'
import type { Db } from '../../database/database.ts'
import type { Tx } from '../../database/transaction.ts'
import { Forbidden } from '../../errors.ts'
import { viewerOf, viewerUnlessRevoked } from '../accounts/reads.ts'
import { requireOwnUpload } from './reads.ts'
import type { UploadRow } from './rules.ts'

/**
 * The scope of who made an upload, by the token with which they did: for what is done in their name where no token is at
 * hand. Their rights are those of this moment: Forbidden once the token is over, NotFound or Forbidden where they may not write.
 */
export async function asCreator(ctx: ServiceContext, upload: UploadRow): Promise<ServiceContext> {
  return actingAs(ctx, upload, await viewerOf(ctx, upload.tokenId ?? ''))
}

/** The same for a confirm that a request has begun: a token that has only expired since is no reason to refuse it. */
export async function asConfirmer(ctx: ServiceContext, upload: UploadRow): Promise<ServiceContext> {
  return actingAs(ctx, upload, await viewerUnlessRevoked(ctx.db, upload.tokenId ?? ''))
}

async function actingAs(
  ctx: ServiceContext,
  upload: UploadRow,
  viewer: Viewer,
): Promise<ServiceContext> {
  if (!viewer) throw tokenIsOver()
  await requireOwnUpload(ctx.db, viewer, upload.id)
  return { ...ctx, viewer }
}

/**
 * For the end of a body, and for the transaction that makes the file: both may come hours after the token was
 * authenticated. Forbidden where it was revoked meanwhile.
 */
export async function requireUnrevokedCreator(db: Db | Tx, viewer: Viewer): Promise<void> {
  if (!viewer || !(await viewerUnlessRevoked(db, viewer.tokenId))) throw tokenIsOver()
}

const tokenIsOver = () => new Forbidden({ message: 'the token for this upload is over' })
