import { inLockedTransaction, type ServiceContext } from '../../context.ts'
import { record } from '../activity/writes.ts'
import type { FolderRow } from '../entries/reads.ts'

/** Logs that the download of an archive has started. */
export async function recordArchiveDownload(
  ctx: ServiceContext,
  { workspaceId, id: entryId, path }: FolderRow,
  { bytes }: { bytes: number },
): Promise<void> {
  const event = { workspaceId, action: 'ARCHIVE_DOWNLOADED', entryId, path } as const
  await inLockedTransaction(ctx, [workspaceId], (s) => record(s, { ...event, details: { bytes } }))
}
