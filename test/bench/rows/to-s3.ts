import { createReadStream } from 'node:fs'
import { join } from 'node:path'
import { S3Client } from '@aws-sdk/client-s3'
import { Upload } from '@aws-sdk/lib-storage'
import { fill, MIB } from '../curl.ts'
import { holdallSink, stockTusOnS3, timeOf } from '../sinks.ts'
import type { Row } from '../table.ts'
import { measureInTurns, newFolder, secondsOf } from '../turns.ts'
import { speed } from './one-upload.ts'

const SIZE = 1024 * MIB

/** Uploads to the S3 of S3_ENDPOINT and S3_BUCKET; the SDK finds the credentials. */
export const toS3: Row = {
  name: 'P14',
  async measure(rounds) {
    if (!process.env.S3_ENDPOINT) {
      console.error('P14 is skipped: S3_ENDPOINT and S3_BUCKET are not set')
      return []
    }
    const prefix = `bench-${process.pid}/`
    await using folder = await newFolder()
    await using holdall = await holdallSink(undefined, { ...process.env, S3_PREFIX: prefix })
    await using stock = await stockTusOnS3()
    const file = await fill(join(folder.path, 'gibibyte'), SIZE)
    let sent = 0
    const { ours, sdk, tus } = await measureInTurns(rounds, {
      sdk: () => secondsOf(() => bySdk(file, `${prefix}sdk/${sent++}`)),
      tus: async () => (await timeOf(stock, [file])).seconds,
      ours: async () => (await timeOf(holdall, [file])).seconds,
    })
    const megabytes = await holdall.program.peakMegabytes()
    return [
      speed('1 GiB to S3', { ours, theirs: sdk }, 'Upload of the SDK', 0.8, megabytes),
      speed('1 GiB to S3', { ours, theirs: tus }, '@tus/s3-store', 1, megabytes),
    ]
  },
}

async function bySdk(file: string, Key: string) {
  const { S3_ENDPOINT: endpoint = '', S3_BUCKET } = process.env
  const client = new S3Client({ endpoint, region: 'us-east-1', forcePathStyle: true })
  const params = { Bucket: S3_BUCKET, Key, Body: createReadStream(file) }
  await new Upload({ client, params }).done()
  client.destroy()
}
