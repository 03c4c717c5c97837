import { createHash, randomBytes } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import { AbortMultipartUploadCommand, ListMultipartUploadsCommand } from '@aws-sdk/client-s3'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { BlobStore } from '../../src/blobs/blob-store.ts'
import { presigningClient } from '../../src/blobs/s3/api/client.ts'
import { createObjectKeys } from '../../src/blobs/s3/object-keys.ts'
import { ChecksumMismatch, StorageError } from '../../src/errors.ts'
import { openHttpProxy } from '../support/http-proxy.ts'
import { openS3Store, s3IsGiven } from '../support/s3.ts'
import { blobStoreContract } from './contract.ts'
import { body, brokenBody, newKey, read, sha256, stalledBody } from './sources.ts'

const MIB = 1024 ** 2
/** The smallest that S3 takes. */
const partSizeFor = () => 5 * MIB

const given = s3IsGiven ? describe : describe.skip

given(s3IsGiven ? 'S3' : 'skipped: no S3_ENDPOINT and S3_BUCKET are given', () => {
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

  const direct = () => {
    if (!store.presigned) throw new Error('a bucket has doors of its own')
    return store.presigned
  }
  const soon = () => Date.now() + 60_000
  const keys = async (where: 'staged' | 'kept', from = store) =>
    (await Array.fromAsync(from.list(where))).map((found) => found.key)
  const names = () => createObjectKeys(place.config.prefix)

  async function openMultiparts() {
    const client = presigningClient(place.config)
    const { bucket: Bucket } = place.config
    const Prefix = names().kept(key)
    const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket, Prefix }))
    return { client, at: { Bucket, Key: Prefix }, ids: Uploads.map(({ UploadId }) => UploadId) }
  }

  /** A store whose every request is seen, and whose answers may be lost. */
  async function watched(swallow?: Parameters<typeof openHttpProxy>[1]) {
    const proxy = await openHttpProxy(place.config.endpoint ?? '', swallow)
    const { endpoint } = proxy
    const said = () => proxy.passed.map(({ method, url }) => `${method} ${what(url)}`)
    return { ...proxy, store: place.reopen({ endpoint }), said }
  }
  const what = (url: string) =>
    ['uploads', 'partNumber', 'uploadId'].find((word) => url.includes(`${word}=`)) ??
    (url.includes('/incompleteParts/') ? 'tail' : 'object')

  test('a small upload whose length is known is one PUT, and one HEAD when it is confirmed', async () => {
    await using seen = await watched()
    const bytes = randomBytes(3 * MIB)
    await seen.store.stage(key, bytes.length)
    expect(await seen.store.append(key, 0, body(bytes))).toBe(bytes.length)
    expect(seen.said()).toEqual(['PUT object'])
    expect(await seen.store.sha256(key, bytes.length)).toBe(sha256(bytes))
    expect(await seen.store.peek(key, 4_100)).toEqual(bytes.subarray(0, 4_100))
    await seen.store.commit(key)
    expect(seen.said()).toEqual(['PUT object', 'HEAD object'])
    expect((await read(seen.store.open(key))).equals(bytes)).toBe(true)
  })

  for (const isLate of [true, false]) {
    const when = isLate ? 'after' : 'before'
    test(`who was overtaken while its bytes lay ready, and writes ${when} the other, harms nothing`, async () => {
      const [its, mine] = [randomBytes(2 * MIB), randomBytes(2 * MIB)]
      const [asked, free] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
      const hold = async () => {
        asked.resolve()
        await free.promise
      }
      await using proxy = await openHttpProxy(place.config.endpoint ?? '', () => false, hold)
      await store.stage(key, its.length)
      const older = place.reopen({ endpoint: proxy.endpoint }).append(key, 0, body(its))
      await asked.promise
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

  test('parts go to their final place; a tail is read once, nothing is asked, nothing is copied', async () => {
    await using seen = await watched()
    const bytes = randomBytes(12 * MIB)
    await seen.store.stage(key, bytes.length)
    await seen.store.append(key, 0, brokenBody(bytes.subarray(0, 7 * MIB)))
    expect(seen.said().toSorted()).toEqual(['POST uploads', 'PUT partNumber', 'PUT tail'])
    seen.passed.length = 0
    await seen.store.append(key, 7 * MIB, body(bytes.subarray(7 * MIB)))
    expect(seen.said().toSorted()).toEqual(['GET tail', 'PUT partNumber', 'PUT partNumber'])
    seen.passed.length = 0
    expect(await seen.store.sha256(key, bytes.length)).toBe(sha256(bytes))
    expect(await seen.store.peek(key, 10)).toEqual(bytes.subarray(0, 10))
    await seen.store.commit(key)
    expect(seen.said()).toEqual(['POST uploadId', 'HEAD object', 'DELETE tail'])
    expect((await read(seen.store.open(key))).equals(bytes)).toBe(true)
    expect(await keys('staged')).toEqual([])
  })

  test('whatever cuts a long upload short, its bytes are those that were counted', async () => {
    const size = fc.integer({ min: 1, max: 4 * MIB })
    const kinds = ['whole', 'cut', 'proven', 'wrong', 'forgotten', 'restart'] as const
    const step = fc.record({ kind: fc.constantFrom(...kinds), size })
    const known = fc.boolean()
    const story = fc.asyncProperty(
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
          // A server that dies before it commits the offset counts none of what was written.
          if (kind !== 'forgotten') counted = length
        }
        expect(counted).toBe(all.length)
        expect(await from.sha256(one, all.length)).toBe(sha256(all))
        await from.commit(one)
        expect((await read(from.open(one))).equals(all)).toBe(true)
      },
    )
    await fc.assert(story, { numRuns: 12 })
  }, 120_000)

  test('parts larger than memory should hold come together from incompleteParts', async () => {
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

  test('however short the goes, there are few incompleteParts', async () => {
    await store.stage(key)
    const bytes = randomBytes(100)
    for (const [at] of bytes.entries())
      await store.append(key, at, body(bytes.subarray(at, at + 1)))
    expect((await place.ledger.load(key))?.incompleteParts.length).toBeLessThan(8)
    await store.commit(key)
    expect((await read(store.open(key))).equals(bytes)).toBe(true)
  })

  test('more bytes than were announced are not kept, and the length tells of them', async () => {
    await store.stage(key, 10)
    expect(await store.append(key, 0, body(randomBytes(20)))).toBeGreaterThan(10)
    expect(await store.append(key, 0, body(Buffer.from('0123456789')))).toBe(10)
    await store.commit(key)
    expect((await read(store.open(key))).toString()).toBe('0123456789')
  })

  test('on a slow line bytes become durable after a while', async () => {
    store = place.reopen({}, { syncInterval: { bytes: 64 * MIB, ms: 40 } })
    await store.stage(key)
    const source = stalledBody(Buffer.from('drop '))
    const heard: number[] = []
    const onDurable = async (offset: number) => void heard.push(offset)
    const appending = store.append(key, 0, source, { onDurable })
    await expect.poll(() => heard, { timeout: 5_000 }).toEqual([5])
    source.push('by drop')
    await expect.poll(() => heard, { timeout: 5_000 }).toEqual([5, 12])
    source.push(null)
    expect(await appending).toBe(12)
    expect(await place.reopen().sha256(key, 12)).toBe(sha256(Buffer.from('drop by drop')))
  })

  test('many slow senders share little memory, and every one gets on', async () => {
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

  test('who was overtaken writes nothing any more', async () => {
    await store.stage(key)
    const source = stalledBody(Buffer.from('late'))
    const late = store.append(key, 0, source)
    await wait(50)
    expect(await place.reopen().append(key, 0, body(Buffer.from('newer')))).toBe(5)
    source.push(null)
    // A length that its caller will find to be no longer theirs to commit.
    expect(await late).toBe(4)
    expect((await place.ledger.load(key))?.incompleteParts).toHaveLength(1)
    await store.commit(key)
    expect((await read(store.open(key))).toString()).toBe('newer')
    expect(await keys('staged')).toEqual([])
  })

  test('what is discarded while its bytes arrive leaves nothing behind', async () => {
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

  test('the hash of a process is worth nothing after another has written', async () => {
    await store.stage(key)
    await store.append(key, 0, body(Buffer.from('mine, mine')))
    await place.reopen().append(key, 5, body(Buffer.from('yours')))
    expect(await store.sha256(key, 10)).toBe(sha256(Buffer.from('mine,yours')))
    expect(Buffer.from(await store.peek(key, 100)).toString()).toBe('mine,yours')
  })

  test('an upload that was put together to be read takes nothing more, and is adopted as it is', async () => {
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

  test('the answer to CompleteMultipartUpload may be lost', async () => {
    const bytes = randomBytes(6 * MIB)
    let lost = 0
    await using seen = await watched(({ method, url }) => {
      const completes = method === 'POST' && url.includes('uploadId=')
      if (completes) lost += 1
      return completes && lost === 1
    })
    await seen.store.stage(key, bytes.length)
    await seen.store.append(key, 0, body(bytes))
    await seen.store.commit(key)
    expect(lost).toBeGreaterThan(0)
    expect((await read(store.open(key))).equals(bytes)).toBe(true)
    expect(await keys('staged')).toEqual([])
  })

  test('a multipart upload that was aborted elsewhere is a fault, never a file', async () => {
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

  test('what a crash left in the bucket and no ledger knows is found, and goes', async () => {
    const bytes = randomBytes(7 * MIB)
    await store.stage(key, 20 * MIB)
    await store.append(key, 0, body(bytes))
    await place.ledger.delete(key)
    const stranger = newKey()
    await store.stage(stranger)
    await store.append(stranger, 0, body(Buffer.from('a tail')))
    await place.ledger.delete(stranger)
    expect(new Set(await keys('staged'))).toEqual(new Set([key, stranger]))
    expect((await openMultiparts()).ids).toHaveLength(1)
    for (const found of await keys('staged')) await store.discard(found)
    expect(await keys('staged')).toEqual([])
    expect((await openMultiparts()).ids).toEqual([])
  })

  test('discarding takes parts, incompleteParts and what came whole', async () => {
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

  test('every write asks for the encryption that is set', async () => {
    await using proxy = await openHttpProxy(place.config.endpoint ?? '')
    const { endpoint } = proxy
    store = place.reopen({ endpoint, sse: { algorithm: 'aws:kms', keyId: 'alias/files' } })
    // The servers of these tests have no keys; what they were asked is what counts.
    await store.stage(key, 20 * MIB)
    await store.append(key, 0, body(randomBytes(6 * MIB))).catch(() => {})
    await store.commit(key).catch(() => {})
    const made = proxy.passed.filter(
      ({ method, url }) =>
        (method === 'PUT' && !url.includes('partNumber=')) || url.includes('uploads='),
    )
    expect(made.length).toBeGreaterThan(0)
    for (const { headers } of made) {
      expect(headers['x-amz-server-side-encryption']).toBe('aws:kms')
      expect(headers['x-amz-server-side-encryption-aws-kms-key-id']).toBe('alias/files')
    }
    const { headers } = await direct().putUrl(key, { size: 3, expiresAt: soon() })
    expect(headers['x-amz-server-side-encryption']).toBe('aws:kms')
  })

  test('without checksums none is sent, and the bytes arrive all the same', async () => {
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

  test('a bucket that is not reached is a fault that names its cause', async () => {
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

  describe('by the doors of the bucket', () => {
    const put = (url: string, bytes: Uint8Array, headers: Record<string, string> = {}) =>
      fetch(url, { method: 'PUT', body: bytes as BodyInit, headers })

    test('one PUT brings the whole body, of just that length, and only once', async () => {
      const bytes = randomBytes(100_000)
      await store.stage(key, bytes.length)
      const { url, headers } = await direct().putUrl(key, { size: bytes.length, expiresAt: soon() })
      expect(await direct().uploadedSize(key, bytes.length)).toBe(0)
      expect((await put(url, bytes.subarray(1), headers)).status).toBe(403)
      expect((await put(url, bytes, headers)).status).toBe(200)
      expect((await put(url, randomBytes(bytes.length), headers)).status).toBe(412)
      expect(await direct().uploadedSize(key, bytes.length)).toBe(bytes.length)
      expect(await direct().uploadedSize(key, 5)).toBe(0)
      expect(await store.sha256(key, bytes.length)).toBe(sha256(bytes))
      expect(await store.peek(key, 4)).toEqual(bytes.subarray(0, 4))
      await store.commit(key)
      expect((await put(url, randomBytes(bytes.length), headers)).status).toBe(412)
      expect((await read(store.open(key))).equals(bytes)).toBe(true)
      expect([await keys('staged'), await keys('kept')]).toEqual([[], [key]])
    })

    test('parts come in any order, by different processes, and are put together by adopt', async () => {
      const bytes = randomBytes(12 * MIB)
      const size = bytes.length
      await store.stage(key, size)
      expect(direct().partSize(size)).toBe(5 * MIB)
      const numbers = [3, 1, 2]
      const wanted = (number: number) => ({ size, number, expiresAt: soon() })
      const urls = await Promise.all(
        numbers.map((n) => place.reopen().presigned?.partUrl(key, wanted(n)) ?? ''),
      )
      expect((await openMultiparts()).ids).toHaveLength(1)
      const part = (number: number) => bytes.subarray((number - 1) * 5 * MIB, number * 5 * MIB)
      for (const [index, number] of numbers.entries()) {
        expect(await direct().uploadedSize(key, size)).toBe(0)
        expect((await put(urls[index] ?? '', part(number).subarray(0, 9))).status).toBe(403)
        expect((await put(urls[index] ?? '', part(number))).status).toBe(200)
      }
      expect(await direct().uploadedSize(key, size)).toBe(size)
      expect(await direct().uploadedSize(key, size)).toBe(size)
      expect(await store.sha256(key, size)).toBe(sha256(bytes))
      await store.commit(key)
      expect(await direct().uploadedSize(key, size)).toBe(size)
      expect((await read(store.open(key))).equals(bytes)).toBe(true)
      await expect(direct().partUrl(key, wanted(4))).rejects.toThrow(TypeError)
    })

    test('a GET has the name and type that were wanted', async () => {
      await store.stage(key, 5)
      await store.append(key, 0, body(Buffer.from('hello')))
      await store.commit(key)
      const contentDisposition = `attachment; filename="a b.txt"; filename*=UTF-8''%C3%A4.txt`
      const wanted = { expiresAt: soon(), contentType: 'text/x-hello', contentDisposition }
      const answer = await fetch(await direct().getUrl(key, wanted))
      expect(answer.headers.get('content-type')).toBe('text/x-hello')
      expect(answer.headers.get('content-disposition')).toBe(contentDisposition)
      expect(await answer.text()).toBe('hello')
    })
  })
})
