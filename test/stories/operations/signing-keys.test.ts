import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { beforeEach, expect, onTestFinished, test } from 'vitest'
import {
  act,
  createUpload,
  createWorkspace,
  type FileHandle,
  sendBytes,
  uploadFile,
} from '../../support/client.ts'
import { syncCursorOf } from '../../support/data/changes.ts'
import { root } from '../../support/project-root.ts'
import { startTestServer, type TestServer } from '../../support/servers/test-server.ts'

const MINUTE_MS = 60_000
let holdall: TestServer
let now: number
let workspaceId: string
let file: FileHandle

beforeEach(async () => {
  now = Date.now()
  holdall = await startTestServer({ now: () => now })
  onTestFinished(() => holdall[Symbol.asyncDispose]())
  workspaceId = (await createWorkspace(holdall)).id
  file = await uploadFile(holdall, { workspaceId, name: 'a.txt', bytes: 'abc' })
})

/** Runs `npm run keys -- …` beside the server. Returns its exit code and output. */
async function keys(...args: string[]) {
  const { dir, databaseUrl } = holdall
  const env = { DATA_DIR: dir, ...(databaseUrl && { DATABASE_URL: databaseUrl }) }
  const child = spawn(process.execPath, ['src/keys.ts', ...args], { cwd: root, env })
  let [out, err] = ['', '']
  child.stdout.on('data', (text) => {
    out += text
  })
  child.stderr.on('data', (text) => {
    err += text
  })
  const [code] = await once(child, 'close')
  return { code, out, err }
}

/** Creates a key, and moves the clock three minutes ahead, when the server signs with it. */
async function rotate() {
  const { out } = await keys('rotate')
  now += 3 * MINUTE_MS
  await holdall.restart()
  return /^k[0-9a-f]{8}/.exec(out)?.[0] ?? ''
}

/** One of everything that is signed, as paths, because a restart keeps the port. */
async function signed() {
  const { node } = await holdall.ask(
    'query ($id: ID!) { node(id: $id) { ... on File { downloadUrl { url } } } }',
    { id: file.id },
  )
  const upload = await createUpload(holdall, { workspaceId, name: 'b.txt', size: 4 })
  const put = { workspaceId, name: 'c.txt', size: 1, transport: 'SIGNED_PUT' }
  const share = { entry: { id: file.id } }
  const { shareLink } = await act(holdall, 'createShareLink', share, 'shareLink { url }')
  return {
    download: node.downloadUrl.url as string,
    upload,
    put: (await createUpload(holdall, put)).url,
    share: shareLink.url as string,
    cursor: await syncCursorOf(holdall, workspaceId),
  }
}

const status = async (url: string, init = {}) =>
  (await holdall.http(new URL(url).pathname, { token: null, ...init })).status

const changesSince = (since: string) =>
  holdall.ask(
    `query ($id: ID!, $since: SyncCursor) { workspace(by: { id: $id }) {
      changes(since: $since) { __typename } } }`,
    { id: workspaceId, since },
  )

test('signatures of an older key stay valid after a rotation', async () => {
  const old = await signed()
  const id = await rotate()
  expect(await status(old.download)).toBe(200)
  expect(await status(old.share)).toBe(200)
  expect(await status(old.put, { method: 'PUT', body: 'x' })).toBeLessThan(300)
  expect(await sendBytes(holdall, old.upload, 'late')).toBe(4)
  const { workspace } = await changesSince(old.cursor)
  expect(workspace.changes.__typename).not.toContain('Expired')
  const fresh = await signed()
  for (const url of [fresh.download, fresh.upload.url, fresh.put, fresh.share])
    expect(url).toContain(`.${id}.`)
  expect(await status(fresh.download)).toBe(200)
})

test('signatures of a deleted key are rejected', async () => {
  const old = await signed()
  const first = /\.(k[0-9a-f]{8})\./.exec(old.download)?.[1] ?? ''
  await rotate()
  const fresh = await signed()
  // The command uses the system clock, by which the new key signs in two minutes.
  await holdall.app.db
    .updateTable('signingKeys')
    .set({ activeFrom: 1 })
    .where('id', '!=', first)
    .execute()
  expect(await keys('delete', first)).toMatchObject({ code: 0 })
  await holdall.restart()
  expect(await status(old.download)).toBe(403)
  expect(await status(old.share)).toBe(404)
  expect(await status(old.put, { method: 'PUT', body: 'x' })).toBe(404)
  const { workspace } = await changesSince(old.cursor)
  expect(workspace.changes.__typename).toBe('SyncCursorExpiredError')
  expect(await status(fresh.download)).toBe(200)
})

test('the newest key cannot be deleted', async () => {
  const { out } = await keys('list')
  const id = /^k[0-9a-f]{8}/.exec(out)?.[0] ?? ''
  expect(out.trim().split('\n')).toHaveLength(1)
  expect(await keys('delete', id)).toMatchObject({ code: 2 })
  await keys('rotate')
  expect(await keys('delete', id)).toMatchObject({ code: 2 })
  expect((await keys('list')).out.trim().split('\n')).toHaveLength(2)
})

test('the list of keys shows no secret', async () => {
  const { out } = await keys('list')
  const rows = await holdall.app.db.selectFrom('signingKeys').selectAll().execute()
  for (const { secret } of rows) expect(out).not.toContain(secret)
})

test.each([
  ['sign'],
  ['constructor'],
  ['delete', ''],
  ['delete', 'k1'],
  ['delete'],
  ['rotate', 'k1'],
  ['delete', 'a', 'b'],
  ['--force'],
])('an invalid call changes nothing: %s', async (...args) => {
  const { code, err } = await keys(...args)
  expect(code).toBe(2)
  expect(err).toContain('npm run keys')
  expect((await keys('list')).out.trim().split('\n')).toHaveLength(1)
})
