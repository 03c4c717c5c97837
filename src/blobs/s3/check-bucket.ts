import { HeadBucketCommand } from '@aws-sdk/client-s3'
import { type S3Config, StartupError } from '../../config.ts'
import { presigningClient } from './api/client.ts'
import { statusOf } from './api/errors.ts'

/** Asks the bucket whether it is there and may be used; throws StartupError. */
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
  if (status === 404) return 'is no bucket there; S3_BUCKET and S3_ENDPOINT say which and where.'
  if (status === 403)
    return 'may not be used with the credentials that were found; the AWS_… variables name others.'
  if (status === 301) return 'is in another region; S3_REGION says which.'
  const where = endpoint ? ` at ${endpoint}` : ''
  return `cannot be reached${where} (${cause.name}: ${cause.message}); S3_ENDPOINT says where it is.`
}
