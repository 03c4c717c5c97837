import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { statementsOf } from '../../guards/schema/plan-steps.ts'
import {
  createUpload,
  createWorkspace,
  downloadUrl,
  sendBytes,
  uploadFile,
} from '../../support/client.ts'
import { startTestServer, type TestServer } from '../../support/servers/test-server.ts'

/** More than the buffers of both kernels. */
const bytes = randomBytes(24 * 1024 ** 2)

async function open(env: Record<string, string> = {}, paceMs?: number) {
  const holdall = await startTestServer({ env, ...(paceMs !== undefined && { paceMs }) })
  onTestFinished(() => holdall[Symbol.asyncDispose]())
  const workspace = await createWorkspace(holdall)
  const file = await uploadFile(holdall, { workspaceId: workspace.id, name: 'large.bin', bytes })
  return { holdall, workspace, file, url: await downloadUrl(holdall, file.id) }
}

/** Starts a download and stops reading it. */
async function stall(holdall: TestServer, url: string, headers = ''): Promise<Socket> {
  const { hostname, port, pathname } = new URL(url, holdall.url)
  const socket = connect(Number(port), hostname).on('error', () => {})
  socket.pause()
  await once(socket, 'connect')
  socket.write(`GET ${pathname} HTTP/1.1\r\nHost: ${hostname}:${port}\r\n${headers}\r\n`)
  await once(socket, 'readable')
  onTestFinished(() => void socket.destroy())
  return socket
}

/** Reads the rest, until the connection ends. */
async function drain(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = []
  socket.on('data', (chunk) => chunks.push(chunk)).resume()
  if (!socket.closed) await once(socket, 'close')
  const all = Buffer.concat(chunks)
  return all.subarray(all.indexOf('\r\n\r\n') + 4)
}

const firstBytes = (holdall: TestServer, url: string) =>
  holdall.http(url, { token: null, headers: { range: 'bytes=0-3' } })

describe('a client that does not read', () => {
  test('is cut off while data waits, and resumes with Range', async () => {
    const { holdall, url } = await open({ MAX_DOWNLOADS_PER_LINK: '1' }, 400)
    const socket = await stall(holdall, url)
    await vi.waitFor(async () => expect((await firstBytes(holdall, url)).status).toBe(429))
    await vi.waitFor(async () => expect((await firstBytes(holdall, url)).status).toBe(206), {
      timeout: 10_000,
    })
    const came = await drain(socket)
    expect(came.length).toBeLessThan(bytes.length)
    const headers = { range: `bytes=${came.length}-` }
    const rest = await holdall.http(url, { token: null, headers })
    expect(rest.status).toBe(206)
    expect(Buffer.concat([came, Buffer.from(await rest.arrayBuffer())]).equals(bytes)).toBe(true)
  })

  test('a slow reader gets everything', async () => {
    const { holdall, url } = await open({}, 2_000)
    const socket = await stall(holdall, url, 'Connection: close\r\n')
    const chunks: Buffer[] = []
    socket.on('data', (chunk) => {
      chunks.push(chunk)
      socket.pause()
      setTimeout(() => socket.resume(), 10)
    })
    socket.resume()
    await once(socket, 'close')
    const all = Buffer.concat(chunks)
    expect(all.subarray(all.indexOf('\r\n\r\n') + 4).equals(bytes)).toBe(true)
  })

  test('costs no query while it reads nothing', async () => {
    const { holdall, url } = await open()
    const sockets = await Promise.all([stall(holdall, url), stall(holdall, url)])
    // The first check finds that bytes have been sent.
    await sleep(6_000)
    const requested = await statementsOf(holdall.app.db, () => sleep(6_000))
    expect(requested.filter(({ sql }) => /viewerRole|apiTokens/.test(sql))).toEqual([])
    for (const socket of sockets) socket.destroy()
  }, 30_000)

  test('costs one query for all running downloads of one right, and none after they end', async () => {
    const { holdall, url, workspace } = await open()
    const sockets = await Promise.all([
      stall(holdall, url),
      stall(holdall, url),
      stall(holdall, url),
    ])
    const moving = setInterval(() => sockets.map((socket) => socket.read(50_000)), 50)
    onTestFinished(() => clearInterval(moving))
    const requested = await statementsOf(holdall.app.db, () => sleep(5_500))
    expect(requested.filter(({ sql }) => /viewerRole/.test(sql)).length).toBeLessThanOrEqual(2)
    await holdall.app.db.deleteFrom('members').where('workspaceId', '=', workspace.id).execute()
    const closed = sockets.map((socket) => once(socket, 'close'))
    await Promise.all(closed)
  }, 30_000)
})

describe('the number of concurrent requests', () => {
  test('is limited by link', async () => {
    const { holdall, file, url } = await open({ MAX_DOWNLOADS_PER_LINK: '2' })
    const sockets = [await stall(holdall, url), await stall(holdall, url)]
    await vi.waitFor(async () => {
      const refused = await firstBytes(holdall, url)
      expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '1'])
    })
    const byToken = await holdall.http(`/download/${file.id}`, { headers: { range: 'bytes=0-3' } })
    expect(byToken.status).toBe(206)
    for (const socket of sockets) socket.destroy()
    await vi.waitFor(async () => expect((await firstBytes(holdall, url)).status).toBe(206))
  })

  test('is limited by address, except for HEAD of an upload and for probes', async () => {
    const { holdall, workspace, url } = await open({ MAX_REQUESTS_PER_ADDRESS: '8' })
    const upload = await createUpload(holdall, { workspaceId: workspace.id, name: 'a', size: 5 })
    const sockets: Socket[] = []
    for (let n = 0; n < 8; n++) sockets.push(await stall(holdall, url))
    await vi.waitFor(async () => {
      const refused = await holdall.graphql('{ __typename }')
      expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '1'])
      expect(refused.errors?.[0]?.extensions?.code).toBe('RATE_LIMITED')
    })
    const head = await holdall.http(upload.url, {
      method: 'HEAD',
      headers: { 'Tus-Resumable': '1.0.0' },
    })
    expect(head.status).toBe(200)
    expect((await holdall.http('/readyz', { token: null })).status).toBe(200)
    for (const socket of sockets) socket.destroy()
    await vi.waitFor(async () => expect((await holdall.graphql('{ __typename }')).status).toBe(200))
    expect(await sendBytes(holdall, upload, 'hello')).toBe(5)
  })

  test('is counted by client behind a trusted proxy, and by connection otherwise', async () => {
    for (const trusts of [true, false]) {
      const env = { MAX_REQUESTS_PER_ADDRESS: '8', TRUST_PROXY: String(trusts) }
      const { holdall, url } = await open(env)
      for (let n = 0; n < 8; n++) await stall(holdall, url, 'X-Forwarded-For: 203.0.113.7\r\n')
      const from = (address: string) =>
        holdall.http('/graphql?query={__typename}', {
          headers: { 'x-forwarded-for': address, 'graphql-require-preflight': '1' },
        })
      await vi.waitFor(async () => expect((await from('203.0.113.7')).status).toBe(429))
      expect((await from('203.0.113.8')).status).toBe(trusts ? 200 : 429)
    }
  })

  test('of connections is limited by address, and more are closed', async () => {
    const { holdall } = await open({ MAX_REQUESTS_PER_ADDRESS: '8' })
    const { hostname, port } = new URL(holdall.url)
    const sockets = Array.from({ length: 40 }, () => connect(Number(port), hostname).resume())
    onTestFinished(() => {
      for (const socket of sockets) socket.destroy()
    })
    for (const socket of sockets) socket.on('error', () => {})
    await vi.waitFor(() => {
      const left = sockets.filter(({ closed }) => !closed).length
      expect(left).toBeLessThanOrEqual(16)
      expect(left).toBeGreaterThan(0)
    })
  })
})
