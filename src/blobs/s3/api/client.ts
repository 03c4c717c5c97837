import { S3Client, type S3ClientConfig } from '@aws-sdk/client-s3'
import type { S3Config } from '../../../config/config.ts'
import { refreshExpired } from './credentials.ts'
import { type BucketAgents, BucketHttpHandler, openAgents } from './http-handler.ts'

/**
 * Creates two clients of the bucket, for buffers and for streams. The SDK finds the credentials in the
 * environment, in files or through the role of the machine.
 */
export function s3Clients(config: S3Config) {
  const agents = openAgents()
  const client = new S3Client({
    ...addressOf(config),
    ...clientOptions(agents, { isStreaming: false }),
    requestChecksumCalculation: config.checksums ? 'WHEN_SUPPORTED' : 'WHEN_REQUIRED',
  })
  if (config.checksums) skipPayloadHash(client)
  /** A stream sends its checksum in a trailer, which many servers do not support. */
  const streaming = new S3Client({
    ...addressOf(config),
    ...clientOptions(agents, { isStreaming: true }),
    requestChecksumCalculation: 'WHEN_REQUIRED',
  })
  for (const each of [client, streaming]) refreshExpired(each)
  shareClock(client, streaming)
  return { client, streaming }
}

/**
 * Shares the clock offset between both clients, because a server that closes the connection during a long
 * body never reports its time.
 */
function shareClock({ config }: S3Client, other: S3Client) {
  Object.defineProperty(other.config, 'systemClockOffset', {
    get: () => config.systemClockOffset,
    set(offset: number) {
      config.systemClockOffset = offset
    },
  })
}

const clientOptions = (agents: BucketAgents, kind: { isStreaming: boolean }): S3ClientConfig => ({
  maxAttempts: 4,
  // About half of the reads are ranges, for which S3 returns no checksum.
  responseChecksumValidation: 'WHEN_REQUIRED',
  expectContinueHeader: false,
  requestHandler: new BucketHttpHandler(agents, kind),
})

/** Creates a client for presigning: the checksum of the body that a client will send is not known. */
export const presigningClient = (config: S3Config) =>
  new S3Client({ ...addressOf(config), requestChecksumCalculation: 'WHEN_REQUIRED' })

const addressOf = ({ endpoint, region, forcePathStyle }: S3Config): S3ClientConfig => ({
  region,
  forcePathStyle,
  ...(endpoint && { endpoint }),
})

/**
 * Skips the SHA-256 of the body: its CRC-32 is in a signed header, and a third pass over all bytes would add
 * no protection.
 */
function skipPayloadHash(client: S3Client) {
  const options = { step: 'build', priority: 'low', name: 'skipPayloadHash' } as const
  client.middlewareStack.add(
    (next) => (args) => {
      const { headers, body } = args.request as { headers: Record<string, string>; body?: unknown }
      if (Buffer.isBuffer(body)) headers['x-amz-content-sha256'] ??= 'UNSIGNED-PAYLOAD'
      return next(args)
    },
    options,
  )
}
