import { randomBytes } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { sweepOrphans } from '../../../src/domains/uploads/store/sweep.ts'
import { act, attempt, confirmUpload, downloadUrl, usageOf } from '../../support/client.ts'
import { invite } from '../../support/data/people.ts'
import { s3IsGiven } from '../../support/s3.ts'
import {
  createSigned,
  putToBucket,
  type SignedUpload,
  sha256,
  startOnS3,
  uploadState,
} from '../../support/servers/s3-server.ts'
import type { TestServer } from '../../support/servers/test-server.ts'

const MIB = 1024 ** 2

/** PUTs all the parts, in any order and without a token. */
async function putParts({ parts }: SignedUpload, bytes: Uint8Array) {
  const puts = (parts ?? []).toReversed().map(async ({ url, offset, size }) => {
    const body = bytes.subarray(offset, offset + size) as BodyInit
    return (await fetch(url, { method: 'PUT', body })).status
  })
  return new Set(await Promise.all(puts))
}

const confirm = (holdall: TestServer, uploadId: string, more = {}) =>
  attempt(holdall, 'confirmUpload', { uploadId, ...more }, 'file { id size sha256 }')

async function read(holdall: TestServer, file: { id: string }): Promise<Buffer> {
  const link = await downloadUrl(holdall, file.id)
  const { status, headers } = await holdall.http(link, { token: null })
  expect(status).toBe(302)
  return Buffer.from(await (await fetch(headers.get('location') ?? '')).arrayBuffer())
}

describe.skipIf(!s3IsGiven)('SIGNED_PUT to a bucket (needs S3_ENDPOINT and S3_BUCKET)', () => {
  test('one PUT to the bucket, without a token, and a confirm', async () => {
    await using here = await startOnS3()
    const { holdall, workspaceId } = here
    const bytes = randomBytes(3_000_000)
    const upload = await createSigned(holdall, { workspaceId, size: bytes.length })
    expect(new URL(upload.url).host).not.toBe(new URL(holdall.url).host)
    expect(upload.parts).toBeNull()
    expect((await putToBucket(upload, bytes)).status).toBe(200)
    expect(await uploadState(holdall, upload.id)).toMatchObject({ status: 'CREATED', offset: 0 })
    const { file } = await confirm(holdall, upload.id, { size: 3_000_000, sha256: sha256(bytes) })
    expect(file).toMatchObject({ size: 3_000_000, sha256: sha256(bytes) })
    expect((await read(holdall, file)).equals(bytes)).toBe(true)
    expect(await usageOf(holdall, workspaceId)).toMatchObject({ reservedBytes: 0, fileCount: 1 })
    expect((await confirm(holdall, upload.id)).file.id).toBe(file.id)
  })

  test('without a PUT: UPLOAD_INCOMPLETE, and a later PUT is accepted', async () => {
    await using here = await startOnS3()
    const { holdall, workspaceId } = here
    const upload = await createSigned(holdall, { workspaceId, size: 5 })
    expect(await confirm(holdall, upload.id)).toMatchObject({ code: 'UPLOAD_INCOMPLETE' })
    expect((await putToBucket(upload, Buffer.from('hello'))).status).toBe(200)
    expect((await confirm(holdall, upload.id)).file.size).toBe(5)
  })

  test('the bucket accepts only the declared length', async () => {
    await using here = await startOnS3()
    const { holdall, workspaceId } = here
    const upload = await createSigned(holdall, { workspaceId, size: 5 })
    expect((await putToBucket(upload, Buffer.from('sixsix'))).status).toBe(403)
    expect((await putToBucket(upload, Buffer.from('four'))).status).toBe(403)
    expect(await confirm(holdall, upload.id)).toMatchObject({ code: 'UPLOAD_INCOMPLETE' })
  })

  test('bytes that differ from the declared hash become no file, and are quarantined', async () => {
    await using here = await startOnS3()
    const { holdall, workspaceId } = here
    const wanted = { workspaceId, size: 5, sha256: sha256(Buffer.from('hello')) }
    const upload = await createSigned(holdall, wanted)
    await putToBucket(upload, Buffer.from('jello'))
    expect(await confirm(holdall, upload.id)).toMatchObject({ code: 'CHECKSUM_MISMATCH' })
    expect(await uploadState(holdall, upload.id)).toMatchObject({ status: 'FAILED', file: null })
    expect(await sweepOrphans(holdall.app, { graceMs: -2000, log: holdall.app.log })).toEqual([
      upload.id,
    ])
    expect(await usageOf(holdall, workspaceId)).toMatchObject({ reservedBytes: 0, fileCount: 0 })
  })

  test('a confirm with other expectations fails, and can be repeated', async () => {
    await using here = await startOnS3()
    const { holdall, workspaceId } = here
    const upload = await createSigned(holdall, { workspaceId, size: 5 })
    await putToBucket(upload, Buffer.from('hello'))
    const wrong = { sha256: sha256(Buffer.from('jello')) }
    expect(await confirm(holdall, upload.id, wrong)).toMatchObject({ code: 'CHECKSUM_MISMATCH' })
    expect(await confirm(holdall, upload.id, { size: 4 })).toMatchObject({ code: 'SIZE_MISMATCH' })
    expect((await confirm(holdall, upload.id)).file.sha256).toBe(sha256(Buffer.from('hello')))
  })

  test('the URL writes once: other bytes replace the first neither before nor after the confirm', async () => {
    await using here = await startOnS3()
    const { holdall, workspaceId } = here
    const upload = await createSigned(holdall, { workspaceId, size: 5 })
    await putToBucket(upload, Buffer.from('hello'))
    expect((await putToBucket(upload, Buffer.from('jello'))).status).toBe(412)
    const file = await confirmUpload(holdall, { uploadId: upload.id })
    expect((await putToBucket(upload, Buffer.from('jello'))).status).toBe(412)
    const bare = await putToBucket({ ...upload, headers: [] }, Buffer.from('jello'))
    expect([400, 403]).toContain(bare.status)
    expect((await read(holdall, file)).toString()).toBe('hello')
  })

  test('parts in any order become one file', async () => {
    await using here = await startOnS3()
    const { holdall, workspaceId } = here
    const bytes = randomBytes(19 * MIB + 7)
    const upload = await createSigned(holdall, { workspaceId, size: bytes.length })
    expect(upload.parts?.map(({ number, offset, size }) => [number, offset, size])).toEqual([
      [1, 0, 8 * MIB],
      [2, 8 * MIB, 8 * MIB],
      [3, 16 * MIB, 3 * MIB + 7],
    ])
    const query = `query ($id: ID!) { node(id: $id) { ... on Upload { parts(first: 1, after: 1) { number } } } }`
    const { node } = await holdall.ask(query, { id: upload.id })
    expect(node.parts).toEqual([{ number: 2 }])
    expect(await confirm(holdall, upload.id)).toMatchObject({ code: 'UPLOAD_INCOMPLETE' })
    expect(await putParts(upload, bytes)).toEqual(new Set([200]))
    const { file } = await confirm(holdall, upload.id)
    expect(file).toMatchObject({ size: bytes.length, sha256: sha256(bytes) })
    expect((await read(holdall, file)).equals(bytes)).toBe(true)
    expect(await usageOf(holdall, workspaceId)).toMatchObject({ reservedBytes: 0, fileCount: 1 })
  })

  test('a missing part is reported, and can be sent alone', async () => {
    await using here = await startOnS3()
    const { holdall, workspaceId } = here
    const bytes = randomBytes(9 * MIB)
    const upload = await createSigned(holdall, { workspaceId, size: bytes.length })
    const [first, second] = upload.parts ?? []
    await putParts({ ...upload, parts: second ? [second] : [] }, bytes)
    expect(await confirm(holdall, upload.id)).toMatchObject({ code: 'UPLOAD_INCOMPLETE' })
    await putParts({ ...upload, parts: first ? [first] : [] }, bytes)
    expect((await confirm(holdall, upload.id)).file.sha256).toBe(sha256(bytes))
  })

  test('an upload with parts can still be sent whole', async () => {
    await using here = await startOnS3()
    const { holdall, workspaceId } = here
    const bytes = randomBytes(9 * MIB)
    const upload = await createSigned(holdall, { workspaceId, size: bytes.length })
    expect(upload.parts).toHaveLength(2)
    expect((await putToBucket(upload, bytes)).status).toBe(200)
    expect((await confirm(holdall, upload.id)).file.sha256).toBe(sha256(bytes))
  })

  test('an upload larger than one PUT allows is sent in parts, or through the server', async () => {
    await using here = await startOnS3()
    const { holdall, workspaceId } = here
    const upload = await createSigned(holdall, { workspaceId, size: 5 * 1024 ** 3 + 1 })
    expect(new URL(upload.url).host).toBe(new URL(holdall.url).host)
    expect(upload.parts).toHaveLength(20)
    const largest = await createSigned(holdall, { workspaceId, name: 'b', size: 5 * 1024 ** 3 })
    expect(new URL(largest.url).host).not.toBe(new URL(holdall.url).host)
  })

  test('fifty confirms of parts create one file', async () => {
    await using here = await startOnS3()
    const { holdall, workspaceId } = here
    const bytes = randomBytes(9 * MIB)
    const upload = await createSigned(holdall, { workspaceId, size: bytes.length })
    await putParts(upload, bytes)
    const answers = await Promise.all(Array.from({ length: 50 }, () => confirm(holdall, upload.id)))
    expect(new Set(answers.map(({ file }) => file?.id)).size).toBe(1)
    expect(await usageOf(holdall, workspaceId)).toMatchObject({ reservedBytes: 0, fileCount: 1 })
  })

  test('the same bytes sent twice are stored once', async () => {
    await using here = await startOnS3()
    const { holdall, workspaceId } = here
    for (const name of ['a', 'b']) {
      const upload = await createSigned(holdall, { workspaceId, name, size: 5 })
      await putToBucket(upload, Buffer.from('hello'))
      await confirmUpload(holdall, { uploadId: upload.id })
    }
    await expect
      .poll(async () => (await Array.fromAsync(holdall.app.blobs.list('kept'))).length)
      .toBe(1)
  })

  test('only the creator gets URLs of the bucket, and only until its bytes have arrived', async () => {
    await using here = await startOnS3()
    const { holdall, workspaceId } = here
    const { token } = await invite(holdall, workspaceId)
    const size = 9 * MIB
    const upload = await createSigned(holdall, { workspaceId, size })
    const query = 'query ($id: ID!) { node(id: $id) { ... on Upload { url parts { url } } } }'
    const hers = (await holdall.ask(query, { id: upload.id }, { token })).node
    expect([hers.url, hers.parts]).toEqual([null, null])
    await putToBucket(upload, randomBytes(size))
    await confirmUpload(holdall, { uploadId: upload.id })
    const mine = (await holdall.ask(query, { id: upload.id })).node
    expect([new URL(mine.url).host, mine.parts]).toEqual([new URL(holdall.url).host, null])
  })

  test('after a cancellation its bytes are quarantined, as are bytes PUT later', async () => {
    await using here = await startOnS3()
    const { holdall, workspaceId } = here
    const whole = await createSigned(holdall, { workspaceId, size: 5 })
    const size = 8 * MIB + 5
    const inParts = await createSigned(holdall, { workspaceId, name: 'b.bin', size })
    await putToBucket(whole, Buffer.from('hello'))
    for (const { id } of [whole, inParts]) {
      await act(holdall, 'cancelUpload', { uploadId: id }, '__typename')
    }
    const kept = () => Array.fromAsync(holdall.app.blobs.list('kept'))
    expect(await kept()).toMatchObject([{ key: whole.id }])
    const last = inParts.parts?.slice(-1) ?? []
    expect(await putParts({ ...inParts, parts: last }, randomBytes(size))).toEqual(new Set([404]))
    await putToBucket(whole, Buffer.from('hello'))
    // A bucket has times in whole seconds.
    expect(await sweepOrphans(holdall.app, { graceMs: -2000, log: holdall.app.log })).toEqual([
      whole.id,
    ])
    // A bucket leaves it in place until QUARANTINE_DAYS are over.
    expect(await kept()).toMatchObject([{ key: whole.id }])
  })

  test('an object that waits for its confirm is no orphan', async () => {
    await using here = await startOnS3()
    const { holdall, workspaceId } = here
    const bytes = randomBytes(9 * MIB)
    const whole = await createSigned(holdall, { workspaceId, size: 5 })
    const inParts = await createSigned(holdall, { workspaceId, name: 'b', size: bytes.length })
    await putToBucket(whole, Buffer.from('hello'))
    await putParts(inParts, bytes)
    expect(await sweepOrphans(holdall.app, { graceMs: -2000, log: holdall.app.log })).toEqual([])
    expect((await confirm(holdall, whole.id)).file.size).toBe(5)
    expect((await confirm(holdall, inParts.id)).file.sha256).toBe(sha256(bytes))
  })
})
