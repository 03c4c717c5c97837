import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type IncomingMessage, request } from 'node:http'
import type { AddressInfo } from 'node:net'

export type Passed = { method: string; url: string; headers: IncomingHttpHeaders }

/**
 * Starts a proxy that forwards all requests to the server at `endpoint` and records them. If `swallow`
 * returns true, the request is executed, but the client gets a reset instead of the response. A request is
 * forwarded when the promise of `hold` resolves.
 */
export async function openHttpProxy(
  endpoint: string,
  swallow = (_: Passed) => false,
  hold = async (_: Passed) => {},
) {
  const { hostname, port } = new URL(endpoint)
  const passed: Passed[] = []
  const server = createServer(async (req, res) => {
    const { method = '', url = '', headers } = req
    const what = { method, url, headers }
    passed.push(what)
    await hold(what)
    const onward = request({ hostname, port, method, path: url, headers }, (answer) => {
      if (swallow(what)) return lose(answer, req)
      res.writeHead(answer.statusCode ?? 502, answer.rawHeaders)
      answer.pipe(res)
    })
    onward.on('error', () => res.destroy())
    req.pipe(onward)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    passed,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

/** Resets the connection of the client after the server has finished the response. */
function lose(answer: IncomingMessage, req: IncomingMessage) {
  answer.resume().on('end', () => req.socket.destroy())
}
