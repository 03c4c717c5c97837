import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import type { Env } from '../../../src/config/env.ts'
import { attempt, createWorkspace, download } from '../../support/client.ts'
import { newS3Prefix, s3IsGiven } from '../../support/s3.ts'
import { openProcess } from '../../support/servers/killable.ts'
import {
  createSigned,
  putToBucket,
  sha256,
  startOnS3,
  uploadState,
} from '../../support/servers/s3-server.ts'

const MIB = 1024 ** 2
/** More than any response except for a file's bytes. */
const SHORT = MIB

/** A proxy to the bucket that holds back long responses while it is closed. */
async function openGatedProxy(endpoint: string) {
  const { hostname, port } = new URL(endpoint)
  const sockets = new Set<Socket>()
  const held = new Set<Socket>()
  let isClosed = false
  const server = createServer((client) => {
    const bucket = connect(Number(port), hostname)
    let answered = 0
    bucket.on('data', (bytes) => {
      answered += bytes.length
      client.write(bytes)
      if (isClosed && answered > SHORT) held.add(bucket.pause())
    })
    client.pipe(bucket)
    for (const socket of [client, bucket]) {
      sockets.add(socket)
      socket.on('error', () => {})
      socket.once('close', () => [client, bucket].forEach((one) => void one.destroy()))
    }
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const close = async () => {
    for (const socket of sockets) socket.destroy()
    await new Promise((resolve) => server.close(resolve))
  }
  return {
    url,
    isClosed() {
      isClosed = true
    },
    open() {
      isClosed = false
      for (const bucket of held) bucket.resume()
    },
    [Symbol.asyncDispose]: close,
  }
}

const credentials = (): Env =>
  Object.fromEntries(Object.entries(process.env).filter(([name]) => name.startsWith('AWS_')))

describe.skipIf(!s3IsGiven)('hashing what is in a bucket (needs S3_ENDPOINT and S3_BUCKET)', () => {
  test('after a kill another process continues, and creates the requested file', async () => {
    await using way = await openGatedProxy(process.env.S3_ENDPOINT ?? '')
    const place = { ...newS3Prefix(), ...credentials(), S3_ENDPOINT: way.url }
    await using server = await openProcess(place)
    const { holdall, start, kill } = server
    const { id: workspaceId } = await createWorkspace(holdall)
    const bytes = randomBytes(20 * MIB)
    const upload = await createSigned(holdall, { workspaceId, size: bytes.length })
    expect((await putToBucket(upload, bytes)).status).toBe(200)
    way.isClosed()
    const input = { uploadId: upload.id, comment: 'read back' }
    attempt(holdall, 'confirmUpload', input, 'file { id }').catch(() => {})
    await expect
      .poll(async () => (await uploadState(holdall, upload.id)).status, { timeout: 10_000 })
      .toBe('PROCESSING')
    await sleep(1_800)
    expect(await uploadState(holdall, upload.id)).toMatchObject({
      status: 'PROCESSING',
      file: null,
    })
    await kill()
    way.open()
    await start()
    await expect
      .poll(async () => (await uploadState(holdall, upload.id)).status, { timeout: 30_000 })
      .not.toBe('PROCESSING')
    const { status, file } = await uploadState(holdall, upload.id)
    expect(status).toBe('COMPLETE')
    const query = `query ($id: ID!) { node(id: $id) { ... on File { sha256 version { comment } } } }`
    expect((await holdall.ask(query, { id: file.id })).node).toEqual({
      sha256: sha256(bytes),
      version: { comment: 'read back' },
    })
    expect((await download(holdall, file.id)).equals(bytes)).toBe(true)
  }, 90_000)

  test('hashing longer than a request may take is answered PROCESSING, and ends in a file', async () => {
    await using way = await openGatedProxy(process.env.S3_ENDPOINT ?? '')
    await using here = await startOnS3({ S3_ENDPOINT: way.url })
    const { holdall, workspaceId } = here
    const bytes = randomBytes(20 * MIB)
    const upload = await createSigned(holdall, { workspaceId, size: bytes.length })
    expect((await putToBucket(upload, bytes)).status).toBe(200)
    way.isClosed()
    const selection = 'upload { status } file { id }'
    const answer = await attempt(holdall, 'confirmUpload', { uploadId: upload.id }, selection)
    expect(answer).toMatchObject({ upload: { status: 'PROCESSING' }, file: null })
    way.open()
    await expect
      .poll(async () => (await uploadState(holdall, upload.id)).status, { timeout: 10_000 })
      .toBe('COMPLETE')
    const again = await attempt(holdall, 'confirmUpload', { uploadId: upload.id }, selection)
    expect(again.file.id).toBe((await uploadState(holdall, upload.id)).file.id)
  }, 60_000)
})
