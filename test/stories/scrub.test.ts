import { randomBytes } from 'node:crypto'
import { chmod, copyFile, readFile, rename, rm, stat, truncate, utimes } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { openBlobs } from '../../src/blobs/open.ts'
import { createMultipartStore } from '../../src/database/multipart-store.ts'
import { scrubBlobs } from '../../src/domains/files/scrub.ts'
import { allChanges } from '../support/changes.ts'
import {
  act,
  createWorkspace,
  downloadUrl,
  type FileHandle,
  lookUp,
  uploadFile,
} from '../support/client.ts'
import { blobOf, bytesAt, flipBit } from '../support/inspection.ts'
import { startTestServer, type TestServer } from '../support/test-server.ts'
import { timed } from '../support/timed.ts'

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

/** What the job does, which reads what downloads are refused; answers how many blobs were read. */
async function scrub(bytesPerSecond = 1e9, signal = new AbortController().signal) {
  const { app } = holdall
  const blobs = await openBlobs(app.config.blobs, createMultipartStore(app.db))
  const ctx = { ...app, blobs, viewer: null, publicUrl: '' }
  return scrubBlobs(ctx, { everyMs: 30 * DAY, bytesPerSecond }, signal)
}

const theBytes = async (of = file) => bytesAt(holdall, await blobOf(holdall, of))
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

  test('reads what nobody has read for so long, and no more than that', async () => {
    expect(await scrub()).toBe(0)
    now += 31 * DAY
    expect(await scrub()).toBe(1)
    expect(await scrub()).toBe(0)
    expect([await stateOf(file), await actions()]).toEqual([['COMPLETE'], []])
  })

  test.each([
    ['a flipped bit', 'CHANGED', async () => flipBit(await theBytes())],
    ['bytes that are cut off', 'TRUNCATED', async () => truncate(await theBytes(), 2_999_999)],
    ['bytes that are gone', 'MISSING', async () => rm(await theBytes())],
  ])(
    'finds %s: the file is FAILED, nobody is given it, and the log is told once',
    async (_, code, harm) => {
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
    },
  )

  test('finds two blobs that have changed places', async () => {
    const other = await uploadFile(holdall, {
      workspaceId,
      name: 'b.dat',
      bytes: randomBytes(3_000_000),
    })
    const [one, two] = [await theBytes(), await theBytes(other)]
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

  test('finds what is right again: the file is COMPLETE, and the log is told of that, too', async () => {
    await copyFile(await theBytes(), `${await theBytes()}.saved`)
    const path = await theBytes()
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

  test('keeps to its pace, and stops when it is told to', timed, async () => {
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

  test('takes a folder that is not there for what it is, not for the end of all files', async () => {
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
    await flipBit(await theBytes())
    now += 31 * DAY
    await scrub()
    now -= 31 * DAY
  })

  test('is COMPLETE with a good copy as a new version, and so is the version that was damaged', async () => {
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

  test('is COMPLETE with other bytes; the version that was damaged stays so', async () => {
    await uploadFile(holdall, { workspaceId, versionOf: file.id, name: 'x', bytes: 'other' })
    expect(await stateOf(file)).toEqual(['COMPLETE'])
    const fields = '... on File { versions { nodes { failures { code } downloadUrl { url } } } }'
    const { versions } = await lookUp(holdall, file, fields)
    expect(versions.nodes[1].failures).toEqual([{ code: 'CHANGED' }])
    expect(await answerTo(versions.nodes[1].downloadUrl.url)).toMatchObject({ code: 'CORRUPT' })
  })

  test('is not handed out by a copy, nor in an archive', async () => {
    const root = { path: { workspaceId, path: '' } }
    const entries = [{ entry: { id: file.id } }]
    const { results } = await act(
      holdall,
      'copyEntries',
      { entries, destination: root },
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

  test('what is right is given, whole and in parts', async () => {
    const link = await downloadUrl(holdall, file.id)
    const whole = Buffer.from(await (await holdall.http(link)).arrayBuffer())
    expect(whole.equals(bytes)).toBe(true)
    const part = await holdall.http(link, { headers: { range: 'bytes=5-9' } })
    expect(Buffer.from(await part.arrayBuffer()).equals(bytes.subarray(5, 10))).toBe(true)
    const empty = await uploadFile(holdall, { workspaceId, name: 'empty', bytes: '' })
    expect(await (await holdall.http(await downloadUrl(holdall, empty.id))).text()).toBe('')
  })

  test.each([
    ['flipped', 'CHANGED', async () => flipBit(await theBytes())],
    ['cut off', 'TRUNCATED', async () => truncate(await theBytes(), 2_999_999)],
  ])('of a whole file the last bytes never come where some are %s', async (_, code, harm) => {
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

  test('of a small file, one that is gone, and a part of one not a byte comes', async () => {
    const small = await uploadFile(holdall, { workspaceId, name: 'small', bytes: 'small' })
    await flipBit(await theBytes(small))
    const refused = { status: 502, code: 'CORRUPT' }
    expect(await answerTo(`/download/${small.id}`)).toEqual(refused)
    const gone = await uploadFile(holdall, { workspaceId, name: 'gone', bytes: 'gone' })
    await rm(await theBytes(gone))
    expect(await answerTo(`/download/${gone.id}`)).toEqual(refused)
    await flipBit(await theBytes())
    expect(await answerTo(`/download/${file.id}`, { range: 'bytes=0-9' })).toEqual(refused)
    expect(await stateOf(gone)).toEqual(['FAILED', 'MISSING'])
    expect((await actions()).length).toBe(3)
  })

  test('a part is given without another look for ten minutes after all of it was read', async () => {
    const range = { range: 'bytes=0-9' }
    const link = await downloadUrl(holdall, file.id)
    expect((await holdall.http(link, { headers: range })).status).toBe(206)
    await flipBit(await theBytes())
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

  /** Bytes that this process read from anything while `act` ran. */
  async function bytesRead(act: () => Promise<unknown>) {
    const total = async () =>
      Number(/rchar: (\d+)/.exec(await readFile('/proc/self/io', 'utf8'))?.[1])
    const before = await total()
    await act()
    return (await total()) - before
  }

  /** Until the times of the file are old enough to tell it from what is written now. */
  const settle = () => sleep(1_100)

  /** Puts the times of a file back, as far as any program can. */
  async function keepingTimes(path: string, act: () => Promise<unknown>) {
    const { atime, mtime } = await stat(path)
    await act()
    await utimes(path, atime, mtime)
  }

  test('what is right is given, whole and in parts, also where nothing is in it', async () => {
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
      (path) => keepingTimes(path, () => flipBit(path)),
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
  ])('not a byte comes of a file that was read, and then %s', async (_, code, harm) => {
    await settle()
    await read(`/download/${file.id}`)
    const link = await downloadUrl(holdall, file.id)
    const { shareLink } = await act(
      holdall,
      'createShareLink',
      { entry: { id: file.id } },
      'shareLink { url }',
    )
    const shared = (await (await holdall.http(shareLink.url)).json()).downloadUrl.url
    await harm(await theBytes())
    // A file stays open for a second after it was read; what it was then is still right.
    await settle()
    expect(await answerTo(link, inPart)).toEqual(refused)
    expect(await answerTo(link)).toEqual(refused)
    expect(await answerTo(shared)).toEqual(refused)
    expect(await stateOf(file)).toEqual(['FAILED', code])
  })

  test('nor of one that was changed before anyone read it, by share and in an archive', async () => {
    const { shareLink } = await act(
      holdall,
      'createShareLink',
      { entry: { id: file.id } },
      'shareLink { url }',
    )
    const shared = (await (await holdall.http(shareLink.url)).json()).downloadUrl.url
    const query = 'query ($id: ID!) { workspace(by: { id: $id }) { root { archiveUrl { url } } } }'
    const { archiveUrl } = (await holdall.ask(query, { id: workspaceId })).workspace.root
    await flipBit(await theBytes())
    const archive = holdall.http(archiveUrl.url).then(async (response) => {
      await response.arrayBuffer()
      return response.status
    })
    expect(await archive.catch(() => 'cut')).toSatisfy((end) => end === 502 || end === 'cut')
    expect(await answerTo(shared)).toEqual(refused)
  })

  test('a download that is under way when its file changes never ends as a whole one', async () => {
    const large = randomBytes(48_000_000)
    const slow = await uploadFile(holdall, { workspaceId, name: 'slow', bytes: large })
    await settle()
    const response = await holdall.http(`/download/${slow.id}`)
    const reader = response.body?.getReader()
    await reader?.read()
    await flipBit(await theBytes(slow))
    const rest = async () => {
      while (!(await reader?.read())?.done);
    }
    await expect(rest()).rejects.toThrow()
  })

  test('all of it is read once for those who come together, and not again while it is as it was', async () => {
    await settle()
    const once = await bytesRead(() =>
      Promise.all(Array.from({ length: 20 }, () => read(`/download/${file.id}`, inPart))),
    )
    expect(once).toBeGreaterThan(bytes.length)
    expect(once).toBeLessThan(2 * bytes.length)
    const again = await bytesRead(() => read(`/download/${file.id}`, inPart))
    expect(again).toBeLessThan(bytes.length / 2)
    await chmod(await theBytes(), 0o400)
    const changed = await bytesRead(() => read(`/download/${file.id}`, inPart))
    expect(changed).toBeGreaterThan(bytes.length)
  })

  test('a file that is larger is given as it is; all verifies it, too', async () => {
    const large = await uploadFile(holdall, {
      workspaceId,
      name: 'large',
      bytes: Buffer.alloc(2 ** 26 + 1),
    })
    await flipBit(await theBytes(large))
    expect(await read(`/download/${large.id}`)).toHaveLength(2 ** 26 + 1)
    expect(await stateOf(large)).toEqual(['COMPLETE'])
  })
})
