import { randomBytes } from 'node:crypto'
import { chmod, copyFile, readFile, rename, rm, stat, truncate, utimes } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { openBlobs } from '../../../src/blobs/open.ts'
import { createMultipartStore } from '../../../src/database/multipart-store.ts'
import { scrubBlobs } from '../../../src/domains/files/scrub.ts'
import {
  act,
  createWorkspace,
  downloadUrl,
  type FileHandle,
  lookUp,
  uploadFile,
} from '../../support/client.ts'
import { allChanges } from '../../support/data/changes.ts'
import { blobOf, bytesAt, flipBit } from '../../support/inspection.ts'
import { startTestServer, type TestServer } from '../../support/servers/test-server.ts'
import { timingRetries } from '../../support/timed.ts'

const DAY = 86_400_000
const bytes = randomBytes(3_000_000)
let holdall: TestServer
let workspaceId: string
let file: FileHandle
let now: number

const open = async (env: Record<string, string> = {}) => {
  now = Date.now()
  holdall = await startTestServer({ now: () => now, env })
  onTestFinished(() => holdall[Symbol.asyncDispose]())
  workspaceId = (await createWorkspace(holdall)).id
  file = await uploadFile(holdall, { workspaceId, name: 'plate.dat', bytes })
}

/** Runs the job, which reads quarantined blobs too. Returns the number of blobs read. */
async function scrub(bytesPerSecond = 1e9, signal = new AbortController().signal) {
  const { app } = holdall
  const blobs = await openBlobs(app.config.blobs, createMultipartStore(app.db))
  const ctx = { ...app, blobs, viewer: null, publicUrl: '' }
  return scrubBlobs(ctx, { everyMs: 30 * DAY, bytesPerSecond }, signal)
}

const blobPath = async (of = file) => bytesAt(holdall, await blobOf(holdall, of))
const stateOf = async ({ id }: { id: string }) => {
  const { status, failures } = await lookUp(
    holdall,
    { id },
    '... on File { status failures { code message } }',
  )
  return [status, ...failures.map(({ code }: { code: string }) => code)]
}
const actions = async () => {
  const query =
    'query ($id: ID!) { workspace(by: { id: $id }) { activity { nodes { action entryId details } } } }'
  const { nodes } = (await holdall.ask(query, { id: workspaceId })).workspace.activity
  return nodes.filter(({ action }: { action: string }) => /DAMAGED|RECOVERED/.test(action))
}
const answerTo = async (path: string, headers: Record<string, string> = {}) => {
  const response = await holdall.http(path, { headers })
  return { status: response.status, code: (await response.json()).code }
}

describe('F15: the scrub', () => {
  beforeEach(() => open())

  test('reads blobs not read for the configured time, and no others', async () => {
    expect(await scrub()).toBe(0)
    now += 31 * DAY
    expect(await scrub()).toBe(1)
    expect(await scrub()).toBe(0)
    expect([await stateOf(file), await actions()]).toEqual([['COMPLETE'], []])
  })

  test.each([
    ['a flipped bit', 'CHANGED', async () => flipBit(await blobPath())],
    ['truncated bytes', 'TRUNCATED', async () => truncate(await blobPath(), 2_999_999)],
    ['missing bytes', 'MISSING', async () => rm(await blobPath())],
  ])('finds %s: the file is FAILED, is not served, and is logged once', async (_, code, harm) => {
    const link = await downloadUrl(holdall, file.id)
    const [{ cursor }] = [await allChanges(holdall, workspaceId)]
    await harm()
    now += 31 * DAY
    await scrub()
    now += 2 * DAY
    await scrub()
    expect(await stateOf(file)).toEqual(['FAILED', code])
    expect(await actions()).toEqual([
      {
        action: 'FILE_DAMAGED',
        entryId: file.id,
        details: { code, versions: [1], isCurrent: true },
      },
    ])
    const { changes } = await allChanges(holdall, workspaceId, { since: cursor })
    expect(changes).toMatchObject([{ action: 'FILE_DAMAGED', entry: { id: file.id } }])
    now -= 33 * DAY
    const refused = { status: 502, code: 'CORRUPT' }
    expect(await answerTo(link)).toEqual(refused)
    expect(await answerTo(link, { range: 'bytes=0-9' })).toEqual(refused)
    expect(await answerTo(`/download/${file.id}`)).toEqual(refused)
  })

  test('finds two exchanged blobs', async () => {
    const other = await uploadFile(holdall, {
      workspaceId,
      name: 'b.dat',
      bytes: randomBytes(3_000_000),
    })
    const [one, two] = [await blobPath(), await blobPath(other)]
    await rename(one, `${one}.away`)
    await rename(two, one)
    await rename(`${one}.away`, two)
    now += 31 * DAY
    await scrub()
    expect([await stateOf(file), await stateOf(other)]).toEqual([
      ['FAILED', 'CHANGED'],
      ['FAILED', 'CHANGED'],
    ])
  })

  test('finds that a blob is right again: the file is COMPLETE, which is logged', async () => {
    await copyFile(await blobPath(), `${await blobPath()}.saved`)
    const path = await blobPath()
    await flipBit(path)
    now += 31 * DAY
    await scrub()
    await rename(`${path}.saved`, path)
    expect(await scrub()).toBe(0)
    now += DAY
    expect(await scrub()).toBe(1)
    expect(await stateOf(file)).toEqual(['COMPLETE'])
    expect((await actions()).map(({ action }: { action: string }) => action)).toEqual([
      'FILE_RECOVERED',
      'FILE_DAMAGED',
    ])
    expect((await holdall.http(`/download/${file.id}`)).status).toBe(200)
  })

  test('limits its rate, and can be stopped', timingRetries, async () => {
    now += 31 * DAY
    const began = performance.now()
    expect(await scrub(6_000_000)).toBe(1)
    expect(performance.now() - began).toBeGreaterThan(300)
    now += 31 * DAY
    const stop = new AbortController()
    setTimeout(() => stop.abort(), 100)
    await expect(scrub(1000, stop.signal)).rejects.toThrow('aborted')
    expect(performance.now() - began).toBeLessThan(5000)
  })

  test('reports an unmounted folder as such, and not as the loss of all files', async () => {
    for (let i = 0; i < 25; i++)
      await uploadFile(holdall, { workspaceId, name: `${i}`, bytes: `${i}` })
    await rename(`${holdall.dir}/blobs/kept`, `${holdall.dir}/blobs/away`)
    now += 31 * DAY
    expect(await scrub()).toBe(20)
    await rename(`${holdall.dir}/blobs/away`, `${holdall.dir}/blobs/kept`)
    now += 2 * DAY
    await scrub()
    const { damaged } = await holdall.app.db
      .selectFrom('blobs')
      .select((eb) => eb.fn.countAll<number>().as('damaged'))
      .where('damage', 'is not', null)
      .executeTakeFirstOrThrow()
    expect(damaged).toBe(0)
  })
})

describe('F15: a file that is FAILED', () => {
  beforeEach(async () => {
    await open()
    await flipBit(await blobPath())
    now += 31 * DAY
    await scrub()
    now -= 31 * DAY
  })

  test('is COMPLETE with a good copy as a new version, and so is the damaged version', async () => {
    const twin = await uploadFile(holdall, { workspaceId, versionOf: file.id, name: 'x', bytes })
    expect(await stateOf(file)).toEqual(['COMPLETE'])
    const fields = '... on File { versions { nodes { number failures { code } } } }'
    const { versions } = await lookUp(holdall, twin, fields)
    expect(versions.nodes).toEqual([
      { number: 2, failures: [] },
      { number: 1, failures: [] },
    ])
    const response = await holdall.http(`/download/${file.id}`)
    expect(Buffer.from(await response.arrayBuffer()).equals(bytes)).toBe(true)
    expect((await actions()).at(0).action).toBe('FILE_RECOVERED')
    await holdall.app.jobs.runDue()
    now += 31 * DAY
    expect(await scrub()).toBe(1)
    expect(await stateOf(file)).toEqual(['COMPLETE'])
  })

  test('is COMPLETE with other bytes; the damaged version stays FAILED', async () => {
    await uploadFile(holdall, { workspaceId, versionOf: file.id, name: 'x', bytes: 'other' })
    expect(await stateOf(file)).toEqual(['COMPLETE'])
    const fields = '... on File { versions { nodes { failures { code } downloadUrl { url } } } }'
    const { versions } = await lookUp(holdall, file, fields)
    expect(versions.nodes[1].failures).toEqual([{ code: 'CHANGED' }])
    expect(await answerTo(versions.nodes[1].downloadUrl.url)).toMatchObject({ code: 'CORRUPT' })
  })

  test('is given out neither by a copy nor in an archive', async () => {
    const root = { path: { workspaceId, path: '' } }
    const entries = [{ entry: { id: file.id } }]
    const { results } = await act(
      holdall,
      'copyEntries',
      { entries, folder: root },
      'results { entry { id } }',
    )
    expect(await stateOf(results[0].entry)).toEqual(['FAILED', 'CHANGED'])
    const query = 'query ($id: ID!) { workspace(by: { id: $id }) { root { archiveUrl { url } } } }'
    const { archiveUrl } = (await holdall.ask(query, { id: workspaceId })).workspace.root
    const reading = holdall.http(archiveUrl.url).then(async (response) => {
      if (response.status === 200) await response.arrayBuffer()
      return response.status
    })
    expect(await reading.catch(() => 'cut')).toSatisfy((end) => end === 502 || end === 'cut')
  })
})

describe.each(['all', 'on'])('F15: VERIFY_READS=%s', (VERIFY_READS) => {
  beforeEach(() => open({ VERIFY_READS }))

  test('serves correct bytes, whole and in parts', async () => {
    const link = await downloadUrl(holdall, file.id)
    const whole = Buffer.from(await (await holdall.http(link)).arrayBuffer())
    expect(whole.equals(bytes)).toBe(true)
    const part = await holdall.http(link, { headers: { range: 'bytes=5-9' } })
    expect(Buffer.from(await part.arrayBuffer()).equals(bytes.subarray(5, 10))).toBe(true)
    const empty = await uploadFile(holdall, { workspaceId, name: 'empty', bytes: '' })
    expect(await (await holdall.http(await downloadUrl(holdall, empty.id))).text()).toBe('')
  })

  test.each([
    ['flipped', 'CHANGED', async () => flipBit(await blobPath())],
    ['cut off', 'TRUNCATED', async () => truncate(await blobPath(), 2_999_999)],
  ])('never sends the last bytes of a file of which some are %s', async (_, code, harm) => {
    const link = await downloadUrl(holdall, file.id)
    await harm()
    const response = await holdall.http(link)
    let length = 0
    const reading = async () => {
      for await (const chunk of response.body ?? []) length += chunk.length
    }
    await expect(reading()).rejects.toThrow()
    expect(length).toBeLessThan(bytes.length)
    expect(await stateOf(file)).toEqual(['FAILED', code])
    expect(await answerTo(link)).toEqual({ status: 502, code: 'CORRUPT' })
  })

  test('sends no byte of a small damaged file, of a missing one, or of a damaged part', async () => {
    const small = await uploadFile(holdall, { workspaceId, name: 'small', bytes: 'small' })
    await flipBit(await blobPath(small))
    const refused = { status: 502, code: 'CORRUPT' }
    expect(await answerTo(`/download/${small.id}`)).toEqual(refused)
    const gone = await uploadFile(holdall, { workspaceId, name: 'gone', bytes: 'gone' })
    await rm(await blobPath(gone))
    expect(await answerTo(`/download/${gone.id}`)).toEqual(refused)
    await flipBit(await blobPath())
    expect(await answerTo(`/download/${file.id}`, { range: 'bytes=0-9' })).toEqual(refused)
    expect(await stateOf(gone)).toEqual(['FAILED', 'MISSING'])
    expect((await actions()).length).toBe(3)
  })

  test('serves parts without another check for ten minutes after the whole was read', async () => {
    const range = { range: 'bytes=0-9' }
    const link = await downloadUrl(holdall, file.id)
    expect((await holdall.http(link, { headers: range })).status).toBe(206)
    await flipBit(await blobPath())
    expect((await holdall.http(link, { headers: range })).status).toBe(206)
    now += 601_000
    expect(await answerTo(link, range)).toEqual({ status: 502, code: 'CORRUPT' })
  })
})

describe('VERIFY_READS=small, the default on a disk', () => {
  beforeEach(() => open())
  const refused = { status: 502, code: 'CORRUPT' }
  const inPart = { range: 'bytes=5-9' }

  const read = async (path: string, headers: Record<string, string> = {}) =>
    Buffer.from(await (await holdall.http(path, { headers })).arrayBuffer())

  /** Counts the bytes that this process read from any file while `fn` ran. */
  async function bytesRead(act: () => Promise<unknown>) {
    const total = async () =>
      Number(/rchar: (\d+)/.exec(await readFile('/proc/self/io', 'utf8'))?.[1])
    const before = await total()
    await act()
    return (await total()) - before
  }

  /** Waits until the file times differ from those of a write now. */
  const waitForOlderTimes = () => sleep(1_100)

  /** Resets the times of a file, as far as a program can. */
  async function withSameTimes(path: string, act: () => Promise<unknown>) {
    const { atime, mtime } = await stat(path)
    await act()
    await utimes(path, atime, mtime)
  }

  test('serves correct bytes, whole and in parts, also of an empty file', async () => {
    expect((await read(`/download/${file.id}`)).equals(bytes)).toBe(true)
    expect((await read(`/download/${file.id}`, inPart)).equals(bytes.subarray(5, 10))).toBe(true)
    const parts = await holdall.http(`/download/${file.id}`, {
      headers: { range: 'bytes=0-1,7-9' },
    })
    expect([parts.status, (await parts.text()).length > 5]).toEqual([206, true])
    const empty = await uploadFile(holdall, { workspaceId, name: 'empty', bytes: '' })
    expect(await read(`/download/${empty.id}`)).toHaveLength(0)
  })

  test.each<[string, string, (path: string) => Promise<unknown>]>([
    ['written to in place', 'CHANGED', (path) => flipBit(path)],
    [
      'written to in place, with its times put back',
      'CHANGED',
      (path) => withSameTimes(path, () => flipBit(path)),
    ],
    [
      'replaced by another of its size and times',
      'CHANGED',
      async (path) => {
        await copyFile(path, `${path}.new`)
        await flipBit(`${path}.new`)
        const { atime, mtime } = await stat(path)
        await utimes(`${path}.new`, atime, mtime)
        await rename(`${path}.new`, path)
      },
    ],
    ['cut off', 'TRUNCATED', (path) => truncate(path, 2_999_999)],
    ['removed', 'MISSING', (path) => rm(path)],
  ])('sends no byte of a file that was read, and then %s', async (_, code, harm) => {
    await waitForOlderTimes()
    await read(`/download/${file.id}`)
    const link = await downloadUrl(holdall, file.id)
    const { shareLink } = await act(
      holdall,
      'createShareLink',
      { entry: { id: file.id } },
      'shareLink { url }',
    )
    const shared = (await (await holdall.http(shareLink.url)).json()).downloadUrl.url
    await harm(await blobPath())
    // A file stays open for a second after it was read, and its content then is still right.
    await waitForOlderTimes()
    expect(await answerTo(link, inPart)).toEqual(refused)
    expect(await answerTo(link)).toEqual(refused)
    expect(await answerTo(shared)).toEqual(refused)
    expect(await stateOf(file)).toEqual(['FAILED', code])
  })

  test('nor of one that was changed before it was first read, by share and in an archive', async () => {
    const { shareLink } = await act(
      holdall,
      'createShareLink',
      { entry: { id: file.id } },
      'shareLink { url }',
    )
    const shared = (await (await holdall.http(shareLink.url)).json()).downloadUrl.url
    const query = 'query ($id: ID!) { workspace(by: { id: $id }) { root { archiveUrl { url } } } }'
    const { archiveUrl } = (await holdall.ask(query, { id: workspaceId })).workspace.root
    await flipBit(await blobPath())
    const archive = holdall.http(archiveUrl.url).then(async (response) => {
      await response.arrayBuffer()
      return response.status
    })
    expect(await archive.catch(() => 'cut')).toSatisfy((end) => end === 502 || end === 'cut')
    expect(await answerTo(shared)).toEqual(refused)
  })

  test('a running download whose file changes never ends as complete', async () => {
    const large = randomBytes(48_000_000)
    const slow = await uploadFile(holdall, { workspaceId, name: 'slow', bytes: large })
    await waitForOlderTimes()
    const response = await holdall.http(`/download/${slow.id}`)
    const reader = response.body?.getReader()
    await reader?.read()
    await flipBit(await blobPath(slow))
    const rest = async () => {
      while (!(await reader?.read())?.done);
    }
    await expect(rest()).rejects.toThrow()
  })

  test('a file is read once for concurrent requests, and not again while it is unchanged', async () => {
    await waitForOlderTimes()
    const once = await bytesRead(() =>
      Promise.all(Array.from({ length: 20 }, () => read(`/download/${file.id}`, inPart))),
    )
    expect(once).toBeGreaterThan(bytes.length)
    expect(once).toBeLessThan(2 * bytes.length)
    const again = await bytesRead(() => read(`/download/${file.id}`, inPart))
    expect(again).toBeLessThan(bytes.length / 2)
    await chmod(await blobPath(), 0o400)
    const changed = await bytesRead(() => read(`/download/${file.id}`, inPart))
    expect(changed).toBeGreaterThan(bytes.length)
  })

  test('a larger file is served unverified; `all` verifies it, too', async () => {
    const large = await uploadFile(holdall, {
      workspaceId,
      name: 'large',
      bytes: Buffer.alloc(2 ** 26 + 1),
    })
    await flipBit(await blobPath(large))
    expect(await read(`/download/${large.id}`)).toHaveLength(2 ** 26 + 1)
    expect(await stateOf(large)).toEqual(['COMPLETE'])
  })
})
