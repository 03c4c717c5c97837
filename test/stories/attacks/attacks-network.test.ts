import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { beforeAll, expect, test } from 'vitest'
import { confirmUpload, createUpload, createWorkspace, download } from '../../support/client.ts'
import { OFFSET_TYPE, rawPatch, tusOf, until } from '../../support/network/tus.ts'
import { startTestServer, type TestServer } from '../../support/servers/test-server.ts'
import { timingRetries } from '../../support/timed.ts'

let holdall: TestServer
let workspaceId: string
beforeAll(async () => {
  holdall = await startTestServer()
  workspaceId = (await createWorkspace(holdall)).id
  return () => holdall[Symbol.asyncDispose]()
})
let uploads = 0
const open = (bytes: Uint8Array) =>
  createUpload(holdall, { workspaceId, name: `over the network ${++uploads}`, size: bytes.length })

/** Confirms the file, byte for byte. */
async function becomes({ id }: { id: string }, bytes: Buffer) {
  const file = await confirmUpload(holdall, { uploadId: id })
  expect((await download(holdall, file.id)).equals(bytes)).toBe(true)
}

test.each([
  ['with a length', { 'Content-Length': '400' }, (byte: Buffer) => byte],
  [
    'in chunks of one byte',
    { 'Content-Length': '', 'Transfer-Encoding': 'chunked' },
    (byte: Buffer) => Buffer.concat([Buffer.from('1\r\n'), byte, Buffer.from('\r\n')]),
  ],
])('F9: an upload of one byte at a time, %s, succeeds', async (_, headers, framed) => {
  const bytes = randomBytes(400)
  const upload = await open(bytes)
  const raw = await rawPatch(holdall, upload.url, 0, bytes.length, headers)
  raw.socket.setNoDelay(true)
  for (const byte of bytes) {
    await raw.write(framed(Buffer.from([byte])))
    if (byte % 16 === 0) await new Promise((resolve) => setImmediate(resolve))
  }
  if (headers['Content-Length'] === '') await raw.write('0\r\n\r\n')
  expect((await raw.answer()).status).toBe(204)
  await becomes(upload, bytes)
})

test('F9: pieces in the wrong order, each sent twice, end in the right order', async () => {
  const bytes = randomBytes(10_000)
  const upload = await open(bytes)
  const tus = tusOf(holdall)
  const piece = (at: number) => tus.patch(upload.url, at, bytes.subarray(at, at + 1000))
  const statuses: Record<string, number> = {}
  for (let at = 0; at < bytes.length; at += 1000) {
    // Pieces sent too early or again, around the one that continues.
    for (const next of [at + 1000, at, at, Math.max(0, at - 1000), at + 5000].filter(
      (one) => one < bytes.length,
    )) {
      const { status } = await piece(next)
      statuses[status] = (statuses[status] ?? 0) + 1
    }
    expect(await tus.offset(upload.url)).toBe(at + 1000)
  }
  expect(Object.keys(statuses).sort()).toEqual(['204', '409'])
  expect(statuses['204']).toBe(10)
  await becomes(upload, bytes)
})

test('F9: two identical concurrent PATCHes count as one', async () => {
  const tus = tusOf(holdall)
  for (let round = 0; round < 10; round++) {
    const bytes = randomBytes(50_000)
    const upload = await open(bytes)
    const answers = await Promise.all([0, 1, 2].map(() => tus.patch(upload.url, 0, bytes)))
    for (const { status } of answers) expect([204, 409, 413, 423]).toContain(status)
    const offset = await tus.offset(upload.url)
    if (offset < bytes.length) await tus.patch(upload.url, offset, bytes.subarray(offset))
    await becomes(upload, bytes)
  }
})

test('F9: behind a proxy that buffers or drops bodies no acknowledged byte is lost', async () => {
  await using proxy = await openBufferingProxy(holdall)
  const bytes = randomBytes(300_000)
  const upload = await open(bytes)
  const through = `${proxy.url}${new URL(upload.url).pathname}`
  const half = await rawPatch(holdall, through, 0, bytes.length)
  await half.write(bytes.subarray(0, 150_000))
  expect(await tusOf(holdall).offset(upload.url)).toBe(0)
  half.socket.destroy()
  const headers = { 'Tus-Resumable': '1.0.0', 'Content-Type': OFFSET_TYPE, 'Upload-Offset': '0' }
  const first = await holdall.http(through, {
    method: 'PATCH',
    headers,
    body: bytes.subarray(0, 100_000),
  })
  expect([first.status, first.headers.get('upload-offset')]).toEqual([204, '100000'])
  proxy.loseAnswers()
  const next = { ...headers, 'Upload-Offset': '100000' }
  await expect(
    holdall.http(through, {
      method: 'PATCH',
      headers: next,
      body: bytes.subarray(100_000, 200_000),
    }),
  ).rejects.toThrow()
  const offset = await tusOf(holdall).offset(upload.url)
  expect([100_000, 200_000]).toContain(offset)
  await tusOf(holdall).patch(upload.url, offset, bytes.subarray(offset))
  await becomes(upload, bytes)
})

test(
  'F9: a client that returns over another network takes over within two seconds',
  timingRetries,
  async () => {
    const bytes = randomBytes(64 * 1024)
    const upload = await open(bytes)
    const tus = tusOf(holdall)
    let from = 0
    // The old connection is neither closed nor heard of again.
    const lost = []
    for (const part of [10_000, 20_000, 30_000]) {
      const raw = await rawPatch(holdall, upload.url, from, bytes.length - from)
      await raw.write(bytes.subarray(from, from + part))
      lost.push(raw)
      const startedAt = performance.now()
      await until(async () => (await tus.offset(upload.url)) === from + part)
      expect(performance.now() - startedAt).toBeLessThan(2000)
      from += part
    }
    expect((await tus.patch(upload.url, from, bytes.subarray(from))).status).toBe(204)
    for (const raw of lost) raw.socket.destroy()
    await becomes(upload, bytes)
  },
)

/** A proxy that buffers whole requests; after loseAnswers its clients get no response. */
async function openBufferingProxy(to: TestServer) {
  let silent = false
  const server = createServer(async (req, res) => {
    const chunks: Buffer[] = []
    try {
      for await (const chunk of req) chunks.push(chunk)
    } catch {
      // Its client has disconnected: nothing is forwarded.
      return
    }
    const body = Buffer.concat(chunks)
    const { hostname, port } = new URL(to.url)
    const headers = { ...req.headers, 'content-length': `${body.length}` }
    const onward = request(
      { hostname, port, method: req.method, path: req.url, headers },
      async (answer) => {
        const body = await text(answer).catch(() => null)
        if (silent || body === null) return res.destroy()
        return res.writeHead(answer.statusCode ?? 502, answer.headers).end(body)
      },
    )
    onward.on('error', () => res.destroy()).end(body)
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    loseAnswers() {
      silent = true
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
