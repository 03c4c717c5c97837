import { Readable } from 'node:stream'
import type { S3Client } from '@aws-sdk/client-s3'
import { isExpired } from './errors.ts'

/**
 * The SDK believes in credentials for as long as they say of themselves. Where the bucket says that they are over it asks for others,
 * and the request is sent once more.
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
        // A stream runs once: who has sent it opens it anew.
        if (Body instanceof Readable) throw cause
        return next(args)
      }),
    { step: 'initialize', name: 'renewSpent' },
  )
}
