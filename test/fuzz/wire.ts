import { once } from 'node:events'
import { type Agent, type IncomingHttpHeaders, request } from 'node:http'
import { connect } from 'node:net'
import { availableParallelism, loadavg } from 'node:os'
import type { FuzzServer } from './fuzz-server.ts'

export type Headers = Record<string, string | string[]>
export type RequestOptions = {
  method?: string
  path: string
  headers?: Headers
  body?: Uint8Array | string | undefined
  /** Bearer token; null for none. */
  token?: string | null
}
/** The part of FuzzServer that a request needs. */
export type Connected = Pick<FuzzServer, 'url'> & { holdall: { token: string }; agent?: Agent }
export type FuzzResponse = { status: number; headers: IncomingHttpHeaders; body: Buffer }

const MAX_RESPONSE_MS = 1000
/** Scales the limit by the load of the machine. */
const maxResponseMs = () =>
  MAX_RESPONSE_MS * Math.max(1, (loadavg()[0] ?? 0) / availableParallelism())
/** Timeout of a request. */
const REQUEST_TIMEOUT_MS = 15_000

/** A slow response. A retry without other load shows whether the server or the machine is slow. */
export class TooSlow extends Error {
  constructor(what: string, ms: number) {
    super(`${what} took ${Math.round(ms)} ms`)
  }
}

/**
 * Sends a request over a keep-alive connection. Throws TooSlow after a second, or the error of the
 * connection.
 */
export async function sendRequest(
  server: Connected,
  options: RequestOptions,
): Promise<FuzzResponse> {
  const startedAt = performance.now()
  const answer = await attempt(server, options)
  const ms = performance.now() - startedAt
  if (ms > maxResponseMs())
    throw new TooSlow(`${options.method ?? 'GET'} ${options.path.slice(0, 200)}`, ms)
  return answer
}

async function attempt(
  server: Connected,
  options: RequestOptions,
  mayRetry = true,
): Promise<FuzzResponse> {
  const { method = 'GET', path, headers = {}, body, token = server.holdall.token } = options
  const { hostname, port } = server.url
  const authorization = token === null ? {} : { authorization: `Bearer ${token}` }
  const length = body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) }
  const all = { ...authorization, ...length, ...headers }
  const { agent } = server
  const req = request({ hostname, port, method, path, headers: all, ...(agent && { agent }) })
  req.setTimeout(REQUEST_TIMEOUT_MS, () => req.destroy(new Error('no response within 15 s')))
  try {
    req.end(body)
    const [res] = await once(req, 'response')
    if (/event-stream/.test(res.headers['content-type'])) res.destroy()
    const chunks: Buffer[] = []
    if (!res.destroyed) for await (const chunk of res) chunks.push(chunk)
    return { status: res.statusCode ?? 0, headers: res.headers, body: Buffer.concat(chunks) }
  } catch (error) {
    // The server may close an idle keep-alive connection while the request is sent; the request itself is
    // fine.
    if (mayRetry && req.reusedSocket && isReset(error)) return attempt(server, options, false)
    throw error
  }
}

const isReset = (error: unknown) =>
  ['ECONNRESET', 'EPIPE'].includes((error as NodeJS.ErrnoException).code ?? '')

/**
 * Sends raw bytes over a new connection, half-closes it after `endAfterMs`, and returns everything received
 * until it closes. Throws TooSlow.
 */
export async function sendRaw({ url }: FuzzServer, pieces: (Buffer | string)[], endAfterMs = 80) {
  const socket = connect(Number(url.port), url.hostname)
  const chunks: Buffer[] = []
  socket.on('data', (chunk) => chunks.push(chunk)).on('error', () => {})
  const closed = once(socket, 'close').catch(() => {})
  await once(socket, 'connect')
  for (const piece of pieces)
    socket.write(typeof piece === 'string' ? Buffer.from(piece, 'latin1') : piece)
  const endTimer = setTimeout(() => socket.end(), endAfterMs)
  const destroyTimer = setTimeout(() => socket.destroy(), REQUEST_TIMEOUT_MS)
  const startedAt = performance.now()
  await closed
  clearTimeout(endTimer)
  clearTimeout(destroyTimer)
  const ms = performance.now() - startedAt
  if (ms > maxResponseMs() + endAfterMs) throw new TooSlow('the raw request', ms)
  return Buffer.concat(chunks).toString('latin1')
}
