import { parse } from 'content-disposition'
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import {
  act,
  createFolder,
  createWorkspace,
  downloadUrl,
  uploadFile,
} from '../../support/client.ts'
import { startTestServer, type TestServer } from '../../support/servers/test-server.ts'

const HOUR = 3_600_000
let holdall: TestServer
let workspaceId: string
/** The clock of the server. */
let now: number

beforeEach(async () => {
  now = Date.now()
  holdall = await startTestServer({ now: () => now })
  onTestFinished(() => holdall[Symbol.asyncDispose]())
  workspaceId = (await createWorkspace(holdall)).id
})

const upload = (name: string, bytes: Uint8Array | string = 'hello') =>
  uploadFile(holdall, { workspaceId, name, bytes })
const withoutToken = (url: string, init: RequestInit = {}) =>
  holdall.http(url, { method: init.method ?? 'GET', token: null })
const answer = async (response: Response) => [response.status, (await response.json()).code]

describe('a signed link', () => {
  test('S28: is valid for an hour, and then reports that it has expired', async () => {
    const link = await downloadUrl(holdall, (await upload('a.txt')).id)
    now += HOUR - 1
    expect((await withoutToken(link)).status).toBe(200)
    now += 1
    expect(await answer(await withoutToken(link))).toEqual([403, 'URL_EXPIRED'])
  })

  test('S28: is rejected if it was altered anywhere', async () => {
    const other = await upload('b.txt', 'other')
    const link = await downloadUrl(holdall, (await upload('a.txt')).id)
    const [token = ''] = new URL(link).pathname.split('/').slice(2)
    const [versionId, disposition, expiresAt, signature = ''] = token.split('.')
    const turned = signature.startsWith('A') ? 'B' : 'A'
    const tampered = [
      [other.version.id, disposition, expiresAt, signature],
      [versionId, 'inline', expiresAt, signature],
      [versionId, disposition, Number(expiresAt) + HOUR, signature],
      [versionId, disposition, `0${expiresAt}`, signature],
      [versionId, disposition, expiresAt, turned + signature.slice(1)],
      [versionId, disposition, expiresAt, ''],
      [versionId, disposition, expiresAt, `${signature}A`],
    ]
    for (const parts of tampered) {
      const response = await withoutToken(`/download/${parts.join('.')}/a.txt`)
      expect(await answer(response)).toEqual([403, 'URL_INVALID'])
    }
    expect((await withoutToken(link)).status).toBe(200)
  })

  test('S28: allows only GET and HEAD', async () => {
    const link = await downloadUrl(holdall, (await upload('a.txt')).id)
    for (const method of ['POST', 'PUT', 'PATCH', 'DELETE']) {
      const response = await withoutToken(link, { method })
      expect(response.headers.get('allow')).toBe('GET, HEAD')
      expect(await answer(response)).toEqual([405, 'METHOD_NOT_ALLOWED'])
    }
  })

  test('does not work while its file or a folder above is trashed', async () => {
    const folder = await createFolder(holdall, { workspaceId, name: 'raw' })
    const input = { workspaceId, folderId: folder.id, name: 'a.txt', bytes: 'hello' }
    const file = await uploadFile(holdall, input)
    const link = await downloadUrl(holdall, file.id)
    for (const entryId of [file.id, folder.id]) {
      const entries = [{ entry: { id: entryId } }]
      await act(holdall, 'trashEntries', { entries, recursive: true }, 'succeeded')
      expect(await answer(await withoutToken(link))).toEqual([404, 'NOT_FOUND'])
      await act(holdall, 'restoreEntries', { entries: [{ entry: { id: entryId } }] }, 'succeeded')
      expect(await (await withoutToken(link)).text()).toBe('hello')
    }
  })

  test('ends when its file is purged', async () => {
    const file = await upload('a.txt')
    const link = await downloadUrl(holdall, file.id)
    await act(holdall, 'trashEntries', { entries: [{ entry: { id: file.id } }] }, 'succeeded')
    await act(holdall, 'purgeEntries', { entries: [{ entry: { id: file.id } }] }, 'succeeded')
    expect(await answer(await withoutToken(link))).toEqual([404, 'NOT_FOUND'])
  })
})

describe('a token', () => {
  test('downloads its files by id', async () => {
    const file = await upload('a.txt')
    const response = await holdall.http(`/download/${file.id}`)
    expect([response.status, await response.text()]).toEqual([200, 'hello'])
    expect(response.headers.get('cache-control')).toBe('private, no-cache')
    expect(response.headers.get('content-disposition')).toBe('attachment; filename=a.txt')
    const inline = await holdall.http(`/download/${file.id}?disposition=inline`)
    expect(inline.headers.get('content-disposition')).toBe('inline; filename=a.txt')
    const wrong = await holdall.http(`/download/${file.id}?disposition=sideways`)
    expect(await answer(wrong)).toEqual([400, 'INVALID_INPUT'])
  })

  test('is required, whether the file exists or not', async () => {
    const file = await upload('a.txt')
    for (const id of [file.id, file.id.replace(/.$/, (last) => (last === '0' ? '1' : '0'))]) {
      for (const token of [null, 'hld_wrong']) {
        const response = await holdall.http(`/download/${id}`, { token })
        expect(response.headers.get('www-authenticate')).toBe('Bearer')
        expect(await answer(response)).toEqual([401, 'UNAUTHENTICATED'])
      }
    }
  })

  test('of another workspace finds nothing, and no token downloads a folder or a trashed file', async () => {
    const file = await upload('a.txt')
    const folder = await createFolder(holdall, { workspaceId, name: 'raw' })
    const elsewhere = await createWorkspace(holdall, { name: 'Elsewhere' })
    const input = { name: 'theirs', scopes: ['FILES_READ'], workspaceId: elsewhere.id }
    const { secret } = await act(holdall, 'createApiToken', input, 'secret')
    const foreign = await holdall.http(`/download/${file.id}`, { token: secret })
    expect(await answer(foreign)).toEqual([404, 'NOT_FOUND'])
    expect(await answer(await holdall.http(`/download/${folder.id}`))).toEqual([404, 'NOT_FOUND'])
    await act(holdall, 'trashEntries', { entries: [{ entry: { id: file.id } }] }, 'succeeded')
    expect(await answer(await holdall.http(`/download/${file.id}`))).toEqual([404, 'NOT_FOUND'])
  })

  test('is not needed in a public workspace', async () => {
    const file = await upload('a.txt')
    await act(holdall, 'updateWorkspace', { workspaceId, visibility: 'PUBLIC' }, 'workspace { id }')
    expect((await withoutToken(`/download/${file.id}`)).status).toBe(200)
  })
})

describe('Accept: application/json', () => {
  const locate = async (url: string, token: string | null = holdall.token, method = 'GET') => {
    const headers = { accept: 'Application/JSON; charset=utf-8' }
    const response = await holdall.http(url, { token, method, headers })
    expect(response.headers.get('content-type')).toContain('application/json')
    if (response.ok) expect(response.headers.get('vary')).toContain('Accept')
    const text = await response.text()
    return { status: response.status, body: text ? JSON.parse(text) : null }
  }

  test('with a file id returns a link to the current version, which needs no token', async () => {
    const file = await upload('a b.txt')
    const { status, body } = await locate(`/download/${file.id}?disposition=inline`)
    expect([status, body]).toEqual([
      200,
      {
        url: expect.stringMatching(/\/download\/ver_.*\/a%20b\.txt$/),
        expiresAt: new Date(now + HOUR).toISOString(),
      },
    ])
    const response = await withoutToken(body.url)
    expect(response.headers.get('content-disposition')).toContain('inline')
    expect(await response.text()).toBe('hello')
    now += HOUR
    expect(await answer(await withoutToken(body.url))).toEqual([403, 'URL_EXPIRED'])
  })

  test('with a link returns a link of the same right and expiry', async () => {
    const file = await upload('a.txt')
    const link = await downloadUrl(holdall, file.id)
    now += HOUR / 2
    const { body } = await locate(link, null)
    expect(body).toEqual({ url: link, expiresAt: new Date(now + HOUR / 2).toISOString() })
    const { shareLink } = await act(
      ...([holdall, 'createShareLink', { entry: { id: file.id }, maxDownloads: 1 }] as const),
      'shareLink { id url }',
    )
    const share = (await (await withoutToken(shareLink.url)).json()) as any
    for (let i = 0; i < 3; i++)
      expect((await locate(share.downloadUrl.url, null)).body.url).toBe(share.downloadUrl.url)
    expect((await withoutToken(share.downloadUrl.url)).status).toBe(200)
    expect((await withoutToken(share.downloadUrl.url)).status).toBe(404)
  })

  test('requires the right to download', async () => {
    const file = await upload('a.txt')
    expect((await locate(`/download/${file.id}`, null)).status).toBe(401)
    expect((await locate('/download/file_unknown')).status).toBe(404)
    expect(await locate(`/download/${file.id}`, holdall.token, 'HEAD')).toEqual({
      status: 200,
      body: null,
    })
  })

  test('beside another type is for the file, also for a JSON file', async () => {
    const file = await upload('a.json', '{"a":1}')
    for (const accept of ['application/json, text/plain, */*', '*/*', 'application/json;q=0']) {
      const response = await holdall.http(`/download/${file.id}`, { headers: { accept } })
      expect([accept, await response.text()]).toEqual([accept, '{"a":1}'])
    }
  })
})

describe('a browser', () => {
  const png = Buffer.from(
    'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
    'base64',
  )
  const script = '<script>alert(1)</script>'
  const svg = `<svg xmlns="http://www.w3.org/2000/svg">${script}</svg>`

  test.each([
    ['page.html', `<!doctype html>${script}`],
    ['drawing.svg', svg],
    ['sheet.xml', '<?xml version="1.0"?><?xml-stylesheet href="x.xsl"?><a/>'],
    ['page.xhtml', `<html xmlns="http://www.w3.org/1999/xhtml">${script}</html>`],
    ['code.js', 'alert(1)'],
  ])('S5: never displays %s, even on request', async (name, bytes) => {
    const file = await upload(name, bytes)
    const response = await withoutToken(
      await downloadUrl(holdall, file.id, '(disposition: INLINE)'),
    )
    expect(await response.text()).toBe(bytes)
    expect(response.headers.get('content-disposition')).toBe(`attachment; filename=${name}`)
    expect(response.headers.get('content-security-policy')).toBe("sandbox; default-src 'none'")
    expect(response.headers.get('x-content-type-options')).toBe('nosniff')
  })

  test.each([
    ['dot.png', png, 'image/png'],
    ['page.html', png, 'image/png'],
    ['note.txt', `not a page: ${script}`, 'text/plain; charset=utf-8'],
  ])('S5, S6: displays %s, by its detected type', async (name, bytes, type) => {
    const file = await upload(name, bytes)
    const response = await withoutToken(
      await downloadUrl(holdall, file.id, '(disposition: INLINE)'),
    )
    expect(response.headers.get('content-type')).toBe(type)
    expect(response.headers.get('content-disposition')).toBe(`inline; filename=${name}`)
    expect(response.headers.get('content-security-policy')).toMatch(/^sandbox; default-src 'none'/)
    expect(response.headers.get('x-content-type-options')).toBe('nosniff')
  })
})

test.each([
  'two  spaces & more.txt',
  'a"b\\c.txt',
  "it's 100%41 #1?.txt",
  'Überraschung – Größe.txt',
  '研究データ.csv',
  'תוצאות.txt',
  'نتائج ١.txt',
  '🧬👩‍🔬.fa',
  'e\u0301te\u0301.txt',
  'semi;colon, filename=evil.exe',
])('S7: gets the name %j unchanged', async (name) => {
  const link = await downloadUrl(holdall, (await upload(name)).id)
  const response = await withoutToken(link)
  expect(response.status).toBe(200)
  expect(parse(response.headers.get('content-disposition') ?? '').parameters.filename).toBe(name)
  // The link contains the name too, for clients that save under the last segment of the path.
  expect(decodeURIComponent(new URL(link).pathname.split('/').at(-1) ?? '')).toBe(name)
})
