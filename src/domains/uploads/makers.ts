import { Forbidden } from '../../errors.ts'
import type { Scope } from '../../scope.ts'
import { viewerOf } from '../accounts/reads.ts'
import { requireOwnUpload } from './reads.ts'
import type { UploadRow } from './rules.ts'

/**
 * The scope of who made an upload, by the token with which they did: for what is done in their name where no token is at
 * hand. Their rights are those of this moment: Forbidden once the token is over, NotFound or Forbidden where they may not write.
 */
export async function asMaker(scope: Scope, upload: UploadRow): Promise<Scope> {
  const viewer = await viewerOf(scope, upload.tokenId ?? '')
  if (!viewer) throw new Forbidden({ message: 'the token that made this upload is over' })
  await requireOwnUpload(scope.db, viewer, upload.id)
  return { ...scope, viewer }
}
