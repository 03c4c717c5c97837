import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect } from 'node:net'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { openApp } from '../../src/app.ts'
import { createHttpServer } from '../../src/http/server.ts'
import {
  act,
  createFolder,
  createWorkspace,
  downloadUrl,
  lookUp,
  uploadFile,
} from '../support/client.ts'
import { database } from '../support/databases.ts'
import { giveToken } from '../support/people.ts'
import { type House, openHouse } from '../support/test-server.ts'

const MIB = 1024 * 1024
const LONGEST = '(expiresInSeconds: 604800)'

async function open(bytesPerDay: number, workspace = {}) {
  const house = await openHouse({ env: { LINK_BYTES_PER_DAY: String(bytesPerDay) } })
  onTestFinished(() => house[Symbol.asyncDispose]())
  const { id: workspaceId } = await createWorkspace(house, workspace)
  const file = (name: string, size: number, more = {}) =>
    uploadFile(house, { workspaceId, name, bytes: 'x'.repeat(size), ...more })
  return { house, workspaceId, file }
}

/** The status of a GET without a token, or as `init` says. */
async function status(house: House, path: string, headers = {}, init = {}): Promise<number> {
  const response = await house.http(path, { token: null, headers, ...init })
  await response.arrayBuffer()
  return response.status
}

describe('LINK_BYTES_PER_DAY', () => {
  test('S40: a link sends so many bytes and no more, whatever the parts, and the next day anew', async () => {
    vi.useFakeTimers({ toFake: ['Date'] })
    onTestFinished(() => void vi.useRealTimers())
    const { house, file } = await open(1000)
    const { id } = await file('a.bin', 400)
    const link = await downloadUrl(house, id, LONGEST)
    expect(await status(house, link)).toBe(200)
    expect(await status(house, link, { range: 'bytes=0-99' })).toBe(206)
    expect(await status(house, link, { range: 'bytes=0-49,100-149' })).toBe(206)

    const etag = (await house.http(link, { token: null, method: 'HEAD' })).headers.get('etag') ?? ''
    expect(await status(house, link, { 'if-none-match': etag })).toBe(304)
    expect(await status(house, link, { 'if-match': '"other"' })).toBe(412)
    expect(await status(house, link, { range: 'bytes=400-' })).toBe(416)
    for (let i = 0; i < 10; i++) expect(await status(house, link, {}, { method: 'HEAD' })).toBe(200)

    expect(await status(house, link)).toBe(200)
    const refused = await house.http(link, { token: null, headers: { range: 'bytes=0-0' } })
    const seconds = Number(refused.headers.get('retry-after'))
    expect(await refused.json()).toEqual({
      code: 'RATE_LIMITED',
      message: `this link has sent as much as it may in a day; try again in ${seconds} s`,
    })
    expect([refused.status, refused.headers.get('cache-control')]).toEqual([429, 'no-store'])
    expect(seconds).toBeGreaterThan(86_000)
    expect(await status(house, link, {}, { method: 'HEAD' })).toBe(200)

    vi.setSystemTime(Date.now() + seconds * 1000)
    expect(await status(house, link)).toBe(200)
  })

  test('S40: what is refused is not taken: a part that still fits goes out', async () => {
    const { house, file } = await open(1000)
    const { id } = await file('a.bin', 600)
    const link = await downloadUrl(house, id)
    expect([await status(house, link), await status(house, link)]).toEqual([200, 429])
    expect(await status(house, link, { range: 'bytes=0-399' })).toBe(206)
    expect(await status(house, link, { range: 'bytes=0-0' })).toBe(429)
  })

  test('S40: a new link by the same token is the same one; another token’s is another, and with a token nothing is counted', async () => {
    const { house, file } = await open(1000)
    const [one, other] = [await file('a.bin', 1000), await file('b.bin', 1000)]
    expect(await status(house, await downloadUrl(house, one.id))).toBe(200)
    const again = await downloadUrl(house, one.id, '(expiresInSeconds: 60, disposition: INLINE)')
    expect(await status(house, again)).toBe(429)
    const { secret: token } = await giveToken(house)
    expect(await status(house, await downloadUrl(house, one.id, '', { token }))).toBe(200)
    expect(await status(house, await downloadUrl(house, other.id))).toBe(200)
    for (let i = 0; i < 3; i++)
      expect(await status(house, `/download/${one.id}`, {}, { token: house.token })).toBe(200)
  })

  test('S40: requests at the same moment get as much as one after the other', async () => {
    const { house, file } = await open(1000)
    const { id } = await file('a.bin', 1000)
    const link = await downloadUrl(house, id)
    const parts = Array.from({ length: 40 }, (_, i) =>
      status(house, link, { range: `bytes=${i}-${i + 99}` }),
    )
    const statuses = await Promise.all(parts)
    expect(statuses.filter((status) => status === 206)).toHaveLength(10)
    expect(statuses.filter((status) => status === 429)).toHaveLength(30)
  })

  test('S40: a share is one link with all that it shows, and what is refused is no download of it', async () => {
    const { house, workspaceId, file } = await open(1000)
    const folder = await createFolder(house, { workspaceId, name: 'shared' })
    for (const name of ['a.bin', 'b.bin', 'c.bin']) await file(name, 400, { folderId: folder.id })
    const share = async (input: object) => {
      const fields = 'shareLink { id url }'
      const made = { entry: { id: folder.id }, ...input }
      return (await act(house, 'createShareLink', made, fields)).shareLink
    }
    const linksOf = async ({ url }: { url: string }): Promise<string[]> => {
      const shown: any = await (await house.http(url, { token: null })).json()
      return shown.children.map((child: any) => child.downloadUrl.url)
    }
    const [shared, other] = [await share({ maxDownloads: 9 }), await share({})]
    const statuses = []
    for (const link of await linksOf(shared)) statuses.push(await status(house, link))
    for (const link of await linksOf(shared)) statuses.push(await status(house, link))
    expect(statuses).toEqual([200, 200, 429, 429, 429, 429])
    const query = 'query ($id: ID!) { node(id: $id) { ... on ShareLink { downloadCount } } }'
    expect((await house.ask(query, { id: shared.id })).node).toEqual({ downloadCount: 2 })
    const [link = ''] = await linksOf(other)
    expect(await status(house, link)).toBe(200)
  })

  test('S40: what everybody may read counts, however it is asked for without a token', async () => {
    const { house, file } = await open(1000, { visibility: 'PUBLIC' })
    const { id } = await file('a.bin', 400)
    const link = await downloadUrl(house, id, '', { token: null })
    expect([await status(house, `/download/${id}`), await status(house, link)]).toEqual([200, 200])
    expect([await status(house, `/download/${id}`), await status(house, link)]).toEqual([429, 429])
    expect(await status(house, `/download/${id}`, {}, { token: house.token })).toBe(200)
  })

  test('S40: an archive counts with its length, its table when it was sent', async () => {
    const { house, workspaceId, file } = await open(10_000)
    const folder = await createFolder(house, { workspaceId, name: 'all' })
    await file('a.bin', 4000, { folderId: folder.id })
    const { archiveUrl } = await lookUp(house, folder, '... on Folder { archiveUrl { url } }')
    const { url } = archiveUrl
    const table = `${url.slice(0, url.lastIndexOf('/'))}/manifest?format=csv`
    expect(await status(house, url, {}, { method: 'HEAD' })).toBe(200)
    expect([await status(house, url), await status(house, url)]).toEqual([200, 200])
    expect([await status(house, url), await status(house, url, { range: 'bytes=0-99' })]).toEqual([
      429, 206,
    ])
    const tables = []
    while (tables.at(-1) !== 429 && tables.length < 20) {
      tables.push(await status(house, table))
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    expect(tables.length).toBeGreaterThan(1)
    expect(tables.length).toBeLessThan(8)
    expect(await status(house, url, { range: 'bytes=0-99' })).toBe(429)
  })

  test('S40: what was asked for and not sent is given back', async () => {
    const { house, workspaceId } = await open(40 * MIB)
    const bytes = randomBytes(24 * MIB)
    const { id } = await uploadFile(house, { workspaceId, name: 'a.bin', bytes })
    const link = new URL(await downloadUrl(house, id))
    const socket = connect(Number(link.port), link.hostname).on('error', () => {})
    socket.write(`GET ${link.pathname} HTTP/1.1\r\nHost: ${link.host}\r\n\r\n`)
    await once(socket, 'readable')
    expect(await status(house, link.href)).toBe(429)
    socket.destroy()
    await expect.poll(() => status(house, link.href), { timeout: 20_000 }).toBe(200)
    expect(await status(house, link.href)).toBe(429)
  })

  test.skipIf(database === 'SQLite')('S40: all processes count together', async () => {
    const { house, file } = await open(1000)
    const { id } = await file('a.bin', 400)
    const link = await downloadUrl(house, id)
    await using app = await openApp(house.app.config)
    const server = createHttpServer(app)
    onTestFinished(() => server.close())
    const other = `http://127.0.0.1:${await server.listen(0, '127.0.0.1')}`
    const there = new URL(new URL(link).pathname, other).href
    expect([await status(house, link), await status(house, there)]).toEqual([200, 200])
    expect([await status(house, link), await status(house, there)]).toEqual([429, 429])
    await server.close()
  })

  test('S40: without it a link sends as much as it is asked for, and nothing is counted', async () => {
    await using house = await openHouse()
    const { id: workspaceId } = await createWorkspace(house)
    const { id } = await uploadFile(house, { workspaceId, name: 'a.bin', bytes: 'x'.repeat(1000) })
    const link = await downloadUrl(house, id)
    for (let i = 0; i < 20; i++) expect(await status(house, link)).toBe(200)
    expect(await house.app.db.selectFrom('tallies').selectAll().execute()).toEqual([])
  })
})
