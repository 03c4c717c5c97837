import { createHash } from 'node:crypto'
import { inTransaction, type ServiceContext, type TxContext } from '../../context.ts'
import { downloadUrl } from '../../signing/signed-links.ts'
import { record } from '../activity/writes.ts'
import { type EntryRow, pathOf } from '../entries/reads.ts'
import { type Shared, shareNotFound } from './reads.ts'
import { mostResumedBytes, RESUMABLE_MS, type ShareRow } from './rules.ts'

type Wish = { expiresInSeconds: number; disposition: 'attachment' | 'inline' }
const usual: Wish = { expiresInSeconds: 3600, disposition: 'attachment' }

/** A signed link to the current bytes of a shared file, which ends with the share. */
export function sharedDownloadUrl(
  ctx: ServiceContext,
  { id: shareLinkId, expiresAt: shareEndsAt }: ShareRow,
  { versionId, name }: EntryRow,
  { expiresInSeconds, disposition }: Wish = usual,
) {
  const wanted = ctx.now() + expiresInSeconds * 1000
  const expiresAt = Math.min(wanted, shareEndsAt ?? wanted)
  const link = { versionId: versionId ?? '', disposition, expiresAt, shareLinkId }
  return { url: downloadUrl(ctx, link, name), expiresAt }
}

type Beginning = {
  /** The token of the signed link: what resumes a download shows the same. */
  link: string
  /** The whole file, in bytes, and how many of them this request asks for. */
  size: number
  askedBytes: number
  /** Whether the first byte is among them: then it is a new download. */
  fromStart: boolean
}

/**
 * Counts a download by a link that was made through `shared`; NotFound where the share has no downloads left: decided and done
 * in one statement, so that no two take the last one. Parts of a download that was counted within the hour go free, up to four
 * times its size.
 */
export async function beginSharedDownload(
  ctx: ServiceContext,
  { share, entry, parent }: Shared,
  beginning: Beginning,
): Promise<void> {
  const link = createHash('sha256').update(beginning.link).digest('base64url')
  await inTransaction(ctx, async (s) => {
    if (!beginning.fromStart && (await resume(s, share, link, beginning))) return
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
  { tx, now }: TxContext,
  { id }: ShareRow,
  link: string,
  { size, askedBytes }: Beginning,
): Promise<boolean> {
  const { numUpdatedRows } = await tx
    .updateTable('shareDownloads')
    .set((eb) => ({ resumedBytes: eb('resumedBytes', '+', askedBytes) }))
    .where('shareLinkId', '=', id)
    .where('link', '=', link)
    .where('beganAt', '>', now() - RESUMABLE_MS)
    .where((eb) => eb(eb('resumedBytes', '+', askedBytes), '<=', mostResumedBytes(size)))
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
