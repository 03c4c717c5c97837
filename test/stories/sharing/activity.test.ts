import { readFileSync } from 'node:fs'
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { apiScopes } from '../../../src/context.ts'
import { schema } from '../../../src/schema.ts'
import {
  act,
  createFolder,
  createUpload,
  createWorkspace,
  items,
  lookUp,
  sendBytes,
  trashEntries,
  uploadFile,
} from '../../support/client.ts'
import { invite, type Person, unbindToken } from '../../support/data/people.ts'
import { expectRefused } from '../../support/data/refusals.ts'
import { startTestServer, type TestServer } from '../../support/servers/test-server.ts'

const START = Date.parse('2025-06-01T09:00:00.000Z')
let holdall: TestServer
let workspaceId: string
let now: number

beforeEach(async () => {
  now = START
  holdall = await startTestServer({ now: () => now })
  onTestFinished(() => holdall[Symbol.asyncDispose]())
  workspaceId = (await createWorkspace(holdall)).id
})

type Event = {
  id: string
  action: string
  actor: { id: string; name: string } | null
  token: { id: string } | null
  entryId: string | null
  path: string | null
  at: string
  details: Record<string, unknown>
}
const fields = 'id action actor { id name } token { id } entryId path at details'
const log = (args = 'first: 100', token = holdall.token, filter: unknown = null) =>
  holdall
    .ask(
      `query ($id: ID!, $filter: ActivityFilter) { workspace(by: { id: $id }) {
        syncCursor
        activity(${args}, filter: $filter) {
          totalCount nodes { ${fields} }
          pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
        }
      } }`,
      { id: workspaceId, filter },
      { token },
    )
    .then(({ workspace: { syncCursor, activity } }) => ({
      cursor: syncCursor as string,
      events: activity.nodes as Event[],
      totalCount: activity.totalCount as number,
      pageInfo: activity.pageInfo,
    }))
const iso = (moment: number) => new Date(moment).toISOString()
const ids = (events: Event[]) => events.map(({ id }) => id)
const mutations = Object.keys(schema.getMutationType()?.getFields() ?? {})

describe('the activity log', () => {
  /** The acting user and token. */
  let ann: Person
  let me: { id: string }

  /**
   * Calls `fn` and returns the events that it added, oldest first; earlier events must be unchanged.
   */
  async function eventsOf(fn: () => Promise<unknown>): Promise<Omit<Event, 'id' | 'at'>[]> {
    const before = await log()
    now += 1000
    await fn()
    const after = await log()
    const fresh = after.events.slice(0, after.events.length - before.events.length)
    expect(after.events.slice(fresh.length)).toEqual(before.events)
    expect(after.cursor !== before.cursor).toBe(fresh.length > 0)
    expect(fresh.filter(({ at }) => at !== iso(now))).toEqual([])
    return fresh.toReversed().map(({ id: _, at: __, ...event }) => event)
  }
  const does = (name: string, input: object, as: object = ann) =>
    eventsOf(() => act(holdall, name, input as Record<string, unknown>, '__typename', as))
  const event = (action: string, path: string | null, entryId: string | null, details = {}) => ({
    action,
    actor: { id: ann.userId, name: ann.email.split('@')[0] },
    token: { id: ann.tokenId },
    entryId,
    path,
    details,
  })

  beforeEach(async () => {
    ann = await invite(holdall, workspaceId, 'OWNER')
    me = (await holdall.ask('{ viewer { token { id } } }')).viewer.token
  })

  test('records changes of the workspace, its members and its tokens', async () => {
    const [created] = (await log()).events.slice(-1)
    expect(created).toMatchObject({
      action: 'WORKSPACE_CREATED',
      details: { name: 'Lab' },
      token: me,
      entryId: null,
      path: null,
      at: iso(START),
    })
    expect(await does('updateWorkspace', { workspaceId, name: 'Lab 2', autoFile: true })).toEqual([
      event('WORKSPACE_UPDATED', null, null, { changed: ['name', 'autoFile'] }),
    ])
    expect(await does('addMember', { workspaceId, email: 'bob@example.org' })).toEqual([
      event('MEMBER_ADDED', null, null, { userId: expect.stringMatching(/^usr_/), role: 'EDITOR' }),
    ])
    const { userId, tokenId: theirs } = await invite(holdall, workspaceId)
    expect(await does('updateMember', { workspaceId, userId, role: 'VIEWER' })).toEqual([
      event('MEMBER_UPDATED', null, null, { userId, role: 'VIEWER' }),
    ])
    expect(await does('removeMember', { workspaceId, userId })).toEqual([
      event('MEMBER_REMOVED', null, null, { userId }),
      event('TOKEN_REVOKED', null, null, { tokenId: theirs, name: 'a token', userId }),
    ])
    const [added] = await does('createServiceAccount', { workspaceId, name: 'robot' })
    const robot = (added as Event).details.userId
    expect(added).toEqual(event('MEMBER_ADDED', null, null, { userId: robot, role: 'EDITOR' }))
    expect(await does('deleteServiceAccount', { userId: robot })).toEqual([
      event('MEMBER_REMOVED', null, null, { userId: robot }),
    ])
    const token = { name: 'script', scopes: ['FILES_READ'] }
    const [made, ...rest] = await does('createApiToken', { ...token, workspaceId })
    const { tokenId } = (made as Event).details
    const details = { tokenId, name: 'script', userId: ann.userId }
    expect([made, ...rest]).toEqual([event('TOKEN_CREATED', null, null, details)])
    expect(await does('revokeApiToken', { tokenId })).toEqual([
      event('TOKEN_REVOKED', null, null, details),
    ])
    const [again] = await does('createApiToken', { ...token, workspaceId })
    expect(await does('revokeAllApiTokens', {})).toEqual([
      event('TOKEN_REVOKED', null, null, (again as Event).details),
    ])
    // A token without a workspace is logged in none.
    expect(await does('createApiToken', token, {})).toEqual([])
  })

  test('records changes of folders and files, with their old and new paths', async () => {
    const [made] = await does('createFolder', { workspaceId, name: 'raw' })
    const raw = (made as Event).entryId as string
    expect(made).toEqual(event('FOLDER_CREATED', 'raw', raw))
    const way = await does('createFolder', { workspaceId, name: 'a/b', createParents: true })
    expect(way.map(({ action, path }) => [action, path])).toEqual([
      ['FOLDER_CREATED', 'a'],
      ['FOLDER_CREATED', 'a/b'],
    ])
    const entries = items({ id: raw })
    const path = (path: string) => ({ path: { workspaceId, path } })
    const rename = { entry: { id: raw }, name: 'Raw data', description: 'x' }
    expect(await does('updateEntry', rename)).toEqual([
      event('ENTRY_UPDATED', 'Raw data', raw, { changed: ['description', 'name'], from: 'raw' }),
    ])
    expect(await does('tagEntries', { entries, add: ['red'] })).toEqual([
      event('ENTRY_UPDATED', 'Raw data', raw, { changed: ['tags'] }),
    ])
    expect(await does('moveEntries', { entries, folder: path('a/b') })).toEqual([
      event('ENTRY_MOVED', 'a/b/Raw data', raw, { from: 'Raw data' }),
    ])
    const [copied, ...others] = await does('copyEntries', { entries, folder: path('a') })
    expect([copied, ...others]).toMatchObject([
      { action: 'ENTRY_COPIED', path: 'a/Raw data', token: { id: ann.tokenId } },
    ])
    expect((copied as Event).entryId).not.toBe(raw)
    expect(await does('trashEntries', { entries })).toEqual([
      event('ENTRY_TRASHED', 'a/b/Raw data', raw),
    ])
    expect(await does('restoreEntries', { entries: [{ entry: { id: raw } }] })).toEqual([
      event('ENTRY_RESTORED', 'a/b/Raw data', raw),
    ])
    await does('trashEntries', { entries })
    expect(await does('purgeEntries', { entries: [{ entry: { id: raw } }] })).toEqual([
      event('ENTRY_PURGED', 'a/b/Raw data', raw),
    ])
    const copy = (copied as Event).entryId as string
    await does('trashEntries', { entries: items({ id: copy }) })
    expect(await does('emptyTrash', { workspaceId })).toEqual([
      event('ENTRY_PURGED', 'a/Raw data', copy),
    ])
  })

  test('records uploads and versions', async () => {
    const target = { workspaceId, path: 'raw', name: 'a.txt', size: 3 }
    const [created] = await does('createUpload', target)
    const { uploadId } = (created as Event).details
    expect(created).toEqual(event('UPLOAD_CREATED', 'raw/a.txt', null, { uploadId, size: 3 }))
    const canceled = { uploadId, name: 'a.txt', code: 'CANCELED' }
    expect(await does('cancelUpload', { uploadId })).toEqual([
      event('UPLOAD_FAILED', null, null, canceled),
    ])

    const upload = await createUpload(holdall, target, ann)
    // Sending bytes is not logged.
    expect(await eventsOf(() => sendBytes(holdall, upload, 'one', 0, ann))).toEqual([])
    const [folder, file] = await does('confirmUpload', { uploadId: upload.id })
    const fileId = (file as Event).entryId as string
    expect(folder).toMatchObject({ action: 'FOLDER_CREATED', path: 'raw' })
    expect(file).toEqual(event('FILE_CREATED', 'raw/a.txt', fileId))
    expect(await does('confirmUpload', { uploadId: upload.id })).toEqual([])

    const second = await createUpload(holdall, { ...target, onConflict: 'NEW_VERSION' }, ann)
    await sendBytes(holdall, second, 'two', 0, ann)
    const [added] = await does('confirmUpload', { uploadId: second.id })
    const { versionId } = (added as Event).details
    const details = { versionId: expect.stringMatching(/^ver_/), number: 2 }
    expect(added).toEqual(event('VERSION_ADDED', 'raw/a.txt', fileId, details))
    const query = `query ($id: ID!) { node(id: $id) { ... on File { versions { nodes { id } } } } }`
    const { nodes } = (await holdall.ask(query, { id: fileId })).node.versions
    expect(await does('restoreVersion', { versionId: nodes[1].id })).toEqual([
      event('VERSION_RESTORED', 'raw/a.txt', fileId, { ...details, number: 3 }),
    ])
    expect(await does('deleteVersion', { versionId })).toEqual([
      event('ENTRY_UPDATED', 'raw/a.txt', fileId, { changed: ['versions'], number: 2 }),
    ])

    const sha256 = '0'.repeat(64)
    const wrong = await createUpload(holdall, { ...target, name: 'b.txt', sha256 }, ann)
    await sendBytes(holdall, wrong, 'bad', 0, ann)
    const failed = { uploadId: wrong.id, name: 'b.txt', code: 'CHECKSUM_MISMATCH' }
    expect(await eventsOf(() => refuse('confirmUpload', { uploadId: wrong.id }))).toEqual([
      event('UPLOAD_FAILED', null, null, failed),
    ])
  })

  test('records linked tables, and the rows that hold the path of a file', async () => {
    const columns = [{ name: 'image', type: 'FILE_PATH' }]
    const [made] = await does('createTable', { workspaceId, name: 'plates', columns })
    const sqlName = expect.stringMatching(/_plates$/)
    expect(made).toEqual(event('TABLE_CREATED', null, null, { table: 'plates', sqlName }))
    const upload = await createUpload(holdall, { workspaceId, name: 'a.png', size: 0 }, ann)
    const linkRow = { table: 'plates', column: 'image' }
    const [filed, linked] = await does('confirmUpload', { uploadId: upload.id, linkRow })
    const fileId = (filed as Event).entryId as string
    const details = { ...linkRow, rows: 1 }
    expect(linked).toEqual(event('ROW_LINKED', 'a.png', fileId, details))
    expect(await does('linkRow', { fileId, link: linkRow })).toEqual([
      event('ROW_LINKED', 'a.png', fileId, details),
    ])
    const trashing = { entries: items({ id: fileId }), unlinkRows: linkRow }
    expect(await does('trashEntries', trashing)).toEqual([
      event('ENTRY_TRASHED', 'a.png', fileId),
      event('ROW_UNLINKED', 'a.png', fileId, { ...linkRow, rows: 2 }),
    ])
  })

  test('records renamed and deleted tags', async () => {
    const folder = await createFolder(holdall, { workspaceId, name: 'raw', tags: ['old'] })
    const { tags } = await lookUp(holdall, folder, 'tags { id }')
    const tagId = tags[0].id
    expect(await does('updateTag', { tagId, name: 'new' })).toEqual([
      event('WORKSPACE_UPDATED', null, null, { tagUpdated: { id: tagId, name: 'new' } }),
    ])
    expect(await does('deleteTag', { tagId })).toEqual([
      event('WORKSPACE_UPDATED', null, null, { tagDeleted: { id: tagId, name: 'new' } }),
    ])
  })

  test('records share links', async () => {
    const { id } = await createFolder(holdall, { workspaceId, name: 'raw' })
    const [made, ...rest] = await does('createShareLink', { entry: { id }, maxDownloads: 2 })
    const terms = { hasPassword: false, expiresAt: null, maxDownloads: 2 }
    const { shareLinkId } = (made as Event).details
    const details = { shareLinkId, ...terms }
    expect([made, ...rest]).toEqual([event('SHARE_LINK_CREATED', 'raw', id, details)])
    expect(await does('revokeShareLink', { shareLinkId })).toEqual([
      event('SHARE_LINK_REVOKED', 'raw', id, details),
    ])
  })

  test('records batches of uploads, and archives', async () => {
    const folder = await createFolder(holdall, { workspaceId, name: 'raw' })
    const uploads = ['a.txt', 'b.txt'].map((name) => ({ workspaceId, path: 'raw', name, size: 0 }))
    const made = await does('createUploads', { uploads })
    expect(made.map(({ action }) => action)).toEqual(['UPLOAD_CREATED', 'UPLOAD_CREATED'])
    const confirming = made.map(({ details: { uploadId } }) => ({ uploadId }))
    const filed = await does('confirmUploads', { uploads: confirming })
    expect(filed.map(({ action, path }) => [action, path])).toEqual([
      ['FILE_CREATED', 'raw/a.txt'],
      ['FILE_CREATED', 'raw/b.txt'],
    ])
    const { archiveUrl } = await lookUp(holdall, folder, '... on Folder { archiveUrl { url } }')
    const bytes = new Uint8Array(await (await holdall.http(archiveUrl.url)).arrayBuffer())
    const archive = { workspaceId, name: 'raw.zip', size: bytes.length }
    const upload = await createUpload(holdall, archive, ann)
    await sendBytes(holdall, upload, bytes, 0, ann)
    const destination = await createFolder(holdall, { workspaceId, name: 'again' })
    const planted = await does('importArchive', {
      uploadId: upload.id,
      folder: { id: destination.id },
    })
    const paths = planted.map(({ action, path }) => `${action} ${path}`).sort()
    expect(paths).toEqual(['FILE_CREATED again/a.txt', 'FILE_CREATED again/b.txt'])
  })

  const refuse = (name: string, input: Record<string, unknown>) =>
    expect(act(holdall, name, input, '__typename', ann)).rejects.toThrow()

  test('records neither refused requests nor reads', async () => {
    const folder = await createFolder(holdall, { workspaceId, name: 'raw' })
    expect(
      await eventsOf(async () => {
        await refuse('createFolder', { workspaceId, name: 'RAW' })
        await refuse('updateWorkspace', { workspaceId, name: '' })
        const destination = { id: folder.id }
        await expectRefused(holdall, 'moveEntries', { entries: items(folder), folder: destination })
        await holdall.ask('{ viewer { workspaces { nodes { name entries { totalCount } } } } }')
      }),
    ).toEqual([])
  })

  test('records only the successful items of a batch', async () => {
    const [one, two] = await Promise.all(
      ['one', 'two'].map((name) => createFolder(holdall, { workspaceId, name })),
    )
    await createFolder(holdall, { folder: { id: two?.id }, name: 'inner' })
    const entries = items(one as { id: string }, two as { id: string })
    expect(await eventsOf(() => expectRefused(holdall, 'trashEntries', { entries }))).toEqual([])
    expect(await does('trashEntries', { entries, mode: 'BEST_EFFORT' })).toEqual([
      event('ENTRY_TRASHED', 'one', one?.id ?? ''),
    ])
  })

  test('keeps the names of deleted entries, users and tokens', async () => {
    const bob = await invite(holdall, workspaceId)
    const folder = await createFolder(holdall, { workspaceId, name: 'raw' }, bob)
    await trashEntries(holdall, folder)
    await act(holdall, 'purgeEntries', { entries: [{ entry: { id: folder.id } }] }, '__typename')
    await act(holdall, 'revokeApiToken', { tokenId: bob.tokenId }, '__typename')
    await act(holdall, 'removeMember', { workspaceId, userId: bob.userId }, '__typename')
    const { events } = await log('first: 100', holdall.token, { actions: ['FOLDER_CREATED'] })
    expect(events).toMatchObject([
      { actor: { id: bob.userId }, token: { id: bob.tokenId }, entryId: folder.id, path: 'raw' },
    ])
    const query = `query ($id: ID!) { node(id: $id) { ... on ActivityEvent { ${fields} } } }`
    expect((await holdall.ask(query, { id: events[0]?.id })).node).toEqual(events[0])
  })
})

test('this file covers every mutation', () => {
  const source = readFileSync(import.meta.filename, 'utf8')
  const isDone = (name: string) =>
    source.includes(`does('${name}'`) || source.includes(`${name}(holdall`)
  expect(mutations.filter((name) => !isDone(name)).sort()).toEqual([])
})

test('no mutation changes or deletes events', () => {
  expect(mutations.filter((name) => /activity|event|log/i.test(name))).toEqual([])
})

describe('a filter', () => {
  let ann: Person
  beforeEach(async () => {
    ann = await invite(holdall, workspaceId)
  })
  const found = async (filter: object) =>
    (await log('first: 100', holdall.token, filter)).events.map(
      ({ action, path }) => path ?? action,
    )

  test('selects by action, actor, entry and time', async () => {
    now = START + 1000
    const raw = await createFolder(holdall, { workspaceId, name: 'raw' }, ann)
    now = START + 2000
    await createFolder(holdall, { workspaceId, name: 'data' })
    now = START + 3000
    await trashEntries(holdall, raw)
    const actorIds = [ann.userId]
    expect(await found({ actions: ['FOLDER_CREATED'] })).toEqual(['data', 'raw'])
    expect(await found({ actions: ['FOLDER_CREATED', 'ENTRY_TRASHED'] })).toHaveLength(3)
    expect(await found({ actions: ['FILE_CREATED'] })).toEqual([])
    expect(await found({ actorIds })).toEqual(['raw'])
    expect(await found({ actorIds: ['usr_0'] })).toEqual([])
    expect(await found({ entryId: raw.id })).toEqual(['raw', 'raw'])
    expect(await found({ at: { gte: iso(START + 2000) } })).toEqual(['raw', 'data'])
    expect(await found({ at: { gte: iso(START + 1000), lt: iso(START + 3000) } })).toEqual([
      'data',
      'raw',
    ])
    expect(await found({ at: { gte: iso(START + 3001) } })).toEqual([])
    const all = { actions: ['ENTRY_TRASHED'], entryId: raw.id, at: { lt: iso(now + 1) } }
    expect(await found(all)).toEqual(['raw'])
    expect(await found({ ...all, actorIds })).toEqual([])
  })

  test('finds nothing with an empty list, and everything without criteria', async () => {
    for (const filter of [{ actions: [] }, { actorIds: [] }])
      expect(await found(filter)).toEqual([])
    const { totalCount } = await log()
    expect(totalCount).toBeGreaterThan(2)
    for (const filter of [{}, { actions: null, actorIds: null, entryId: null, at: {} }]) {
      expect(await found(filter)).toHaveLength(totalCount)
    }
  })

  test('is rejected with the reason if it is invalid', async () => {
    const query = `query ($id: ID!, $filter: ActivityFilter) {
      workspace(by: { id: $id }) { activity(filter: $filter) { totalCount } }
    }`
    for (const filter of [{ actions: ['NO_SUCH'] }, { at: { gte: 'yesterday' } }, { who: 1 }]) {
      const { status, errors } = await holdall.graphql(query, { id: workspaceId, filter })
      expect([status, errors?.[0]?.extensions?.code]).toEqual([400, 'BAD_REQUEST'])
    }
  })
})

describe('a page', () => {
  test('lists the newest first, 20 by default, forward and backward', async () => {
    for (let i = 0; i < 24; i++) await createFolder(holdall, { workspaceId, name: `folder ${i}` })
    const all = (await log()).events
    expect(all.map(({ path }) => path)).toEqual([
      ...Array.from({ length: 24 }, (_, i) => `folder ${23 - i}`),
      null,
    ])
    expect(ids((await log('first: null')).events)).toEqual(ids(all.slice(0, 20)))
    const first = await log('first: 10')
    expect([ids(first.events), first.pageInfo.hasNextPage]).toEqual([ids(all.slice(0, 10)), true])
    // New events do not move the pages.
    await createFolder(holdall, { workspaceId, name: 'meanwhile' })
    const second = await log(`first: 10, after: "${first.pageInfo.endCursor}"`)
    expect(ids(second.events)).toEqual(ids(all.slice(10, 20)))
    const third = await log(`first: 10, after: "${second.pageInfo.endCursor}"`)
    expect([ids(third.events), third.pageInfo.hasNextPage]).toEqual([ids(all.slice(20)), false])
    const back = await log(`last: 10, before: "${third.pageInfo.startCursor}"`)
    expect(ids(back.events)).toEqual(ids(all.slice(10, 20)))
    expect(ids((await log('last: 5')).events)).toEqual(ids(all.slice(20)))
    expect(second.totalCount).toBe(26)
  })

  test('continues with its filter after a cursor', async () => {
    for (const name of ['a', 'b', 'c']) await createFolder(holdall, { workspaceId, name })
    const filter = { actions: ['FOLDER_CREATED'] }
    const { events, pageInfo } = await log('first: 2', holdall.token, filter)
    const rest = await log(`first: 2, after: "${pageInfo.endCursor}"`, holdall.token, filter)
    expect([...events, ...rest.events].map(({ path }) => path)).toEqual(['c', 'b', 'a'])
    expect([rest.pageInfo.hasNextPage, rest.totalCount]).toEqual([false, 3])
  })
})

describe('the access to the log', () => {
  const query = `query ($ws: ID!, $event: ID!) {
    node(id: $event) { id }
    workspace(by: { id: $ws }) { activity { totalCount } }
  }`
  const read = async (token: string | null) => {
    const [event] = (await log()).events
    const { data, errors } = await holdall.graphql(
      query,
      { ws: workspaceId, event: event?.id },
      { token },
    )
    const codes = errors?.map(({ extensions }) => extensions?.code)
    return codes ?? [data.node?.id === event?.id, data.workspace?.activity.totalCount ?? null]
  }

  test('requires membership and ACTIVITY_READ, whatever the role', async () => {
    const viewer = await invite(holdall, workspaceId, 'VIEWER', ['FILES_READ', 'ACTIVITY_READ'])
    const scopes = apiScopes.filter((scope) => scope !== 'ACTIVITY_READ')
    const without = await invite(holdall, workspaceId, 'OWNER', scopes)
    const { totalCount } = await log()
    expect(await read(viewer.token)).toEqual([true, totalCount])
    expect(await read(without.token)).toEqual(['FORBIDDEN'])
  })

  test('shows only id and name of tokens that the viewer does not manage', async () => {
    const member = await invite(holdall, workspaceId, 'EDITOR')
    const viewer = await invite(holdall, workspaceId, 'VIEWER')
    const owner = await invite(holdall, workspaceId, 'OWNER')
    await createFolder(holdall, { workspaceId, name: 'theirs' }, { token: member.token })
    const query = `query ($ws: ID!) { workspace(by: { id: $ws }) { activity(first: 1, filter: {
      actions: [FOLDER_CREATED]
    }) { nodes { actor { id } token {
      id name prefix scopes expiresAt lastUsedAt issuer { id } workspace { id } user { id }
    } } } } }`
    const seen = async (token: string) => {
      const { workspace } = await holdall.ask(query, { ws: workspaceId }, { token })
      return workspace.activity.nodes[0].token
    }
    const open = { id: member.tokenId, name: 'a token', user: { id: member.userId } }
    const hidden = { expiresAt: null, lastUsedAt: null, issuer: null, workspace: null }
    expect(await seen(viewer.token)).toEqual({ ...open, ...hidden, prefix: '', scopes: [] })
    const whole = { ...open, prefix: member.token.slice(0, 8), workspace: { id: workspaceId } }
    for (const { token } of [member, owner]) expect(await seen(token)).toMatchObject(whole)
    expect((await seen(owner.token)).scopes).toHaveLength(apiScopes.length)
    const scopes = apiScopes.filter((scope) => scope !== 'TOKENS_WRITE')
    const narrow = await invite(holdall, workspaceId, 'OWNER', scopes)
    expect(await seen(narrow.token)).toMatchObject({ ...open, ...hidden, prefix: '', scopes: [] })
  })

  test('is denied to strangers, even of a PUBLIC workspace', async () => {
    const elsewhere = await createWorkspace(holdall, { name: 'Elsewhere' })
    const stranger = await invite(holdall, elsewhere.id)
    await unbindToken(holdall, stranger.tokenId)
    for (const token of [stranger.token, null]) expect(await read(token)).toEqual([false, null])
    await act(holdall, 'updateWorkspace', { workspaceId, visibility: 'PUBLIC' }, '__typename')
    for (const token of [stranger.token, null]) expect(await read(token)).toEqual(['FORBIDDEN'])
    const former = await invite(holdall, workspaceId)
    await unbindToken(holdall, former.tokenId)
    expect(await read(former.token)).toEqual([true, expect.any(Number)])
    await act(holdall, 'removeMember', { workspaceId, userId: former.userId }, '__typename')
    expect(await read(former.token)).toEqual(['FORBIDDEN'])
  })
})

test('each workspace counts its own events: those of another do not move the cursor', async () => {
  const { cursor } = await log()
  const other = await createWorkspace(holdall, { name: 'Other' })
  await createFolder(holdall, { workspaceId: other.id, name: 'raw' })
  await expectRefused(holdall, 'createFolder', { workspaceId, name: '' })
  await uploadFile(holdall, { workspaceId: other.id, name: 'a.txt', bytes: 'a' })
  expect((await log()).cursor).toBe(cursor)
  const answer = await act(
    holdall,
    'tagEntries',
    { entries: [{ entry: { path: { workspaceId, path: '' } } }], add: ['red'] },
    'syncCursor',
  )
  expect(answer.syncCursor).toBe((await log()).cursor)
  expect(answer.syncCursor).not.toBe(cursor)
})
