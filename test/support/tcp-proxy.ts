import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'

/** What becomes of some bytes of a client: they go on; the connection breaks before they do; or after, and before the answer. */
export type Fate = 'pass' | 'lost' | 'unanswered'

export type TcpProxy = {
  port: number
  /** Asked about everything that clients send from now on; until then all of it passes. */
  judge: (fate: (bytes: Buffer) => Fate) => void
  /** Breaks every connection, as a router that has been switched off and on again. */
  cut: () => void
  /** Nothing goes through any more, and nobody is told; new connections are taken, and hear nothing. */
  stall: () => void
  /** Ends a stall: what waited goes on. */
  go: () => void
  /** Drops what goes over the connections that there are, both ways and for ever, and tells nobody; new ones are as they should be. */
  blackHole: () => void
  /** Breaks every connection and takes no new one. */
  refuse: () => Promise<void>
  /** On the same port again. */
  accept: () => Promise<void>
} & AsyncDisposable

/** Stands between a client and a server on this machine, and does what networks do. */
export async function startTcpProxy(to: { host: string; port: number }): Promise<TcpProxy> {
  const sockets = new Set<Socket>()
  let fateOf = (_: Buffer): Fate => 'pass'
  const swallowed = new WeakSet<Socket>()
  let stalled = false
  let server: Server | null = null
  const port = await listen(0)

  function serve(client: Socket) {
    const upstream = connect(to.port, to.host)
    const both = [client, upstream]
    const end = () => {
      if (swallowed.has(client)) return
      for (const socket of both) socket.destroy()
    }
    let unanswered = false
    for (const socket of both) {
      sockets.add(socket)
      if (stalled) socket.pause()
      socket.on('error', end).on('close', end)
      socket.on('close', () => sockets.delete(socket))
    }
    client.on('data', (bytes) => {
      if (swallowed.has(client)) return
      const fate = fateOf(bytes)
      if (fate === 'lost') return end()
      unanswered ||= fate === 'unanswered'
      upstream.write(bytes)
    })
    upstream.on('data', (bytes) => {
      if (swallowed.has(client)) return
      if (unanswered) end()
      else client.write(bytes)
    })
  }

  async function listen(wanted: number): Promise<number> {
    server = createServer(serve).listen(wanted, '127.0.0.1')
    await once(server, 'listening')
    return (server.address() as AddressInfo).port
  }
  function cut() {
    for (const socket of sockets) socket.destroy()
  }
  async function refuse() {
    const closing = server
    server = null
    const closed = new Promise<unknown>((resolve) =>
      closing ? closing.close(resolve) : resolve(null),
    )
    cut()
    await closed
  }

  return {
    port,
    judge(fate) {
      fateOf = fate
    },
    cut,
    stall() {
      stalled = true
      for (const socket of sockets) socket.pause()
    },
    go() {
      stalled = false
      for (const socket of sockets) socket.resume()
    },
    blackHole() {
      for (const socket of sockets) swallowed.add(socket)
    },
    refuse,
    async accept() {
      await listen(port)
    },
    [Symbol.asyncDispose]: refuse,
  }
}
