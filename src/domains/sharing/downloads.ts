import { createHash } from 'node:crypto'
import { inLockedTransaction, type ServiceContext, type TxContext } from '../../context.ts'
import { downloadUrl } from '../../signing/signed-links.ts'
import { record } from '../activity/writes.ts'
import { type FileRow, pathOf } from '../entries/reads.ts'
import { type Shared, shareNotFound } from './reads.ts'
import { maxResumedBytes, RESUMABLE_MS, type ShareRow } from './rules.ts'

type LinkOptions = { expiresInSeconds: number; disposition: 'attachment' | 'inline' }
const defaultOptions: LinkOptions = { expiresInSeconds: 3600, disposition: 'attachment' }

/** Returns a signed link to the current version of a shared file. It expires no later than the share link. */
export function sharedDownloadUrl(
  ctx: ServiceContext,
  { id: shareLinkId, expiresAt: shareEndsAt }: ShareRow,
  { versionId, name }: FileRow,
  { expiresInSeconds, disposition }: LinkOptions = defaultOptions,
) {
  const requestedEnd = ctx.now() + expiresInSeconds * 1000
  const expiresAt = Math.min(requestedEnd, shareEndsAt ?? requestedEnd)
  const link = { versionId, disposition, expiresAt, shareLinkId }
  return { url: downloadUrl(ctx, link, name), expiresAt }
}

type DownloadStart = {
  /** The token of the signed link. A request that resumes the download has the same token. */
  link: string
  /** The size of the file, and the number of bytes that this request asks for. */
  size: number
  requestedBytes: number
  /** Whether the request includes the first byte, which makes it a new download. */
  fromStart: boolean
}

/**
 * Counts a download through a share link. Throws NotFound if the share link has no downloads left. One
 * statement checks and counts, so that two concurrent requests cannot both take the last one. Resuming a
 * download that was counted within the last hour is free, up to four times the size of the file.
 */
export async function beginSharedDownload(
  ctx: ServiceContext,
  { share, entry, parent }: Shared,
  download: DownloadStart,
): Promise<void> {
  const link = createHash('sha256').update(download.link).digest('base64url')
  if (!download.fromStart && (await resume(ctx, share, link, download))) return
  await inLockedTransaction(ctx, [share.workspaceId], async (s) => {
    await count(s, share, link)
    await record(s, {
      workspaceId: share.workspaceId,
      action: 'FILE_DOWNLOADED',
      entryId: entry.id,
      path: pathOf(entry, parent),
      details: { shareLinkId: share.id },
    })
  })
}

async function resume(
  { db, now }: ServiceContext,
  { id }: ShareRow,
  link: string,
  { size, requestedBytes }: DownloadStart,
): Promise<boolean> {
  const { numUpdatedRows } = await db
    .updateTable('shareDownloads')
    .set((eb) => ({ resumedBytes: eb('resumedBytes', '+', requestedBytes) }))
    .where('shareLinkId', '=', id)
    .where('link', '=', link)
    .where('beganAt', '>', now() - RESUMABLE_MS)
    .where((eb) => eb(eb('resumedBytes', '+', requestedBytes), '<=', maxResumedBytes(size)))
    .executeTakeFirst()
  return numUpdatedRows > 0n
}

async function count({ tx, now }: TxContext, { id }: ShareRow, link: string) {
  const { numUpdatedRows } = await tx
    .updateTable('shareLinks')
    .set((eb) => ({ downloadCount: eb('downloadCount', '+', 1) }))
    .where('id', '=', id)
    .where((eb) =>
      eb.or([eb('maxDownloads', 'is', null), eb('downloadCount', '<', eb.ref('maxDownloads'))]),
    )
    .executeTakeFirst()
  if (numUpdatedRows === 0n) throw shareNotFound()
  const begun = { beganAt: now(), resumedBytes: 0 }
  await tx
    .deleteFrom('shareDownloads')
    .where('shareLinkId', '=', id)
    .where('beganAt', '<=', now() - RESUMABLE_MS)
    .execute()
  await tx
    .insertInto('shareDownloads')
    .values({ shareLinkId: id, link, ...begun })
    .onConflict((c) => c.columns(['shareLinkId', 'link']).doUpdateSet(begun))
    .execute()
}
