import { once } from 'node:events'
import { createServer } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { sendEvents } from '../../src/http/graphql/sse.ts'
import {
  type Batch,
  type Change,
  changesResult,
  forMirror,
  inWords,
  syncCursorOf,
} from '../support/changes.ts'
import {
  act,
  createFolder,
  createUpload,
  createWorkspace,
  sendBytes,
  type UploadHandle,
} from '../support/client.ts'
import { openStream } from '../support/events.ts'
import { heard } from '../support/mark-handled.ts'
import { Mirror } from '../support/mirror.ts'
import { giveToken, invite, unbind } from '../support/people.ts'
import { startTestServer, type TestServer } from '../support/test-server.ts'
import { timed } from '../support/timed.ts'
import { deeds, perform } from '../support/tree-operations.ts'
import { treeOf } from '../support/trees.ts'

let holdall: TestServer
let workspaceId: string
let later: number

beforeEach(async () => {
  later = 0
  holdall = await startTestServer({ now: () => Date.now() + later })
  onTestFinished(() => holdall[Symbol.asyncDispose]())
  workspaceId = (await createWorkspace(holdall)).id
})

const folder = (name: string, parent?: { id: string }) =>
  createFolder(holdall, parent ? { parent: { id: parent.id }, name } : { workspaceId, name })
const now = () => syncCursorOf(holdall, workspaceId)
const show = (visibility: 'PUBLIC' | 'PRIVATE') =>
  act(holdall, 'updateWorkspace', { workspaceId, visibility }, '__typename')

const workspaceChanges = `subscription ($id: ID!, $since: SyncCursor) {
  workspaceChanges(workspaceId: $id, since: $since) { ${changesResult} }
}`
type Options = Parameters<typeof openStream>[3] & { since?: string | undefined; id?: string }

async function follow({ since, id = workspaceId, ...options }: Options = {}) {
  const stream = await openStream(holdall, workspaceChanges, { id, since }, options)
  /** The next batch, or error of the union. */
  const batch = async (ms?: number): Promise<Batch> =>
    (await stream.next(ms))?.data?.data?.workspaceChanges
  return { ...stream, batch }
}

describe('workspaceChanges', () => {
  test(
    'says where it begins, then what happens, a moment after it has happened',
    timed,
    async () => {
      using stream = await follow()
      expect(await stream.batch()).toEqual({
        __typename: 'ChangeBatch',
        changes: [],
        cursor: await now(),
        hasMore: false,
      })
      for (const name of ['a', 'b']) {
        await folder(name)
        const startedAt = performance.now()
        const { changes, cursor } = await stream.batch()
        expect(performance.now() - startedAt).toBeLessThan(300)
        expect(inWords(changes)).toEqual([`FOLDER_CREATED ${name}`])
        expect(cursor).toBe(await now())
      }
    },
  )

  test('begins with what was missed, a hundred at a time', async () => {
    const since = await now()
    for (let i = 0; i < 120; i++) await folder(`${i}`)
    using stream = await follow({ since })
    for (const [size, hasMore] of [[100, true] as const, [20, false] as const]) {
      const batch = await stream.batch()
      expect([batch.changes.length, batch.hasMore]).toEqual([size, hasMore])
    }
    await folder('live')
    expect(inWords((await stream.batch()).changes)).toEqual(['FOLDER_CREATED live'])
  })

  test('shows with each event what is so then, not what was so with the one before', async () => {
    const outer = await folder('a')
    using stream = await follow()
    await stream.batch()
    for (const name of ['b', 'c', 'd']) {
      await act(holdall, 'updateEntry', { entry: { id: outer.id }, name }, '__typename')
      await stream.batch()
      await folder(`in ${name}`, outer)
      expect(inWords((await stream.batch()).changes)).toEqual([`FOLDER_CREATED ${name}/in ${name}`])
    }
  })

  test('keeps silent about what changes no entry', async () => {
    using stream = await follow()
    await stream.batch()
    await invite(holdall, workspaceId)
    await act(holdall, 'updateWorkspace', { workspaceId, name: 'Other' }, '__typename')
    await folder('a')
    expect(inWords((await stream.batch()).changes)).toEqual(['FOLDER_CREATED a'])
  })

  test('ends at once where there is nothing to follow', async () => {
    for (const [options, code] of [
      [{ id: 'ws_0' }, 'NOT_FOUND'],
      [{ since: 'made-up' }, 'SYNC_CURSOR_EXPIRED'],
      [{ token: null, headers: { 'graphql-require-preflight': '1' } }, 'NOT_FOUND'],
    ] as const) {
      using stream = await follow(options)
      expect(await stream.batch()).toMatchObject({ code })
      expect(await stream.next()).toEqual({ event: 'complete', data: null })
      expect(await stream.next()).toBeNull()
    }
  })
})

test('a client that is killed again and again sees each of 200 changes once, and has the tree', async () => {
  await folder('a')
  const before = (await eventsOnEntries()).length
  const snapshot = `query ($id: ID!) { workspace(by: { id: $id }) { changes { ${changesResult} } } }`
  const { workspace } = await holdall.ask(snapshot, { id: workspaceId })
  const mirror = new Mirror()
  mirror.apply(forMirror(workspace.changes.changes))

  // From here on it lives by the stream alone, two or three batches at a time.
  const seen: Change[] = []
  const others = heard(doAtRandom(before + 200))
  const hasSeenAll = () => seen.at(-1)?.entry?.name === 'the last'
  let since: string = workspace.changes.cursor
  for (let life = 0; !hasSeenAll(); life++) {
    const stream = await follow({ since })
    for (let i = 0; i <= 1 + (life % 3) && !hasSeenAll(); i++) {
      const { changes, cursor } = await stream.batch()
      mirror.apply(forMirror(changes))
      seen.push(...changes)
      since = cursor
    }
    stream.kill()
  }
  await others
  const events = (await eventsOnEntries()).slice(before)
  expect(events.length).toBeGreaterThan(200)
  expect(withoutWalks(seen, events)).toEqual(events)
  expect(mirror.tree).toEqual(await treeOf(holdall.app.db, workspaceId))
})

/** Until the log has so many events, and one more. */
async function doAtRandom(count: number) {
  for (let seed = 0; (await eventsOnEntries()).length < count; seed++) {
    const [deed] = fc.sample(deeds, { numRuns: 1, seed })
    if (deed) await perform(holdall, workspaceId, deed)
  }
  await folder('the last')
}

const eventsOnEntries = async () =>
  (
    await holdall.app.db
      .selectFrom('activity')
      .select(['action', 'entryId'])
      .where('workspaceId', '=', workspaceId)
      .where('entryId', 'is not', null)
      .orderBy('seq')
      .execute()
  ).map(({ action, entryId }) => `${action} ${entryId}`)

/** Of a folder that was told with all it holds, only itself. */
function withoutWalks(changes: Change[], events: string[]): string[] {
  const told: string[] = []
  for (const { action, entry, entryId } of changes) {
    const word = `${action} ${entry?.id ?? entryId}`
    const last = told.at(-1) ?? ''
    const isBelow = word !== events[told.length] && last.startsWith(`${action} fld_`)
    if (!isBelow || word === last) told.push(word)
  }
  return told
}

test('S37: a stream tells of its own workspace, whatever happens in others', timed, async () => {
  const other = await createWorkspace(holdall, { name: 'Other' })
  const ann = await invite(holdall, other.id, 'VIEWER')
  using stream = await follow({ id: other.id, ...ann })
  expect(await stream.batch()).toMatchObject({ changes: [] })
  for (const name of ['a', 'b', 'c']) await folder(name)
  await createFolder(holdall, { workspaceId: other.id, name: 'theirs' })
  await folder('d')
  expect(inWords((await stream.batch()).changes)).toEqual(['FOLDER_CREATED theirs'])
  await expect(stream.batch(700)).rejects.toThrow('nothing came')
})

describe('S12, S37: a stream ends within a second', () => {
  /** What is told last, and that it comes in time. */
  async function ending(options: Options, deed: () => unknown) {
    using stream = await follow(options)
    expect(await stream.batch()).toMatchObject({ changes: [] })
    await deed()
    const startedAt = performance.now()
    const last = await stream.next()
    expect(await stream.next()).toEqual({ event: 'complete', data: null })
    expect(await stream.next()).toBeNull()
    expect(performance.now() - startedAt).toBeLessThan(1000)
    const { data, errors } = last?.data ?? {}
    return data?.workspaceChanges?.code ?? errors[0].extensions.code
  }

  test('when a member is removed', async () => {
    const ann = await invite(holdall, workspaceId, 'VIEWER')
    await unbind(holdall, ann.tokenId)
    const remove = () =>
      act(holdall, 'removeMember', { workspaceId, userId: ann.userId }, '__typename')
    expect(await ending(ann, remove)).toBe('NOT_FOUND')
  })

  test('when a token is revoked, of which the log of no workspace tells', async () => {
    const { id, secret: token } = await giveToken(holdall)
    const revoke = () => act(holdall, 'revokeApiToken', { tokenId: id }, '__typename')
    expect(await ending({ token }, revoke)).toBe('UNAUTHENTICATED')
  })

  test('when the time of a token is over', async () => {
    const expiresAt = new Date(Date.now() + 60_000).toISOString()
    const { secret: token } = await giveToken(holdall, { expiresAt })
    const wait = () => {
      later = 61_000
    }
    expect(await ending({ token }, wait)).toBe('UNAUTHENTICATED')
  })

  test('when a PUBLIC workspace is no longer for everybody', async () => {
    await show('PUBLIC')
    const nobody = { token: null, headers: { 'graphql-require-preflight': '1' } }
    expect(await ending(nobody, () => show('PRIVATE'))).toBe('NOT_FOUND')
  })

  test('and begins for nobody without the scope', async () => {
    const { secret: token } = await giveToken(holdall, { scopes: ['FILES_WRITE'] })
    using stream = await follow({ token })
    const first = await stream.next()
    expect(first?.data.errors[0].extensions).toEqual({
      code: 'FORBIDDEN',
      missingScopes: ['FILES_READ'],
    })
    expect((await stream.next())?.event).toBe('complete')
  })
})

describe('uploadChanged', () => {
  const query = `subscription ($id: ID!) { uploadChanged(uploadId: $id) { status offset size file { name } } }`
  const watch = async (upload: { id: string }, options: Options = {}) => {
    const stream = await openStream(holdall, query, { id: upload.id }, options)
    return { ...stream, upload: async () => (await stream.next())?.data?.data?.uploadChanged }
  }
  const open = (more = {}) =>
    createUpload(holdall, { workspaceId, name: 'a.bin', size: 9, ...more })

  test('tells of the bytes as they are safe, of the end, and completes', async () => {
    const upload = await open()
    using stream = await watch(upload)
    const at = { size: 9, file: null }
    expect(await stream.upload()).toEqual({ ...at, status: 'CREATED', offset: 0 })
    await sendBytes(holdall, upload, 'abc')
    expect(await stream.upload()).toEqual({ ...at, status: 'RECEIVING', offset: 3 })
    await sendBytes(holdall, upload, 'defghi', 3)
    expect(await stream.upload()).toEqual({ ...at, status: 'RECEIVED', offset: 9 })
    await act(holdall, 'confirmUpload', { uploadId: upload.id }, '__typename')
    const end = { size: 9, status: 'COMPLETE', offset: 9, file: { name: 'a.bin' } }
    expect(await stream.upload()).toEqual(end)
    expect((await stream.next())?.event).toBe('complete')
    expect(await stream.next()).toBeNull()
  })

  test('tells of the length when it is known', async () => {
    const upload = await open({ size: undefined })
    using stream = await watch(upload)
    expect(await stream.upload()).toMatchObject({ size: null })
    await declareLength(upload, 5)
    expect(await stream.upload()).toMatchObject({ size: 5, offset: 0 })
  })

  const declareLength = (upload: UploadHandle, length: number) =>
    holdall.http(upload.url, {
      method: 'PATCH',
      headers: {
        'tus-resumable': '1.0.0',
        'upload-offset': '0',
        'upload-length': `${length}`,
        'content-type': 'application/offset+octet-stream',
      },
    })

  const ends: [string, (upload: UploadHandle) => unknown][] = [
    ['CANCELED', ({ id }) => act(holdall, 'cancelUpload', { uploadId: id }, '__typename')],
    [
      'EXPIRED',
      () => {
        later = 25 * 3_600_000
      },
    ],
  ]
  test.each(ends)('ends with %s', async (status, end) => {
    const upload = await open()
    using stream = await watch(upload)
    await stream.upload()
    await end(upload)
    expect(await stream.upload()).toMatchObject({ status })
    expect((await stream.next())?.event).toBe('complete')
  })

  test('of what is over, tells the end alone', async () => {
    const upload = await open()
    await act(holdall, 'cancelUpload', { uploadId: upload.id }, '__typename')
    using stream = await watch(upload)
    expect(await stream.upload()).toMatchObject({ status: 'CANCELED' })
    expect((await stream.next())?.event).toBe('complete')
  })

  test('S12, S37: is for members, while they are', async () => {
    const upload = await open()
    await show('PUBLIC')
    const ann = await invite(holdall, workspaceId, 'VIEWER')
    const elsewhere = await invite(holdall, (await createWorkspace(holdall)).id)
    await unbind(holdall, elsewhere.tokenId)
    for (const [id, token, code] of [
      [upload.id, elsewhere.token, 'FORBIDDEN'],
      ['upl_0', ann.token, 'NOT_FOUND'],
    ] as const) {
      using stream = await watch({ id }, { token })
      expect((await stream.next())?.data.errors[0].extensions.code).toBe(code)
      expect((await stream.next())?.event).toBe('complete')
    }
    await unbind(holdall, ann.tokenId)
    using stream = await watch(upload, ann)
    expect(await stream.upload()).toMatchObject({ status: 'CREATED' })
    await act(holdall, 'removeMember', { workspaceId, userId: ann.userId }, '__typename')
    expect((await stream.next(1000))?.data.errors[0].extensions.code).toBe('FORBIDDEN')
  })
})

describe('over HTTP', () => {
  test('a stream is passed on as it comes, and is never silent for long', async () => {
    using stream = await follow()
    const { status, headers } = stream.response
    expect(status).toBe(200)
    expect(headers.get('content-type')).toBe('text/event-stream; charset=utf-8')
    expect(headers.get('x-accel-buffering')).toBe('no')
    expect(headers.get('cache-control')).toContain('no-store')
    expect(await stream.raw()).toBe(':')
    expect(await stream.raw()).toMatch(/^event: next\ndata: {/)
    const startedAt = performance.now()
    expect(await stream.raw()).toBe(':')
    expect(performance.now() - startedAt).toBeLessThan(15_000)
  })

  test('GET will do, as EventSource asks; who takes no event stream is told so', async () => {
    using stream = await follow({ method: 'GET' })
    await stream.batch()
    await folder('a')
    expect(inWords((await stream.batch()).changes)).toEqual(['FOLDER_CREATED a'])
    const { response } = await follow({ headers: { accept: 'application/json' } })
    expect(response.status).toBe(406)
  })

  test('S37: a query that costs too much is refused before it is followed', async () => {
    const deep = 'entry { ancestors { ancestors { ancestors { id name path } } } }'
    const query = workspaceChanges.replace('entry {', `${deep} entry {`)
    using stream = await openStream(holdall, query, { id: workspaceId })
    const told = await stream.next()
    expect(told?.data.errors[0].extensions.code).toBe('QUERY_TOO_COMPLEX')
    expect((await stream.next())?.event).toBe('complete')
  })

  test('S37: a token has fifty streams, and gets another when one has ended', async () => {
    const { secret: token } = await giveToken(holdall)
    const streams = await Promise.all(Array.from({ length: 50 }, () => follow({ token })))
    expect(streams.map(({ response }) => response.status)).toEqual(Array(50).fill(200))
    const refused = await follow({ token })
    expect(refused.response.status).toBe(429)
    expect(refused.response.headers.get('retry-after')).toBe('1')
    expect((await refused.next())?.data.errors[0].extensions.code).toBe('RATE_LIMITED')
    using other = await follow()
    expect(other.response.status).toBe(200)
    streams[0]?.kill()
    await expect.poll(async () => statusOf(await follow({ token }))).toBe(200)
    for (const stream of streams) stream.kill()
  })

  function statusOf(stream: Awaited<ReturnType<typeof follow>>) {
    stream.kill()
    return stream.response.status
  }

  test('when the house closes a stream ends without complete, so that the client comes back', async () => {
    const stream = await follow()
    const { cursor } = await stream.batch()
    const reopened = holdall.restart()
    expect(await stream.next()).toBeNull()
    await reopened
    await folder('missed')
    using again = await follow({ since: cursor })
    expect(inWords((await again.batch()).changes)).toEqual(['FOLDER_CREATED missed'])
  })
})

test('S37: a client that does not read makes nothing grow', async () => {
  let asked = 0
  let ended = false
  const endless = (async function* () {
    try {
      for (;;) {
        asked += 1
        yield 'x'.repeat(1_000_000)
      }
    } finally {
      ended = true
    }
  })()
  const closing = new AbortController()
  const server = createServer((_, res) => void sendEvents(res, endless, closing.signal))
  onTestFinished(() => void server.close())
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1').pause()
  socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
  await sleep(500)
  const first = asked
  await sleep(500)
  // What the kernel takes on the way, and one more.
  expect([asked, asked < 30]).toEqual([first, true])
  socket.destroy()
  await expect.poll(() => ended).toBe(true)
})
