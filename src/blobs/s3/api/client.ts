import { S3Client, type S3ClientConfig } from '@aws-sdk/client-s3'
import type { S3Config } from '../../../config.ts'
import { refreshExpired } from './credentials.ts'
import { type BucketAgents, BucketHttpHandler, openAgents } from './http-handler.ts'

/** Two ways to speak to the bucket; credentials are found as the SDK finds them: environment, files, the role of the machine. */
export function s3Clients(config: S3Config) {
  const agents = openAgents()
  const client = new S3Client({
    ...addressOf(config),
    ...handling(agents, { isStreaming: false }),
    requestChecksumCalculation: config.checksums ? 'WHEN_SUPPORTED' : 'WHEN_REQUIRED',
  })
  if (config.checksums) signWithoutBody(client)
  /** The checksum of a stream comes behind it in a trailer, of which many servers know nothing. */
  const streaming = new S3Client({
    ...addressOf(config),
    ...handling(agents, { isStreaming: true }),
    requestChecksumCalculation: 'WHEN_REQUIRED',
  })
  for (const each of [client, streaming]) refreshExpired(each)
  shareClock(client, streaming)
  return { client, streaming }
}

/** A bucket that hangs up on a long body is not heard to say what time it is: what either has learnt of that, both know. */
function shareClock({ config }: S3Client, other: S3Client) {
  Object.defineProperty(other.config, 'systemClockOffset', {
    get: () => config.systemClockOffset,
    set(offset: number) {
      config.systemClockOffset = offset
    },
  })
}

const handling = (agents: BucketAgents, kind: { isStreaming: boolean }): S3ClientConfig => ({
  maxAttempts: 4,
  // Half of what is read are ranges, of which the bucket says no checksum.
  responseChecksumValidation: 'WHEN_REQUIRED',
  expectContinueHeader: false,
  requestHandler: new BucketHttpHandler(agents, kind),
})

/** For URLs that are signed now and used by others: nobody knows the checksum of what they will send. */
export const presigningClient = (config: S3Config) =>
  new S3Client({ ...addressOf(config), requestChecksumCalculation: 'WHEN_REQUIRED' })

const addressOf = ({ endpoint, region, forcePathStyle }: S3Config): S3ClientConfig => ({
  region,
  forcePathStyle,
  ...(endpoint && { endpoint }),
})

/**
 * The body is proven by its CRC-32, whose header is signed; a SHA-256 of it besides, the third pass over all bytes, would prove
 * nothing more.
 */
function signWithoutBody(client: S3Client) {
  const unsigned = { step: 'build', priority: 'low', name: 'signWithoutBody' } as const
  client.middlewareStack.add(
    (next) => (args) => {
      const { headers, body } = args.request as { headers: Record<string, string>; body?: unknown }
      if (Buffer.isBuffer(body)) headers['x-amz-content-sha256'] ??= 'UNSIGNED-PAYLOAD'
      return next(args)
    },
    unsigned,
  )
}
