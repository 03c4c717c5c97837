import { signArchive } from '../../blobs/signed-links.ts'
import { NotFound } from '../../errors.ts'
import type { Scope } from '../../scope.ts'
import { type EntryRow, entryById } from '../entries/reads.ts'
import { memberName } from './members.ts'

/** A signed link to the archive of a folder. */
export function archiveUrl(
  { publicUrl, secret }: Pick<Scope, 'publicUrl' | 'secret'>,
  folder: EntryRow,
  expiresAt: number,
): string {
  const token = signArchive(secret, { folderId: folder.id, expiresAt })
  return `${publicUrl}/download/archive/${token}/${encodeURIComponent(archiveName(folder))}`
}

export const archiveName = ({ name }: EntryRow) =>
  `${name === '' ? 'files' : memberName(`x/${name}`).slice(2)}.zip`

/** The folder that a signed link leads to; NotFound once it is in the trash or gone. */
export async function requireArchived({ db }: Scope, folderId: string): Promise<EntryRow> {
  const folder = await entryById(db, folderId)
  if (!folder || folder.trashRootId !== null) throw new NotFound(folderId, 'nothing is here')
  return folder
}
