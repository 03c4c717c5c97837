import { Readable } from 'node:stream'
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListPartsCommand,
  PutObjectCommand,
  type PutObjectCommandInput,
  UploadPartCommand,
} from '@aws-sdk/client-s3'
import type { S3Config } from '../../../config/config.ts'
import type { Part } from '../multipart-state.ts'
import { s3Clients } from './client.ts'
import { isRangeError, nullIfMissing } from './errors.ts'
import { type Bytes, putBytes } from './put-stream.ts'
import { resumableRead } from './resumable-read.ts'
import { retryWhileMissing } from './retry.ts'

/**
 * The S3 operations that the store uses, on one bucket. Names are full object keys; errors are those of the
 * SDK.
 */
export type Bucket = ReturnType<typeof openBucket>

export type ObjectHead = { size: number; etag: string }

/** The precondition of a write: no object exists, or the object has this ETag. */
export type Condition = { IfNoneMatch?: '*'; IfMatch?: string }

/** Creates the clients of a bucket; sends no request. */
export function openBucket(config: S3Config) {
  const { client, streaming } = s3Clients(config)
  const at = (name: string) => ({ Bucket: config.bucket, Key: name })
  const sse = encryption(config)
  const clientFor = (bytes: Bytes) => (Buffer.isBuffer(bytes) ? client : streaming)
  return {
    client,
    name: config.bucket,
    /** Writes an object and returns its ETag. Fails with status 412 if the condition is not met. */
    async put(name: string, bytes: Bytes, condition: Condition = {}): Promise<string> {
      const wanted = { ...at(name), ...sse, ...condition }
      const { ETag = '' } = await putBytes(bytes, (body, options) =>
        clientFor(bytes).send(new PutObjectCommand({ ...wanted, ...body }), options),
      )
      return ETag
    },
    async head(name: string): Promise<ObjectHead | null> {
      const found = await client.send(new HeadObjectCommand(at(name))).catch(nullIfMissing)
      return found && { size: found.ContentLength ?? 0, etag: found.ETag ?? '' }
    },
    /**
     * Opens bytes `start` to `end`, both inclusive; returns null if the object does not exist. A range beyond
     * the last byte is empty.
     */
    async get(name: string, { start = 0, end }: { start?: number; end?: number } = {}) {
      const open = (from: number, same: Condition = {}) =>
        client.send(new GetObjectCommand({ ...at(name), ...same, ...rangeOf(from, end) }))
      const found = await retryWhileMissing(() =>
        open(start).catch(emptyIfOutOfRange).catch(nullIfMissing),
      )
      if (!found) return null
      const same = found.ETag ? { IfMatch: found.ETag } : {}
      return resumableRead({
        first: bodyOf(found),
        length: found.ContentLength ?? 0,
        reopen: async (from) => bodyOf(await open(start + from, same)),
      })
    },
    remove: (name: string) => client.send(new DeleteObjectCommand(at(name))),
    async begin(name: string): Promise<string> {
      const begun = await client.send(new CreateMultipartUploadCommand({ ...at(name), ...sse }))
      // S3 always returns an UploadId.
      return begun.UploadId as string
    },
    async part(
      name: string,
      { multipartId, number }: { multipartId: string; number: number },
      bytes: Bytes,
    ): Promise<string> {
      const which = { ...at(name), UploadId: multipartId, PartNumber: number }
      const { ETag = '' } = await putBytes(bytes, (body, options) =>
        clientFor(bytes).send(new UploadPartCommand({ ...which, ...body }), options),
      )
      return ETag
    },
    /** Lists the parts of a multipart upload, ordered by number. */
    async parts(name: string, multipartId: string): Promise<Part[]> {
      const request = { ...at(name), UploadId: multipartId }
      const parts: Part[] = []
      // Does not use the SDK's paginator: some servers return a marker after the last page too, so that it
      // would never end.
      for (let after: string | undefined, more = true; more; ) {
        const page = await client.send(
          new ListPartsCommand({ ...request, ...(after && { PartNumberMarker: after }) }),
        )
        for (const { PartNumber = 0, ETag = '', Size = 0 } of page.Parts ?? [])
          parts.push({ number: PartNumber, etag: ETag, size: Size })
        more = page.IsTruncated === true && page.NextPartNumberMarker !== after
        after = page.NextPartNumberMarker
      }
      return parts
    },
    complete(name: string, multipartId: string, parts: Part[]) {
      const Parts = parts.map(({ number, etag }) => ({ PartNumber: number, ETag: etag }))
      const wanted = { ...at(name), UploadId: multipartId, MultipartUpload: { Parts } }
      return client.send(new CompleteMultipartUploadCommand(wanted))
    },
    abort: (name: string, multipartId: string) =>
      client
        .send(new AbortMultipartUploadCommand({ ...at(name), UploadId: multipartId }))
        .catch(nullIfMissing),
  }
}

type Encryption = Pick<PutObjectCommandInput, 'ServerSideEncryption' | 'SSEKMSKeyId'>

/** Returns the encryption parameters of every request that creates an object. */
export function encryption({ sse }: S3Config): Encryption {
  if (sse === null) return {}
  const { algorithm } = sse
  const SSEKMSKeyId = algorithm === 'aws:kms' ? sse.keyId : null
  return { ServerSideEncryption: algorithm, ...(SSEKMSKeyId && { SSEKMSKeyId }) }
}

const rangeOf = (start: number, end: number | undefined) =>
  start === 0 && end === undefined ? {} : { Range: `bytes=${start}-${end ?? ''}` }

/** Returns the body of a response. In Node.js it is the response itself, an IncomingMessage. */
const bodyOf = ({ Body }: { Body?: unknown }) => Body as Readable

/**
 * Returns an empty body for status 416: an empty object has no valid range, but reading it is not an error.
 */
function emptyIfOutOfRange(cause: unknown) {
  if (!isRangeError(cause)) throw cause
  return { Body: Readable.from([]), ContentLength: 0, ETag: '' }
}
