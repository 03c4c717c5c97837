import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import {
  act,
  batchDone,
  createFolder,
  createUpload,
  createWorkspace,
  type EntryHandle,
  entryByPath,
  items,
  sendBytes,
  trashEntries,
  uploadFile,
} from '../../support/client.ts'
import {
  allChanges,
  type Change,
  changesOf,
  summarizeChanges,
  syncCursorOf,
  toMirrorChanges,
} from '../../support/data/changes.ts'
import { Mirror } from '../../support/data/mirror.ts'
import { createToken, invite, unbindToken } from '../../support/data/people.ts'
import { treeOf } from '../../support/data/trees.ts'
import { startTestServer, type TestServer } from '../../support/servers/test-server.ts'

const DAY_MS = 86_400_000
let holdall: TestServer
let workspaceId: string
let later: number

beforeEach(async () => {
  later = 0
  holdall = await startTestServer({ now: () => Date.now() + later })
  onTestFinished(() => holdall[Symbol.asyncDispose]())
  workspaceId = (await createWorkspace(holdall)).id
})

const folder = (name: string) => createFolder(holdall, { workspaceId, name, createParents: true })
const file = (name: string, more = {}) =>
  uploadFile(holdall, { workspaceId, name, bytes: name, ...more })
const at = async (path: string) => (await entryByPath(holdall, workspaceId, path)) as EntryHandle
const now = () => syncCursorOf(holdall, workspaceId)
const paths = (changes: Change[]) => changes.map(({ entry }) => entry.path)

describe('without a cursor', () => {
  beforeEach(async () => {
    for (const name of ['b/inner', 'a', 'c']) await folder(name)
    for (const path of ['', 'b/inner', 'a', 'a'])
      await file(`${path.length}.txt`, { path, onConflict: 'RENAME' })
    await trashEntries(holdall, await folder('gone/deep'))
  })
  const everything = [
    ['', '0.txt', 'a', 'a/1.txt', 'a/1 (2).txt', 'b', 'b/inner', 'b/inner/7.txt', 'c', 'gone'],
  ].flat()

  test('lists all live entries, each folder before its content', async () => {
    const { changes } = await allChanges(holdall, workspaceId)
    expect(paths(changes)).toEqual(everything)
    const words = changes.slice(0, 3).map(({ __typename, action }) => [__typename, action])
    expect(words).toEqual([
      ['EntryUpserted', 'FOLDER_CREATED'],
      ['EntryUpserted', 'FILE_CREATED'],
      ['EntryUpserted', 'FOLDER_CREATED'],
    ])
  })

  test.each([1, 2, 3, 7])('in pages of %i, with the same result', async (first) => {
    const { changes, sizes } = await allChanges(holdall, workspaceId, { first })
    expect(paths(changes)).toEqual(everything)
    expect(Math.max(...sizes)).toBe(first)
  })

  test('ends with the current cursor if nothing has happened since', async () => {
    const { cursor } = await allChanges(holdall, workspaceId, { first: 4 })
    expect(cursor).toBe(await now())
    expect(await changesOf(holdall, workspaceId, { since: cursor })).toEqual({
      __typename: 'ChangeBatch',
      changes: [],
      cursor,
      hasMore: false,
    })
  })

  test('lists concurrent changes afterwards, from where it began', async () => {
    const mirror = new Mirror()
    const first = await changesOf(holdall, workspaceId, { first: 4 })
    mirror.apply(toMirrorChanges(first.changes))
    // After its position, before it, and into the trash.
    await file('early.txt')
    await act(
      holdall,
      'updateEntry',
      { entry: { id: (await at('b')).id }, name: '0b' },
      '__typename',
    )
    await batchDone(holdall, 'moveEntries', {
      entries: items(await at('a')),
      folder: { id: (await at('c')).id },
    })
    await trashEntries(holdall, await at('gone'))
    const rest = await allChanges(holdall, workspaceId, { since: first.cursor, first: 2 })
    mirror.apply(toMirrorChanges(rest.changes))
    expect(mirror.tree).toEqual(await treeOf(holdall.app.db, workspaceId))
    expect(rest.cursor).toBe(await now())
  })
})

describe('after a cursor', () => {
  test('lists each change, in order', async () => {
    const since = await now()
    const raw = await folder('raw')
    const made = await file('a.txt', { path: 'raw' })
    await act(holdall, 'updateEntry', { entry: { id: made.id }, name: 'b.txt' }, '__typename')
    await act(holdall, 'tagEntries', { entries: items(made), add: ['red'] }, '__typename')
    await file('b.txt', { path: 'raw', onConflict: 'NEW_VERSION' })
    const query = `query ($id: ID!) { node(id: $id) { ... on File { versions { nodes { id } } } } }`
    const [, older] = (await holdall.ask(query, { id: made.id })).node.versions.nodes
    await act(holdall, 'restoreVersion', { versionId: older.id }, '__typename')
    await act(holdall, 'deleteVersion', { versionId: older.id }, '__typename')
    const { changes, cursor } = await allChanges(holdall, workspaceId, { since })
    const summary = (action: string) => `${action} raw/b.txt`
    expect(summarizeChanges(changes)).toEqual([
      'FOLDER_CREATED raw',
      'upload COMPLETE',
      summary('FILE_CREATED'),
      'upload COMPLETE',
      summary('ENTRY_UPDATED'),
      summary('ENTRY_UPDATED'),
      'upload COMPLETE',
      summary('VERSION_ADDED'),
      'upload COMPLETE',
      summary('VERSION_RESTORED'),
      summary('ENTRY_UPDATED'),
    ])
    const [first, ...others] = changes.filter(({ entry }) => entry?.id === made.id)
    expect(first?.entry.revision).toBe(6)
    expect(others.every(({ entry }) => entry.revision === 6)).toBe(true)
    expect(first?.entry.parent?.id).toBe(raw.id)
    expect(cursor).toBe(await now())
  })

  test('lists removed entries with their last path, and a folder as one removal', async () => {
    await folder('a/b/c')
    const since = await now()
    await trashEntries(holdall, await at('a'))
    const trashed = await changesOf(holdall, workspaceId, { since })
    expect(summarizeChanges(trashed.changes)).toEqual(['ENTRY_TRASHED (a)'])
    await act(holdall, 'emptyTrash', { workspaceId }, '__typename')
    const purged = await changesOf(holdall, workspaceId, { since: trashed.cursor })
    expect(summarizeChanges(purged.changes)).toEqual(['ENTRY_PURGED (a)'])
    expect(purged.changes[0]?.entryId).toBe(trashed.changes[0]?.entryId)
  })

  test('lists restored and copied entries with all their content, also by page', async () => {
    await folder('a/b/c')
    for (const path of ['a', 'a/b']) await file('x', { path })
    const a = await at('a')
    await trashEntries(holdall, a)
    const since = await now()
    await batchDone(holdall, 'restoreEntries', { entries: [{ entry: { id: a.id } }] })
    await batchDone(holdall, 'copyEntries', {
      entries: items(a),
      folder: { path: { workspaceId, path: '' } },
    })
    const below = (top: string) => [top, `${top}/x`, `${top}/b`, `${top}/b/x`, `${top}/b/c`]
    for (const first of [1, 3, 100]) {
      const { changes } = await allChanges(holdall, workspaceId, { since, first })
      expect(paths(changes)).toEqual([...below('a'), ...below('a (2)')])
      expect(new Set(changes.map(({ action }) => action))).toEqual(
        new Set(['ENTRY_RESTORED', 'ENTRY_COPIED']),
      )
    }
  })

  test('lists a moved folder alone: its content moves along', async () => {
    await folder('a/b/c')
    await folder('z')
    const since = await now()
    await act(
      holdall,
      'updateEntry',
      { entry: { id: (await at('a')).id }, name: 'A1' },
      '__typename',
    )
    await batchDone(holdall, 'moveEntries', {
      entries: items(await at('A1')),
      folder: { id: (await at('z')).id },
    })
    const { changes } = await allChanges(holdall, workspaceId, { since })
    expect(summarizeChanges(changes)).toEqual(['ENTRY_UPDATED z/A1', 'ENTRY_MOVED z/A1'])
  })

  test('lists entries that no longer exist as removed', async () => {
    const since = await now()
    const gone = await folder('gone')
    await trashEntries(holdall, gone)
    await act(holdall, 'emptyTrash', { workspaceId }, '__typename')
    const { changes } = await allChanges(holdall, workspaceId, { since })
    expect(summarizeChanges(changes)).toEqual([
      'FOLDER_CREATED (gone)',
      'ENTRY_TRASHED (gone)',
      'ENTRY_PURGED (gone)',
    ])
    expect(new Set(changes.map(({ entryId }) => entryId))).toEqual(new Set([gone.id]))
  })

  test('leaves out members, tokens, links and downloads', async () => {
    await file('a.txt')
    const since = await now()
    await invite(holdall, workspaceId)
    await act(holdall, 'updateWorkspace', { workspaceId, name: 'Other' }, '__typename')
    const { id } = await at('a.txt')
    await act(holdall, 'createShareLink', { entry: { id } }, '__typename')
    for (let i = 0; i < 3; i++) await (await holdall.http(`/download/${id}`)).text()
    await expect.poll(now).not.toBe(since)
    const batch = await changesOf(holdall, workspaceId, { since })
    expect([batch.changes, batch.hasMore]).toEqual([[], false])
  })

  test('passes a long log without changes in bounded steps', async () => {
    const since = await now()
    await fillLog(3000)
    const last = await folder('last')
    const first = await changesOf(holdall, workspaceId, { since })
    expect([first.changes, first.hasMore]).toEqual([[], true])
    const { changes } = await allChanges(holdall, workspaceId, { since: first.cursor })
    expect(changes.map(({ entry }) => entry.id)).toEqual([last.id])
  })

  /** Events that a popular file leaves by the thousand. */
  async function fillLog(count: number) {
    const { db } = holdall.app
    const { lastSeq } = await db
      .selectFrom('workspaces')
      .select('lastSeq')
      .where('id', '=', workspaceId)
      .executeTakeFirstOrThrow()
    for (let i = 1; i <= count; i += 500) {
      const rows = Array.from({ length: 500 }, (_, j) => ({
        id: `evt_${i + j}`,
        workspaceId,
        seq: lastSeq + i + j,
        action: 'FILE_DOWNLOADED',
        at: Date.now(),
        details: '{}',
      }))
      await db.insertInto('activity').values(rows).execute()
    }
    await db
      .updateTable('workspaces')
      .set({ lastSeq: lastSeq + count })
      .where('id', '=', workspaceId)
      .execute()
  }
})

describe('uploads', () => {
  test('are listed when they are created, fail, or become a file', async () => {
    const since = await now()
    const good = await createUpload(holdall, { workspaceId, name: 'good', size: 4 })
    const announced = { name: 'bad', size: 4, sha256: '0'.repeat(64) }
    const bad = await createUpload(holdall, { workspaceId, ...announced })
    const begun = await allChanges(holdall, workspaceId, { since })
    expect(begun.changes.map(({ upload }) => upload)).toEqual([
      { id: good.id, status: 'CREATED' },
      { id: bad.id, status: 'CREATED' },
    ])
    for (const upload of [good, bad]) await sendBytes(holdall, upload, 'data')
    await act(holdall, 'confirmUpload', { uploadId: good.id }, '__typename')
    await act(holdall, 'confirmUpload', { uploadId: bad.id }, '__typename').catch(() => {})
    const { changes } = await allChanges(holdall, workspaceId, { since: begun.cursor, first: 1 })
    expect(summarizeChanges(changes)).toEqual([
      'FILE_CREATED good',
      'upload COMPLETE',
      'upload FAILED',
    ])
    expect(changes.slice(1).map(({ upload }) => upload.id)).toEqual([good.id, bad.id])
  })

  test('of versions belong to their own upload', async () => {
    const since = await now()
    for (const bytes of ['1', '22', '333'])
      await file('a.txt', { bytes, onConflict: 'NEW_VERSION' })
    const { changes } = await allChanges(holdall, workspaceId, { since })
    const uploads = changes.flatMap(({ upload }) => upload?.id ?? [])
    // Three were created, and three became files, in the same order.
    const created = uploads.filter((_, i) => i % 2 === 0)
    expect(uploads.filter((_, i) => i % 2 === 1)).toEqual(created)
    expect(new Set(created).size).toBe(3)
  })
})

describe('access', () => {
  test('is open in a PUBLIC workspace; removals and uploads are for members', async () => {
    const since = await now()
    await file('a.txt')
    await trashEntries(holdall, await folder('secret plan'))
    const stranger = { token: null }
    await expect(changesOf(holdall, workspaceId, {}, stranger)).rejects.toThrow()
    await act(holdall, 'updateWorkspace', { workspaceId, visibility: 'PUBLIC' }, '__typename')
    const summary = await allChanges(holdall, workspaceId, { since }, stranger)
    expect(summarizeChanges(summary.changes)).toEqual([
      'FILE_CREATED a.txt',
      'FOLDER_CREATED ()',
      'ENTRY_TRASHED ()',
    ])
    const { changes } = await allChanges(holdall, workspaceId, {}, stranger)
    expect(paths(changes)).toEqual(['', 'a.txt'])
  })

  test('requires FILES_READ and membership', async () => {
    const since = await now()
    const query = `query ($id: ID!, $since: SyncCursor) { workspace(by: { id: $id }) { changes(since: $since) { __typename } } }`
    const codes = async (token: string) => {
      const { data, errors } = await holdall.graphql(query, { id: workspaceId, since }, { token })
      return errors?.[0]?.extensions?.code ?? data.workspace
    }
    const ann = await invite(holdall, workspaceId, 'VIEWER', ['FILES_READ'])
    expect(await codes(ann.token)).toEqual({ changes: { __typename: 'ChangeBatch' } })
    await unbindToken(holdall, ann.tokenId)
    await act(holdall, 'removeMember', { workspaceId, userId: ann.userId }, '__typename')
    expect(await codes(ann.token)).toBeNull()
    const { secret } = await createToken(holdall, { scopes: ['ACTIVITY_READ'] })
    expect(await codes(secret)).toBe('FORBIDDEN')
  })
})

describe('a cursor is rejected', () => {
  const expired = {
    __typename: 'SyncCursorExpiredError',
    code: 'SYNC_CURSOR_EXPIRED',
    message: expect.stringContaining('snapshot'),
    retryable: false,
  }

  test('if it is damaged, forged, or of another workspace', async () => {
    const other = await createWorkspace(holdall, { name: 'Other' })
    const mine = await now()
    const damaged = `${mine.slice(0, -1)}${mine.endsWith('A') ? 'B' : 'A'}`
    for (const since of ['x', damaged, await syncCursorOf(holdall, other.id)]) {
      expect(await changesOf(holdall, workspaceId, { since })).toEqual(expired)
    }
    expect((await changesOf(holdall, workspaceId, { since: mine })).__typename).toBe('ChangeBatch')
  })

  test('if its next event is older than 90 days; the log itself keeps events', async () => {
    const since = await now()
    await folder('old')
    later = 60 * DAY_MS
    const middle = await changesOf(holdall, workspaceId, { since })
    expect(summarizeChanges(middle.changes)).toEqual(['FOLDER_CREATED old'])
    await folder('young')
    later = 91 * DAY_MS
    expect(await changesOf(holdall, workspaceId, { since })).toEqual(expired)
    const { changes } = await changesOf(holdall, workspaceId, { since: middle.cursor })
    expect(summarizeChanges(changes)).toEqual(['FOLDER_CREATED young'])
    // Beginning anew returns everything.
    expect(paths((await allChanges(holdall, workspaceId)).changes)).toEqual(['', 'old', 'young'])
    later = 200 * DAY_MS
    expect(await changesOf(holdall, workspaceId, { since: middle.cursor })).toEqual(expired)
    expect(await changesOf(holdall, workspaceId, { since: await now() })).toMatchObject({
      changes: [],
    })
  })

  test('if the snapshot that it continues started at an expired event', async () => {
    await folder('a/b/c/d')
    const a = await at('a')
    await trashEntries(holdall, a)
    const since = await now()
    await batchDone(holdall, 'restoreEntries', { entries: [{ entry: { id: a.id } }] })
    const { cursor } = await changesOf(holdall, workspaceId, { since, first: 2 })
    later = 91 * DAY_MS
    await folder('young')
    await holdall.app.db
      .deleteFrom('activity')
      .where('at', '<', Date.now() + DAY_MS)
      .execute()
    expect(await changesOf(holdall, workspaceId, { since: cursor })).toEqual(expired)
  })
})

test.each([0, -1, 101])('first: %i is rejected', async (first) => {
  const query = `query ($id: ID!, $first: Int) { workspace(by: { id: $id }) { changes(first: $first) { __typename } } }`
  const { errors } = await holdall.graphql(query, { id: workspaceId, first })
  expect(errors?.[0]?.extensions).toMatchObject({ code: 'BAD_PAGE_SIZE', path: ['first'] })
})
