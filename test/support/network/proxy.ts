import { once } from 'node:events'
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** One forwarded request, and the index of its process. */
type Passed = { to: number; method: string; path: string; isOver: boolean }

/**
 * Starts a round-robin load balancer in front of processes at these ports. It tries the next process if
 * a port refuses the connection, and also if the connection breaks before a response and the request had no
 * body.
 */
export async function openProxy(ports: readonly number[]) {
  const passed: Passed[] = []
  let next = 0

  function pass(req: IncomingMessage, res: ServerResponse, triesLeft = ports.length * 2) {
    const to = next++ % ports.length
    const note = { to, method: req.method ?? '', path: req.url ?? '', isOver: false }
    const { method, headers, url: path } = req
    const there = request({
      port: ports[to],
      host: '127.0.0.1',
      method,
      headers,
      path,
      agent: false,
    })
    passed.push(note)
    there.on('response', (answer) => {
      res.writeHead(answer.statusCode ?? 502, answer.headers)
      answer.on('error', () => res.destroy()).pipe(res)
    })
    there.on('error', (error: NodeJS.ErrnoException) => {
      note.isOver = true
      if (res.headersSent || res.destroyed) return res.destroy()
      const mayRepeat = error.code === 'ECONNREFUSED' || !hasBody(req)
      if (mayRepeat && triesLeft > 1) return pass(req, res, triesLeft - 1)
      res.writeHead(502, { Connection: 'close' }).end()
    })
    res.once('close', () => {
      note.isOver = true
      there.destroy()
    })
    // The body stays unread until a process has accepted the connection.
    there.once('socket', (socket) => socket.once('connect', () => req.pipe(there)))
  }

  const server = createServer({ requestTimeout: 0 }, (req, res) => {
    req.on('error', () => {})
    pass(req, res)
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    passed,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

const hasBody = ({ headers }: IncomingMessage) =>
  headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
