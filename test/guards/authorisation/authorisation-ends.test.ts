import { setTimeout as sleep } from 'node:timers/promises'
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { expireUploads } from '../../../src/domains/uploads/jobs.ts'
import { sweepOrphans } from '../../../src/domains/uploads/store/sweep.ts'
import {
  act,
  attempt,
  createFolder,
  createUpload,
  createWorkspace,
  downloadUrl,
  sendBytes,
  trashEntries,
  uploadFile,
  usageOf,
} from '../../support/client.ts'
import { keysOf } from '../../support/data/bytes.ts'
import { createToken, invite, type Person, unbindToken } from '../../support/data/people.ts'
import { openStream } from '../../support/network/events.ts'
import { OFFSET_TYPE } from '../../support/network/tus.ts'
import { startTestServer, type TestServer } from '../../support/servers/test-server.ts'
import { expectFast, timingRetries } from '../../support/timed.ts'

let holdall: TestServer
let workspaceId: string
let later: number
let ann: Person
beforeEach(async () => {
  later = 0
  // Downloads pass through the server even with a bucket, because it cannot revoke presigned URLs.
  holdall = await startTestServer({ now: () => Date.now() + later, env: { DOWNLOADS: 'proxy' } })
  onTestFinished(() => holdall[Symbol.asyncDispose]())
  workspaceId = (await createWorkspace(holdall)).id
  ann = await invite(holdall, workspaceId, 'EDITOR')
})

const demote = () =>
  act(holdall, 'updateMember', { workspaceId, userId: ann.userId, role: 'VIEWER' }, '__typename')
const remove = () => act(holdall, 'removeMember', { workspaceId, userId: ann.userId }, '__typename')
/** A member who also has a token for other workspaces. */
const removeUnbound = async () => {
  await unbindToken(holdall, ann.tokenId)
  await remove()
}
const revoke = () => act(holdall, 'revokeApiToken', { tokenId: ann.tokenId }, '__typename')

describe('S11: an upload that has four of its nine bytes', () => {
  /** Results of each further request of its creator: at the endpoint, and by mutations. */
  async function begun(more = {}) {
    const upload = await createUpload(holdall, { workspaceId, name: 'a', size: 9, ...more }, ann)
    const put = { workspaceId, name: 'b', size: 4, transport: 'SIGNED_PUT', ...more }
    const { url: putUrl } = await createUpload(holdall, put, ann)
    await sendBytes(holdall, upload, 'four', 0, ann)
    const headers = {
      'tus-resumable': '1.0.0',
      'upload-offset': '4',
      'content-type': OFFSET_TYPE,
    }
    const send = async (method: string) => {
      const body = method === 'PATCH' ? { body: 'bytes' } : {}
      const answer = await holdall.http(upload.url, { method, headers, ...ann, ...body })
      return answer.status
    }
    const sendTo = async (url: string) =>
      (await holdall.http(url, { method: 'PUT', body: 'four', token: null })).status
    const mutate = async (name: string) => {
      const uploadId = upload.id
      const input = name === 'confirmUploads' ? { uploads: [{ uploadId }] } : { uploadId }
      const fields = name === 'confirmUploads' ? 'results { error { code } }' : '__typename'
      const answer = await attempt(holdall, name, input, fields, ann).catch(() => ({
        code: 'UNAUTHENTICATED',
      }))
      return answer.code ?? answer.results?.[0]?.error?.code ?? 'OK'
    }
    return {
      next: async () => ({
        endpoints: [await send('HEAD'), await send('PATCH'), await send('DELETE')],
        // The bucket does not know members, but without a confirm the bytes never become a file.
        put: putUrl.startsWith(holdall.url) ? await sendTo(putUrl) : null,
        mutations: [
          await mutate('confirmUpload'),
          await mutate('confirmUploads'),
          await mutate('cancelUpload'),
        ],
      }),
      finish: () => send('PATCH'),
      confirm: () => mutate('confirmUpload'),
    }
  }

  /** Expects that the upload, which no client can continue, expires and releases its reservation. */
  async function expectSwept(reserved = 13) {
    expect((await usageOf(holdall, workspaceId)).reservedBytes).toBe(reserved)
    later = 25 * 3_600_000
    await expireUploads({ ...holdall.app, viewer: null, publicUrl: '' })
    expect((await usageOf(holdall, workspaceId)).reservedBytes).toBe(0)
    expect(await keysOf(holdall, 'staged')).toEqual([])
    // A sweep quarantines the bytes that a confirm had committed before it was refused.
    await sweepOrphans(holdall.app, { graceMs: 0, log: holdall.app.log })
    expect(await keysOf(holdall, 'kept')).toEqual([])
  }

  test.each([
    ['its creator may no longer write', demote, 403, 'FORBIDDEN', 410, 0],
    ['its creator is removed', remove, 401, 'UNAUTHENTICATED', 410, 0],
    ['its creator, whose token is not bound, is removed', removeUnbound, 404, 'NOT_FOUND', 410, 0],
    ['the token is revoked', revoke, 401, 'UNAUTHENTICATED', 403, 13],
  ] as const)(
    'cannot be continued if %s, and is swept',
    async (_, happens, status, code, put, reserved) => {
      const { next } = await begun()
      await happens()
      expect(await next()).toEqual({
        endpoints: [status, status, status],
        put: expect.toBeOneOf([put, null]),
        mutations: [code, code, code],
      })
      await expectSwept(reserved)
    },
  )

  test('expires in one day, and takes no other token of its creator after that', async () => {
    const expiresAt = new Date(Date.now() + 60_000).toISOString()
    const short = await createToken(holdall, { expiresAt }, ann)
    ann = { ...ann, token: short.secret, tokenId: short.id }
    const { next } = await begun()
    later = 61_000
    expect((await next()).endpoints).toEqual([401, 401, 401])
    await expectSwept()
  })

  test('becomes no file if its folder was trashed or purged', async () => {
    const folder = await createFolder(holdall, { workspaceId, name: 'raw' })
    const { finish, confirm } = await begun({ folderId: folder.id })
    await trashEntries(holdall, folder)
    expect([await finish(), await confirm()]).toEqual([204, 'INVALID_STATE'])
    await act(holdall, 'purgeEntries', { entries: [{ entry: { id: folder.id } }] }, 'succeeded')
    expect(await confirm()).toBe('NOT_FOUND')
    await expectSwept()
  })

  test('becomes no version if its file was trashed', async () => {
    const file = await uploadFile(holdall, { workspaceId, name: 'a', bytes: 'old' })
    const { finish, confirm } = await begun({ versionOf: file.id })
    await trashEntries(holdall, file)
    expect([await finish(), await confirm()]).toEqual([204, 'INVALID_STATE'])
    await act(holdall, 'restoreEntries', { entries: [{ entry: { id: file.id } }] }, 'succeeded')
    expect(await confirm()).toBe('OK')
  })
})

describe('S12: a removed member', () => {
  const status = async (url: string, token: string | null = null) => {
    const response = await holdall.http(url, { token })
    await response.arrayBuffer()
    return response.status
  }

  /** Creates everything that a member can keep. */
  async function packed() {
    const folder = await createFolder(holdall, { workspaceId, name: 'raw' })
    const file = await uploadFile(holdall, {
      workspaceId,
      folderId: folder.id,
      name: 'a',
      bytes: 'a',
    })
    const week = '(expiresInSeconds: 604800)'
    const query = `query ($id: ID!) { node(id: $id) { ... on Folder { archiveUrl${week} { url } } } }`
    const { node } = await holdall.ask(query, { id: folder.id }, ann)
    const version = `query ($id: ID!) { node(id: $id) { ... on FileVersion { downloadUrl${week} { url } } } }`
    const older = await holdall.ask(version, { id: file.version.id }, ann)
    return [
      await downloadUrl(holdall, file.id, week, ann),
      older.node.downloadUrl.url,
      node.archiveUrl.url,
      node.archiveUrl.url.replace(/[^/]*$/, 'manifest?format=csv'),
      `/download/${file.id}`,
    ] as string[]
  }
  const all = (urls: string[]) =>
    Promise.all(urls.map((url) => status(url, url.startsWith('/') ? ann.token : null)))

  test('has links that no longer work, even those for a week; links of others still work', async () => {
    const urls = await packed()
    expect(await all(urls)).toEqual([200, 200, 200, 200, 200])
    await removeUnbound()
    expect(await all(urls)).toEqual([404, 404, 404, 404, 404])
  })

  test('loses the links also when the token is revoked or has no FILES_READ', async () => {
    const urls = await packed()
    await holdall.app.db
      .updateTable('apiTokens')
      .set({ scopes: 'FILES_WRITE' })
      .where('id', '=', ann.tokenId)
      .execute()
    expect(await all(urls)).toEqual([404, 404, 404, 404, 403])
    await holdall.app.db
      .updateTable('apiTokens')
      .set({ scopes: 'FILES_READ' })
      .where('id', '=', ann.tokenId)
      .execute()
    expect(await all(urls)).toEqual([200, 200, 200, 200, 200])
    await revoke()
    expect(await all(urls)).toEqual([404, 404, 404, 404, 401])
  })

  test('an anonymous link ends when the workspace is no longer PUBLIC', async () => {
    const show = (visibility: string) =>
      act(holdall, 'updateWorkspace', { workspaceId, visibility }, '__typename')
    await show('PUBLIC')
    const file = await uploadFile(holdall, { workspaceId, name: 'a', bytes: 'a' })
    const url = await downloadUrl(holdall, file.id, '', { token: null })
    expect(await status(url)).toBe(200)
    await show('PRIVATE')
    expect(await status(url)).toBe(404)
  })

  test('a link returned by a form lasts as long as its token', async () => {
    const body = new FormData()
    body.append('workspaceId', workspaceId)
    body.append('file', new Blob(['a']), 'a')
    const made = await (await holdall.http('/files', { method: 'POST', body, ...ann })).json()
    expect(await status((made as any).downloadUrl)).toBe(200)
    await revoke()
    expect(await status((made as any).downloadUrl)).toBe(404)
  })

  test('receives no more events at once, on many streams', timingRetries, async () => {
    const query = `subscription { workspaceChanges(workspaceId: "${workspaceId}") { ... on ChangeBatch { cursor changes { __typename } } ... on UserError { code } } }`
    const streams = await Promise.all(
      Array.from({ length: 10 }, () => openStream(holdall, query, {}, ann)),
    )
    for (const stream of streams) await stream.next()
    await removeUnbound()
    const removedAt = performance.now()
    await createFolder(holdall, { workspaceId, name: 'secret' })
    for (const stream of streams) {
      expect((await stream.next(1000))?.data.data.workspaceChanges).toEqual({ code: 'NOT_FOUND' })
      expect((await stream.next(1000))?.event).toBe('complete')
    }
    await expectFast(holdall, performance.now() - removedAt, 1000)
  })

  test('is cut off from running downloads within five seconds, while others continue', async () => {
    const bytes = Buffer.alloc(24_000_000, 'x')
    const folder = await createFolder(holdall, { workspaceId, name: 'raw' })
    const file = await uploadFile(holdall, { workspaceId, folderId: folder.id, name: 'a', bytes })
    const query = 'query ($id: ID!) { node(id: $id) { ... on Folder { archiveUrl { url } } } }'
    const { node } = await holdall.ask(query, { id: folder.id }, ann)
    const fields = 'shareLink { url }'
    const entry = { id: file.id }
    const { shareLink } = await act(holdall, 'createShareLink', { entry }, fields, ann)
    const shown: any = await (await holdall.http(shareLink.url, { token: null })).json()
    const begin = (url: string, token: string | null = null) => holdall.http(url, { token })
    const theirs = await Promise.all([
      begin(await downloadUrl(holdall, file.id, '', ann)),
      begin(`/download/${file.id}`, ann.token),
      begin(node.archiveUrl.url),
      begin(shown.downloadUrl.url),
    ])
    const mine = await begin(await downloadUrl(holdall, file.id))
    expect([...theirs, mine].map(({ status }) => status)).toEqual([200, 200, 200, 200, 200])
    await remove()
    await sleep(5_500)
    for (const one of theirs) await expect(one.arrayBuffer()).rejects.toThrow('terminated')
    expect((await mine.arrayBuffer()).byteLength).toBe(24_000_000)
  })
})
