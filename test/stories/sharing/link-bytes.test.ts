import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect } from 'node:net'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { openApp } from '../../../src/app.ts'
import { createHttpServer } from '../../../src/http/server.ts'
import {
  act,
  createFolder,
  createWorkspace,
  downloadUrl,
  lookUp,
  uploadFile,
} from '../../support/client.ts'
import { createToken } from '../../support/data/people.ts'
import { database } from '../../support/databases.ts'
import { startTestServer, type TestServer } from '../../support/servers/test-server.ts'

const MIB = 1024 * 1024
const MAX_EXPIRY = '(expiresInSeconds: 604800)'

async function open(bytesPerDay: number, workspace = {}) {
  const holdall = await startTestServer({ env: { LINK_BYTES_PER_DAY: String(bytesPerDay) } })
  onTestFinished(() => holdall[Symbol.asyncDispose]())
  const { id: workspaceId } = await createWorkspace(holdall, workspace)
  const file = (name: string, size: number, more = {}) =>
    uploadFile(holdall, { workspaceId, name, bytes: 'x'.repeat(size), ...more })
  return { holdall, workspaceId, file }
}

/** Returns the status of a GET without a token, or of `init`. */
async function status(holdall: TestServer, path: string, headers = {}, init = {}): Promise<number> {
  const response = await holdall.http(path, { token: null, headers, ...init })
  await response.arrayBuffer()
  return response.status
}

describe('LINK_BYTES_PER_DAY', () => {
  test('S40: a link sends at most so many bytes a day, in whatever parts', async () => {
    vi.useFakeTimers({ toFake: ['Date'] })
    onTestFinished(() => void vi.useRealTimers())
    const { holdall, file } = await open(1000)
    const { id } = await file('a.bin', 400)
    const link = await downloadUrl(holdall, id, MAX_EXPIRY)
    expect(await status(holdall, link)).toBe(200)
    expect(await status(holdall, link, { range: 'bytes=0-99' })).toBe(206)
    expect(await status(holdall, link, { range: 'bytes=0-49,100-149' })).toBe(206)

    const etag =
      (await holdall.http(link, { token: null, method: 'HEAD' })).headers.get('etag') ?? ''
    expect(await status(holdall, link, { 'if-none-match': etag })).toBe(304)
    expect(await status(holdall, link, { 'if-match': '"other"' })).toBe(412)
    expect(await status(holdall, link, { range: 'bytes=400-' })).toBe(416)
    for (let i = 0; i < 10; i++)
      expect(await status(holdall, link, {}, { method: 'HEAD' })).toBe(200)

    expect(await status(holdall, link)).toBe(200)
    const refused = await holdall.http(link, { token: null, headers: { range: 'bytes=0-0' } })
    const seconds = Number(refused.headers.get('retry-after'))
    expect(await refused.json()).toEqual({
      code: 'RATE_LIMITED',
      message: `this link has reached its egress limit of 1000 bytes in 24 hours; try again in ${seconds} s`,
    })
    expect([refused.status, refused.headers.get('cache-control')]).toEqual([429, 'no-store'])
    expect(seconds).toBeGreaterThan(86_000)
    expect(await status(holdall, link, {}, { method: 'HEAD' })).toBe(200)

    vi.setSystemTime(Date.now() + seconds * 1000)
    expect(await status(holdall, link)).toBe(200)
  })

  test('S40: a refused request costs nothing: a smaller part still fits', async () => {
    const { holdall, file } = await open(1000)
    const { id } = await file('a.bin', 600)
    const link = await downloadUrl(holdall, id)
    expect([await status(holdall, link), await status(holdall, link)]).toEqual([200, 429])
    expect(await status(holdall, link, { range: 'bytes=0-399' })).toBe(206)
    expect(await status(holdall, link, { range: 'bytes=0-0' })).toBe(429)
  })

  test('S40: a new link by the same token shares its limit; another token’s does not, and downloads with a token do not count', async () => {
    const { holdall, file } = await open(1000)
    const [one, other] = [await file('a.bin', 1000), await file('b.bin', 1000)]
    expect(await status(holdall, await downloadUrl(holdall, one.id))).toBe(200)
    const again = await downloadUrl(holdall, one.id, '(expiresInSeconds: 60, disposition: INLINE)')
    expect(await status(holdall, again)).toBe(429)
    const { secret: token } = await createToken(holdall)
    expect(await status(holdall, await downloadUrl(holdall, one.id, '', { token }))).toBe(200)
    expect(await status(holdall, await downloadUrl(holdall, other.id))).toBe(200)
    for (let i = 0; i < 3; i++)
      expect(await status(holdall, `/download/${one.id}`, {}, { token: holdall.token })).toBe(200)
  })

  test('S40: concurrent requests get as much as sequential ones', async () => {
    const { holdall, file } = await open(1000)
    const { id } = await file('a.bin', 1000)
    const link = await downloadUrl(holdall, id)
    const parts = Array.from({ length: 40 }, (_, i) =>
      status(holdall, link, { range: `bytes=${i}-${i + 99}` }),
    )
    const statuses = await Promise.all(parts)
    expect(statuses.filter((status) => status === 206)).toHaveLength(10)
    expect(statuses.filter((status) => status === 429)).toHaveLength(30)
  })

  test('S40: a share has one limit for all its files, and a refused request is no download', async () => {
    const { holdall, workspaceId, file } = await open(1000)
    const folder = await createFolder(holdall, { workspaceId, name: 'shared' })
    for (const name of ['a.bin', 'b.bin', 'c.bin']) await file(name, 400, { folderId: folder.id })
    const share = async (input: object) => {
      const fields = 'shareLink { id url }'
      const made = { entry: { id: folder.id }, ...input }
      return (await act(holdall, 'createShareLink', made, fields)).shareLink
    }
    const linksOf = async ({ url }: { url: string }): Promise<string[]> => {
      const shown: any = await (await holdall.http(url, { token: null })).json()
      return shown.children.map((child: any) => child.downloadUrl.url)
    }
    const [shared, other] = [await share({ maxDownloads: 9 }), await share({})]
    const statuses = []
    for (const link of await linksOf(shared)) statuses.push(await status(holdall, link))
    for (const link of await linksOf(shared)) statuses.push(await status(holdall, link))
    expect(statuses).toEqual([200, 200, 429, 429, 429, 429])
    const query = 'query ($id: ID!) { node(id: $id) { ... on ShareLink { downloadCount } } }'
    expect((await holdall.ask(query, { id: shared.id })).node).toEqual({ downloadCount: 2 })
    const [link = ''] = await linksOf(other)
    expect(await status(holdall, link)).toBe(200)
  })

  test('S40: public files count too, with every kind of anonymous request', async () => {
    const { holdall, file } = await open(1000, { visibility: 'PUBLIC' })
    const { id } = await file('a.bin', 400)
    const link = await downloadUrl(holdall, id, '', { token: null })
    expect([await status(holdall, `/download/${id}`), await status(holdall, link)]).toEqual([
      200, 200,
    ])
    expect([await status(holdall, `/download/${id}`), await status(holdall, link)]).toEqual([
      429, 429,
    ])
    expect(await status(holdall, `/download/${id}`, {}, { token: holdall.token })).toBe(200)
  })

  test('S40: an archive counts with its length, its manifest when it was sent', async () => {
    const { holdall, workspaceId, file } = await open(10_000)
    const folder = await createFolder(holdall, { workspaceId, name: 'all' })
    await file('a.bin', 4000, { folderId: folder.id })
    const { archiveUrl } = await lookUp(holdall, folder, '... on Folder { archiveUrl { url } }')
    const { url } = archiveUrl
    const table = `${url.slice(0, url.lastIndexOf('/'))}/manifest?format=csv`
    expect(await status(holdall, url, {}, { method: 'HEAD' })).toBe(200)
    expect([await status(holdall, url), await status(holdall, url)]).toEqual([200, 200])
    expect([
      await status(holdall, url),
      await status(holdall, url, { range: 'bytes=0-99' }),
    ]).toEqual([429, 206])
    const tables = []
    while (tables.at(-1) !== 429 && tables.length < 20) {
      tables.push(await status(holdall, table))
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    expect(tables.length).toBeGreaterThan(1)
    expect(tables.length).toBeLessThan(8)
    expect(await status(holdall, url, { range: 'bytes=0-99' })).toBe(429)
  })

  test('S40: bytes that were requested and not sent are returned', async () => {
    const { holdall, workspaceId } = await open(40 * MIB)
    const bytes = randomBytes(24 * MIB)
    const { id } = await uploadFile(holdall, { workspaceId, name: 'a.bin', bytes })
    const link = new URL(await downloadUrl(holdall, id))
    const socket = connect(Number(link.port), link.hostname).on('error', () => {})
    socket.write(`GET ${link.pathname} HTTP/1.1\r\nHost: ${link.host}\r\n\r\n`)
    await once(socket, 'readable')
    expect(await status(holdall, link.href)).toBe(429)
    socket.destroy()
    await expect.poll(() => status(holdall, link.href), { timeout: 20_000 }).toBe(200)
    expect(await status(holdall, link.href)).toBe(429)
  })

  test.skipIf(database === 'SQLite')('S40: all processes count together', async () => {
    const { holdall, file } = await open(1000)
    const { id } = await file('a.bin', 400)
    const link = await downloadUrl(holdall, id)
    await using app = await openApp(holdall.app.config)
    const server = createHttpServer(app)
    onTestFinished(() => server.close())
    const other = `http://127.0.0.1:${await server.listen(0, '127.0.0.1')}`
    const there = new URL(new URL(link).pathname, other).href
    expect([await status(holdall, link), await status(holdall, there)]).toEqual([200, 200])
    expect([await status(holdall, link), await status(holdall, there)]).toEqual([429, 429])
    await server.close()
  })

  test('S40: without a limit links are not counted', async () => {
    await using holdall = await startTestServer()
    const { id: workspaceId } = await createWorkspace(holdall)
    const { id } = await uploadFile(holdall, {
      workspaceId,
      name: 'a.bin',
      bytes: 'x'.repeat(1000),
    })
    const link = await downloadUrl(holdall, id)
    for (let i = 0; i < 20; i++) expect(await status(holdall, link)).toBe(200)
    expect(await holdall.app.db.selectFrom('tallies').selectAll().execute()).toEqual([])
  })
})
