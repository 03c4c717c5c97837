import { once } from 'node:events'
import { type Agent, type IncomingHttpHeaders, request } from 'node:http'
import { connect } from 'node:net'
import { availableParallelism, loadavg } from 'node:os'
import type { Ground } from './fuzz-server.ts'

export type Headers = Record<string, string | string[]>
export type Asked = {
  method?: string
  path: string
  headers?: Headers
  body?: Uint8Array | string | undefined
  /** null: none. */
  token?: string | null
}
/** What a request needs of the ground. */
export type Connected = Pick<Ground, 'url'> & { holdall: { token: string }; agent?: Agent }
export type Answer = { status: number; headers: IncomingHttpHeaders; body: Buffer }

const LONGEST_MS = 1000
/** Where others keep the machine busy, everything takes its turn. */
const longestMs = () => LONGEST_MS * Math.max(1, (loadavg()[0] ?? 0) / availableParallelism())
/** After so long nobody waits any more: it hangs. */
const HANGING_MS = 15_000

/** An answer that came, and came late. Whether the house or the machine is slow, asking once more alone will tell. */
export class TooSlow extends Error {
  constructor(what: string, ms: number) {
    super(`${what} took ${Math.round(ms)} ms`)
  }
}

/** One request over a connection that is kept, answered within a second; throws TooSlow, or what broke the connection. */
export async function ask(ground: Connected, asked: Asked): Promise<Answer> {
  const begin = performance.now()
  const answer = await attempt(ground, asked)
  const ms = performance.now() - begin
  if (ms > longestMs())
    throw new TooSlow(`${asked.method ?? 'GET'} ${asked.path.slice(0, 200)}`, ms)
  return answer
}

async function attempt(ground: Connected, asked: Asked, mayRetry = true): Promise<Answer> {
  const { method = 'GET', path, headers = {}, body, token = ground.holdall.token } = asked
  const { hostname, port } = ground.url
  const authorization = token === null ? {} : { authorization: `Bearer ${token}` }
  const length = body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) }
  const all = { ...authorization, ...length, ...headers }
  const { agent } = ground
  const req = request({ hostname, port, method, path, headers: all, ...(agent && { agent }) })
  req.setTimeout(HANGING_MS, () => req.destroy(new Error('no answer within 15 s')))
  try {
    req.end(body)
    const [res] = await once(req, 'response')
    if (/event-stream/.test(res.headers['content-type'])) res.destroy()
    const chunks: Buffer[] = []
    if (!res.destroyed) for await (const chunk of res) chunks.push(chunk)
    return { status: res.statusCode ?? 0, headers: res.headers, body: Buffer.concat(chunks) }
  } catch (error) {
    // A kept connection may be closed while the request is on its way; that says nothing about the request.
    if (mayRetry && req.reusedSocket && isReset(error)) return attempt(ground, asked, false)
    throw error
  }
}

const isReset = (error: unknown) =>
  ['ECONNRESET', 'EPIPE'].includes((error as NodeJS.ErrnoException).code ?? '')

/**
 * Whatever bytes, on a connection of their own which is half closed behind them; all that came back until the end. `hurry` is how long
 * a house may wait for what was promised and does not come.
 */
export async function askRaw({ url }: Ground, pieces: (Buffer | string)[], hurryMs = 80) {
  const socket = connect(Number(url.port), url.hostname)
  const chunks: Buffer[] = []
  socket.on('data', (chunk) => chunks.push(chunk)).on('error', () => {})
  const closed = once(socket, 'close').catch(() => {})
  await once(socket, 'connect')
  for (const piece of pieces)
    socket.write(typeof piece === 'string' ? Buffer.from(piece, 'latin1') : piece)
  const end = setTimeout(() => socket.end(), hurryMs)
  const cut = setTimeout(() => socket.destroy(), HANGING_MS)
  const begin = performance.now()
  await closed
  clearTimeout(end)
  clearTimeout(cut)
  const ms = performance.now() - begin
  if (ms > longestMs() + hurryMs) throw new TooSlow('the raw request', ms)
  return Buffer.concat(chunks).toString('latin1')
}
