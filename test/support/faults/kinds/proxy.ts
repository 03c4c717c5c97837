import { once } from 'node:events'
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Transform } from 'node:stream'

/**
 * Fate of a request: its body or its response is cut after some bytes, or the proxy responds without
 * forwarding it.
 */
export type Fate =
  | { cutRequestAfter: number }
  | { cutAnswerAfter: number }
  | { status: number; body: string }

/** Starts a proxy for the server at `endpoint` that forwards every request without a fate unchanged. */
export async function openFaultyWay(
  endpoint: string,
  faultOf: (req: IncomingMessage) => Fate | null,
) {
  const { hostname, port } = new URL(endpoint)
  const server = createServer((req, res) => {
    const fate = faultOf(req)
    if (fate && 'status' in fate) return answer(req, res, fate)
    const { method, url: path, headers } = req
    const onward = request({ hostname, port, method, path, headers }, (came) => {
      res.writeHead(came.statusCode ?? 502, came.rawHeaders)
      const cut = fate && 'cutAnswerAfter' in fate ? fate.cutAnswerAfter : null
      came.pipe(cutting(cut, req)).pipe(res)
    })
    onward.on('error', () => res.destroy())
    const cut = fate && 'cutRequestAfter' in fate ? fate.cutRequestAfter : null
    req.pipe(cutting(cut, req)).pipe(onward)
    req.once('close', () => req.readableEnded || onward.destroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

async function answer(
  req: IncomingMessage,
  res: ServerResponse,
  fate: { status: number; body: string },
) {
  try {
    for await (const _ of req);
  } catch {
    // Its client has disconnected.
    return
  }
  res.writeHead(fate.status, { 'Content-Type': 'application/xml' }).end(fate.body)
}

/** Forwards `after` bytes (null: all), then resets the connection of the client. */
function cutting(after: number | null, { socket }: IncomingMessage) {
  let passed = 0
  return new Transform({
    transform(chunk: Buffer, _, done) {
      passed += chunk.length
      if (after === null || passed <= after) return done(null, chunk)
      socket.resetAndDestroy()
      // Waits for the rest of the body, which never arrives.
    },
  })
}
