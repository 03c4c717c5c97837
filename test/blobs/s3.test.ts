import { createHash, randomBytes } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import { AbortMultipartUploadCommand, ListMultipartUploadsCommand } from '@aws-sdk/client-s3'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { BlobStore } from '../../src/blobs/blob-store.ts'
import { presigningClient } from '../../src/blobs/s3/api/client.ts'
import { createObjectKeys } from '../../src/blobs/s3/object-keys.ts'
import { StorageError } from '../../src/errors/availability.ts'
import { ChecksumMismatch } from '../../src/errors/uploads.ts'
import { openHttpProxy } from '../support/network/http-proxy.ts'
import { openS3Store, s3IsGiven } from '../support/s3.ts'
import { blobStoreContract } from './contract.ts'
import { body, brokenBody, newKey, read, sha256, stalledBody } from './sources.ts'

const MIB = 1024 ** 2
/** The S3 minimum. */
const partSizeFor = () => 5 * MIB

const given = s3IsGiven ? describe : describe.skip

given(s3IsGiven ? 'S3' : 'skipped: S3_ENDPOINT and S3_BUCKET are not set', () => {
  blobStoreContract('on S3', openS3Store)

  let place: Awaited<ReturnType<typeof openS3Store>>
  let store: BlobStore
  let key: string
  beforeEach(async () => {
    place = await openS3Store({ partSizeFor })
    store = place.store
    key = newKey()
  })
  afterEach(() => place.dispose())

  const presigned = () => {
    if (!store.presigned) throw new Error('a bucket store has presigned URLs')
    return store.presigned
  }
  const soon = () => Date.now() + 60_000
  const keys = async (place: 'staged' | 'kept', from = store) =>
    (await Array.fromAsync(from.list(place))).map((found) => found.key)
  const names = () => createObjectKeys(place.config.prefix)

  async function openMultiparts() {
    const client = presigningClient(place.config)
    const { bucket: Bucket } = place.config
    const Prefix = names().kept(key)
    const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket, Prefix }))
    return { client, at: { Bucket, Key: Prefix }, ids: Uploads.map(({ UploadId }) => UploadId) }
  }

  /** Opens a store whose requests are recorded and whose responses may be dropped. */
  async function recorded(swallow?: Parameters<typeof openHttpProxy>[1]) {
    const proxy = await openHttpProxy(place.config.endpoint ?? '', swallow)
    const { endpoint } = proxy
    const requests = () => proxy.passed.map(({ method, url }) => `${method} ${kindOf(url)}`)
    return { ...proxy, store: place.reopen({ endpoint }), requests }
  }
  const kindOf = (url: string) =>
    ['uploads', 'partNumber', 'uploadId'].find((word) => url.includes(`${word}=`)) ??
    (url.includes('/tails/') ? 'incomplete part' : 'object')

  test('sends a small upload of known length with one PUT, and commits it with one HEAD', async () => {
    await using proxied = await recorded()
    const bytes = randomBytes(3 * MIB)
    await proxied.store.stage(key, bytes.length)
    expect(await proxied.store.append(key, 0, body(bytes))).toBe(bytes.length)
    expect(proxied.requests()).toEqual(['PUT object'])
    expect(await proxied.store.sha256(key, bytes.length)).toBe(sha256(bytes))
    expect(await proxied.store.peek(key, 4_100)).toEqual(bytes.subarray(0, 4_100))
    await proxied.store.commit(key)
    expect(proxied.requests()).toEqual(['PUT object', 'HEAD object'])
    expect((await read(proxied.store.open(key))).equals(bytes)).toBe(true)
  })

  for (const isLate of [true, false]) {
    const when = isLate ? 'after' : 'before'
    test(`ignores a stale writer whose PUT arrives ${when} that of its successor`, async () => {
      const [theirs, mine] = [randomBytes(2 * MIB), randomBytes(2 * MIB)]
      const [requested, free] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
      const hold = async () => {
        requested.resolve()
        await free.promise
      }
      await using proxy = await openHttpProxy(place.config.endpoint ?? '', () => false, hold)
      await store.stage(key, theirs.length)
      const older = place.reopen({ endpoint: proxy.endpoint }).append(key, 0, body(theirs))
      await requested.promise
      if (!isLate) {
        await place.ledger.acquireFencingToken(key)
        free.resolve()
        await older
      }
      expect(await store.append(key, 0, body(mine))).toBe(mine.length)
      await store.commit(key)
      free.resolve()
      await older
      expect((await read(store.open(key))).equals(mine)).toBe(true)
    })
  }

  test('sends parts to the final object, reads an incomplete part once, and copies nothing', async () => {
    await using proxied = await recorded()
    const bytes = randomBytes(12 * MIB)
    await proxied.store.stage(key, bytes.length)
    await proxied.store.append(key, 0, brokenBody(bytes.subarray(0, 7 * MIB)))
    expect(proxied.requests().toSorted()).toEqual([
      'POST uploads',
      'PUT incomplete part',
      'PUT partNumber',
    ])
    proxied.passed.length = 0
    await proxied.store.append(key, 7 * MIB, body(bytes.subarray(7 * MIB)))
    expect(proxied.requests().toSorted()).toEqual([
      'GET incomplete part',
      'PUT partNumber',
      'PUT partNumber',
    ])
    proxied.passed.length = 0
    expect(await proxied.store.sha256(key, bytes.length)).toBe(sha256(bytes))
    expect(await proxied.store.peek(key, 10)).toEqual(bytes.subarray(0, 10))
    await proxied.store.commit(key)
    expect(proxied.requests()).toEqual(['POST uploadId', 'HEAD object', 'DELETE incomplete part'])
    expect((await read(proxied.store.open(key))).equals(bytes)).toBe(true)
    expect(await keys('staged')).toEqual([])
  })

  test('commits exactly the counted bytes of a long upload after any interruptions', async () => {
    const size = fc.integer({ min: 1, max: 4 * MIB })
    const kinds = ['whole', 'cut', 'proven', 'wrong', 'forgotten', 'restart'] as const
    const step = fc.record({ kind: fc.constantFrom(...kinds), size })
    const known = fc.boolean()
    const property = fc.asyncProperty(
      known,
      fc.array(step, { maxLength: 9 }),
      async (known, steps) => {
        const all = randomBytes(13 * MIB)
        const one = newKey()
        let [from, counted] = [place.reopen(), 0]
        await from.stage(one, known ? all.length : null)
        for (const { kind, size } of [...steps, { kind: 'whole' as const, size: all.length }]) {
          if (kind === 'restart') from = place.reopen()
          const bytes = all.subarray(counted, counted + size)
          const right = createHash('sha1').update(bytes).digest()
          const digest = kind === 'wrong' ? Buffer.alloc(20) : right
          const checked = kind === 'wrong' || kind === 'proven'
          const options = checked ? { checksum: { algorithm: 'sha1' as const, digest } } : {}
          const source = kind === 'cut' ? brokenBody(bytes) : body(bytes)
          const length = await from.append(one, counted, source, options).catch((error) => {
            expect(error).toBeInstanceOf(ChecksumMismatch)
            return counted
          })
          // A server that dies before it commits the offset counts none of the written bytes.
          if (kind !== 'forgotten') counted = length
        }
        expect(counted).toBe(all.length)
        expect(await from.sha256(one, all.length)).toBe(sha256(all))
        await from.commit(one)
        expect((await read(from.open(one))).equals(all)).toBe(true)
      },
    )
    await fc.assert(property, { numRuns: 12 })
  }, 120_000)

  test('assembles parts that exceed the memory limit from incomplete parts', async () => {
    const large = {
      partSizeFor: () => 12 * MIB,
      maxIncompletePartBytes: 3 * MIB,
      memoryBytes: 4 * MIB,
    }
    store = place.reopen({}, large)
    const bytes = randomBytes(31 * MIB)
    await store.stage(key, bytes.length)
    await store.append(key, 0, brokenBody(bytes.subarray(0, 20 * MIB)))
    expect(await store.append(key, 20 * MIB, body(bytes.subarray(20 * MIB)))).toBe(bytes.length)
    await store.commit(key)
    expect((await read(store.open(key))).equals(bytes)).toBe(true)
    expect(await keys('staged')).toEqual([])
  })

  test('merges incomplete parts, so that many short appends leave few', async () => {
    await store.stage(key)
    const bytes = randomBytes(100)
    for (const [at] of bytes.entries())
      await store.append(key, at, body(bytes.subarray(at, at + 1)))
    expect((await place.ledger.load(key))?.incompleteParts.length).toBeLessThan(8)
    await store.commit(key)
    expect((await read(store.open(key))).equals(bytes)).toBe(true)
  })

  test('discards bytes beyond the announced size and returns the excessive length', async () => {
    await store.stage(key, 10)
    expect(await store.append(key, 0, body(randomBytes(20)))).toBeGreaterThan(10)
    expect(await store.append(key, 0, body(Buffer.from('0123456789')))).toBe(10)
    await store.commit(key)
    expect((await read(store.open(key))).toString()).toBe('0123456789')
  })

  test('stores bytes of a slow connection after the interval', async () => {
    store = place.reopen({}, { syncInterval: { bytes: 64 * MIB, ms: 40 } })
    await store.stage(key)
    const source = stalledBody(Buffer.from('drop '))
    const reported: number[] = []
    const onDurable = async (offset: number) => void reported.push(offset)
    const appending = store.append(key, 0, source, { onDurable })
    await expect.poll(() => reported, { timeout: 5_000 }).toEqual([5])
    source.push('by drop')
    await expect.poll(() => reported, { timeout: 5_000 }).toEqual([5, 12])
    source.push(null)
    expect(await appending).toBe(12)
    expect(await place.reopen().sha256(key, 12)).toBe(sha256(Buffer.from('drop by drop')))
  })

  test('serves many slow senders with little shared memory', async () => {
    store = place.reopen({}, { partSizeFor, memoryBytes: 4 * MIB })
    const bytes = randomBytes(MIB + 5)
    const stop = new AbortController()
    const uploads = Array.from({ length: 30 }, () => ({
      key: newKey(),
      source: stalledBody(bytes),
    }))
    const appending = uploads.map(async ({ key, source }) => {
      await store.stage(key, 20 * MIB)
      return store.append(key, 0, source, { signal: stop.signal })
    })
    await expect
      .poll(() => uploads.filter(({ source }) => source.readableLength > 0), { timeout: 20_000 })
      .toEqual([])
    stop.abort()
    expect(new Set(await Promise.all(appending))).toEqual(new Set([bytes.length]))
  })

  test('ignores the bytes of a stale writer', async () => {
    await store.stage(key)
    const source = stalledBody(Buffer.from('late'))
    const late = store.append(key, 0, source)
    await wait(50)
    expect(await place.reopen().append(key, 0, body(Buffer.from('newer')))).toBe(5)
    source.push(null)
    // The caller will find that it may no longer commit this length.
    expect(await late).toBe(4)
    expect((await place.ledger.load(key))?.incompleteParts).toHaveLength(1)
    await store.commit(key)
    expect((await read(store.open(key))).toString()).toBe('newer')
    expect(await keys('staged')).toEqual([])
  })

  test('leaves nothing of a key that is discarded during an append', async () => {
    await store.stage(key, 20 * MIB)
    const source = stalledBody(randomBytes(6 * MIB))
    const late = store.append(key, 0, source)
    await expect.poll(() => source.readableLength, { timeout: 5_000 }).toBe(0)
    await store.discard(key)
    source.push(randomBytes(5 * MIB))
    source.push(null)
    expect(await late).toBeGreaterThan(0)
    expect([await keys('staged'), await keys('kept')]).toEqual([[], []])
    expect((await openMultiparts()).ids).toEqual([])
  })

  test('does not use a cached hash after another process has written', async () => {
    await store.stage(key)
    await store.append(key, 0, body(Buffer.from('mine, mine')))
    await place.reopen().append(key, 5, body(Buffer.from('yours')))
    expect(await store.sha256(key, 10)).toBe(sha256(Buffer.from('mine,yours')))
    expect(Buffer.from(await store.peek(key, 100)).toString()).toBe('mine,yours')
  })

  test('accepts no more bytes after an upload was completed for reading, and commits it', async () => {
    const bytes = randomBytes(6 * MIB)
    await store.stage(key)
    await store.append(key, 0, body(bytes))
    const other = place.reopen()
    expect(await other.sha256(key, bytes.length)).toBe(sha256(bytes))
    expect(await other.append(key, bytes.length, body(Buffer.alloc(0)))).toBe(bytes.length)
    const more = other.append(key, bytes.length, body(Buffer.from('more')))
    await expect(more).rejects.toThrow(StorageError)
    await other.commit(key)
    expect((await read(other.open(key))).equals(bytes)).toBe(true)
  })

  test('commits when the response to CompleteMultipartUpload is lost', async () => {
    const bytes = randomBytes(6 * MIB)
    let lost = 0
    await using proxied = await recorded(({ method, url }) => {
      const completes = method === 'POST' && url.includes('uploadId=')
      if (completes) lost += 1
      return completes && lost === 1
    })
    await proxied.store.stage(key, bytes.length)
    await proxied.store.append(key, 0, body(bytes))
    await proxied.store.commit(key)
    expect(lost).toBeGreaterThan(0)
    expect((await read(store.open(key))).equals(bytes)).toBe(true)
    expect(await keys('staged')).toEqual([])
  })

  test('rejects the commit of a multipart upload that was aborted elsewhere', async () => {
    const bytes = randomBytes(11 * MIB)
    await store.stage(key, bytes.length)
    await store.append(key, 0, body(bytes))
    const { client, at, ids } = await openMultiparts()
    for (const UploadId of ids)
      await client.send(new AbortMultipartUploadCommand({ ...at, UploadId }))
    await expect(store.commit(key)).rejects.toThrow(StorageError)
    await expect(place.reopen().sha256(key, bytes.length)).rejects.toThrow(StorageError)
    await expect(store.open(key)).rejects.toThrow(StorageError)
    await store.discard(key)
    expect(await keys('staged')).toEqual([])
  })

  test('lists and discards what a crash left in the bucket without a row', async () => {
    const bytes = randomBytes(7 * MIB)
    await store.stage(key, 20 * MIB)
    await store.append(key, 0, body(bytes))
    await place.ledger.delete(key)
    const unknownKey = newKey()
    await store.stage(unknownKey)
    await store.append(unknownKey, 0, body(Buffer.from('an incomplete part')))
    await place.ledger.delete(unknownKey)
    expect(new Set(await keys('staged'))).toEqual(new Set([key, unknownKey]))
    expect((await openMultiparts()).ids).toHaveLength(1)
    for (const found of await keys('staged')) await store.discard(found)
    expect(await keys('staged')).toEqual([])
    expect((await openMultiparts()).ids).toEqual([])
  })

  test('discards parts, incomplete parts and whole objects', async () => {
    const small = newKey()
    await store.stage(small, 3)
    await store.append(small, 0, body(Buffer.from('abc')))
    await store.stage(key, 20 * MIB)
    await store.append(key, 0, body(randomBytes(7 * MIB)))
    expect(await keys('kept')).toEqual([])
    for (const found of [small, key]) await store.discard(found)
    expect((await openMultiparts()).ids).toEqual([])
    await place.ledger.delete(small)
    expect([await keys('staged'), await keys('kept')]).toEqual([[], []])
  })

  test('requests the configured encryption with every write', async () => {
    await using proxy = await openHttpProxy(place.config.endpoint ?? '')
    const { endpoint } = proxy
    store = place.reopen({ endpoint, sse: { algorithm: 'aws:kms', keyId: 'alias/files' } })
    // The test servers have no keys; only the requests are checked.
    await store.stage(key, 20 * MIB)
    await store.append(key, 0, body(randomBytes(6 * MIB))).catch(() => {})
    await store.commit(key).catch(() => {})
    const writes = proxy.passed.filter(
      ({ method, url }) =>
        (method === 'PUT' && !url.includes('partNumber=')) || url.includes('uploads='),
    )
    expect(writes.length).toBeGreaterThan(0)
    for (const { headers } of writes) {
      expect(headers['x-amz-server-side-encryption']).toBe('aws:kms')
      expect(headers['x-amz-server-side-encryption-aws-kms-key-id']).toBe('alias/files')
    }
    const { headers } = await presigned().putUrl(key, { size: 3, expiresAt: soon() })
    expect(headers['x-amz-server-side-encryption']).toBe('aws:kms')
  })

  test('sends no checksums if they are disabled', async () => {
    await using proxy = await openHttpProxy(place.config.endpoint ?? '')
    store = place.reopen({ endpoint: proxy.endpoint, checksums: false })
    const bytes = randomBytes(6 * MIB)
    await store.stage(key, bytes.length)
    await store.append(key, 0, body(bytes))
    await store.commit(key)
    const names = proxy.passed.flatMap(({ headers }) => Object.keys(headers))
    expect(names.filter((name) => name.startsWith('x-amz-checksum'))).toEqual([])
    expect((await read(store.open(key))).equals(bytes)).toBe(true)
  })

  test('reports an unreachable bucket as a StorageError with its cause', async () => {
    const proxy = await openHttpProxy(place.config.endpoint ?? '')
    await proxy[Symbol.asyncDispose]()
    store = place.reopen({ endpoint: proxy.endpoint })
    await store.stage(key, 5)
    const append = store.append(key, 0, body(Buffer.from('hello')))
    await expect(append).rejects.toThrow(StorageError)
    await expect(append).rejects.toHaveProperty('cause.code', 'ECONNREFUSED')
    await expect(store.open(key)).rejects.toThrow(StorageError)
    expect(await place.reopen().append(key, 0, body(Buffer.from('hello')))).toBe(5)
  })

  describe('with presigned URLs', () => {
    const put = (url: string, bytes: Uint8Array, headers: Record<string, string> = {}) =>
      fetch(url, { method: 'PUT', body: bytes as BodyInit, headers })

    test('accepts one PUT of exactly the announced size, once', async () => {
      const bytes = randomBytes(100_000)
      await store.stage(key, bytes.length)
      const { url, headers } = await presigned().putUrl(key, {
        size: bytes.length,
        expiresAt: soon(),
      })
      expect(await presigned().uploadedSize(key, bytes.length)).toBe(0)
      expect((await put(url, bytes.subarray(1), headers)).status).toBe(403)
      expect((await put(url, bytes, headers)).status).toBe(200)
      expect((await put(url, randomBytes(bytes.length), headers)).status).toBe(412)
      expect(await presigned().uploadedSize(key, bytes.length)).toBe(bytes.length)
      expect(await presigned().uploadedSize(key, 5)).toBe(0)
      expect(await store.sha256(key, bytes.length)).toBe(sha256(bytes))
      expect(await store.peek(key, 4)).toEqual(bytes.subarray(0, 4))
      await store.commit(key)
      expect((await put(url, randomBytes(bytes.length), headers)).status).toBe(412)
      expect((await read(store.open(key))).equals(bytes)).toBe(true)
      expect([await keys('staged'), await keys('kept')]).toEqual([[], [key]])
    })

    test('accepts parts in any order from different processes, and completes them on commit', async () => {
      const bytes = randomBytes(12 * MIB)
      const size = bytes.length
      await store.stage(key, size)
      expect(presigned().partSize(size)).toBe(5 * MIB)
      const numbers = [3, 1, 2]
      const wanted = (number: number) => ({ size, number, expiresAt: soon() })
      const urls = await Promise.all(
        numbers.map((n) => place.reopen().presigned?.partUrl(key, wanted(n)) ?? ''),
      )
      expect((await openMultiparts()).ids).toHaveLength(1)
      const part = (number: number) => bytes.subarray((number - 1) * 5 * MIB, number * 5 * MIB)
      for (const [index, number] of numbers.entries()) {
        expect(await presigned().uploadedSize(key, size)).toBe(0)
        expect((await put(urls[index] ?? '', part(number).subarray(0, 9))).status).toBe(403)
        expect((await put(urls[index] ?? '', part(number))).status).toBe(200)
      }
      expect(await presigned().uploadedSize(key, size)).toBe(size)
      expect(await presigned().uploadedSize(key, size)).toBe(size)
      expect(await store.sha256(key, size)).toBe(sha256(bytes))
      await store.commit(key)
      expect(await presigned().uploadedSize(key, size)).toBe(size)
      expect((await read(store.open(key))).equals(bytes)).toBe(true)
      await expect(presigned().partUrl(key, wanted(4))).rejects.toThrow(TypeError)
    })

    test('serves a GET with the requested name and type', async () => {
      await store.stage(key, 5)
      await store.append(key, 0, body(Buffer.from('hello')))
      await store.commit(key)
      const contentDisposition = `attachment; filename="a b.txt"; filename*=UTF-8''%C3%A4.txt`
      const wanted = { expiresAt: soon(), contentType: 'text/x-hello', contentDisposition }
      const answer = await fetch(await presigned().getUrl(key, wanted))
      expect(answer.headers.get('content-type')).toBe('text/x-hello')
      expect(answer.headers.get('content-disposition')).toBe(contentDisposition)
      expect(await answer.text()).toBe('hello')
    })
  })
})
