import { createHash, randomBytes } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { BlobStore } from '../../src/blobs/blob-store.ts'
import { ChecksumMismatch, StorageError } from '../../src/errors.ts'
import { body, brokenBody, newKey, read, sha256, stalledBody } from './sources.ts'

export type BlobServer = {
  store: BlobStore
  /** Another store over the same bytes, as after a restart: it remembers nothing. */
  reopen: () => BlobStore
  dispose: () => Promise<unknown>
}

/** What every store promises, whatever it is made of. */
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

    /** What is staged is what will be kept. */
    async function adopted() {
      await store.commit(key)
      return read(store.open(key))
    }

    const listed = async (where: 'staged' | 'kept', from = store) => {
      const found = await Array.fromAsync(from.list(where))
      return found.map(({ key, size }) => ({ key, size }))
    }

    test('bytes appended in three goes are kept as one', async () => {
      const bytes = randomBytes(3_000_000)
      expect(await store.append(key, 0, body(bytes.subarray(0, 100)))).toBe(100)
      expect(await store.append(key, 100, body(bytes.subarray(100, 2_000_000)))).toBe(2_000_000)
      expect(await store.append(key, 2_000_000, body(bytes.subarray(2_000_000)))).toBe(3_000_000)
      expect(await store.sha256(key, 3_000_000)).toBe(sha256(bytes))
      expect((await adopted()).equals(bytes)).toBe(true)
    })

    test('staging what is staged keeps its bytes', async () => {
      await store.append(key, 0, body(Buffer.from('here first')))
      await store.stage(key)
      expect(await listed('staged')).toEqual([{ key, size: 10 }])
    })

    test('staging or adopting what is kept harms nothing', async () => {
      await store.append(key, 0, body(Buffer.from('for good')))
      await store.commit(key)
      await store.stage(key)
      await store.commit(key)
      await holdall.reopen().commit(key)
      expect((await read(store.open(key))).toString()).toBe('for good')
      expect(await listed('staged')).toEqual([])
    })

    test('fifty who adopt one key at the same moment all succeed', async () => {
      await store.append(key, 0, body(Buffer.from('once')))
      await Promise.all(Array.from({ length: 50 }, () => store.commit(key)))
      expect(await listed('kept')).toEqual([{ key, size: 4 }])
    })

    test('no bytes are bytes too', async () => {
      expect(await store.append(key, 0, body(Buffer.alloc(0)))).toBe(0)
      expect(await store.sha256(key, 0)).toBe(sha256(Buffer.alloc(0)))
      expect(await store.peek(key, 10)).toHaveLength(0)
      expect(await adopted()).toHaveLength(0)
      expect(await read(store.open(key, { start: 0 }))).toHaveLength(0)
      expect(await listed('kept')).toEqual([{ key, size: 0 }])
    })

    test('an upload of no bytes needs no append', async () => {
      expect(await adopted()).toHaveLength(0)
    })

    test('what arrived before the sender vanished is kept, to the last byte', async () => {
      const bytes = randomBytes(2_500_000)
      expect(await store.append(key, 0, brokenBody(bytes.subarray(0, 1_234_567)))).toBe(1_234_567)
      expect(await store.append(key, 1_234_567, body(bytes.subarray(1_234_567)))).toBe(2_500_000)
      expect(await store.sha256(key, 2_500_000)).toBe(sha256(bytes))
      expect((await adopted()).equals(bytes)).toBe(true)
    })

    test('a signal ends a stalled append at once, and keeps what arrived', async () => {
      const stop = new AbortController()
      const source = stalledBody(Buffer.from('as far as this'))
      const appending = store.append(key, 0, source, { signal: stop.signal })
      await wait(20)
      stop.abort()
      expect(await appending).toBe(14)
      expect(source.destroyed).toBe(false)
      source.destroy(new Error('a late error hurts nobody'))
      expect((await adopted()).toString()).toBe('as far as this')
    })

    test('a signal given before, or a source broken before, brings nothing', async () => {
      await store.append(key, 0, body(Buffer.from('abc')))
      const { signal } = { signal: AbortSignal.abort() }
      expect(await store.append(key, 3, stalledBody(Buffer.alloc(0)), { signal })).toBe(3)
      const broken = body(Buffer.from('def'))
      broken.on('error', () => {}).destroy(new Error('gone already'))
      expect(await store.append(key, 3, broken)).toBe(3)
    })

    test('a source that was paused is read all the same', async () => {
      expect(await store.append(key, 0, body(Buffer.from('paused')).pause())).toBe(6)
    })

    test('what lies beyond the offset is cut off', async () => {
      await store.append(key, 0, body(Buffer.from('good, and then some that nobody counted')))
      expect(await store.append(key, 4, body(Buffer.from('!')))).toBe(5)
      expect(await store.sha256(key, 5)).toBe(sha256(Buffer.from('good!')))
      expect((await adopted()).toString()).toBe('good!')
    })

    test('an offset beyond the bytes that are there is a fault, not a hole', async () => {
      await store.append(key, 0, body(Buffer.from('short')))
      await expect(store.append(key, 6, body(Buffer.from('x')))).rejects.toThrow(StorageError)
      await expect(holdall.reopen().sha256(key, 6)).rejects.toThrow(StorageError)
    })

    test.each(['sha1', 'sha256', 'md5'] as const)(
      'a chunk whose %s is right stays',
      async (algorithm) => {
        const bytes = randomBytes(1_500_000)
        const digest = createHash(algorithm).update(bytes.subarray(10)).digest()
        await store.append(key, 0, body(bytes.subarray(0, 10)))
        const checksum = { algorithm, digest }
        expect(await store.append(key, 10, body(bytes.subarray(10)), { checksum })).toBe(1_500_000)
        expect(await store.sha256(key, 1_500_000)).toBe(sha256(bytes))
      },
    )

    test('a chunk whose checksum is wrong leaves no byte, and the right one follows', async () => {
      const checksum = { algorithm: 'sha1', digest: Buffer.alloc(20) } as const
      const heard: number[] = []
      const onDurable = async (offset: number) => void heard.push(offset)
      await store.append(key, 0, body(Buffer.from('before ')))
      const wrong = store.append(key, 7, body(randomBytes(2_000_000)), { checksum, onDurable })
      await expect(wrong).rejects.toThrow(ChecksumMismatch)
      expect(heard).toEqual([])
      expect(await listed('staged')).toEqual([{ key, size: 7 }])
      expect(await store.append(key, 7, body(Buffer.from('after')))).toBe(12)
      expect(await store.sha256(key, 12)).toBe(sha256(Buffer.from('before after')))
      expect((await adopted()).toString()).toBe('before after')
    })

    test('half a chunk cannot be proven, so it is not kept', async () => {
      const bytes = randomBytes(1_000)
      const checksum = { algorithm: 'sha256', digest: Buffer.from(sha256(bytes), 'hex') } as const
      const half = brokenBody(bytes.subarray(0, 500))
      expect(await store.append(key, 0, half, { checksum })).toBe(0)
      expect(await store.append(key, 0, body(bytes), { checksum })).toBe(1_000)
    })

    test('no offset is told before the bytes are there', async () => {
      const bytes = randomBytes(1024 * 1024)
      const long = body(Buffer.concat(Array.from({ length: 150 }, () => bytes)))
      const heard: number[] = []
      const onDurable = async (offset: number) => {
        const [there] = await listed('staged', holdall.reopen())
        expect(there?.size).toBeGreaterThanOrEqual(offset)
        heard.push(offset)
      }
      const length = await store.append(key, 0, long, { onDurable })
      expect(length).toBe(150 * 1024 * 1024)
      expect(heard.length).toBeGreaterThan(0)
      expect([...heard, length]).toEqual([...heard, length].toSorted((a, b) => a - b))
    })

    test('when the offset cannot be committed, the append ends with that error', async () => {
      const source = body(Buffer.alloc(100 * 1024 * 1024))
      const lost = new Error('somebody else appends now')
      const append = store.append(key, 0, source, { onDurable: () => Promise.reject(lost) })
      await expect(append).rejects.toBe(lost)
      expect(await store.append(key, 0, body(Buffer.from('theirs')))).toBe(6)
      expect(await store.sha256(key, 6)).toBe(sha256(Buffer.from('theirs')))
    })

    test('the hash is right after a restart at any moment', async () => {
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

    test('bytes that nobody counted leave no hash behind for others of the same length', async () => {
      await store.append(key, 0, body(Buffer.from('one ')))
      await store.append(key, 4, body(Buffer.from('lost')))
      await store.append(key, 4, body(Buffer.from('kept')))
      expect(await store.sha256(key, 8)).toBe(sha256(Buffer.from('one kept')))
      expect((await adopted()).toString()).toBe('one kept')
    })

    test('the first bytes can be looked at, staged or kept', async () => {
      await store.append(key, 0, body(Buffer.from('%PDF-1.7 and so on')))
      expect(Buffer.from(await store.peek(key, 8)).toString()).toBe('%PDF-1.7')
      await store.commit(key)
      expect(Buffer.from(await store.peek(key, 4_100)).toString()).toBe('%PDF-1.7 and so on')
    })

    test('any range is what a slice would be', async () => {
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

    test('who reads while the key is removed reads to the end', async () => {
      const bytes = randomBytes(5_000_000)
      await store.append(key, 0, body(bytes))
      await store.commit(key)
      const stream = await store.open(key)
      await store.remove(key)
      await store.remove(key)
      expect((await read(Promise.resolve(stream))).equals(bytes)).toBe(true)
      await expect(store.open(key)).rejects.toThrow(StorageError)
    })

    test('discarding takes the staged bytes, twice if need be, and never the kept', async () => {
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

    test('a key that nobody staged is a fault', async () => {
      const stranger = newKey()
      await expect(store.append(stranger, 1, body(Buffer.from('x')))).rejects.toThrow(StorageError)
      await expect(store.sha256(stranger, 1)).rejects.toThrow(StorageError)
      await expect(store.peek(stranger, 1)).rejects.toThrow(StorageError)
      await expect(store.commit(stranger)).rejects.toThrow(StorageError)
      await expect(store.open(stranger)).rejects.toThrow(StorageError)
    })

    test('what is staged is not kept yet', async () => {
      await store.append(key, 0, body(Buffer.from('soon')))
      await expect(store.open(key)).rejects.toThrow(StorageError)
    })

    test.each(['../../etc/passwd', 'upl_', `upl_${'0'.repeat(31)}/`, `upl_${'A'.repeat(32)}`, ''])(
      'what is not a key (%j) is refused before anything is touched',
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

    test('the lists say what is where, how much and how old', async () => {
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

    test('whatever happens on the way, the bytes are those that were counted', async () => {
      const size = fc.nat(200_000)
      const step = fc.oneof(
        fc.record({ kind: fc.constantFrom('whole', 'cut', 'proven', 'wrong', 'forgotten'), size }),
        fc.constant({ kind: 'restart', size: 0 }),
      )
      const story = fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
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
          // A server that dies before it commits the offset counts none of what was written.
          if (kind !== 'forgotten') counted = Buffer.concat([counted, bytes]).subarray(0, length)
        }
        await from.append(one, counted.length, body(Buffer.alloc(0)))
        expect(await from.sha256(one, counted.length)).toBe(sha256(counted))
        await from.commit(one)
        expect((await read(from.open(one))).equals(counted)).toBe(true)
      })
      await fc.assert(story, { numRuns: 25 })
    })
  })
}
