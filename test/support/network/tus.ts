import { subscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { drainRequest } from '../../../src/http/connections.ts'
import { sendError } from '../../../src/http/errors.ts'
import { createRequestContext } from '../../../src/http/request-context.ts'
import { createTusHandler } from '../../../src/http/tus/endpoint.ts'
import type { BodyLimits } from '../../../src/http/tus/receive-body.ts'
import { createWorkspace } from '../client.ts'
import { startTestServer, type TestServer } from '../servers/test-server.ts'

export const OFFSET_TYPE = 'application/offset+octet-stream'
type Headers = Record<string, string>
type Body = Uint8Array | string

/** Starts a server with a workspace and a tus client. */
export async function openTus(options: Parameters<typeof startTestServer>[0] = {}) {
  const holdall = await startTestServer(options)
  const { id: workspaceId } = await createWorkspace(holdall)
  return {
    holdall,
    workspaceId,
    ...tusOf(holdall),
    [Symbol.asyncDispose]: () => holdall[Symbol.asyncDispose](),
  }
}

/** Formats Upload-Metadata. */
export const metadata = (fields: Record<string, string>) =>
  Object.entries(fields)
    .map(([key, value]) => `${key} ${Buffer.from(value).toString('base64')}`)
    .join(',')

/** Creates a plain tus client with the correct headers by default; a header with the value '' is omitted. */
export function tusOf(holdall: TestServer) {
  const send = (
    path: string,
    method: string,
    headers: Headers,
    body?: Body,
    token?: string | null,
  ) =>
    holdall.http(path, {
      method,
      headers: withoutEmpty({ 'Tus-Resumable': '1.0.0', ...headers }),
      ...(body !== undefined && { body: body as BodyInit }),
      ...(token !== undefined && { token }),
    })
  return {
    post: (headers: Headers, body?: Body) =>
      send(
        '/uploads',
        'POST',
        body === undefined ? headers : { 'Content-Type': OFFSET_TYPE, ...headers },
        body,
      ),
    /** Creates an upload. Returns its URL. */
    async create(fields: Record<string, string>, headers: Headers = {}): Promise<string> {
      const response = await send('/uploads', 'POST', {
        'Upload-Metadata': metadata(fields),
        ...headers,
      })
      if (response.status !== 201)
        throw new Error(`POST: ${response.status} ${await response.text()}`)
      return response.headers.get('location') ?? ''
    },
    head: (url: string, headers: Headers = {}, token?: string | null) =>
      send(url, 'HEAD', headers, undefined, token),
    patch: (
      url: string,
      offset: number,
      body: Body,
      headers: Headers = {},
      token?: string | null,
    ) =>
      send(
        url,
        'PATCH',
        { 'Content-Type': OFFSET_TYPE, 'Upload-Offset': String(offset), ...headers },
        body,
        token,
      ),
    terminate: (url: string, token?: string | null) => send(url, 'DELETE', {}, undefined, token),
    options: (path = '/uploads', headers: Headers = {}) =>
      holdall.http(path, { method: 'OPTIONS', headers, token: null }),
    async offset(url: string): Promise<number> {
      const response = await send(url, 'HEAD', {})
      if (response.status !== 200) throw new Error(`HEAD: ${response.status}`)
      return Number(response.headers.get('upload-offset'))
    },
  }
}

const withoutEmpty = (headers: Headers) =>
  Object.fromEntries(Object.entries(headers).filter(([, value]) => value !== ''))

/** Sends the head of a request on its own socket, so that a test can stall or break off the body. */
export async function rawRequest(
  holdall: TestServer,
  method: string,
  url: string,
  headers: Headers,
): Promise<Raw> {
  const { hostname, port, pathname } = new URL(url, holdall.url)
  const socket = connect(Number(port), hostname)
  await once(socket, 'connect')
  const all = {
    Host: `${hostname}:${port}`,
    Authorization: `Bearer ${holdall.token}`,
    'Tus-Resumable': '1.0.0',
    ...headers,
  }
  const lines = Object.entries(withoutEmpty(all)).map(([name, value]) => `${name}: ${value}\r\n`)
  socket.write(`${method} ${pathname} HTTP/1.1\r\n${lines.join('')}\r\n`)
  return new Raw(socket)
}

export const rawPatch = (
  holdall: TestServer,
  url: string,
  offset: number,
  length: number,
  headers: Headers = {},
) =>
  rawRequest(holdall, 'PATCH', url, {
    'Content-Type': OFFSET_TYPE,
    'Upload-Offset': String(offset),
    'Content-Length': String(length),
    ...headers,
  })

/** The sockets of the servers in this process, by the port of the client. */
const serverSockets = new Map<number | undefined, Socket>()
subscribe('http.server.request.start', (message) => {
  const { socket } = (message as { request: IncomingMessage }).request
  if (serverSockets.get(socket.remotePort) === socket) return
  serverSockets.set(socket.remotePort, socket)
  socket.once('close', () => serverSockets.delete(socket.remotePort))
})

export class Raw {
  readonly socket: Socket
  received = ''
  readonly #answered: Promise<void>
  constructor(socket: Socket) {
    this.socket = socket
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#answered = promise
    socket.on('error', () => {})
    socket.on('close', () => resolve())
    socket.on('data', (bytes) => {
      this.received += bytes.toString('latin1')
      if (this.received.includes('\r\n\r\n')) resolve()
    })
  }
  write(bytes: Body) {
    return new Promise<void>((resolve) => this.socket.write(bytes, () => resolve()))
  }
  /** Resolves when the server has read this many bytes of the connection. */
  whenRead(bytes: number) {
    const { localPort } = this.socket
    return until(async () => (serverSockets.get(localPort)?.bytesRead ?? 0) >= bytes)
  }
  /** Returns the status and headers of the response; status 0 if the connection ended without one. */
  async answer() {
    await this.#answered
    const [head = ''] = this.received.split('\r\n\r\n')
    const [line = '', ...fields] = head.split('\r\n')
    const headers = new Map(
      fields.map((field) => [
        field.slice(0, field.indexOf(':')).toLowerCase(),
        field.slice(field.indexOf(':') + 1).trim(),
      ]),
    )
    return { status: Number(line.split(' ')[1] ?? 0), headers }
  }
}

/** Polls until `done` returns true, for effects of another connection. Throws after `ms`. */
export async function until(done: () => Promise<boolean>, ms = 5000): Promise<void> {
  const end = performance.now() + ms
  while (!(await done())) {
    if (performance.now() > end) throw new Error(`the condition was not met within ${ms} ms`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

/** Serves one upload endpoint (/uploads by default) on a separate port, with other limits. */
export async function serveUploads(
  holdall: TestServer,
  limits: BodyLimits,
  open = createTusHandler,
) {
  const endpoint = open(holdall.app, limits)
  const server = createServer(async (req, res) => {
    drainRequest(req, res)
    try {
      await endpoint.handle(
        req,
        res,
        createRequestContext(holdall.app, req, { requestId: 'test', recordAuthFailure: () => {} }),
      )
    } catch (error) {
      sendError(res, error, { requestId: 'test', log: () => {} })
    }
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const close = async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
  return { url, drain: () => endpoint.drain?.(), [Symbol.asyncDispose]: close }
}
