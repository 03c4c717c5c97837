import { describe } from 'vitest'
import { openS3Place, s3IsGiven } from '../support/s3.ts'
import { blobStoreContract } from './contract.ts'

const given = s3IsGiven ? describe : describe.skip

given(s3IsGiven ? 'S3' : 'skipped: no S3_ENDPOINT and S3_BUCKET are given', () => {
  blobStoreContract('on S3', openS3Place)
})
