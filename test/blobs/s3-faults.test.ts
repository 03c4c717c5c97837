import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { UploadPartCommand } from '@aws-sdk/client-s3'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { presigningClient } from '../../src/blobs/s3/api/client.ts'
import { createObjectKeys } from '../../src/blobs/s3/object-keys.ts'
import { StorageError } from '../../src/errors/availability.ts'
import { type Fate, openFaultyWay } from '../support/faults/kinds/proxy.ts'
import { startTcpProxy } from '../support/network/tcp-proxy.ts'
import { openS3Store, s3IsGiven } from '../support/s3.ts'
import { body, brokenBody, newKey, read } from './sources.ts'

const MIB = 1024 ** 2
const partSizeFor = () => 5 * MIB
const errorBody = (code: string) => `<?xml version="1.0"?><Error><Code>${code}</Code></Error>`

const isPart = ({ method, url = '' }: IncomingMessage) =>
  method === 'PUT' && url.includes('partNumber=')
const isComplete = ({ method, url = '' }: IncomingMessage) =>
  method === 'POST' && url.includes('uploadId=')
const isRead = ({ method }: IncomingMessage) => method === 'GET'

describe.skipIf(!s3IsGiven)(
  'F6: with a faulty connection to the bucket (needs S3_ENDPOINT and S3_BUCKET)',
  () => {
    let place: Awaited<ReturnType<typeof openS3Store>>
    let key: string
    beforeEach(async () => {
      place = await openS3Store({ partSizeFor })
      key = newKey()
    })
    afterEach(() => place.dispose())

    /** Opens a store whose first `times` matching requests fail, and counts them. */
    async function faulty(matches: (request: IncomingMessage) => boolean, fate: Fate, times = 1) {
      const met = { count: 0 }
      const way = await openFaultyWay(place.config.endpoint ?? '', (request) => {
        if (met.count === times || !matches(request)) return null
        met.count += 1
        return fate
      })
      return { ...way, met, store: place.reopen({ endpoint: way.endpoint }) }
    }

    async function staged(bytes: Buffer, store = place.store) {
      await store.stage(key, bytes.length)
      expect(await store.append(key, 0, body(bytes))).toBe(bytes.length)
      return store
    }

    test('retries parts whose upload was reset, from memory and from a stream', async () => {
      await using way = await faulty(isPart, { cutRequestAfter: MIB }, 2)
      const bytes = randomBytes(12 * MIB)
      await way.store.stage(key, bytes.length)
      await way.store.append(key, 0, brokenBody(bytes.subarray(0, 7 * MIB)))
      way.met.count = 0
      await way.store.append(key, 7 * MIB, body(bytes.subarray(7 * MIB)))
      await way.store.commit(key)
      expect(way.met.count).toBe(2)
      expect((await read(place.store.open(key))).equals(bytes)).toBe(true)
    })

    test('resumes a read that was reset', async () => {
      const bytes = randomBytes(6 * MIB)
      await staged(bytes)
      await place.store.commit(key)
      await using way = await faulty(isRead, { cutAnswerAfter: MIB }, 3)
      expect((await read(way.store.open(key))).equals(bytes)).toBe(true)
      const range = { start: 5, end: 4 * MIB }
      way.met.count = 1
      expect((await read(way.store.open(key, range))).equals(bytes.subarray(5, 4 * MIB + 1))).toBe(
        true,
      )
      expect(way.met.count).toBe(3)
    })

    test('repeats requests on new connections within seconds after connections were cut without notice', async () => {
      const bytes = randomBytes(2 * MIB)
      await using way = await startTcpProxy({
        host: '127.0.0.1',
        port: Number(new URL(place.config.endpoint ?? '').port),
      })
      const store = place.reopen({ endpoint: `http://127.0.0.1:${way.port}` })
      await store.stage(key, bytes.length)
      await Promise.all([1, 2, 3].map(() => store.remove(newKey())))
      way.blackHole()
      expect(await store.append(key, 0, body(bytes))).toBe(bytes.length)
      await store.commit(key)
      way.blackHole()
      expect((await read(store.open(key))).equals(bytes)).toBe(true)
    }, 60_000)

    test('fails a read when no more bytes arrive', async () => {
      await staged(randomBytes(2 * MIB))
      await place.store.commit(key)
      await using way = await faulty(isRead, { cutAnswerAfter: 0 }, 1_000)
      await expect(read(way.store.open(key))).rejects.toThrow()
      await expect(way.store.sha256(key, 2 * MIB)).rejects.toThrow(StorageError)
      await expect(way.store.peek(key, 100)).rejects.toThrow(StorageError)
    })

    test('detects an error in a 200 response to CompleteMultipartUpload that the SDK misses', async () => {
      const bytes = randomBytes(6 * MIB)
      await staged(bytes)
      const fate = { status: 200, body: `\n\n${errorBody('InternalError')}\n` }
      await using way = await faulty(isComplete, fate)
      await expect(way.store.commit(key)).rejects.toThrow(StorageError)
      await expect(place.store.open(key)).rejects.toThrow(StorageError)
      await way.store.commit(key)
      expect((await read(place.store.open(key))).equals(bytes)).toBe(true)
    })

    test('never completes an upload with a replaced part, however often it is tried', async () => {
      const store = await staged(randomBytes(11 * MIB))
      const { multipartId } = (await place.ledger.load(key)) ?? {}
      const client = presigningClient(place.config)
      const at = {
        Bucket: place.config.bucket,
        Key: createObjectKeys(place.config.prefix).kept(key),
      }
      const part = { ...at, UploadId: multipartId ?? '', PartNumber: 1 }
      await client.send(new UploadPartCommand({ ...part, Body: randomBytes(5 * MIB) }))
      await expect(store.commit(key)).rejects.toThrow(StorageError)
      await expect(store.commit(key)).rejects.toThrow(StorageError)
      await expect(place.reopen().commit(key)).rejects.toThrow(StorageError)
      await store.discard(key)
      await expect(store.open(key)).rejects.toThrow(StorageError)
      expect(await Array.fromAsync(store.list('staged'))).toEqual([])
    })

    test('rejects an unexpected ETag if the hash of the received bytes is not known', async () => {
      await staged(randomBytes(MIB))
      const { fencingToken = 0 } = (await place.ledger.load(key)) ?? {}
      await place.ledger.write(key, fencingToken, { whole: '"another"' })
      await expect(place.reopen().commit(key)).rejects.toThrow(StorageError)
      await place.store.commit(key)
    })

    test('corrects a clock that is one hour off by the time of the bucket', async () => {
      vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 3_600_000 })
      try {
        const bytes = randomBytes(12 * MIB)
        const store = place.reopen()
        // Some servers close the connection on a body before they report what is wrong.
        expect(await Array.fromAsync(store.list('kept'))).toEqual([])
        await store.stage(key, bytes.length)
        await store.append(key, 0, brokenBody(bytes.subarray(0, 3 * MIB)))
        await store.append(key, 3 * MIB, body(bytes.subarray(3 * MIB)))
        await store.commit(key)
        expect((await read(store.open(key))).equals(bytes)).toBe(true)
      } finally {
        vi.useRealTimers()
      }
    })

    test('refreshes credentials that expire early', async () => {
      const { AWS_ACCESS_KEY_ID: AccessKeyId, AWS_SECRET_ACCESS_KEY: SecretAccessKey } = process.env
      const Expiration = new Date(Date.now() + 3_600_000).toISOString()
      let requests = 0
      // Responds like the credentials endpoint of a container; each of the two clients of the store requests
      // it.
      const role = createServer((_, res) => {
        requests += 1
        const expired = { AccessKeyId: 'EXPIRED', SecretAccessKey: 'expired', Token: 'expired' }
        const credentials =
          requests % 2 === 1 ? expired : { AccessKeyId, SecretAccessKey, Token: '' }
        res.end(JSON.stringify({ ...credentials, Expiration }))
      })
      await once(role.listen(0, '127.0.0.1'), 'listening')
      const { port } = role.address() as AddressInfo
      vi.stubEnv('AWS_ACCESS_KEY_ID', undefined)
      vi.stubEnv('AWS_SECRET_ACCESS_KEY', undefined)
      vi.stubEnv('AWS_CONTAINER_CREDENTIALS_FULL_URI', `http://127.0.0.1:${port}/`)
      const isExpired = ({ headers }: IncomingMessage) =>
        /EXPIRED/.test(headers.authorization ?? '')
      const fate = { status: 400, body: errorBody('ExpiredToken') }
      try {
        await using way = await faulty(isExpired, fate, 100)
        const bytes = randomBytes(12 * MIB)
        await way.store.stage(key, bytes.length)
        await way.store.append(key, 0, brokenBody(bytes.subarray(0, 3 * MIB)))
        await way.store.append(key, 3 * MIB, body(bytes.subarray(3 * MIB)))
        await way.store.commit(key)
        expect((await read(way.store.open(key))).equals(bytes)).toBe(true)
        expect([way.met.count, requests]).toEqual([2, 4])
      } finally {
        vi.unstubAllEnvs()
        role.close()
        role.closeAllConnections()
      }
    })
  },
)
