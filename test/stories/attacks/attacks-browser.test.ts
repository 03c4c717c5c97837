import { parse } from 'content-disposition'
import { beforeAll, describe, expect, test } from 'vitest'
import { detectMediaType } from '../../../src/domains/files/media.ts'
import {
  act,
  createFolder,
  createUpload,
  createWorkspace,
  downloadUrl,
  type FileHandle,
  uploadFile,
} from '../../support/client.ts'
import { postForm } from '../../support/network/forms.ts'
import { metadata, rawRequest, tusOf } from '../../support/network/tus.ts'
import { startTestServer, type TestServer } from '../../support/servers/test-server.ts'

let holdall: TestServer
let workspaceId: string
let rootId: string
beforeAll(async () => {
  holdall = await startTestServer({ env: { METRICS: 'open' } })
  const workspace = await createWorkspace(holdall)
  workspaceId = workspace.id
  rootId = workspace.root.id
  return () => holdall[Symbol.asyncDispose]()
})

const script = '<script>alert(document.domain)</script>'
const svg = `<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)">${script}</svg>`
const png = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
  'base64',
)
const pdf =
  '%PDF-1.7\n1 0 obj<</Type/Catalog/OpenAction<</S/JavaScript/JS(app.alert(1))>>>>endobj\n%%EOF'

/** Each is declared to be a picture, and requested inline. */
const active: Record<string, string | Uint8Array> = {
  'page.html': `<!doctype html>${script}`,
  'page.htm': `<html>${script}`,
  'page.png': `<!doctype html>${script}`,
  'page.shtml': `<!--#exec cmd="id"-->${script}`,
  page: `<html><body>${script}`,
  'drawing.svg': svg,
  'drawing.svgz': svg,
  'drawing.jpg': svg,
  'sheet.xml': '<?xml version="1.0"?><?xml-stylesheet type="text/xsl" href="x.xsl"?><a/>',
  'sheet.xsl': `<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform"/>`,
  'page.xhtml': `<html xmlns="http://www.w3.org/1999/xhtml">${script}</html>`,
  'feed.rss': `<rss><a xmlns="http://www.w3.org/1999/xhtml">${script}</a></rss>`,
  'formula.mathml': `<math xmlns="http://www.w3.org/1998/Math/MathML" href="javascript:alert(1)"/>`,
  'mail.mht': `MIME-Version: 1.0\nContent-Type: text/html\n\n${script}`,
  'app.manifest': 'CACHE MANIFEST',
  'style.css': '@import "//evil.example"',
  'code.js': 'alert(1)',
  'code.mjs': 'export default 1',
  'film.swf': Buffer.concat([Buffer.from('CWS\x0a'), Buffer.alloc(40)]),
  'page.php': `<?php system($_GET[0]); ?>${script}`,
  'module.wasm': Buffer.from([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]),
}
const upload = (name: string, bytes: string | Uint8Array, more = {}) =>
  uploadFile(holdall, { workspaceId, name, bytes, onConflict: 'RENAME', ...more })

/** Each way to download, requested inline. */
async function waysTo(file: FileHandle): Promise<Record<string, Response>> {
  const { shareLink } = await act(
    holdall,
    'createShareLink',
    { entry: { id: file.id } },
    'shareLink { url }',
  )
  const shared = (await (await holdall.http(shareLink.url, { token: null })).json()) as any
  const inline = await downloadUrl(holdall, file.id, '(disposition: INLINE)')
  return {
    signed: await holdall.http(inline, { token: null }),
    'signed, in part': await holdall.http(inline, { token: null, headers: { range: 'bytes=0-5' } }),
    'signed, HEAD': await holdall.http(inline, { token: null, method: 'HEAD' }),
    'with a token': await holdall.http(`/download/${file.id}?disposition=inline`),
    'through a share': await holdall.http(shared.downloadUrl.url, { token: null }),
  }
}

const nosniffHeaders = { 'x-content-type-options': 'nosniff', 'referrer-policy': 'no-referrer' }
const headersOf = (response: Response) => Object.fromEntries(response.headers)

describe('S5: content that a browser could execute is an attachment with a sandbox', () => {
  test.each(Object.entries(active))('%s', async (name, bytes) => {
    const file = await upload(name, bytes, { mediaType: 'image/png' })
    for (const [way, response] of Object.entries(await waysTo(file))) {
      const headers = headersOf(response)
      expect([way, headers]).toEqual([way, expect.objectContaining(nosniffHeaders)])
      if (/^inline/.test(headers['content-disposition'] ?? '')) {
        // With nosniff every browser shows the declared type: text, or a broken picture.
        expect(headers['content-type']).toMatch(/^(text\/plain; charset=utf-8|image\/(png|jpeg))$/)
        expect(headers['content-security-policy']).toMatch(/^sandbox; default-src 'none'(;|$)/)
        continue
      }
      expect(headers['content-disposition']).toMatch(/^attachment/)
      expect(headers['content-security-policy']).toBe("sandbox; default-src 'none'")
    }
  })

  test('a PDF with a script, and a GIF that is also a script, are shown as themselves in a sandbox', async () => {
    const gif = 'GIF89a/*\x00\x00\x00\x00\x00*/=1;alert(document.domain)//'
    for (const [name, bytes, type] of [
      ['form.pdf', pdf, 'application/pdf'],
      ['both.gif', gif, 'image/gif'],
      ['both.js', gif, 'image/gif'],
      ['both.html', gif, 'image/gif'],
    ] as const) {
      for (const response of Object.values(await waysTo(await upload(name, bytes)))) {
        const headers = headersOf(response)
        expect(headers).toMatchObject({
          ...nosniffHeaders,
          'content-type': expect.stringContaining(response.status === 206 ? '' : type),
        })
        // An opaque origin in which no script runs.
        expect(headers['content-security-policy']).toMatch(/^sandbox; default-src 'none'(;|$)/)
        expect(headers['content-security-policy']).not.toMatch(/allow-|script-src|unsafe-eval|\*/)
      }
    }
  })

  test('archives and manifests are attachments too', async () => {
    const folder = await createFolder(holdall, {
      workspaceId,
      name: 'a".html',
      onConflict: 'RENAME',
    })
    const query = 'query ($id: ID!) { node(id: $id) { ... on Folder { archiveUrl { url } } } }'
    const { url } = (await holdall.ask(query, { id: folder.id })).node.archiveUrl
    const manifest = `${url.slice(0, url.lastIndexOf('/'))}/manifest?format=`
    for (const path of [url, `${manifest}json`, `${manifest}csv`]) {
      const headers = headersOf(await holdall.http(path, { token: null }))
      expect(headers).toMatchObject({
        ...nosniffHeaders,
        'content-security-policy': "sandbox; default-src 'none'",
      })
      expect(headers['content-disposition']).toMatch(/^attachment/)
    }
  })
})

describe('S6: the media type is detected, not believed', () => {
  test.each([
    [
      'a picture’s head on a page',
      Buffer.concat([png, Buffer.from(`<html>${script}`)]),
      'x.html',
      'text/html',
      'image/png',
    ],
    ['a page under the name of a picture', `<html>${script}`, 'x.png', 'image/png', 'image/png'],
    [
      'a drawing under the name of a picture',
      `<?xml version="1.0"?>${svg}`,
      'x.gif',
      'image/gif',
      'application/xml',
    ],
    ['a picture under the name of a page', png, 'x.html', 'image/png', 'image/png'],
    [
      'a program under the name of a text',
      Buffer.concat([Buffer.from('\x7fELF\x02\x01\x01'), Buffer.alloc(100)]),
      'x.txt',
      'text/plain',
      'application/x-elf',
    ],
    [
      'an archive under the name of a film',
      Buffer.from('PK\x03\x04\x14\x00\x00\x00\x00\x00'),
      'x.mp4',
      'video/mp4',
      'application/zip',
    ],
  ])('%s', async (_, bytes, name, declared, detected) => {
    const file = await upload(name, bytes, { mediaType: declared })
    expect(file.mediaType).toBe(detected)
    expect((await detectMediaType(Buffer.from(bytes), name)).mediaType).toBe(detected)
    // Both are stored: the declared type with the upload, the detected type with the file.
    const row = await holdall.app.db
      .selectFrom('uploads')
      .select('mediaType')
      .where('fileId', '=', file.id)
      .executeTakeFirstOrThrow()
    expect(row.mediaType).toBe(declared)
    for (const response of Object.values(await waysTo(file))) {
      const headers = headersOf(response)
      if (response.status === 200) expect(headers['content-type']).toBe(detected)
      expect(headers).toMatchObject(nosniffHeaders)
      expect(headers['content-security-policy']).toMatch(/^sandbox; default-src 'none'/)
    }
  })

  test.each([
    'text/html\r\nX-Evil: 1',
    'text/html; charset="\r\n"',
    'a',
    '/',
    '<script>',
    'x/y/z',
    `a/${'b'.repeat(200)}`,
  ])('an invalid declared type is neither stored nor sent: %j', async (mediaType) => {
    const upload = await createUpload(holdall, { workspaceId, name: 'typed', size: 1, mediaType })
    const rows = holdall.app.db.selectFrom('uploads').select('mediaType')
    const { mediaType: stored } = await rows.where('id', '=', upload.id).executeTakeFirstOrThrow()
    expect(stored).toBe(null)
  })
})

describe('S7: no input can end a header', () => {
  const injections = [
    'a"\r\nSet-Cookie: x=1',
    'a\nSet-Cookie: x',
    'a\r b',
    '\u2028a\u0085',
    'a\u000bb',
  ]
  const quoting = [
    'a"; filename="evil.exe',
    "a'*=UTF-8''evil.exe",
    'a\\"; x=y',
    'a;b=c',
    'a, b',
    'ä"ö',
    '%0d%0aSet-Cookie: x',
  ]

  test('a name with a line break is rejected by every operation that takes a name', async () => {
    for (const name of injections) {
      const tus = tusOf(holdall)
      const declared = metadata({ workspaceId, filename: name })
      expect((await tus.post({ 'Upload-Length': '1', 'Upload-Metadata': declared })).status).toBe(
        400,
      )
      await expect(createUpload(holdall, { workspaceId, name, size: 1 })).rejects.toThrow(
        'INVALID_INPUT',
      )
      await expect(createFolder(holdall, { workspaceId, name })).rejects.toThrow('INVALID_INPUT')
      const file = { name: 'plain.txt', bytes: 'x' }
      expect((await postForm(holdall, { workspaceId, name, file })).status).toBe(400)
    }
  })

  test('quotes, semicolons and percent signs arrive unchanged, in one parameter', async () => {
    for (const name of quoting) {
      const file = await upload(name, 'x')
      for (const response of Object.values(await waysTo(file))) {
        const declared = response.headers.get('content-disposition') ?? ''
        const { type, parameters } = parse(declared)
        expect(type).toMatch(/^(attachment|inline)$/)
        expect(parameters.filename).toBe(file.name)
        expect(Object.keys(parameters).filter((key) => !/^filename\*?$/.test(key))).toEqual([])
        expect(response.headers.has('set-cookie')).toBe(false)
      }
    }
  })

  test('tags, descriptions and metadata are in no header; Upload-Metadata is returned in Base64 only', async () => {
    const declared = {
      workspaceId,
      filename: 'plain.txt',
      tags: 'needle-tag',
      note: 'needle\r\nX-Evil: 1',
    }
    const tus = tusOf(holdall)
    const url = await tus.create(declared, { 'Upload-Length': '1' })
    const head = await tus.head(url)
    expect(head.headers.get('upload-metadata')).toBe(metadata(declared))
    expect(head.headers.has('x-evil')).toBe(false)
    const more = {
      tags: ['needle\tx: y'.slice(0, 6)],
      description: 'needle\r\nX-Evil: 1',
      metadata: { 'X-Evil': 'needle' },
    }
    for (const response of Object.values(await waysTo(await upload('plain.txt', 'x', more)))) {
      expect(JSON.stringify(headersOf(response))).not.toMatch(/needle|evil/i)
    }
  })

  test.each(['plain\r\nX-Evil: 1', '"><script>', 'a\u0000b'])(
    'an invalid request id is not returned: %j',
    async (id) => {
      const raw = await rawRequest(holdall, 'GET', '/livez', {
        'X-Request-Id': id,
        Connection: 'close',
      })
      const { status, headers } = await raw.answer()
      expect([200, 400]).toContain(status)
      expect(headers.has('x-evil')).toBe(false)
      expect(headers.get('x-request-id') ?? '').not.toMatch(/[<>"\0]/)
    },
  )
})

describe('S30: no shared cache stores private responses', () => {
  const forMe = /^(no-store|private, no-store|private, no-cache)$/

  test('of any address, also one that looks like a stylesheet', async () => {
    const file = await upload('secret.txt', 'secret')
    const { shareLink } = await act(
      holdall,
      'createShareLink',
      { entry: { id: file.id } },
      'shareLink { url }',
    )
    const shared = (await (await holdall.http(shareLink.url, { token: null })).json()) as any
    const query = 'query ($id: ID!) { node(id: $id) { ... on Folder { archiveUrl { url } } } }'
    const { url } = (await holdall.ask(query, { id: rootId })).node.archiveUrl
    const open = await createUpload(holdall, { workspaceId, name: 'open', size: 1 })
    const ways: [string, object?][] = [
      [`/download/${file.id}`],
      [`/download/${file.id}/a.css`],
      [`/download/${file.id}?x=a.js`],
      [shareLink.url],
      [`${shareLink.url}/a.css`],
      [shared.downloadUrl.url],
      [url],
      [`${url.slice(0, url.lastIndexOf('/'))}/manifest`],
      [open.url, { method: 'HEAD', headers: { 'tus-resumable': '1.0.0' } }],
      ['/graphql?query={viewer{user{name}}}', { headers: { accept: 'application/json' } }],
      [
        '/graphql',
        {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: '{"query":"{viewer{user{name}}}"}',
        },
      ],
      ['/metrics'],
    ]
    for (const [path, init] of ways) {
      const response = await holdall.http(path, init)
      expect([path, response.status]).toEqual([path, 200])
      expect([path, response.headers.get('cache-control')]).toEqual([
        path,
        expect.stringMatching(forMe),
      ])
      await response.arrayBuffer()
    }
    const form = await postForm(holdall, { workspaceId, file: { name: 'form.txt', bytes: 'x' } })
    expect(form.headers.get('cache-control')).toBe('no-store')
  })

  test('no cache stores a refusal: the next request may be allowed', async () => {
    const gone = await upload('gone.txt', 'x')
    const link = await downloadUrl(holdall, gone.id)
    for (const path of [
      '/download/file_x',
      '/download/x.y.z/a.css',
      `${link}x`.replace('attachment', 'inline'),
      '/s/x',
      '/nothing.css',
      '/graphql/x.css',
    ]) {
      const response = await holdall.http(path)
      expect([path, response.status >= 400, response.headers.get('cache-control')]).toEqual([
        path,
        true,
        'no-store',
      ])
    }
  })

  test('only a private cache stores a signed link, and no longer than it is valid', async () => {
    const file = await upload('signed.txt', 'x')
    const response = await holdall.http(
      await downloadUrl(holdall, file.id, '(expiresInSeconds: 60)'),
      {
        token: null,
      },
    )
    const [, seconds] =
      /^private, max-age=(\d+), immutable$/.exec(response.headers.get('cache-control') ?? '') ?? []
    expect(Number(seconds)).toBeLessThanOrEqual(60)
  })
})

describe('S40: a file cannot be embedded on another site', () => {
  test('other sites may not load it, and its address is not in the Referer', async () => {
    const file = await upload('dot.png', png)
    for (const response of Object.values(await waysTo(file))) {
      expect(headersOf(response)).toMatchObject({
        'cross-origin-resource-policy': 'same-site',
        'referrer-policy': 'no-referrer',
      })
    }
    const link = await downloadUrl(holdall, file.id)
    const fromElsewhere = await holdall.http(link, {
      token: null,
      headers: { origin: 'https://evil.example' },
    })
    expect(fromElsewhere.headers.has('access-control-allow-origin')).toBe(false)
  })

  test('a link ends: after a week at most, a share after its number of downloads', async () => {
    const file = await upload('often.bin', 'x'.repeat(100))
    const query =
      'query ($id: ID!) { node(id: $id) { ... on File { downloadUrl(expiresInSeconds: 604801) { url } } } }'
    expect((await holdall.graphql(query, { id: file.id })).errors?.[0]?.extensions?.code).toBe(
      'INVALID_INPUT',
    )
    const input = { entry: { id: file.id }, maxDownloads: 2 }
    const { shareLink } = await act(holdall, 'createShareLink', input, 'shareLink { url }')
    const { downloadUrl: one } = (await (
      await holdall.http(shareLink.url, { token: null })
    ).json()) as any
    const statuses = []
    for (let i = 0; i < 4; i++) statuses.push((await holdall.http(one.url, { token: null })).status)
    expect(statuses.filter((status) => status === 200)).toHaveLength(2)
  })

  test('RATE_LIMIT limits the downloads of an address per minute', async () => {
    await using other = await startTestServer({ env: { RATE_LIMIT: '200', MAX_QUERY_COST: '200' } })
    const { id } = await createWorkspace(other)
    const file = await uploadFile(other, { workspaceId: id, name: 'a.png', bytes: png })
    const link = await downloadUrl(other, file.id)
    const statuses = []
    for (let i = 0; i < 205; i++) {
      const response = await other.http(link, { token: null })
      statuses.push(response.status)
      await response.arrayBuffer()
    }
    expect([statuses[0], statuses.at(-1)]).toEqual([200, 429])
  })
})
