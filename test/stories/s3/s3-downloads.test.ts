import { randomBytes } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { act, createWorkspace, downloadUrl, uploadFile } from '../../support/client.ts'
import { s3IsGiven } from '../../support/s3.ts'
import { startOnS3 } from '../../support/servers/s3-server.ts'
import type { TestServer } from '../../support/servers/test-server.ts'

/** Follows the redirect of a link as a client does: with its own headers. */
async function follow(holdall: TestServer, path: string, headers: Record<string, string> = {}) {
  const first = await holdall.http(path, { token: null, headers })
  expect([first.status, await first.text()]).toEqual([302, ''])
  return fetch(first.headers.get('location') ?? '', { headers })
}

const bytesOf = async (response: Response) => Buffer.from(await response.arrayBuffer())

describe.skipIf(!s3IsGiven)('downloads from a bucket (needs S3_ENDPOINT and S3_BUCKET)', () => {
  test('GET redirects to the bucket, which serves the file with its name and type', async () => {
    await using here = await startOnS3()
    const { holdall } = here
    const { id: workspaceId } = await createWorkspace(holdall, { visibility: 'PUBLIC' })
    const bytes = randomBytes(3_000_001)
    const name = 'Grüße, "zusammen".html'
    const file = await uploadFile(holdall, { workspaceId, name, bytes, mediaType: 'text/html' })
    const proxied = await holdall.http(`/download/${file.id}`, { method: 'HEAD' })
    expect(proxied.status).toBe(200)
    for (const path of [`/download/${file.id}`, await downloadUrl(holdall, file.id)]) {
      const first = await holdall.http(path, { token: null })
      expect(first.status).toBe(302)
      expect(first.headers.get('cache-control')).toBe('no-store')
      expect(new URL(first.headers.get('location') ?? '').host).not.toBe(new URL(holdall.url).host)
      const response = await follow(holdall, path)
      expect(response.status).toBe(200)
      for (const header of ['content-type', 'content-disposition', 'content-length'])
        expect([header, response.headers.get(header)]).toEqual([
          header,
          proxied.headers.get(header),
        ])
      expect(response.headers.get('cache-control')).toBe('private')
      expect((await bytesOf(response)).equals(bytes)).toBe(true)
    }
  })

  test('the bucket serves one range, the server several, and an unsatisfiable range is 416 at once', async () => {
    await using here = await startOnS3()
    const { holdall, workspaceId } = here
    const bytes = randomBytes(100_000)
    const file = await uploadFile(holdall, { workspaceId, name: 'a.bin', bytes })
    const path = await downloadUrl(holdall, file.id)
    for (const [range, start, end] of [
      ['bytes=10-19', 10, 20],
      ['bytes=99990-', 99_990, 100_000],
      ['bytes=-7', 99_993, 100_000],
    ] as const) {
      const response = await follow(holdall, path, { range })
      expect(response.status).toBe(206)
      expect(response.headers.get('content-range')).toBe(`bytes ${start}-${end - 1}/100000`)
      expect((await bytesOf(response)).equals(bytes.subarray(start, end))).toBe(true)
    }
    const get = (range: string) => holdall.http(path, { token: null, headers: { range } })
    const several = await get('bytes=0-1,5-6')
    expect(several.status).toBe(206)
    expect(several.headers.get('content-type')).toMatch(/^multipart\/byteranges/)
    expect((await get('bytes=100000-')).status).toBe(416)
  })

  test('the server evaluates conditions with its own ETag', async () => {
    await using here = await startOnS3()
    const { holdall, workspaceId } = here
    const file = await uploadFile(holdall, { workspaceId, name: 'a.txt', bytes: 'hello world' })
    const path = await downloadUrl(holdall, file.id)
    const etag = `"${file.sha256}"`
    const get = (headers: Record<string, string>) => holdall.http(path, { token: null, headers })
    expect((await get({ 'if-none-match': etag })).status).toBe(304)
    expect((await get({ 'if-none-match': '"another"' })).status).toBe(302)
    const same = await get({ 'if-match': etag, range: 'bytes=0-4' })
    expect([same.status, await same.text()]).toEqual([206, 'hello'])
    const resumed = await get({ 'if-range': etag, range: 'bytes=6-' })
    expect([resumed.status, await resumed.text()]).toEqual([206, 'world'])
    const both = await get({ 'if-match': etag, 'if-range': '"another"', range: 'bytes=6-' })
    expect([both.status, await both.text()]).toEqual([200, 'hello world'])
  })

  test('a link resumes with the ETag or the date of the bucket, which evaluates them', async () => {
    await using here = await startOnS3()
    const { holdall, workspaceId } = here
    const file = await uploadFile(holdall, { workspaceId, name: 'a.txt', bytes: 'hello world' })
    const path = await downloadUrl(holdall, file.id)
    const first = await follow(holdall, path)
    expect(await first.text()).toBe('hello world')
    const etag = first.headers.get('etag') ?? ''
    expect(etag).not.toContain(file.sha256)
    const conditions: Record<string, string>[] = [
      { 'if-range': etag },
      { 'if-match': etag },
      { 'if-match': etag, 'if-range': etag },
      { 'if-range': new Date(0).toUTCString() },
    ]
    for (const condition of conditions) {
      const rest = await follow(holdall, path, { ...condition, range: 'bytes=6-' })
      expect([condition, rest.status, await rest.text()]).toEqual([condition, 206, 'world'])
    }
    expect((await follow(holdall, path, { 'if-match': '"another"' })).status).toBe(412)
    const head = await holdall.http(path, {
      ...{ method: 'HEAD', token: null },
      headers: { 'if-match': etag },
    })
    expect(head.status).toBe(412)
    const several = { 'if-range': etag, range: 'bytes=0-0,6-6' }
    const whole = await holdall.http(path, { token: null, headers: several })
    expect([whole.status, await whole.text()]).toEqual([200, 'hello world'])
  })

  test('a file id may get other bytes, so that a foreign If-Range returns the whole file', async () => {
    await using here = await startOnS3()
    const { holdall } = here
    const { id: workspaceId } = await createWorkspace(holdall, { visibility: 'PUBLIC' })
    const input = { workspaceId, name: 'a.txt', onConflict: 'NEW_VERSION' }
    const file = await uploadFile(holdall, { ...input, bytes: 'hello world' })
    const path = `/download/${file.id}`
    const etag = (await follow(holdall, path)).headers.get('etag') ?? ''
    await uploadFile(holdall, { ...input, bytes: 'HELLO, WORLD' })
    const headers = { 'if-range': etag, range: 'bytes=6-' }
    const response = await holdall.http(path, { token: null, headers })
    expect([response.status, await response.text()]).toEqual([200, 'HELLO, WORLD'])
    const failed = await holdall.http(path, { token: null, headers: { 'if-match': etag } })
    expect(failed.status).toBe(412)
  })

  test('a resumed download of a share is no new download', async () => {
    await using here = await startOnS3()
    const { holdall, workspaceId } = here
    const file = await uploadFile(holdall, { workspaceId, name: 'a.txt', bytes: 'hello world' })
    const share = await act(
      ...([
        holdall,
        'createShareLink',
        { entry: { id: file.id } },
        'shareLink { id url }',
      ] as const),
    )
    const { downloadUrl: link } = (await (
      await holdall.http(share.shareLink.url, { token: null })
    ).json()) as any
    const first = await follow(holdall, link.url)
    const condition = { 'if-range': first.headers.get('etag') ?? '', range: 'bytes=6-' }
    expect(await (await follow(holdall, link.url, condition)).text()).toBe('world')
    const query = 'query ($id: ID!) { node(id: $id) { ... on ShareLink { downloadCount } } }'
    const { node } = await holdall.ask(query, { id: share.shareLink.id })
    expect(node.downloadCount).toBe(1)
  })

  test('a bearer token never reaches the bucket: the server sends the bytes', async () => {
    await using here = await startOnS3()
    const { holdall, workspaceId } = here
    const file = await uploadFile(holdall, { workspaceId, name: 'a.txt', bytes: 'hello world' })
    for (const path of [`/download/${file.id}`, await downloadUrl(holdall, file.id)]) {
      const whole = await holdall.http(path)
      expect([whole.status, await whole.text()]).toEqual([200, 'hello world'])
      const range = await holdall.http(path, { headers: { range: 'bytes=6-' } })
      expect([range.status, await range.text()]).toEqual([206, 'world'])
      const failed = await holdall.http(path, { headers: { 'if-match': '"another"' } })
      expect(failed.status).toBe(412)
    }
    const path = await downloadUrl(holdall, file.id)
    expect((await holdall.http(path, { token: 'anything' })).status).toBe(200)
  })

  test('Accept: application/json returns the URL of the bucket, which needs no token', async () => {
    await using here = await startOnS3({ LINK_BYTES_PER_DAY: '25' })
    const { holdall, workspaceId } = here
    const file = await uploadFile(holdall, { workspaceId, name: 'a.txt', bytes: 'hello world' })
    const link = await downloadUrl(holdall, file.id)
    const headers = { accept: 'application/json' }
    const locate = async (path: string, token = holdall.token) =>
      (await (await holdall.http(path, { token, headers })).json()) as Record<string, string>
    for (const path of [`/download/${file.id}`, link]) {
      const { url = '', expiresAt = '' } = await locate(path)
      expect(new URL(url).host).not.toBe(new URL(holdall.url).host)
      const leftMs = Date.parse(expiresAt) - Date.now()
      expect([leftMs > 200_000, leftMs <= 300_000]).toEqual([true, true])
      const response = await fetch(url)
      expect(response.headers.get('content-disposition')).toContain('a.txt')
      expect(await response.text()).toBe('hello world')
    }
    // The URL of a link counts as the whole file; one of a token does not count.
    expect((await locate(link)).url).toContain('http')
    expect((await locate(link)).code).toBe('RATE_LIMITED')
    expect((await locate(`/download/${file.id}`)).url).toContain('http')
    const empty = await uploadFile(holdall, { workspaceId, name: 'empty', bytes: '' })
    const { url } = await locate(`/download/${empty.id}`)
    expect((await holdall.http(url ?? '', { token: null })).status).toBe(200)
  })

  test('an empty file needs no bucket', async () => {
    await using here = await startOnS3()
    const { holdall, workspaceId } = here
    const file = await uploadFile(holdall, { workspaceId, name: 'nothing', bytes: '' })
    const response = await holdall.http(`/download/${file.id}`)
    expect([response.status, await response.text()]).toEqual([200, ''])
  })

  test('a forbidden or late request gets no redirect', async () => {
    await using here = await startOnS3()
    const { holdall, workspaceId } = here
    const file = await uploadFile(holdall, { workspaceId, name: 'a.txt', bytes: 'hello' })
    const link = await downloadUrl(holdall, file.id)
    expect((await holdall.http(`/download/${file.id}`, { token: null })).status).toBe(401)
    const altered = link.replace('.attachment.', '.inline.')
    expect((await holdall.http(altered, { token: null })).status).toBe(403)
    const entries = [{ entry: { id: file.id } }]
    await act(holdall, 'trashEntries', { entries }, '__typename')
    expect((await holdall.http(link, { token: null })).status).toBe(404)
  })

  test('a share redirects to the bucket and counts; one with a limit is served by the server', async () => {
    await using here = await startOnS3()
    const { holdall, workspaceId } = here
    const file = await uploadFile(holdall, { workspaceId, name: 'a.txt', bytes: 'hello' })
    const share = async (limits: object) => {
      const input = { entry: { id: file.id }, ...limits }
      const selection = 'shareLink { id url }'
      return (await act(holdall, 'createShareLink', input, selection)).shareLink
    }
    const linkOf = async ({ url }: { url: string }) =>
      ((await (await holdall.http(url, { token: null })).json()) as any).downloadUrl.url
    const count = async ({ id }: { id: string }) => {
      const query = 'query ($id: ID!) { node(id: $id) { ... on ShareLink { downloadCount } } }'
      return (await holdall.ask(query, { id })).node.downloadCount
    }
    const open = await share({})
    const response = await follow(holdall, await linkOf(open))
    expect([await response.text(), await count(open)]).toEqual(['hello', 1])
    const limited = await share({ maxDownloads: 1 })
    const link = await linkOf(limited)
    const once = await holdall.http(link, { token: null })
    expect([once.status, await once.text(), await count(limited)]).toEqual([200, 'hello', 1])
    expect((await holdall.http(link, { token: null })).status).toBe(404)
  })

  test('S40: under LINK_BYTES_PER_DAY a redirect counts as the whole file, whatever range is requested', async () => {
    await using here = await startOnS3({ LINK_BYTES_PER_DAY: '1000' })
    const { holdall, workspaceId } = here
    const file = await uploadFile(holdall, { workspaceId, name: 'a.bin', bytes: randomBytes(400) })
    const link = await downloadUrl(holdall, file.id)
    const status = async (range: string) =>
      (await holdall.http(link, { token: null, headers: { range } })).status
    expect([await status('bytes=0-0'), await status('bytes=0-0')]).toEqual([302, 302])
    expect(await status('bytes=0-0')).toBe(429)
    // The server serves several ranges.
    expect(await status('bytes=0-0,2-2')).toBe(206)
    for (let i = 0; i < 3; i++)
      expect((await holdall.http(`/download/${file.id}`)).status).toBe(200)
  })

  test('a redirect to the bucket is logged', async () => {
    await using here = await startOnS3()
    const { holdall, workspaceId } = here
    const file = await uploadFile(holdall, { workspaceId, name: 'a.txt', bytes: 'hello' })
    await follow(holdall, await downloadUrl(holdall, file.id))
    const query = `query ($id: ID!) {
      workspace(by: { id: $id }) { activity(first: 1) { nodes { action path } } }
    }`
    await expect
      .poll(async () => (await holdall.ask(query, { id: workspaceId })).workspace.activity.nodes)
      .toEqual([{ action: 'FILE_DOWNLOADED', path: 'a.txt' }])
  })

  test('DOWNLOADS=proxy: the server serves all bytes', async () => {
    await using here = await startOnS3({ DOWNLOADS: 'proxy' })
    const { holdall, workspaceId } = here
    const bytes = randomBytes(3_000_000)
    const file = await uploadFile(holdall, { workspaceId, name: 'a.bin', bytes })
    const link = await downloadUrl(holdall, file.id)
    const whole = await holdall.http(link, { token: null })
    expect(whole.status).toBe(200)
    expect((await bytesOf(whole)).equals(bytes)).toBe(true)
    const range = await holdall.http(link, { token: null, headers: { range: 'bytes=5-9' } })
    expect(range.status).toBe(206)
    expect((await bytesOf(range)).equals(bytes.subarray(5, 10))).toBe(true)
  })
})
