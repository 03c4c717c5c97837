import { createHash, randomBytes, randomUUID } from 'node:crypto'
import { mkdtemp, readdir, rm, symlink, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { diskBlobs } from '../../src/blobs/disk/store.ts'
import { createRunningHashes } from '../../src/blobs/streams/running-hash.ts'
import { StorageError } from '../../src/errors/availability.ts'
import { ChecksumMismatch } from '../../src/errors/uploads.ts'
import { openPaths } from '../support/disk/open-paths.ts'
import { blobStoreContract } from './contract.ts'
import { body, newKey, read, sha256, stalledBody } from './sources.ts'

const newFolder = () => mkdtemp(join(tmpdir(), 'holdall-blobs-'))

blobStoreContract('on disk', async () => {
  const dir = await newFolder()
  const reopen = () => diskBlobs(dir)
  return { store: reopen(), reopen, dispose: () => rm(dir, { recursive: true }) }
})

let dir: string
beforeEach(async () => {
  dir = await newFolder()
})
afterEach(() => rm(dir, { recursive: true }))

test('stages a file by its key and commits it to one of 65,536 folders', async () => {
  const store = diskBlobs(join(dir, 'made', 'on', 'the', 'way'))
  const key = 'upl_0199a2b3c4d5700080000000000012ef'
  await store.stage(key)
  expect(await readdir(join(dir, 'made/on/the/way/staged'))).toEqual([key])
  await store.commit(key)
  expect(await readdir(join(dir, 'made/on/the/way/kept/12/ef'))).toEqual([key])
  expect(await readdir(join(dir, 'made/on/the/way/staged'))).toEqual([])
})

test('does not list foreign files in its folders', async () => {
  const store = diskBlobs(dir)
  await writeFile(join(dir, 'staged', '.DS_Store'), 'x')
  await writeFile(join(dir, 'kept', 'lost+found'), 'x')
  expect(await Array.fromAsync(store.list('staged'))).toEqual([])
  expect(await Array.fromAsync(store.list('kept'))).toEqual([])
})

test('syncs bytes of a slow connection after the interval, not only after 64 MiB', async () => {
  const store = diskBlobs(dir, { bytes: 64 * 1024 * 1024, ms: 40 })
  const key = newKey()
  await store.stage(key)
  const source = stalledBody(Buffer.from('drop '))
  const reported: number[] = []
  const onDurable = async (offset: number) => void reported.push(offset)
  const appending = store.append(key, 0, source, { onDurable })
  await expect.poll(() => reported).toEqual([5])
  source.push('by drop')
  await expect.poll(() => reported).toEqual([5, 12])
  source.push(null)
  expect(await appending).toBe(12)
  expect(await store.sha256(key, 12)).toBe(sha256(Buffer.from('drop by drop')))
})

test('does not sync on a silent connection and removes its listeners', async () => {
  const store = diskBlobs(dir, { bytes: 1024, ms: 4 })
  const key = newKey()
  await store.stage(key)
  const stop = new AbortController()
  const source = stalledBody(Buffer.alloc(0))
  const appending = store.append(key, 0, source, {
    signal: stop.signal,
    onDurable: () => Promise.reject(new Error('there was nothing to report')),
  })
  await wait(50)
  stop.abort()
  expect(await appending).toBe(0)
  expect(source.listenerCount('data') + source.listenerCount('end')).toBe(0)
})

test('keeps bytes that a busy disk had not written when the sender disconnected', async () => {
  const store = diskBlobs(dir, { bytes: 1, ms: 60_000 })
  const key = newKey()
  await store.stage(key)
  const bytes = randomBytes(5_000_000)
  const source = stalledBody(bytes.subarray(0, 1_500_000))
  const committed = Promise.withResolvers<void>()
  const reporting = Promise.withResolvers<void>()
  const onDurable = () => {
    reporting.resolve()
    return committed.promise
  }
  const appending = store.append(key, 0, source, { onDurable })
  await reporting.promise
  for (let at = 1_500_000; at < bytes.length; at += 500_000) {
    source.push(bytes.subarray(at, at + 500_000))
  }
  await wait(20)
  source.destroy(new Error('the sender vanished'))
  committed.resolve()
  expect(await appending).toBe(5_000_000)
  expect(await store.sha256(key, 5_000_000)).toBe(sha256(bytes))
  await store.commit(key)
  expect((await read(store.open(key))).equals(bytes)).toBe(true)
})

test('does not report offsets of bytes with a checksum', async () => {
  const store = diskBlobs(dir, { bytes: 1, ms: 60_000 })
  const key = newKey()
  await store.stage(key)
  const bytes = randomBytes(5_000_000)
  const reported: number[] = []
  const onDurable = async (offset: number) => void reported.push(offset)
  const digest = createHash('md5').update(bytes).digest()
  const wrong = { algorithm: 'md5', digest: Buffer.alloc(16) } as const
  const refused = store.append(key, 0, body(bytes), { checksum: wrong, onDurable })
  await expect(refused).rejects.toThrow(ChecksumMismatch)
  const right = { algorithm: 'md5', digest } as const
  const length = await store.append(key, 0, body(bytes), { checksum: right, onDurable })
  expect({ length, reported }).toEqual({ length: 5_000_000, reported: [] })
  expect(await store.sha256(key, 5_000_000)).toBe(sha256(bytes))
})

test('does not replace a committed blob with a stray staged file', async () => {
  const store = diskBlobs(dir)
  const key = newKey()
  await store.stage(key)
  await store.append(key, 0, body(Buffer.from('the real one')))
  await store.commit(key)
  await writeFile(join(dir, 'staged', key), 'a stray')
  await store.commit(key)
  expect((await read(store.open(key))).toString()).toBe('the real one')
})

test('caches an unchanged copy of a hash state, and evicts the oldest one', () => {
  const hashes = createRunningHashes(2)
  const hash = createHash('sha256').update('abc')
  hashes.set('a', 3, hash)
  hash.update('written, but the disk failed')
  hashes.at('a', 3)?.update('requested, but not used')
  expect(hashes.at('a', 3)?.digest('hex')).toBe(sha256(Buffer.from('abc')))
  expect(hashes.at('a', 4)).toBeUndefined()
  hashes.set('b', 3, hash)
  hashes.set('a', 3, hash)
  hashes.set('c', 3, hash)
  expect(['a', 'b', 'c'].map((key) => hashes.at(key, 3) !== undefined)).toEqual([true, false, true])
})

test('stores single-byte chunks unchanged', async () => {
  const store = diskBlobs(dir)
  const key = newKey()
  await store.stage(key)
  const bytes = Buffer.from(Array.from({ length: 5_000 }, (_, at) => at % 251))
  expect(await store.append(key, 0, body(bytes, 1))).toBe(5_000)
  await store.commit(key)
  expect((await read(store.open(key))).equals(bytes)).toBe(true)
})

test.runIf(process.platform === 'linux')(
  'reports a full disk as a StorageError with its cause',
  async () => {
    const store = diskBlobs(dir)
    const key = newKey()
    // A file on which every write fails with ENOSPC.
    await symlink('/dev/full', join(dir, 'staged', key))
    const append = store.append(key, 0, body(Buffer.alloc(3_000_000)))
    await expect(append).rejects.toThrow(StorageError)
    await expect(append).rejects.toHaveProperty('cause.code', 'ENOSPC')
    await store.discard(key)
    expect(await Array.fromAsync(store.list('staged'))).toEqual([])
  },
)

test('closes the file of a stream that is destroyed early', async () => {
  const store = diskBlobs(dir)
  const key = newKey()
  await store.stage(key)
  await store.append(key, 0, body(Buffer.alloc(2_000_000)))
  await store.commit(key)
  const before = openPaths().length
  for (let n = 0; n < 20; n++) {
    const stream = await store.open(key)
    stream.once('data', () => stream.destroy())
    await new Promise((closed) => stream.once('close', closed))
  }
  expect(openPaths().length).toBeLessThan(before + 10)
})

const openBelow = () => openPaths().filter((path) => path.startsWith(dir)).length

test.runIf(process.platform === 'linux')(
  'keeps at most 64 read files open, for a short time, and none after removal',
  async () => {
    const store = diskBlobs(dir)
    const keys = Array.from({ length: 100 }, newKey)
    for (const key of keys) {
      await store.stage(key)
      await store.append(key, 0, body(Buffer.from(key)))
      await store.commit(key)
    }
    const all = <T>(act: (key: string) => Promise<T>) => Promise.all(keys.map(act))
    for (let time = 0; time < 2; time++) {
      const [wholes, ranges] = await Promise.all([
        all((key) => read(store.open(key))),
        all((key) => read(store.open(key, { start: 4, end: 9 }))),
        all(async (key) => (await store.open(key)).destroy()),
      ])
      expect(wholes.map(String)).toEqual(keys)
      expect(ranges.map(String)).toEqual(keys.map((key) => key.slice(4, 10)))
    }
    await expect.poll(openBelow, { interval: 5 }).toBeLessThanOrEqual(64)
    expect(openBelow()).toBeGreaterThan(0)
    await Promise.all(keys.slice(0, 90).map((key) => store.remove(key)))
    await expect.poll(openBelow).toBeLessThanOrEqual(10)
    await expect(store.open(keys[0] ?? '')).rejects.toThrow(StorageError)
    await expect.poll(openBelow).toBe(0)
  },
)

test('leaves no temporary file of a failed record write, and removes stale ones', async () => {
  const { record } = diskBlobs(dir)
  const next = { installation: 'a', number: 1, stamp: 'b' }
  const recordFiles = async () =>
    (await readdir(dir)).filter((name) => name.startsWith('installation'))
  const [old, young] = [randomUUID(), randomUUID()].map((id) =>
    join(dir, `installation.json.${id}`),
  )
  for (const path of [old, young]) await writeFile(`${path}`, 'half')
  await utimes(`${old}`, 1, 1)
  await record.create(next)
  expect(await recordFiles()).toEqual(['installation.json', basename(`${young}`)])
  await rm(`${young}`)
  const unserialisable = { ...next, number: 1n } as never
  const { version = '' } = (await record.read()) ?? {}
  await expect(record.replace(unserialisable, version)).rejects.toThrow(TypeError)
  expect(await recordFiles()).toEqual(['installation.json'])
  expect(await record.replace(next, 'another version')).toBe(false)
})
