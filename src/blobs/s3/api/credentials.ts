import { Readable } from 'node:stream'
import type { S3Client } from '@aws-sdk/client-s3'
import { isExpired } from './errors.ts'

/**
 * Adds a middleware that refreshes the credentials and repeats the request once if the bucket reports that
 * they have expired. The SDK itself trusts their stated lifetime.
 */
export function refreshExpired(client: S3Client): void {
  client.middlewareStack.add(
    (next) => (args) =>
      next(args).catch(async (cause: unknown) => {
        if (!isExpired(cause)) throw cause
        await client.config.credentials({ forceRefresh: true }).catch(() => {
          throw cause
        })
        const { Body } = args.input as { Body?: unknown }
        // A stream can be read only once: the caller opens it again.
        if (Body instanceof Readable) throw cause
        return next(args)
      }),
    { step: 'initialize', name: 'refreshExpired' },
  )
}
