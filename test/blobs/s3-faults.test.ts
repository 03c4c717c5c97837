import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { UploadPartCommand } from '@aws-sdk/client-s3'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { presigningClient } from '../../src/blobs/s3/api/client.ts'
import { createObjectKeys } from '../../src/blobs/s3/object-keys.ts'
import { StorageError } from '../../src/errors.ts'
import { type Fate, openFaultyWay } from '../support/faults/proxy.ts'
import { openS3Store, s3IsGiven } from '../support/s3.ts'
import { startTcpProxy } from '../support/tcp-proxy.ts'
import { body, brokenBody, newKey, read } from './sources.ts'

const MIB = 1024 ** 2
const partSizeFor = () => 5 * MIB
const refusal = (code: string) => `<?xml version="1.0"?><Error><Code>${code}</Code></Error>`

const isPart = ({ method, url = '' }: IncomingMessage) =>
  method === 'PUT' && url.includes('partNumber=')
const isComplete = ({ method, url = '' }: IncomingMessage) =>
  method === 'POST' && url.includes('uploadId=')
const isRead = ({ method }: IncomingMessage) => method === 'GET'

describe.skipIf(!s3IsGiven)(
  'F6: on a faulty way to the bucket (needs S3_ENDPOINT and S3_BUCKET)',
  () => {
    let place: Awaited<ReturnType<typeof openS3Store>>
    let key: string
    beforeEach(async () => {
      place = await openS3Store({ partSizeFor })
      key = newKey()
    })
    afterEach(() => place.dispose())

    /** A store whose first `times` requests of a kind meet their fate; how many did. */
    async function faulty(is: (asked: IncomingMessage) => boolean, fate: Fate, times = 1) {
      const met = { count: 0 }
      const way = await openFaultyWay(place.config.endpoint ?? '', (asked) => {
        if (met.count === times || !is(asked)) return null
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

    test('reset in the middle of a part, of bytes at hand and of such that are read while they are sent', async () => {
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

    test('reset in the middle of what is read: it goes on from there', async () => {
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

    test('connections that are lost without notice cost seconds: each request goes on over a new one', async () => {
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

    test('where nothing comes any more, reading ends with a fault', async () => {
      await staged(randomBytes(2 * MIB))
      await place.store.commit(key)
      await using way = await faulty(isRead, { cutAnswerAfter: 0 }, 1_000)
      await expect(read(way.store.open(key))).rejects.toThrow()
      await expect(way.store.sha256(key, 2 * MIB)).rejects.toThrow(StorageError)
      await expect(way.store.peek(key, 100)).rejects.toThrow(StorageError)
    })

    test('an error in a 200 to CompleteMultipartUpload is none the less one, also where the SDK overlooks it', async () => {
      const bytes = randomBytes(6 * MIB)
      await staged(bytes)
      const fate = { status: 200, body: `\n\n${refusal('InternalError')}\n` }
      await using way = await faulty(isComplete, fate)
      await expect(way.store.commit(key)).rejects.toThrow(StorageError)
      await expect(place.store.open(key)).rejects.toThrow(StorageError)
      await way.store.commit(key)
      expect((await read(place.store.open(key))).equals(bytes)).toBe(true)
    })

    test('a part that is another than was told never becomes one of the file, however often it is tried', async () => {
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

    test('where nobody knows any more what came, another ETag than was told is a fault', async () => {
      await staged(randomBytes(MIB))
      const { fencingToken = 0 } = (await place.ledger.load(key)) ?? {}
      await place.ledger.write(key, fencingToken, { whole: '"another"' })
      await expect(place.reopen().commit(key)).rejects.toThrow(StorageError)
      await place.store.commit(key)
    })

    test('a clock that is wrong by an hour is put right by what the bucket says', async () => {
      vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 3_600_000 })
      try {
        const bytes = randomBytes(12 * MIB)
        const store = place.reopen()
        // A bucket may hang up on a body before it has said what is wrong.
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

    test('credentials that are spent before their time are asked for anew', async () => {
      const { AWS_ACCESS_KEY_ID: AccessKeyId, AWS_SECRET_ACCESS_KEY: SecretAccessKey } = process.env
      const Expiration = new Date(Date.now() + 3_600_000).toISOString()
      let asked = 0
      // As a container is told of its role; the store has two clients, and each of them asks by itself.
      const role = createServer((_, res) => {
        asked += 1
        const spent = { AccessKeyId: 'SPENT', SecretAccessKey: 'spent', Token: 'spent' }
        const told = asked % 2 === 1 ? spent : { AccessKeyId, SecretAccessKey, Token: '' }
        res.end(JSON.stringify({ ...told, Expiration }))
      })
      await once(role.listen(0, '127.0.0.1'), 'listening')
      const { port } = role.address() as AddressInfo
      vi.stubEnv('AWS_ACCESS_KEY_ID', undefined)
      vi.stubEnv('AWS_SECRET_ACCESS_KEY', undefined)
      vi.stubEnv('AWS_CONTAINER_CREDENTIALS_FULL_URI', `http://127.0.0.1:${port}/`)
      const isSpent = ({ headers }: IncomingMessage) => /SPENT/.test(headers.authorization ?? '')
      const fate = { status: 400, body: refusal('ExpiredToken') }
      try {
        await using way = await faulty(isSpent, fate, 100)
        const bytes = randomBytes(12 * MIB)
        await way.store.stage(key, bytes.length)
        await way.store.append(key, 0, brokenBody(bytes.subarray(0, 3 * MIB)))
        await way.store.append(key, 3 * MIB, body(bytes.subarray(3 * MIB)))
        await way.store.commit(key)
        expect((await read(way.store.open(key))).equals(bytes)).toBe(true)
        expect([way.met.count, asked]).toEqual([2, 4])
      } finally {
        vi.unstubAllEnvs()
        role.close()
        role.closeAllConnections()
      }
    })
  },
)
