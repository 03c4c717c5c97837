import type { ServerResponse } from 'node:http'
import type { ServiceContext } from '../../context.ts'
import type { EntryRow } from '../../domains/entries/reads.ts'
import { requireVersion } from '../../domains/files/reads.ts'
import { liveFileOf, requireOwnUpload, uploadById } from '../../domains/uploads/reads.ts'
import { statusAt, type UploadRow } from '../../domains/uploads/rules.ts'
import { HttpError, methodNotAllowed } from '../errors.ts'
import { createLink } from '../upload/file-json.ts'
import { requireActive } from './request-state.ts'

/**
 * Redirects a GET of an upload URL to a download of the version that the upload has become. Throws 405 while
 * it is no file yet, and 410 if it has ended or the file was deleted.
 */
export async function redirectToFile(ctx: ServiceContext, res: ServerResponse, id: string) {
  const upload = requireActive(await requireOwnUpload(ctx.db, ctx.viewer, id), id, ctx.now())
  if (upload.status !== 'COMPLETE') throw methodNotAllowed(['HEAD', 'PATCH', 'DELETE', 'OPTIONS'])
  const file = await requireLiveFile(ctx, upload)
  const versionId = upload.versionId ?? ''
  await requireVersion(ctx.db, ctx.viewer, versionId, { scope: 'FILES_READ' })
  res.writeHead(303, { Location: createLink(ctx, versionId, file.name) }).end()
}

/** Returns the file of a COMPLETE upload. Throws 410 if it is in the trash or purged, or never existed. */
export async function requireLiveFile(
  { db }: ServiceContext,
  upload: UploadRow,
): Promise<EntryRow> {
  const file = await liveFileOf(db, upload)
  if (file) return file
  throw new HttpError(410, 'GONE', 'the file of the upload does not exist any more')
}

/**
 * Returns a part that was joined into a final upload, with all its bytes, as long as the final upload exists:
 * a client that lost the answer then sends no byte again. Returns null for every other upload.
 */
export async function joinedPart(
  ctx: ServiceContext,
  part: UploadRow | null,
): Promise<UploadRow | null> {
  if (part?.status !== 'CANCELED' || !part.joinedInto) return null
  const final = await uploadById(ctx.db, part.joinedInto)
  if (!final || !(await exists(ctx, final))) return null
  return { ...part, status: 'RECEIVED', expiresAt: final.expiresAt }
}

async function exists(ctx: ServiceContext, upload: UploadRow): Promise<boolean> {
  const status = statusAt(upload, ctx.now())
  if (status !== 'COMPLETE') return !['CANCELED', 'EXPIRED', 'FAILED'].includes(status)
  if (upload.expiresAt <= ctx.now()) return false
  return requireLiveFile(ctx, upload).then(
    () => true,
    () => false,
  )
}
