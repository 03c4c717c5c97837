import {
  GetObjectCommand,
  PutObjectCommand,
  type S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3'
import { getSignedUrl } from '@aws-sdk/s3-request-presigner'
import { createSingleFlight } from '../../concurrency/single-flight.ts'
import type { S3Config } from '../../config/config.ts'
import { StorageError } from '../../errors/availability.ts'
import type { PresignedUrls } from '../blob-store.ts'
import { encryption } from './api/bucket.ts'
import { presigningClient } from './api/client.ts'
import { wrapBucketError } from './api/errors.ts'
import { partCount, partLength } from './multipart/part-sizes.ts'
import type { Stores } from './multipart/put-parts.ts'
import type { Part, Staged } from './multipart-state.ts'
import { staleWriter } from './staging/truncate.ts'

/** The S3 limit of the lifetime of a presigned URL, in seconds. */
const MAX_EXPIRY_SECONDS = 604_800

/** Creates presigned URLs of the bucket; their bytes do not pass through the server. */
export function s3Presigned(
  stores: Stores,
  config: S3Config,
  partSizeFor: (size: number) => number,
): PresignedUrls {
  const { objectKeys, multipartStore } = stores
  const client = presigningClient(config)
  const at = (key: string) => ({ Bucket: config.bucket, Key: objectKeys.kept(key) })
  const beginOnce = createSingleFlight<string>()

  return {
    async putUrl(key, { size, expiresAt }) {
      const headers = { 'if-none-match': '*', ...sseHeaders(config) }
      // The URL allows only one write: a committed blob does not change, however long the URL lives.
      const once = { IfNoneMatch: '*', ContentLength: size }
      const command = new PutObjectCommand({ ...at(key), ...encryption(config), ...once })
      const signed = ['host', 'content-length', ...Object.keys(headers)]
      return { url: await presign(client, command, expiresAt, signed), headers }
    },
    partSize: partSizeFor,
    async partUrl(key, { size, number, expiresAt }) {
      const partSize = partSizeFor(size)
      if (number < 1 || number > partCount(size, partSize))
        throw new TypeError(`part ${number} does not exist (limit ${partCount(size, partSize)})`)
      const UploadId = await beginOnce(key, () => multipartOf(stores, key))
      const ContentLength = partLength(size, partSize, number)
      const command = new UploadPartCommand({
        ...at(key),
        UploadId,
        PartNumber: number,
        ContentLength,
      })
      return presign(client, command, expiresAt, ['host', 'content-length'])
    },
    async uploadedSize(key, size) {
      const staged = await multipartStore.load(key)
      // Even if part URLs were requested, the bytes may have arrived in a single PUT.
      if (staged && staged.multipartId !== null && staged.whole === null) {
        if (await collectParts(stores, staged, size, partSizeFor(size))) return size
      }
      const { bucket } = stores
      const found = await bucket
        .head(objectKeys.kept(key))
        .catch(wrapBucketError(`${key} could not be checked`))
      return found?.size === size ? size : 0
    },
    async getUrl(key, { expiresAt, contentType, contentDisposition }) {
      const overrides = {
        ResponseContentType: contentType,
        ResponseContentDisposition: contentDisposition,
        // Shared caches must not store the response.
        ResponseCacheControl: 'private',
      }
      return presign(client, new GetObjectCommand({ ...at(key), ...overrides }), expiresAt, [
        'host',
      ])
    },
  }
}

type Signed = PutObjectCommand | UploadPartCommand | GetObjectCommand

/**
 * Signs `headers` as headers, so that a request with other values is rejected; all other parameters go into
 * the URL.
 */
function presign(client: S3Client, command: Signed, expiresAt: number, headers: string[]) {
  const seconds = Math.floor((expiresAt - Date.now()) / 1000)
  // All are commands of this client, but the types of the two packages differ.
  return getSignedUrl(client, command as Parameters<typeof getSignedUrl>[1], {
    expiresIn: Math.min(MAX_EXPIRY_SECONDS, Math.max(1, seconds)),
    signableHeaders: new Set(headers),
    unhoistableHeaders: new Set(headers),
  }).catch(wrapBucketError('the URL could not be signed'))
}

function sseHeaders(config: S3Config): Record<string, string> {
  const { ServerSideEncryption, SSEKMSKeyId } = encryption(config)
  return {
    ...(ServerSideEncryption && { 'x-amz-server-side-encryption': ServerSideEncryption }),
    ...(SSEKMSKeyId && { 'x-amz-server-side-encryption-aws-kms-key-id': SSEKMSKeyId }),
  }
}

/**
 * Returns the multipart upload of a staged key and creates it if there is none. If two requests create one
 * concurrently, one is aborted.
 */
async function multipartOf(
  { bucket, objectKeys, multipartStore }: Stores,
  key: string,
): Promise<string> {
  const staged = await multipartStore.load(key)
  if (!staged) throw new StorageError(`${key} is not staged`)
  if (staged.multipartId !== null) return staged.multipartId
  const begun = await bucket
    .begin(objectKeys.kept(key))
    .catch(wrapBucketError('the multipart upload could not be created'))
  const named = await multipartStore.nameMultipart(key, begun)
  if (named !== begun) await bucket.abort(objectKeys.kept(key), begun).catch(() => {})
  if (named === null) throw staleWriter(key)
  return named
}

/**
 * Records the parts that the bucket has, if they are complete, so that `commit` can complete the upload.
 * Returns whether they are complete.
 */
async function collectParts(stores: Stores, staged: Staged, size: number, partSize: number) {
  const { bucket, objectKeys, multipartStore } = stores
  const { key, fencingToken, length, multipartId } = staged
  if (length === size || multipartId === null) return length === size
  const parts: Part[] = await bucket
    .parts(objectKeys.kept(key), multipartId)
    .catch(wrapBucketError(`the parts of ${key} could not be listed`))
  if (!isComplete(parts, size, partSize)) return false
  const written = await multipartStore.write(key, fencingToken, {
    parts,
    length: size,
    inParts: size,
  })
  if (!written) throw staleWriter(key)
  return true
}

const isComplete = (parts: Part[], size: number, partSize: number) =>
  parts.length === partCount(size, partSize) &&
  parts.every(
    ({ number, size: bytes }, index) =>
      number === index + 1 && bytes === partLength(size, partSize, number),
  )
