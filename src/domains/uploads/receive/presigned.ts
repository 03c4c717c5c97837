import type { PresignedUrls } from '../../../blobs/blob-store.ts'
import type { ServiceContext } from '../../../context.ts'
import { InvalidInput } from '../../../errors.ts'
import { serverUploadUrl, uploadById } from '../reads.ts'
import { statusAt, type UploadRow } from '../rules.ts'
import { commitOffset } from './offsets.ts'

/** S3 takes no more by one PUT, and lets no URL live longer. */
const LARGEST_PUT = 5 * 1024 ** 3
const LONGEST_MS = 7 * 24 * 3_600_000
export const MAX_PARTS = 1000

/** Where bytes are to go, and what is to be sent beside them. */
type Address = { url: string; headers: { name: string; value: string }[] }

/** A part of the bytes, from `offset` on, and where one PUT of it goes. */
export type UploadPart = { number: number; offset: number; size: number; url: string }

/** Where this upload takes its bytes: at the house, or in the bucket, from whoever made it. Throws StorageError. */
export async function uploadAddress(ctx: ServiceContext, upload: UploadRow): Promise<Address> {
  const bucket = bucketFor(ctx, upload)
  if (!bucket || bucket.size > LARGEST_PUT) {
    const tus = upload.transport === 'TUS' ? [{ name: 'Tus-Resumable', value: '1.0.0' }] : []
    return { url: serverUploadUrl(ctx, upload), headers: tus }
  }
  const { url, headers } = await bucket.presigned.putUrl(upload.id, bucket)
  return { url, headers: Object.entries(headers).map(([name, value]) => ({ name, value })) }
}

/**
 * The parts after number `after` by which the bytes may go to the bucket, at most `first` of them; null where they do not go there,
 * or are one part. Asked for the first time, it begins a multipart upload. Throws InvalidInput, StorageError.
 */
export async function uploadParts(
  ctx: ServiceContext,
  upload: UploadRow,
  { first, after }: { first: number; after: number },
): Promise<UploadPart[] | null> {
  if (first < 0 || first > MAX_PARTS)
    throw new InvalidInput({ path: ['first'], message: `0 to ${MAX_PARTS}` })
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

/** Null where the bytes go through the house, or are not wanted any more, or are not the viewer's to send. */
function bucketFor({ blobs, viewer, now }: ServiceContext, upload: UploadRow): Bucket | null {
  const { transport, size, createdBy } = upload
  if (!blobs.presigned || transport !== 'SIGNED_PUT' || size === null) return null
  if (!awaitsBytes(upload, now()) || createdBy !== viewer?.userId) return null
  return {
    presigned: blobs.presigned,
    size,
    expiresAt: Math.min(upload.expiresAt, now() + LONGEST_MS),
  }
}

const awaitsBytes = (upload: UploadRow, now: number) =>
  ['CREATED', 'RECEIVING'].includes(statusAt(upload, now))

/** The upload as it is: with all its bytes, where the bucket has them. Nobody tells the house of those, so it asks. Throws StorageError. */
export async function syncPresigned(ctx: ServiceContext, upload: UploadRow): Promise<UploadRow> {
  const bucket = bucketFor(ctx, upload)
  if (!bucket) return upload
  const arrived = await bucket.presigned
    .uploadedSize(upload.id, bucket.size)
    .catch((error) => error)
  const noted = arrived === bucket.size ? await commitOffset(ctx, upload, bucket.size) : null
  const now = noted ?? (await uploadById(ctx.db, upload.id)) ?? upload
  // Whoever else has noted it may have put the parts together at this moment: then they are not found any more.
  if (arrived instanceof Error && now.status === upload.status) throw arrived
  return now
}
