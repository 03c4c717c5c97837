import {
  GetObjectCommand,
  PutObjectCommand,
  type S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3'
import { getSignedUrl } from '@aws-sdk/s3-request-presigner'
import { createSingleFlight } from '../../concurrency/single-flight.ts'
import type { S3Config } from '../../config.ts'
import { StorageError } from '../../errors.ts'
import type { PresignedUrls } from '../blob-store.ts'
import { encryption } from './api/bucket.ts'
import { presigningClient } from './api/client.ts'
import { wrapBucketError } from './api/errors.ts'
import { partCount, partLength } from './multipart/part-sizes.ts'
import type { Stores } from './multipart/put-parts.ts'
import type { Part, Staged } from './multipart-state.ts'
import { staleWriter } from './staging/truncate.ts'

/** The longest that S3 lets a URL live, in seconds. */
const LONGEST = 604_800

/** The doors of the bucket itself; bytes that come by them no process sees. */
export function s3Presigned(
  stores: Stores,
  config: S3Config,
  partSizeFor: (size: number) => number,
): PresignedUrls {
  const { places, ledger } = stores
  const client = presigningClient(config)
  const at = (key: string) => ({ Bucket: config.bucket, Key: places.kept(key) })
  const beginning = createSingleFlight<string>()

  return {
    async putUrl(key, { size, expiresAt }) {
      const headers = { 'if-none-match': '*', ...sseHeaders(config) }
      // Whoever holds the URL writes once: what is kept does not change, however long the URL lives.
      const once = { IfNoneMatch: '*', ContentLength: size }
      const command = new PutObjectCommand({ ...at(key), ...encryption(config), ...once })
      const signed = ['host', 'content-length', ...Object.keys(headers)]
      return { url: await presign(client, command, expiresAt, signed), headers }
    },
    partSize: partSizeFor,
    async partUrl(key, { size, number, expiresAt }) {
      const partSize = partSizeFor(size)
      if (number < 1 || number > partCount(size, partSize)) throw new TypeError(`no part ${number}`)
      const UploadId = await beginning(key, () => multipartOf(stores, key))
      const ContentLength = partLength(size, partSize, number)
      const command = new UploadPartCommand({
        ...at(key),
        UploadId,
        PartNumber: number,
        ContentLength,
      })
      return presign(client, command, expiresAt, ['host', 'content-length'])
    },
    async arrived(key, size) {
      const staged = await ledger.load(key)
      // Parts may have been asked for, and the bytes have come as one all the same.
      if (staged && staged.multipartId !== null && staged.whole === null) {
        if (await collectParts(stores, staged, size, partSizeFor(size))) return size
      }
      const { bucket } = stores
      const found = await bucket
        .head(places.kept(key))
        .catch(wrapBucketError(`${key} could not be looked at`))
      return found?.size === size ? size : 0
    },
    async getUrl(key, { expiresAt, contentType, contentDisposition }) {
      const said = {
        ResponseContentType: contentType,
        ResponseContentDisposition: contentDisposition,
        // What lies between the bucket and the client keeps nothing.
        ResponseCacheControl: 'private',
      }
      return presign(client, new GetObjectCommand({ ...at(key), ...said }), expiresAt, ['host'])
    },
  }
}

type Signed = PutObjectCommand | UploadPartCommand | GetObjectCommand

/** `headers` are signed as they are, so that a request with others is refused; all else goes into the URL. */
function presign(client: S3Client, command: Signed, expiresAt: number, headers: string[]) {
  const seconds = Math.floor((expiresAt - Date.now()) / 1000)
  // Each of them is a command of this client; the types of the two packages do not meet.
  return getSignedUrl(client, command as Parameters<typeof getSignedUrl>[1], {
    expiresIn: Math.min(LONGEST, Math.max(1, seconds)),
    signableHeaders: new Set(headers),
    unhoistableHeaders: new Set(headers),
  }).catch(wrapBucketError('no URL could be signed'))
}

function sseHeaders(config: S3Config): Record<string, string> {
  const { ServerSideEncryption, SSEKMSKeyId } = encryption(config)
  return {
    ...(ServerSideEncryption && { 'x-amz-server-side-encryption': ServerSideEncryption }),
    ...(SSEKMSKeyId && { 'x-amz-server-side-encryption-aws-kms-key-id': SSEKMSKeyId }),
  }
}

/** The multipart upload of a staged key, begun where none is; of two who begin one at once, one is aborted. */
async function multipartOf({ bucket, places, ledger }: Stores, key: string): Promise<string> {
  const staged = await ledger.load(key)
  if (!staged) throw new StorageError(`${key} is not staged`)
  if (staged.multipartId !== null) return staged.multipartId
  const begun = await bucket.begin(places.kept(key)).catch(wrapBucketError('no upload could begin'))
  const named = await ledger.nameMultipart(key, begun)
  if (named !== begun) await bucket.abort(places.kept(key), begun).catch(() => {})
  if (named === null) throw staleWriter(key)
  return named
}

/** Writes down the parts that the bucket has, if they are all; then they are put together like any others. */
async function collectParts(stores: Stores, staged: Staged, size: number, partSize: number) {
  const { bucket, places, ledger } = stores
  const { key, turn, length, multipartId } = staged
  if (length === size || multipartId === null) return length === size
  const parts: Part[] = await bucket
    .parts(places.kept(key), multipartId)
    .catch(wrapBucketError(`the parts of ${key} cannot be listed`))
  if (!areAll(parts, size, partSize)) return false
  const written = await ledger.write(key, turn, { parts, length: size, inParts: size })
  if (!written) throw staleWriter(key)
  return true
}

const areAll = (parts: Part[], size: number, partSize: number) =>
  parts.length === partCount(size, partSize) &&
  parts.every(
    ({ number, size: bytes }, index) =>
      number === index + 1 && bytes === partLength(size, partSize, number),
  )
