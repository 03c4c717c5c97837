import { once } from 'node:events'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { createFormHandler } from '../../../src/http/upload/multipart-upload.ts'
import { createSignedPutHandler } from '../../../src/http/upload/signed-put.ts'
import {
  act,
  attempt,
  confirmUpload,
  createUpload,
  createWorkspace,
  downloadUrl,
  uploadFile,
  usageOf,
} from '../../support/client.ts'
import { postForm } from '../../support/network/forms.ts'
import {
  metadata,
  OFFSET_TYPE,
  rawPatch,
  rawRequest,
  serveUploads,
  tusOf,
} from '../../support/network/tus.ts'
import { startTestServer, type TestServer } from '../../support/servers/test-server.ts'
import { expectFast } from '../../support/timed.ts'

let holdall: TestServer
let workspaceId: string
beforeAll(async () => {
  holdall = await startTestServer()
  workspaceId = (await createWorkspace(holdall)).id
  return () => holdall[Symbol.asyncDispose]()
})

let uploads = 0
const open = (size: number | null = 11) =>
  createUpload(holdall, {
    workspaceId,
    name: `upload ${++uploads}`,
    ...(size !== null && { size }),
  })

/** Sends raw text. Returns the status of the first response, 0 for none. */
async function raw(text: string, to = holdall): Promise<{ status: number; text: string }> {
  const { hostname, port } = new URL(to.url)
  const socket = connect(Number(port), hostname)
  let received = ''
  socket
    .on('error', () => {})
    .on('data', (bytes) => {
      received += bytes
    })
  socket.write(text.replaceAll('\n', '\r\n'))
  socket.setTimeout(500, () => socket.destroy())
  await once(socket, 'close')
  return { status: Number(/^HTTP\/1.1 (\d+)/.exec(received)?.[1] ?? 0), text: received }
}
const patchText = (url: string, lines: string, body: string) =>
  `PATCH ${new URL(url).pathname} HTTP/1.1\nHost: x\nAuthorization: Bearer ${holdall.token}\nTus-Resumable: 1.0.0\nContent-Type: ${OFFSET_TYPE}\nConnection: close\n${lines}\n\n${body}`

describe('S27: Upload-Length', () => {
  const numbers: [string, number][] = [
    ['-1', 400],
    ['1.5', 400],
    ['1e3', 400],
    ['0x10', 400],
    ['+5', 400],
    [' ', 400],
    ['٣', 400],
    ['Infinity', 400],
    ['9223372036854775807', 413],
    ['9223372036854775808', 413],
    ['18446744073709551616', 413],
    ['9'.repeat(400), 413],
    ['5, 5', 400],
    ['5;6', 400],
  ]
  test.each(numbers)('%j', async (length, status) => {
    const before = await usageOf(holdall, workspaceId)
    const declared = metadata({ workspaceId, filename: 'lie' })
    const lines = `POST /uploads HTTP/1.1\nHost: x\nAuthorization: Bearer ${holdall.token}\nTus-Resumable: 1.0.0\nConnection: close\nUpload-Metadata: ${declared}\nContent-Length: 0\nUpload-Length: ${length}\n\n`
    expect((await raw(lines)).status).toBe(status)
    expect(await usageOf(holdall, workspaceId)).toEqual(before)
  })

  test('by GraphQL, too', async () => {
    const input = { workspaceId, name: 'lie' }
    for (const size of [-1, 1.5, 2 ** 53, '5', 1e308]) {
      const query =
        'mutation ($input: CreateUploadInput!) { createUpload(input: $input) { ... on UserError { code } } }'
      const { data, errors } = await holdall.graphql(query, { input: { ...input, size } })
      expect(data?.createUpload.code ?? errors?.[0]?.extensions?.code).toMatch(
        /BAD_REQUEST|INVALID_INPUT|FILE_TOO_LARGE/,
      )
    }
  })

  test('fewer bytes make no file, further bytes are refused, and a second length is refused', async () => {
    const tus = tusOf(holdall)
    const less = await open()
    expect((await tus.patch(less.url, 0, 'hello')).status).toBe(204)
    const early = await attempt(holdall, 'confirmUpload', { uploadId: less.id }, '__typename')
    expect(early.code).toBe('UPLOAD_INCOMPLETE')
    expect((await tus.patch(less.url, 5, ' world and more')).status).toBe(413)
    expect((await tus.patch(less.url, 5, '', { 'Upload-Length': '5' })).status).toBe(400)
    expect(await tus.offset(less.url)).toBe(5)
  })

  test('a deferred length must be at least the offset, and at most the limit', async () => {
    const tus = tusOf(holdall)
    const deferred = await open(null)
    expect((await tus.patch(deferred.url, 0, 'hello')).status).toBe(204)
    expect((await tus.patch(deferred.url, 5, '', { 'Upload-Length': '4' })).status).toBe(400)
    const huge = await tus.patch(deferred.url, 5, '', { 'Upload-Length': '9223372036854775807' })
    expect(huge.status).toBe(413)
    expect((await tus.patch(deferred.url, 5, '', { 'Upload-Length': '5' })).status).toBe(204)
    expect((await confirmUpload(holdall, { uploadId: deferred.id })).size).toBe(5)
  })
})

describe('S27: Upload-Offset, and the end of a body', () => {
  const attempts: [string, string, string, number[]][] = [
    ['an offset behind', 'Upload-Offset: 4\nContent-Length: 1', 'x', [409]],
    ['an offset ahead', 'Upload-Offset: 6\nContent-Length: 1', 'x', [409]],
    ['an offset beyond the length', 'Upload-Offset: 12\nContent-Length: 1', 'x', [409]],
    ['an offset of 2^63', 'Upload-Offset: 9223372036854775808\nContent-Length: 1', 'x', [409]],
    ['an offset below nothing', 'Upload-Offset: -1\nContent-Length: 1', 'x', [400]],
    ['an offset of half a byte', 'Upload-Offset: 5.0\nContent-Length: 1', 'x', [400]],
    ['two offsets', 'Upload-Offset: 5\nUpload-Offset: 5\nContent-Length: 1', 'x', [400]],
    [
      'two offsets that differ',
      'Upload-Offset: 5\nUpload-Offset: 0\nContent-Length: 1',
      'x',
      [400],
    ],
    ['no offset', 'Content-Length: 1', 'x', [400]],
    [
      'two lengths of the body',
      'Upload-Offset: 5\nContent-Length: 1\nContent-Length: 6',
      'x world',
      [400],
    ],
    [
      'two equal lengths of the body',
      'Upload-Offset: 5\nContent-Length: 1\nContent-Length: 1',
      'x',
      [400],
    ],
    ['a list of lengths', 'Upload-Offset: 5\nContent-Length: 1, 6', 'x world', [400]],
    ['a signed length', 'Upload-Offset: 5\nContent-Length: +1', 'x', [400]],
    ['a negative length', 'Upload-Offset: 5\nContent-Length: -1', 'x', [400]],
    [
      'Content-Length and Transfer-Encoding',
      'Upload-Offset: 5\nContent-Length: 1\nTransfer-Encoding: chunked',
      '1\nx\n0\n\n',
      [400],
    ],
    [
      'Transfer-Encoding and Content-Length',
      'Upload-Offset: 5\nTransfer-Encoding: chunked\nContent-Length: 1',
      '1\nx\n0\n\n',
      [400],
    ],
    [
      'Transfer-Encoding twice',
      'Upload-Offset: 5\nTransfer-Encoding: chunked\nTransfer-Encoding: identity',
      '1\nx\n0\n\n',
      [400],
    ],
    [
      'an unknown encoding',
      'Upload-Offset: 5\nTransfer-Encoding: xchunked',
      '1\nx\n0\n\n',
      [400, 501],
    ],
    [
      'Transfer-Encoding behind a space',
      'Upload-Offset: 5\nTransfer-Encoding : chunked',
      '1\nx\n0\n\n',
      [400],
    ],
    [
      'a folded header',
      'Upload-Offset: 5\nTransfer-Encoding:\n chunked\nContent-Length: 1',
      '1\nx\n0\n\n',
      [400],
    ],
    [
      'a chunk that lies about itself',
      'Upload-Offset: 5\nTransfer-Encoding: chunked',
      'ffffffffffffffff\nx\n0\n\n',
      [0, 400, 413, 423],
    ],
    [
      'a chunk of no size',
      'Upload-Offset: 5\nTransfer-Encoding: chunked',
      'zz\nx\n0\n\n',
      [0, 400, 423],
    ],
    [
      'more chunks than were announced',
      'Upload-Offset: 5\nTransfer-Encoding: chunked',
      '9\nfar more!\n0\n\n',
      [413],
    ],
    ['more bytes than were announced', 'Upload-Offset: 5\nContent-Length: 7', ' world!', [413]],
  ]
  test.each(attempts)('%s', async (_, lines, body, statuses) => {
    const tus = tusOf(holdall)
    const upload = await open()
    await tus.patch(upload.url, 0, 'hello')
    expect(statuses).toContain((await raw(patchText(upload.url, lines, body))).status)
    expect(await tus.offset(upload.url)).toBe(5)
    expect((await tus.patch(upload.url, 5, ' world')).status).toBe(204)
    const { id, size } = await confirmUpload(holdall, { uploadId: upload.id })
    expect(size).toBe(11)
    const link = await downloadUrl(holdall, id)
    expect(await (await holdall.http(link, { token: null, redirect: 'follow' })).text()).toBe(
      'hello world',
    )
  })

  test('a request smuggled behind a body is a request of its own, and needs a token', async () => {
    const upload = await open()
    const inner = `DELETE ${new URL(upload.url).pathname} HTTP/1.1\nHost: x\nTus-Resumable: 1.0.0\nConnection: close\n\n`
    const text = patchText(upload.url, 'Upload-Offset: 0\nContent-Length: 5', `hello${inner}`)
    const { text: answers } = await raw(text.replace('Connection: close\n', ''))
    expect(answers.match(/^HTTP\/1.1 \d+/gm)).toEqual(['HTTP/1.1 204', 'HTTP/1.1 401'])
    expect(await tusOf(holdall).offset(upload.url)).toBe(5)
  })
})

describe('S27: X-HTTP-Method-Override', () => {
  test.each([
    '__proto__',
    'constructor',
    'CONNECT',
    'TRACE',
    'PATCH, DELETE',
    'PATCH\tx',
    'GET',
    'PUT',
  ])('%j is not accepted for an upload', async (method) => {
    const upload = await open()
    const headers = {
      'X-HTTP-Method-Override': method,
      'Content-Type': OFFSET_TYPE,
      'Upload-Offset': '0',
      'Tus-Resumable': '1.0.0',
    }
    const response = await holdall.http(upload.url, { method: 'POST', headers, body: 'hello' })
    expect(response.status).toBe(405)
    expect(await tusOf(holdall).offset(upload.url)).toBe(0)
  })

  test('is ignored by other endpoints, and grants no rights', async () => {
    const file = await uploadFile(holdall, { workspaceId, name: 'stays', bytes: 'x' })
    const link = await downloadUrl(holdall, file.id)
    for (const method of ['DELETE', 'PUT', 'PATCH']) {
      const headers = {
        'X-HTTP-Method-Override': method,
        'X-HTTP-Method': method,
        'X-Method-Override': method,
      }
      expect((await holdall.http(link, { token: null, headers })).status).toBe(200)
      expect((await holdall.http(`/download/${file.id}`, { headers })).status).toBe(200)
    }
    const mutation = 'mutation { createWorkspace(input: { name: "x" }) { __typename } }'
    const requested = await holdall.http(`/graphql?query=${encodeURIComponent(mutation)}`, {
      headers: { 'X-HTTP-Method-Override': 'POST' },
    })
    expect(requested.status).toBe(405)
    const upload = await open()
    const headers = { 'X-HTTP-Method-Override': 'DELETE', 'Tus-Resumable': '1.0.0' }
    expect((await holdall.http(upload.url, { method: 'POST', headers, token: null })).status).toBe(
      401,
    )
    expect(await tusOf(holdall).offset(upload.url)).toBe(0)
  })
})

describe('S29: addresses come from the configuration, not from the client', () => {
  const lies = {
    'X-Forwarded-Host': 'evil.example',
    'X-Forwarded-Proto': 'https',
    'X-Forwarded-Port': '444',
    'X-Forwarded-Prefix': '/evil',
    'X-Forwarded-Server': 'evil.example',
    'X-Original-Host': 'evil.example',
    'X-Original-URL': '/evil',
    'X-Rewrite-URL': '/evil',
    'X-Host': 'evil.example',
    Forwarded: 'host=evil.example;proto=https',
  }
  /** Returns every address that the server returns, requested with `headers`. */
  async function addresses(at: TestServer, headers: Record<string, string>) {
    const { id, root } = await createWorkspace(at)
    const { body: file } = await postForm(at, {
      workspaceId: id,
      file: { name: 'a.txt', bytes: 'x' },
    })
    const ask = async (query: string, variables: object) => {
      const body = JSON.stringify({ query, variables })
      const all = { 'content-type': 'application/json', ...headers }
      return JSON.stringify(
        await (await at.http('/graphql', { method: 'POST', headers: all, body })).json(),
      )
    }
    const upload = (transport: string) =>
      ask(
        'mutation ($i: CreateUploadInput!) { createUpload(input: $i) { ... on CreateUploadPayload { upload { url } } } }',
        { i: { workspaceId: id, name: transport, size: 1, transport } },
      )
    const declared = metadata({ workspaceId: id, filename: 'b.txt' })
    const made = await at.http('/uploads', {
      method: 'POST',
      headers: {
        ...headers,
        'Tus-Resumable': '1.0.0',
        'Upload-Length': '1',
        'Upload-Metadata': declared,
      },
    })
    const form = new FormData()
    form.append('workspaceId', id)
    form.append('file', new Blob(['x']), 'c.txt')
    const formed = await at.http('/files', { method: 'POST', headers, body: form })
    return [
      await upload('TUS'),
      await upload('SIGNED_PUT'),
      await ask(
        'query ($id: ID!) { node(id: $id) { ... on File { downloadUrl { url } version { downloadUrl { url } } } } serverInfo { tusUrl } }',
        { id: file.id },
      ),
      await ask('query ($id: ID!) { node(id: $id) { ... on Folder { archiveUrl { url } } } }', {
        id: root.id,
      }),
      await ask(
        'mutation ($i: CreateShareLinkInput!) { createShareLink(input: $i) { ... on CreateShareLinkPayload { shareLink { url } } } }',
        { i: { entry: { id: file.id } } },
      ),
      made.headers.get('location') ?? '',
      formed.headers.get('location') ?? '',
      await formed.text(),
    ]
  }

  test('PUBLIC_URL is in all of them, whatever the request says', async () => {
    await using other = await startTestServer({
      env: { PUBLIC_URL: 'https://files.example.org/x' },
    })
    for (const address of await addresses(other, lies)) {
      expect(address).toContain('https://files.example.org/x/')
      expect(address).not.toContain('evil')
      expect(address).not.toContain('127.0.0.1')
    }
  })

  test('without PUBLIC_URL only Host counts; headers of a proxy are not trusted', async () => {
    for (const address of await addresses(holdall, lies)) {
      expect(address).toContain(`${holdall.url}/`)
      expect(address).not.toMatch(/evil|https:/)
    }
  })

  test.each([
    'evil.example/x',
    'evil.example@x',
    'a b',
    'x"><script>',
    'x:99999999',
    'x\\evil',
    '',
  ])('an invalid Host is rejected: %j', async (host) => {
    const { status } = await raw(
      `POST /uploads HTTP/1.1\nHost: ${host}\nConnection: close\nContent-Length: 0\n\n`,
    )
    expect(status).toBe(400)
  })

  test('no response redirects to another host', async () => {
    for (const path of [
      '/',
      '//evil.example',
      '//evil.example/%2f..',
      '/\\evil.example',
      '/https://evil.example',
      '/?next=//evil.example',
      '/graphql/../..//evil.example',
      '/s//evil.example',
    ]) {
      const { status, text } = await raw(
        `GET ${path} HTTP/1.1\nHost: evil.example\nConnection: close\n\n`,
      )
      expect(status).toBeGreaterThanOrEqual(300)
      expect(/^location: (.*)\r$/im.exec(text)?.[1] ?? '/graphql').toBe('/graphql')
    }
    const absolute = await raw(
      `GET http://evil.example/ HTTP/1.1\nHost: evil.example\nConnection: close\n\n`,
    )
    expect(absolute.text).not.toMatch(/^location:.*evil/im)
  })
})

describe('S25: slow clients take nothing from the others', () => {
  test('a hundred stalled PATCHes and a hundred unfinished requests', async () => {
    const tus = tusOf(holdall)
    const stalled = await Promise.all(
      Array.from({ length: 100 }, async () => {
        const upload = await open()
        const patch = await rawPatch(holdall, upload.url, 0, 11)
        await patch.write('hello')
        return { upload, patch }
      }),
    )
    const { hostname, port } = new URL(holdall.url)
    const partialRequests = Array.from({ length: 100 }, (_, i) => {
      const socket = connect(Number(port), hostname).on('error', () => {})
      if (i % 2) socket.write('POST /graphql HTTP/1.1\r\nHost: x\r\nX-')
      return socket
    })
    onTestFinished(
      () =>
        void [...partialRequests, ...stalled.map(({ patch }) => patch.socket)].map((one) =>
          one.destroy(),
        ),
    )
    const times = []
    for (let i = 0; i < 40; i++) {
      const startedAt = performance.now()
      await holdall.ask('{ viewer { user { id } workspaces(first: 5) { nodes { name } } } }')
      times.push(performance.now() - startedAt)
    }
    const slowest = times.sort((a, b) => a - b).at(-2) ?? 0
    await expectFast(holdall, slowest, 100)
    for (const { upload } of stalled.slice(0, 5)) {
      expect(await tus.offset(upload.url)).toBe(5)
      expect((await tus.patch(upload.url, 5, ' world')).status).toBe(204)
    }
  })

  test('silence ends a PATCH, an occasional byte does not; the received bytes are kept either way', async () => {
    await using endpoint = await serveUploads(holdall, { idleMs: 200 })
    const [silent, slow] = [await open(), await open()]
    const at = ({ url }: { url: string }) => `${endpoint.url}${new URL(url).pathname}`
    const [one, other] = [
      await rawPatch(holdall, at(silent), 0, 11),
      await rawPatch(holdall, at(slow), 0, 11),
    ]
    await one.write('hello')
    for (const byte of 'hello world') {
      await other.write(byte)
      await new Promise((resolve) => setTimeout(resolve, 60))
    }
    expect([(await one.answer()).status, (await other.answer()).status]).toEqual([423, 204])
    expect(await tusOf(holdall).offset(silent.url)).toBe(5)
  })

  test('a user with too many concurrent uploads gets 429 with Retry-After; others are not affected', async () => {
    await using endpoint = await serveUploads(holdall, { maxBodiesPerUser: 2 })
    const at = ({ url }: { url: string }) => `${endpoint.url}${new URL(url).pathname}`
    const uploads = await Promise.all([open(), open(), open()])
    const [first, second, third] = uploads.map(at) as [string, string, string]
    const sending = await Promise.all([first, second].map((url) => rawPatch(holdall, url, 0, 11)))
    for (const patch of sending) await patch.write('hello')
    const refused = await tusOf(holdall).patch(third, 0, 'hello world')
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '1'])
    expect(await tusOf(holdall).offset(third)).toBe(0)
    for (const patch of sending) await patch.write(' world')
    expect(await Promise.all(sending.map(async (patch) => (await patch.answer()).status))).toEqual([
      204, 204,
    ])
    expect((await tusOf(holdall).patch(third, 0, 'hello world')).status).toBe(204)
  })

  test('a trickle ends after its grace period and can be resumed; a slow network is tolerated', async () => {
    const tus = tusOf(holdall)
    await using endpoint = await serveUploads(holdall, { paceMs: 400 })
    const at = ({ url }: { url: string }) => `${endpoint.url}${new URL(url).pathname}`
    const [trickling, poor] = [await open(1000), await open(20_000)]
    const startedAt = performance.now()
    const [one, other] = [
      await rawPatch(holdall, at(trickling), 0, 1000),
      await rawPatch(holdall, at(poor), 0, 20_000),
    ]
    for (let sent = 0; sent < 20; sent++) {
      if (one.received === '' && sent % 4 === 0) await one.write('x')
      await other.write('x'.repeat(1000))
      await sleep(50)
    }
    const { status, headers } = await one.answer()
    expect([status, headers.get('connection')]).toEqual([423, 'close'])
    expect((await other.answer()).status).toBe(204)
    expect(performance.now() - startedAt).toBeGreaterThan(400)
    const offset = await tus.offset(trickling.url)
    expect([Number(headers.get('upload-offset')), offset > 0]).toEqual([offset, true])
    const rest = await tus.patch(trickling.url, offset, 'x'.repeat(1000 - offset))
    expect(rest.status).toBe(204)
  })

  test('no trickle is ended before a full measuring period', async () => {
    await using endpoint = await serveUploads(holdall, { paceMs: 2_000 })
    const { url } = await open()
    const patch = await rawPatch(holdall, `${endpoint.url}${new URL(url).pathname}`, 0, 11)
    for (const byte of 'hello world') {
      await patch.write(byte)
      await sleep(100)
    }
    expect((await patch.answer()).status).toBe(204)
  })

  test('a form and a PUT that trickle end too, and leave nothing behind', async () => {
    await using puts = await serveUploads(holdall, { paceMs: 400 }, createSignedPutHandler)
    await using forms = await serveUploads(holdall, { paceMs: 400 }, createFormHandler)
    const input = { workspaceId, name: `upload ${++uploads}`, size: 100, transport: 'SIGNED_PUT' }
    const signed = await createUpload(holdall, input)
    const before = await usageOf(holdall, workspaceId)
    const putUrl = `${puts.url}${new URL(signed.url).pathname}`
    const form = `--x\r\nContent-Disposition: form-data; name="workspaceId"\r\n\r\n${workspaceId}\r\n--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n`
    const type = 'multipart/form-data; boundary=x'
    const sending = await Promise.all([
      rawRequest(holdall, 'PUT', putUrl, { 'Content-Length': '100' }),
      rawRequest(holdall, 'POST', `${forms.url}/files`, {
        'Content-Length': '1000',
        'Content-Type': type,
      }),
    ])
    await sending[1].write(form)
    while (sending.some(({ received }) => received === '')) {
      for (const raw of sending) if (raw.received === '') await raw.write('x')
      await sleep(200)
    }
    const statuses = sending.map(async (raw) => (await raw.answer()).status)
    expect(await Promise.all(statuses)).toEqual([423, 408])
    expect(await usageOf(holdall, workspaceId)).toEqual(before)
    for (const { socket } of sending) socket.destroy()
    const headers = { 'Content-Length': '100' }
    const whole = { method: 'PUT', token: null, headers, body: 'x'.repeat(100) }
    expect((await holdall.http(signed.url, whole)).status).toBe(204)
  })

  test('each upload endpoint limits its concurrent senders', async () => {
    await using puts = await serveUploads(holdall, { maxBodiesPerUser: 1 }, createSignedPutHandler)
    await using forms = await serveUploads(holdall, { maxBodiesPerUser: 1 }, createFormHandler)
    const signed = () =>
      createUpload(holdall, {
        workspaceId,
        name: `upload ${++uploads}`,
        size: 11,
        transport: 'SIGNED_PUT',
      })
    const put = async () => `${puts.url}${new URL((await signed()).url).pathname}`
    const held = [
      await rawRequest(holdall, 'PUT', await put(), { 'Content-Length': '11' }),
      await rawRequest(holdall, 'POST', `${forms.url}/files`, {
        'Content-Length': '11',
        'Content-Type': 'multipart/form-data; boundary=x',
      }),
    ]
    onTestFinished(() => void held.map(({ socket }) => socket.destroy()))
    await sleep(100)
    const form = new FormData()
    form.append('file', new Blob(['x']), 'a')
    const refused = [
      await holdall.http(await put(), { method: 'PUT', token: null, body: 'hello world' }),
      await holdall.http(`${forms.url}/files`, { method: 'POST', body: form }),
    ]
    expect(refused.map(({ status }) => status)).toEqual([429, 429])
    expect(refused.map(({ headers }) => headers.get('retry-after'))).toEqual(['1', '1'])
  })
})

test('S26: the room reserved by abandoned uploads stays within the quota, and is released when they expire', async () => {
  let now = Date.now()
  await using other = await startTestServer({ now: () => now, env: { UPLOAD_TTL_HOURS: '1' } })
  const { id } = await createWorkspace(other, { quotaBytes: 1000 })
  const there = await uploadFile(other, { workspaceId: id, name: 'there', bytes: 'x' })
  const many = (i: number) =>
    attempt(other, 'createUpload', { workspaceId: id, name: `${i}`, size: 100 }, '__typename')
  const codes = []
  for (let i = 0; i < 15; i++) codes.push((await many(i)).code ?? 'made')
  expect(codes).toEqual([...Array(9).fill('made'), ...Array(6).fill('QUOTA_EXCEEDED')])
  const form = await postForm(other, {
    workspaceId: id,
    file: { name: 'f', bytes: 'y'.repeat(200) },
  })
  expect([form.status, form.body.code]).toEqual([507, 'QUOTA_EXCEEDED'])
  expect(
    (await other.http(await downloadUrl(other, there.id), { token: null })).status,
  ).toBeLessThan(400)
  await act(other, 'trashEntries', { entries: [{ entry: { id: there.id } }] }, 'succeeded')
  now += 3_600_001
  await other.app.jobs.runDue()
  // A clock that leaps is believed the second time.
  now += 600_000
  await other.app.jobs.runDue()
  expect(await usageOf(other, id)).toMatchObject({ reservedBytes: 0 })
  expect((await many(99)).code).toBeUndefined()
})
