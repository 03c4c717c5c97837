import { createHash, randomBytes } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { BlobStore } from '../../src/blobs/blob-store.ts'
import { StorageError } from '../../src/errors/availability.ts'
import { ChecksumMismatch } from '../../src/errors/uploads.ts'
import { body, brokenBody, newKey, read, sha256, stalledBody } from './sources.ts'

export type BlobServer = {
  store: BlobStore
  /** Opens another store over the same bytes, as after a restart, without cached state. */
  reopen: () => BlobStore
  dispose: () => Promise<unknown>
}

/** The tests that every implementation of BlobStore must pass. */
export function blobStoreContract(name: string, open: () => Promise<BlobServer>) {
  describe(`the blob store ${name}`, () => {
    let holdall: BlobServer
    let store: BlobStore
    let key: string
    beforeEach(async () => {
      holdall = await open()
      store = holdall.store
      key = newKey()
      await store.stage(key)
    })
    afterEach(() => holdall.dispose())

    /** Commits the key and returns its bytes. */
    async function commitAndRead() {
      await store.commit(key)
      return read(store.open(key))
    }

    const listed = async (place: 'staged' | 'kept', from = store) => {
      const found = await Array.fromAsync(from.list(place))
      return found.map(({ key, size }) => ({ key, size }))
    }

    test('stores the bytes of three appends as one blob', async () => {
      const bytes = randomBytes(3_000_000)
      expect(await store.append(key, 0, body(bytes.subarray(0, 100)))).toBe(100)
      expect(await store.append(key, 100, body(bytes.subarray(100, 2_000_000)))).toBe(2_000_000)
      expect(await store.append(key, 2_000_000, body(bytes.subarray(2_000_000)))).toBe(3_000_000)
      expect(await store.sha256(key, 3_000_000)).toBe(sha256(bytes))
      expect((await commitAndRead()).equals(bytes)).toBe(true)
    })

    test('keeps the bytes of a staged key that is staged again', async () => {
      await store.append(key, 0, body(Buffer.from('here first')))
      await store.stage(key)
      expect(await listed('staged')).toEqual([{ key, size: 10 }])
    })

    test('accepts staging and committing of a committed key without a change', async () => {
      await store.append(key, 0, body(Buffer.from('for good')))
      await store.commit(key)
      await store.stage(key)
      await store.commit(key)
      await holdall.reopen().commit(key)
      expect((await read(store.open(key))).toString()).toBe('for good')
      expect(await listed('staged')).toEqual([])
    })

    test('lets fifty concurrent commits of a key succeed', async () => {
      await store.append(key, 0, body(Buffer.from('once')))
      await Promise.all(Array.from({ length: 50 }, () => store.commit(key)))
      expect(await listed('kept')).toEqual([{ key, size: 4 }])
    })

    test('stores an empty blob', async () => {
      expect(await store.append(key, 0, body(Buffer.alloc(0)))).toBe(0)
      expect(await store.sha256(key, 0)).toBe(sha256(Buffer.alloc(0)))
      expect(await store.peek(key, 10)).toHaveLength(0)
      expect(await commitAndRead()).toHaveLength(0)
      expect(await read(store.open(key, { start: 0 }))).toHaveLength(0)
      expect(await listed('kept')).toEqual([{ key, size: 0 }])
    })

    test('commits an empty upload without an append', async () => {
      expect(await commitAndRead()).toHaveLength(0)
    })

    test('keeps every byte received before the sender disconnected', async () => {
      const bytes = randomBytes(2_500_000)
      expect(await store.append(key, 0, brokenBody(bytes.subarray(0, 1_234_567)))).toBe(1_234_567)
      expect(await store.append(key, 1_234_567, body(bytes.subarray(1_234_567)))).toBe(2_500_000)
      expect(await store.sha256(key, 2_500_000)).toBe(sha256(bytes))
      expect((await commitAndRead()).equals(bytes)).toBe(true)
    })

    test('ends a stalled append when the signal aborts, and keeps the received bytes', async () => {
      const stop = new AbortController()
      const source = stalledBody(Buffer.from('as far as this'))
      const appending = store.append(key, 0, source, { signal: stop.signal })
      await wait(20)
      stop.abort()
      expect(await appending).toBe(14)
      expect(source.destroyed).toBe(false)
      source.destroy(new Error('a late error'))
      expect((await commitAndRead()).toString()).toBe('as far as this')
    })

    test('appends nothing if the signal was aborted or the source destroyed before', async () => {
      await store.append(key, 0, body(Buffer.from('abc')))
      const { signal } = { signal: AbortSignal.abort() }
      expect(await store.append(key, 3, stalledBody(Buffer.alloc(0)), { signal })).toBe(3)
      const broken = body(Buffer.from('def'))
      broken.on('error', () => {}).destroy(new Error('gone already'))
      expect(await store.append(key, 3, broken)).toBe(3)
    })

    test('reads a paused source', async () => {
      expect(await store.append(key, 0, body(Buffer.from('paused')).pause())).toBe(6)
    })

    test('truncates bytes beyond the offset', async () => {
      await store.append(key, 0, body(Buffer.from('good, and then some uncounted bytes')))
      expect(await store.append(key, 4, body(Buffer.from('!')))).toBe(5)
      expect(await store.sha256(key, 5)).toBe(sha256(Buffer.from('good!')))
      expect((await commitAndRead()).toString()).toBe('good!')
    })

    test('rejects an offset beyond the stored bytes', async () => {
      await store.append(key, 0, body(Buffer.from('short')))
      await expect(store.append(key, 6, body(Buffer.from('x')))).rejects.toThrow(StorageError)
      await expect(holdall.reopen().sha256(key, 6)).rejects.toThrow(StorageError)
    })

    test.each(['sha1', 'sha256', 'md5'] as const)(
      'keeps a chunk with a correct %s checksum',
      async (algorithm) => {
        const bytes = randomBytes(1_500_000)
        const digest = createHash(algorithm).update(bytes.subarray(10)).digest()
        await store.append(key, 0, body(bytes.subarray(0, 10)))
        const checksum = { algorithm, digest }
        expect(await store.append(key, 10, body(bytes.subarray(10)), { checksum })).toBe(1_500_000)
        expect(await store.sha256(key, 1_500_000)).toBe(sha256(bytes))
      },
    )

    test('stores no byte of a chunk with a wrong checksum, and accepts the correct one', async () => {
      const checksum = { algorithm: 'sha1', digest: Buffer.alloc(20) } as const
      const reported: number[] = []
      const onDurable = async (offset: number) => void reported.push(offset)
      await store.append(key, 0, body(Buffer.from('before ')))
      const wrong = store.append(key, 7, body(randomBytes(2_000_000)), { checksum, onDurable })
      await expect(wrong).rejects.toThrow(ChecksumMismatch)
      expect(reported).toEqual([])
      expect(await listed('staged')).toEqual([{ key, size: 7 }])
      expect(await store.append(key, 7, body(Buffer.from('after')))).toBe(12)
      expect(await store.sha256(key, 12)).toBe(sha256(Buffer.from('before after')))
      expect((await commitAndRead()).toString()).toBe('before after')
    })

    test('discards an incomplete chunk with a checksum', async () => {
      const bytes = randomBytes(1_000)
      const checksum = { algorithm: 'sha256', digest: Buffer.from(sha256(bytes), 'hex') } as const
      const half = brokenBody(bytes.subarray(0, 500))
      expect(await store.append(key, 0, half, { checksum })).toBe(0)
      expect(await store.append(key, 0, body(bytes), { checksum })).toBe(1_000)
    })

    test('reports an offset only after its bytes are stored', async () => {
      const bytes = randomBytes(1024 * 1024)
      const long = body(Buffer.concat(Array.from({ length: 150 }, () => bytes)))
      const reported: number[] = []
      const onDurable = async (offset: number) => {
        const [found] = await listed('staged', holdall.reopen())
        expect(found?.size).toBeGreaterThanOrEqual(offset)
        reported.push(offset)
      }
      const length = await store.append(key, 0, long, { onDurable })
      expect(length).toBe(150 * 1024 * 1024)
      expect(reported.length).toBeGreaterThan(0)
      expect([...reported, length]).toEqual([...reported, length].toSorted((a, b) => a - b))
    })

    test('rejects with the error of onDurable if the offset cannot be committed', async () => {
      const source = body(Buffer.alloc(100 * 1024 * 1024))
      const lost = new Error('another writer has taken over')
      const append = store.append(key, 0, source, { onDurable: () => Promise.reject(lost) })
      await expect(append).rejects.toBe(lost)
      expect(await store.append(key, 0, body(Buffer.from('theirs')))).toBe(6)
      expect(await store.sha256(key, 6)).toBe(sha256(Buffer.from('theirs')))
    })

    test('returns the correct hash after a restart at any moment', async () => {
      const bytes = randomBytes(2_000_000)
      await store.append(key, 0, body(bytes.subarray(0, 1_100_000)))
      store = holdall.reopen()
      await store.append(key, 1_100_000, body(bytes.subarray(1_100_000)))
      const all = Array.from({ length: 50 }, () => store.sha256(key, 2_000_000))
      expect(new Set(await Promise.all(all))).toEqual(new Set([sha256(bytes)]))
      store = holdall.reopen()
      await store.commit(key)
      expect(await store.sha256(key, 2_000_000)).toBe(sha256(bytes))
      expect(await holdall.reopen().sha256(key, 1_000)).toBe(sha256(bytes.subarray(0, 1_000)))
    })

    test('does not use the hash of uncounted bytes for others of the same length', async () => {
      await store.append(key, 0, body(Buffer.from('one ')))
      await store.append(key, 4, body(Buffer.from('lost')))
      await store.append(key, 4, body(Buffer.from('kept')))
      expect(await store.sha256(key, 8)).toBe(sha256(Buffer.from('one kept')))
      expect((await commitAndRead()).toString()).toBe('one kept')
    })

    test('peeks at the first bytes of a staged or committed key', async () => {
      await store.append(key, 0, body(Buffer.from('%PDF-1.7 and so on')))
      expect(Buffer.from(await store.peek(key, 8)).toString()).toBe('%PDF-1.7')
      await store.commit(key)
      expect(Buffer.from(await store.peek(key, 4_100)).toString()).toBe('%PDF-1.7 and so on')
    })

    test('reads any range as a slice of the bytes', async () => {
      const bytes = randomBytes(700_000)
      await store.append(key, 0, body(bytes))
      await store.commit(key)
      const ranges = fc.tuple(fc.nat(699_999), fc.option(fc.nat(699_999), { nil: undefined }))
      const sliced = fc.asyncProperty(ranges, async ([start, more]) => {
        const range = more === undefined ? { start } : { start, end: start + more }
        const right = bytes.subarray(start, more === undefined ? undefined : start + more + 1)
        expect((await read(store.open(key, range))).equals(right)).toBe(true)
      })
      await fc.assert(sliced, { numRuns: 40 })
    })

    test('lets a reader finish while the key is removed', async () => {
      const bytes = randomBytes(5_000_000)
      await store.append(key, 0, body(bytes))
      await store.commit(key)
      const stream = await store.open(key)
      await store.remove(key)
      await store.remove(key)
      expect((await read(Promise.resolve(stream))).equals(bytes)).toBe(true)
      await expect(store.open(key)).rejects.toThrow(StorageError)
    })

    test('discards staged bytes, even twice, and never committed ones', async () => {
      const other = newKey()
      await store.stage(other)
      await store.append(key, 0, body(Buffer.from('stays')))
      await store.commit(key)
      await store.discard(key)
      await store.discard(other)
      await store.discard(other)
      expect(await listed('staged')).toEqual([])
      expect((await read(store.open(key))).toString()).toBe('stays')
    })

    test('rejects a key that was never staged', async () => {
      const unknownKey = newKey()
      await expect(store.append(unknownKey, 1, body(Buffer.from('x')))).rejects.toThrow(
        StorageError,
      )
      await expect(store.sha256(unknownKey, 1)).rejects.toThrow(StorageError)
      await expect(store.peek(unknownKey, 1)).rejects.toThrow(StorageError)
      await expect(store.commit(unknownKey)).rejects.toThrow(StorageError)
      await expect(store.open(unknownKey)).rejects.toThrow(StorageError)
    })

    test('does not open a staged key', async () => {
      await store.append(key, 0, body(Buffer.from('soon')))
      await expect(store.open(key)).rejects.toThrow(StorageError)
    })

    test.each(['../../etc/passwd', 'upl_', `upl_${'0'.repeat(31)}/`, `upl_${'A'.repeat(32)}`, ''])(
      'rejects %j, which is not a key, before the storage is accessed',
      async (text) => {
        await expect(store.stage(text)).rejects.toThrow(TypeError)
        await expect(store.append(text, 0, body(Buffer.from('x')))).rejects.toThrow(TypeError)
        await expect(store.sha256(text, 0)).rejects.toThrow(TypeError)
        await expect(store.peek(text, 1)).rejects.toThrow(TypeError)
        await expect(store.discard(text)).rejects.toThrow(TypeError)
        await expect(store.commit(text)).rejects.toThrow(TypeError)
        await expect(store.open(text)).rejects.toThrow(TypeError)
        await expect(store.remove(text)).rejects.toThrow(TypeError)
      },
    )

    test('lists staged and committed keys with size and modification time', async () => {
      const before = Date.now() - 5_000
      const keptKey = newKey()
      await store.stage(keptKey)
      await store.append(keptKey, 0, body(Buffer.alloc(77)))
      await store.commit(keptKey)
      await store.append(key, 0, body(Buffer.alloc(5)))
      expect(await listed('staged')).toEqual([{ key, size: 5 }])
      expect(await listed('kept')).toEqual([{ key: keptKey, size: 77 }])
      const [kept] = await Array.fromAsync(store.list('kept'))
      expect(kept?.modifiedAt).toBeGreaterThan(before)
      expect(kept?.modifiedAt).toBeLessThan(Date.now() + 5_000)
    })

    test('commits exactly the counted bytes after any sequence of appends and failures', async () => {
      const size = fc.nat(200_000)
      const step = fc.oneof(
        fc.record({ kind: fc.constantFrom('whole', 'cut', 'proven', 'wrong', 'forgotten'), size }),
        fc.constant({ kind: 'restart', size: 0 }),
      )
      const property = fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
        const one = newKey()
        let [from, counted] = [holdall.reopen(), Buffer.alloc(0)]
        await from.stage(one)
        for (const { kind, size } of steps) {
          if (kind === 'restart') from = holdall.reopen()
          const bytes = randomBytes(size)
          const right = createHash('sha1').update(bytes).digest()
          const digest = kind === 'wrong' ? Buffer.alloc(20) : right
          const checked = kind === 'wrong' || kind === 'proven'
          const options = checked ? { checksum: { algorithm: 'sha1' as const, digest } } : {}
          const source = kind === 'cut' ? brokenBody(bytes) : body(bytes)
          const length = await from.append(one, counted.length, source, options).catch((error) => {
            expect(error).toBeInstanceOf(ChecksumMismatch)
            return counted.length
          })
          // A server that dies before it commits the offset counts none of the written bytes.
          if (kind !== 'forgotten') counted = Buffer.concat([counted, bytes]).subarray(0, length)
        }
        await from.append(one, counted.length, body(Buffer.alloc(0)))
        expect(await from.sha256(one, counted.length)).toBe(sha256(counted))
        await from.commit(one)
        expect((await read(from.open(one))).equals(counted)).toBe(true)
      })
      await fc.assert(property, { numRuns: 25 })
    })
  })
}
