import { HeadBucketCommand } from '@aws-sdk/client-s3'
import type { S3Config } from '../../config/config.ts'
import { StartupError } from '../../config/startup-error.ts'
import { presigningClient } from './api/client.ts'
import { statusOf } from './api/errors.ts'

/** Checks that the bucket exists and is accessible; throws StartupError otherwise. */
export async function checkBucket(config: S3Config): Promise<void> {
  const client = presigningClient(config)
  await client
    .send(new HeadBucketCommand({ Bucket: config.bucket }))
    .catch((cause: Error) => {
      throw new StartupError(`${JSON.stringify(config.bucket)} ${reason(config, cause)}`)
    })
    .finally(() => client.destroy())
}

function reason({ endpoint }: S3Config, cause: Error) {
  const status = statusOf(cause)
  if (status === 404) return 'does not exist; check S3_BUCKET and S3_ENDPOINT.'
  if (status === 403)
    return 'is not accessible with the current credentials; check the AWS_… variables.'
  if (status === 301) return 'is in another region; set S3_REGION.'
  const where = endpoint ? ` at ${endpoint}` : ''
  return `cannot be reached${where} (${cause.name}: ${cause.message}); check S3_ENDPOINT.`
}
