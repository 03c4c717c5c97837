import { HeadBucketCommand } from '@aws-sdk/client-s3'
import { type BlobsConfig, CannotStart, type S3Config } from '../config.ts'
import type { BlobStore } from './blob-store.ts'
import { diskBlobs } from './disk/store.ts'
import { presigningClient } from './s3/client.ts'
import { statusOf } from './s3/faults.ts'
import type { Ledger } from './s3/ledger.ts'
import { s3Blobs } from './s3/store.ts'

/** The store that the configuration names; makes its folders where they are not there yet. A bucket's parts are written down in `ledger`. */
export function openBlobs(config: BlobsConfig, ledger: Ledger): BlobStore {
  return config.kind === 's3' ? s3Blobs(config, ledger) : diskBlobs(config.dir)
}

/** Asks the bucket, where the bytes are in one, whether it is there and may be used; throws CannotStart. */
export async function requireBucket(config: BlobsConfig): Promise<void> {
  if (config.kind !== 's3') return
  const client = presigningClient(config)
  await client
    .send(new HeadBucketCommand({ Bucket: config.bucket }))
    .catch((cause: Error) => {
      throw new CannotStart(`${JSON.stringify(config.bucket)} ${reason(config, cause)}`)
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
