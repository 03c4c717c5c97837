import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { openBucket } from '../../../src/blobs/s3/api/bucket.ts'
import { createObjectKeys } from '../../../src/blobs/s3/object-keys.ts'
import type { S3Config } from '../../../src/config/config.ts'
import { lookUp, uploadFile } from '../../support/client.ts'
import { blobOf, findings } from '../../support/inspection.ts'
import { s3IsGiven } from '../../support/s3.ts'
import { createSigned, putToBucket, startOnS3 } from '../../support/servers/s3-server.ts'

const stranger = `upl_${'1'.padStart(32, '0')}`
const other = `upl_${'2'.padStart(32, '0')}`

describe.skipIf(!s3IsGiven)('fsck of a server whose bytes are in a bucket', () => {
  let place: Awaited<ReturnType<typeof startOnS3>>
  beforeAll(async () => {
    place = await startOnS3()
  })
  afterAll(() => place?.[Symbol.asyncDispose]())

  const bucketOf = () => {
    const config = place.holdall.app.config.blobs as S3Config
    const bucket = openBucket(config)
    onTestFinished(() => bucket.client.destroy())
    return { bucket, places: createObjectKeys(config.prefix) }
  }

  test('finds nothing when all is well, also for unconfirmed objects PUT to the bucket', async () => {
    const { holdall, workspaceId } = place
    await uploadFile(holdall, { workspaceId, name: 'a.txt', bytes: 'a' })
    const signed = await createSigned(holdall, { workspaceId, name: 'b.bin', size: 5 })
    await putToBucket(signed, Buffer.from('12345'))
    expect(await findings(holdall, { deep: true, graceMs: -60_000 })).toEqual([])
  })

  test('F16: finds unreferenced objects and multipart uploads, spares recent ones, and removes the others', async () => {
    const { holdall } = place
    const { bucket, places } = bucketOf()
    await bucket.put(places.kept(stranger), Buffer.from('x'))
    await bucket.begin(places.kept(other))
    expect(await findings(holdall)).toEqual([])
    const found = await findings(holdall, { graceMs: -60_000, repair: true })
    expect(found).toMatchObject([
      { code: 'BYTES_STAGED_UNKNOWN', subject: other, repaired: true },
      { code: 'BYTES_KEPT_UNKNOWN', subject: stranger, repaired: true },
    ])
    expect(await findings(holdall, { graceMs: -60_000 })).toEqual([])
  })

  test('F15: finds missing, shorter and changed objects', async () => {
    const { holdall, workspaceId } = place
    const { bucket, places } = bucketOf()
    const upload = (name: string) =>
      uploadFile(holdall, { workspaceId, name, bytes: `bytes of ${name}` })
    const [gone, short, changed] = [await upload('1'), await upload('2'), await upload('3')]
    await bucket.remove(places.kept(await blobOf(holdall, gone)))
    await bucket.put(places.kept(await blobOf(holdall, short)), Buffer.from('by'))
    await bucket.put(places.kept(await blobOf(holdall, changed)), Buffer.from('bytes of !'))
    const found = await findings(holdall, { deep: true, repair: true })
    const codes = found.map(({ code }) => code).sort()
    expect(codes).toEqual(['BYTES_CHANGED', 'BYTES_MISSING', 'BYTES_TRUNCATED'])
    for (const file of [gone, short, changed]) {
      expect(await lookUp(holdall, file, '... on File { status }')).toMatchObject({
        status: 'FAILED',
      })
      expect((await holdall.http(`/download/${file.id}`)).status).toBe(502)
    }
    expect(await findings(holdall, { deep: true })).toEqual([])
  })
})
