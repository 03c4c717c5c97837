import type { ServiceContext } from '../../context.ts'
import { NotFound } from '../../errors/access.ts'
import { type ArchiveLink, signArchive } from '../../signing/signed-links.ts'
import { type FolderRow, folderById } from '../entries/reads.ts'
import { requireLinkCreator } from '../workspaces/reads.ts'
import { memberName } from './zip/members.ts'

/** Returns a signed link to the archive of a folder, valid until `expiresAt` in milliseconds since 1970. */
export function archiveUrl(
  { publicUrl, signingKeys, viewer }: Pick<ServiceContext, 'publicUrl' | 'signingKeys' | 'viewer'>,
  folder: FolderRow,
  expiresAt: number,
): string {
  const token = signArchive(signingKeys, {
    folderId: folder.id,
    expiresAt,
    tokenId: viewer?.tokenId,
  })
  return `${publicUrl}/download/archive/${token}/${encodeURIComponent(archiveName(folder))}`
}

/** Returns the file name of the archive of a folder. */
export const archiveName = ({ name }: FolderRow) =>
  `${name === '' ? 'files' : memberName(`x/${name}`).slice(2)}.zip`

/**
 * Returns the folder of a signed link. Throws NotFound if the folder does not exist or is in the trash, or if
 * the creator of the link has lost access.
 */
export async function requireArchived(
  ctx: ServiceContext,
  { folderId, tokenId }: ArchiveLink,
): Promise<FolderRow> {
  const folder = await folderById(ctx.db, folderId)
  if (!folder || folder.trashRootId !== null) throw new NotFound(folderId, 'nothing is here')
  await requireLinkCreator(ctx, folder.workspaceId, tokenId)
  return folder
}
