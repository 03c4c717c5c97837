import type { PresignedUrls } from '../../../blobs/blob-store.ts'
import type { ServiceContext } from '../../../context.ts'
import { InvalidInput } from '../../../errors/input.ts'
import { serverUploadUrl, uploadById } from '../reads.ts'
import { statusAt, type UploadRow } from '../rules.ts'
import { commitOffset } from './offsets.ts'

/** Limits of S3 for one PUT and for the lifetime of a presigned URL. */
const MAX_PUT_BYTES = 5 * 1024 ** 3
const MAX_URL_TTL_MS = 7 * 24 * 3_600_000
export const MAX_PARTS = 1000

/** The URL that accepts the bytes, and the headers to send with them. */
type Address = { url: string; headers: { name: string; value: string }[] }

/** One part of a multipart upload: `size` bytes from `offset`, and the URL that accepts them. */
export type UploadPart = { number: number; offset: number; size: number; url: string }

/**
 * Returns the URL and headers for sending the bytes of an upload to this server or to the bucket. Throws
 * StorageError.
 */
export async function uploadAddress(ctx: ServiceContext, upload: UploadRow): Promise<Address> {
  const bucket = bucketFor(ctx, upload)
  if (!bucket || bucket.size > MAX_PUT_BYTES) {
    const tus = upload.transport === 'TUS' ? [{ name: 'Tus-Resumable', value: '1.0.0' }] : []
    return { url: serverUploadUrl(ctx, upload), headers: tus }
  }
  const { url, headers } = await bucket.presigned.putUrl(upload.id, bucket)
  return { url, headers: Object.entries(headers).map(([name, value]) => ({ name, value })) }
}

/**
 * Returns up to `first` parts after number `after` for sending the bytes to the bucket. Returns null if the
 * bytes do not go to the bucket or fit in one part. The first call starts a multipart upload. Throws
 * InvalidInput, StorageError.
 */
export async function uploadParts(
  ctx: ServiceContext,
  upload: UploadRow,
  { first, after }: { first: number; after: number },
): Promise<UploadPart[] | null> {
  if (first < 0 || first > MAX_PARTS)
    throw new InvalidInput({ path: ['first'], message: `must be 0 to ${MAX_PARTS}` })
  const bucket = bucketFor(ctx, upload)
  if (!bucket) return null
  const { presigned, size } = bucket
  const partSize = presigned.partSize(size)
  if (size <= partSize) return null
  const last = Math.min(Math.ceil(size / partSize), Math.max(after, 0) + first)
  const numbers = Array.from({ length: last }, (_, i) => i + 1).slice(Math.max(after, 0))
  return Promise.all(
    numbers.map(async (number) => {
      const offset = (number - 1) * partSize
      const url = await presigned.partUrl(upload.id, { ...bucket, number })
      return { number, offset, size: Math.min(partSize, size - offset), url }
    }),
  )
}

type Bucket = { presigned: PresignedUrls; size: number; expiresAt: number }

/** Returns null if the bytes go to this server or are complete, or if the upload belongs to another user. */
function bucketFor({ blobs, viewer, now }: ServiceContext, upload: UploadRow): Bucket | null {
  const { transport, size, createdBy } = upload
  if (!blobs.presigned || transport !== 'SIGNED_PUT' || size === null) return null
  if (!isAwaitingBytes(upload, now()) || createdBy !== viewer?.userId) return null
  return {
    presigned: blobs.presigned,
    size,
    expiresAt: Math.min(upload.expiresAt, now() + MAX_URL_TTL_MS),
  }
}

const isAwaitingBytes = (upload: UploadRow, now: number) =>
  ['CREATED', 'RECEIVING'].includes(statusAt(upload, now))

/**
 * Returns the current upload, after recording its bytes if the bucket has all of them. The bucket does not
 * notify the server of a presigned PUT, so the server checks. Throws StorageError.
 */
export async function syncPresigned(ctx: ServiceContext, upload: UploadRow): Promise<UploadRow> {
  const bucket = bucketFor(ctx, upload)
  if (!bucket) return upload
  const arrived = await bucket.presigned
    .uploadedSize(upload.id, bucket.size)
    .catch((error) => error)
  const committed = arrived === bucket.size ? await commitOffset(ctx, upload, bucket.size) : null
  const current = committed ?? (await uploadById(ctx.db, upload.id)) ?? upload
  // A concurrent request may have completed the multipart upload, so that its parts no longer exist.
  if (arrived instanceof Error && current.status === upload.status) throw arrived
  return current
}
