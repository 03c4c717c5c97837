import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

/** An HTTP request that is sent repeatedly. */
export type Request = {
  url: string
  method?: string
  headers?: Record<string, string>
  body?: string
}

/** Returns the requests per second over `connections` connections, each with one request at a time. */
export async function requestsPerSecond(request: Request, connections = 16, seconds = 3) {
  const until = performance.now() + seconds * 1000
  const from = performance.now()
  let answered = 0
  const connection = async () => {
    using line = await openLine(request)
    while (performance.now() < until) {
      await line.send()
      answered++
    }
  }
  await Promise.all(Array.from({ length: connections }, connection))
  return answered / ((performance.now() - from) / 1000)
}

/** Returns the body of a 200 response. */
export async function bodyOf(request: Request): Promise<string> {
  using line = await openLine(request)
  return await line.send()
}

/**
 * Opens a connection that only sends the same bytes and finds the end of a response with a Content-Length:
 * the client shares two cores with the server. Throws on any other status than 200.
 */
export async function openLine({ url, method = 'GET', headers = {}, body = '' }: Request) {
  const { hostname, port, host, pathname, search } = new URL(url)
  const all = { Host: host, ...headers, ...(body && { 'Content-Length': Buffer.byteLength(body) }) }
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`)
  const bytes = Buffer.from(
    `${method} ${pathname}${search} HTTP/1.1\r\n${lines.join('')}\r\n${body}`,
  )
  const socket = connect({ host: hostname, port: Number(port), noDelay: true })
  await once(socket, 'connect')
  const answers = answersOf(socket)
  return {
    send() {
      socket.write(bytes)
      return answers.next()
    },
    [Symbol.dispose]: () => void socket.destroy(),
  }
}

function answersOf(socket: Socket) {
  let answered: PromiseWithResolvers<string> | undefined
  let seen = Buffer.alloc(0)
  const fail = (error: Error) => answered?.reject(error)
  socket.on('error', fail).on('close', () => fail(new Error('the connection was closed')))
  socket.on('data', (chunk) => {
    seen = seen.length === 0 ? chunk : Buffer.concat([seen, chunk])
    const end = seen.indexOf('\r\n\r\n')
    if (end < 0) return
    const head = seen.toString('latin1', 0, end)
    const length = Number(/content-length: (\d+)/i.exec(head)?.[1])
    if (Number.isNaN(length) || !head.startsWith('HTTP/1.1 200')) return fail(new Error(head))
    if (seen.length < end + 4 + length) return
    const body = seen.toString('utf8', end + 4)
    seen = Buffer.alloc(0)
    answered?.resolve(body)
  })
  return {
    next() {
      answered = Promise.withResolvers<string>()
      return answered.promise
    },
  }
}
