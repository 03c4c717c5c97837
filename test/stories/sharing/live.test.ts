import { once } from 'node:events'
import { createServer } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { sendEvents } from '../../../src/http/graphql/sse.ts'
import {
  act,
  createFolder,
  createUpload,
  createWorkspace,
  sendBytes,
  type UploadHandle,
} from '../../support/client.ts'
import {
  type Batch,
  type Change,
  changesResult,
  summarizeChanges,
  syncCursorOf,
  toMirrorChanges,
} from '../../support/data/changes.ts'
import { Mirror } from '../../support/data/mirror.ts'
import { createToken, invite, unbindToken } from '../../support/data/people.ts'
import { performOperation, treeOperations } from '../../support/data/tree-operations.ts'
import { treeOf } from '../../support/data/trees.ts'
import { markHandled } from '../../support/mark-handled.ts'
import { openStream } from '../../support/network/events.ts'
import { startTestServer, type TestServer } from '../../support/servers/test-server.ts'
import { expectFast, timingRetries } from '../../support/timed.ts'

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
  createFolder(holdall, parent ? { folder: { id: parent.id }, name } : { workspaceId, name })
const now = () => syncCursorOf(holdall, workspaceId)
const show = (visibility: 'PUBLIC' | 'PRIVATE') =>
  act(holdall, 'updateWorkspace', { workspaceId, visibility }, '__typename')

const workspaceChanges = `subscription ($id: ID!, $since: SyncCursor) {
  workspaceChanges(workspaceId: $id, since: $since) { ${changesResult} }
}`
type Options = Parameters<typeof openStream>[3] & { since?: string | undefined; id?: string }

async function follow({ since, id = workspaceId, ...options }: Options = {}) {
  const stream = await openStream(holdall, workspaceChanges, { id, since }, options)
  /** The next batch, or the error of the union. */
  const batch = async (ms?: number): Promise<Batch> =>
    (await stream.next(ms))?.data?.data?.workspaceChanges
  return { ...stream, batch }
}

describe('workspaceChanges', () => {
  test(
    'first reports its cursor, then each change a moment after it has happened',
    timingRetries,
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
        await expectFast(holdall, performance.now() - startedAt, 100)
        expect(summarizeChanges(changes)).toEqual([`FOLDER_CREATED ${name}`])
        expect(cursor).toBe(await now())
      }
    },
  )

  test('begins with the missed changes, a hundred at a time', async () => {
    const since = await now()
    for (let i = 0; i < 120; i++) await folder(`${i}`)
    using stream = await follow({ since })
    for (const [size, hasMore] of [[100, true] as const, [20, false] as const]) {
      const batch = await stream.batch()
      expect([batch.changes.length, batch.hasMore]).toEqual([size, hasMore])
    }
    await folder('live')
    expect(summarizeChanges((await stream.batch()).changes)).toEqual(['FOLDER_CREATED live'])
  })

  test('shows with each event the current state, not that of the previous event', async () => {
    const outer = await folder('a')
    using stream = await follow()
    await stream.batch()
    for (const name of ['b', 'c', 'd']) {
      await act(holdall, 'updateEntry', { entry: { id: outer.id }, name }, '__typename')
      await stream.batch()
      await folder(`in ${name}`, outer)
      expect(summarizeChanges((await stream.batch()).changes)).toEqual([
        `FOLDER_CREATED ${name}/in ${name}`,
      ])
    }
  })

  test('is silent about changes of no entry', async () => {
    using stream = await follow()
    await stream.batch()
    await invite(holdall, workspaceId)
    await act(holdall, 'updateWorkspace', { workspaceId, name: 'Other' }, '__typename')
    await folder('a')
    expect(summarizeChanges((await stream.batch()).changes)).toEqual(['FOLDER_CREATED a'])
  })

  test('ends at once if there is nothing to follow', async () => {
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

test('a client that is killed repeatedly sees each of 200 changes once, and has the tree', async () => {
  await folder('a')
  const before = (await eventsOnEntries()).length
  const snapshot = `query ($id: ID!) { workspace(by: { id: $id }) { changes { ${changesResult} } } }`
  const { workspace } = await holdall.ask(snapshot, { id: workspaceId })
  const mirror = new Mirror()
  mirror.apply(toMirrorChanges(workspace.changes.changes))

  // From here on it reads only the stream, two or three batches at a time.
  const seen: Change[] = []
  const others = markHandled(performRandomOperations(before + 200))
  const hasSeenAll = () => seen.at(-1)?.entry?.name === 'the last'
  let since: string = workspace.changes.cursor
  for (let life = 0; !hasSeenAll(); life++) {
    const stream = await follow({ since })
    for (let i = 0; i <= 1 + (life % 3) && !hasSeenAll(); i++) {
      const { changes, cursor } = await stream.batch()
      mirror.apply(toMirrorChanges(changes))
      seen.push(...changes)
      since = cursor
    }
    stream.kill()
  }
  await others
  const events = (await eventsOnEntries()).slice(before)
  expect(events.length).toBeGreaterThan(200)
  expect(withoutSnapshots(seen, events)).toEqual(events)
  expect(mirror.tree).toEqual(await treeOf(holdall.app.db, workspaceId))
})

/** Waits until the log has so many events, and one more. */
async function performRandomOperations(count: number) {
  for (let seed = 0; (await eventsOnEntries()).length < count; seed++) {
    const [fn] = fc.sample(treeOperations, { numRuns: 1, seed })
    if (fn) await performOperation(holdall, workspaceId, fn)
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

/** Of a folder that was reported with its content, only the folder itself. */
function withoutSnapshots(changes: Change[], events: string[]): string[] {
  const reported: string[] = []
  for (const { action, entry, entryId } of changes) {
    const word = `${action} ${entry?.id ?? entryId}`
    const last = reported.at(-1) ?? ''
    const isBelow = word !== events[reported.length] && last.startsWith(`${action} fld_`)
    if (!isBelow || word === last) reported.push(word)
  }
  return reported
}

test(
  'S37: a stream reports its own workspace, whatever happens in others',
  timingRetries,
  async () => {
    const other = await createWorkspace(holdall, { name: 'Other' })
    const ann = await invite(holdall, other.id, 'VIEWER')
    using stream = await follow({ id: other.id, ...ann })
    expect(await stream.batch()).toMatchObject({ changes: [] })
    for (const name of ['a', 'b', 'c']) await folder(name)
    await createFolder(holdall, { workspaceId: other.id, name: 'theirs' })
    await folder('d')
    expect(summarizeChanges((await stream.batch()).changes)).toEqual(['FOLDER_CREATED theirs'])
    await expect(stream.batch(700)).rejects.toThrow('no event came')
  },
)

describe('S12, S37: a stream ends at once', () => {
  /** Returns the last event, and checks that it comes in time. */
  async function ending(options: Options, fn: () => unknown) {
    using stream = await follow(options)
    expect(await stream.batch()).toMatchObject({ changes: [] })
    await fn()
    const startedAt = performance.now()
    const last = await stream.next()
    expect(await stream.next()).toEqual({ event: 'complete', data: null })
    expect(await stream.next()).toBeNull()
    await expectFast(holdall, performance.now() - startedAt, 1000)
    const { data, errors } = last?.data ?? {}
    return data?.workspaceChanges?.code ?? errors[0].extensions.code
  }

  test('when a member is removed', async () => {
    const ann = await invite(holdall, workspaceId, 'VIEWER')
    await unbindToken(holdall, ann.tokenId)
    const remove = () =>
      act(holdall, 'removeMember', { workspaceId, userId: ann.userId }, '__typename')
    expect(await ending(ann, remove)).toBe('NOT_FOUND')
  })

  test('when a token is revoked, which is logged in no workspace', async () => {
    const { id, secret: token } = await createToken(holdall)
    const revoke = () => act(holdall, 'revokeApiToken', { tokenId: id }, '__typename')
    expect(await ending({ token }, revoke)).toBe('UNAUTHENTICATED')
  })

  test('when a token expires', async () => {
    const expiresAt = new Date(Date.now() + 60_000).toISOString()
    const { secret: token } = await createToken(holdall, { expiresAt })
    const wait = () => {
      later = 61_000
    }
    expect(await ending({ token }, wait)).toBe('UNAUTHENTICATED')
  })

  test('when a PUBLIC workspace becomes PRIVATE', async () => {
    await show('PUBLIC')
    const anonymous = { token: null, headers: { 'graphql-require-preflight': '1' } }
    expect(await ending(anonymous, () => show('PRIVATE'))).toBe('NOT_FOUND')
  })

  test('and does not begin without the scope', async () => {
    const { secret: token } = await createToken(holdall, { scopes: ['FILES_WRITE'] })
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

  test('reports durable bytes, then the end, and completes', async () => {
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

  test('reports the length when it is known', async () => {
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

  test('reports only the end of a finished upload', async () => {
    const upload = await open()
    await act(holdall, 'cancelUpload', { uploadId: upload.id }, '__typename')
    using stream = await watch(upload)
    expect(await stream.upload()).toMatchObject({ status: 'CANCELED' })
    expect((await stream.next())?.event).toBe('complete')
  })

  test('S12, S37: requires membership, as long as it lasts', async () => {
    const upload = await open()
    await show('PUBLIC')
    const ann = await invite(holdall, workspaceId, 'VIEWER')
    const elsewhere = await invite(holdall, (await createWorkspace(holdall)).id)
    await unbindToken(holdall, elsewhere.tokenId)
    for (const [id, token, code] of [
      [upload.id, elsewhere.token, 'FORBIDDEN'],
      ['upl_0', ann.token, 'NOT_FOUND'],
    ] as const) {
      using stream = await watch({ id }, { token })
      expect((await stream.next())?.data.errors[0].extensions.code).toBe(code)
      expect((await stream.next())?.event).toBe('complete')
    }
    await unbindToken(holdall, ann.tokenId)
    using stream = await watch(upload, ann)
    expect(await stream.upload()).toMatchObject({ status: 'CREATED' })
    await act(holdall, 'removeMember', { workspaceId, userId: ann.userId }, '__typename')
    expect((await stream.next(1000))?.data.errors[0].extensions.code).toBe('FORBIDDEN')
  })
})

describe('over HTTP', () => {
  test('a stream is flushed at once, and sends pings', async () => {
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

  test('GET works, as EventSource requires; a client that accepts no event stream gets an error', async () => {
    using stream = await follow({ method: 'GET' })
    await stream.batch()
    await folder('a')
    expect(summarizeChanges((await stream.batch()).changes)).toEqual(['FOLDER_CREATED a'])
    const { response } = await follow({ headers: { accept: 'application/json' } })
    expect(response.status).toBe(406)
  })

  test('S37: a query that costs too much is refused before it subscribes', async () => {
    const deep = 'entry { ancestors { ancestors { ancestors { id name path } } } }'
    const query = workspaceChanges.replace('entry {', `${deep} entry {`)
    using stream = await openStream(holdall, query, { id: workspaceId })
    const reported = await stream.next()
    expect(reported?.data.errors[0].extensions.code).toBe('QUERY_TOO_COMPLEX')
    expect((await stream.next())?.event).toBe('complete')
  })

  test('S37: a token has at most fifty streams, and gets another when one has ended', async () => {
    const { secret: token } = await createToken(holdall)
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

  test('at shutdown a stream ends without complete, so that the client reconnects', async () => {
    const stream = await follow()
    const { cursor } = await stream.batch()
    const reopened = holdall.restart()
    expect(await stream.next()).toBeNull()
    await reopened
    await folder('missed')
    using again = await follow({ since: cursor })
    expect(summarizeChanges((await again.batch()).changes)).toEqual(['FOLDER_CREATED missed'])
  })
})

test('S37: a client that does not read makes no buffer grow', async () => {
  let requested = 0
  let ended = false
  const endless = (async function* () {
    try {
      for (;;) {
        requested += 1
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
  const first = requested
  await sleep(500)
  // More than the kernel buffers.
  expect([requested, requested < 30]).toEqual([first, true])
  socket.destroy()
  await expect.poll(() => ended).toBe(true)
})
