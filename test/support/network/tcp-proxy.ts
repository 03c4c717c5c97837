import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'

/**
 * Fate of some bytes of a client: they are forwarded, the connection breaks before they are forwarded, or it
 * breaks after that and before the response.
 */
export type Fate = 'pass' | 'lost' | 'unanswered'

export type TcpProxy = {
  port: number
  /** Sets the function that decides the fate of all later bytes of clients; before that all bytes pass. */
  decideFate: (fate: (bytes: Buffer) => Fate) => void
  /** Breaks every connection. */
  cut: () => void
  /** Stops forwarding without closing connections; new connections are accepted and get no response. */
  stall: () => void
  /** Ends a stall and forwards the bytes that waited. */
  resume: () => void
  /** Drops the traffic of all existing connections permanently, without closing them; new ones work. */
  blackHole: () => void
  /** Breaks every connection and accepts no new one. */
  refuse: () => Promise<void>
  /** Listens on the same port again. */
  accept: () => Promise<void>
} & AsyncDisposable

/** Starts a TCP proxy on this machine that can simulate network faults. */
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
    decideFate(fate) {
      fateOf = fate
    },
    cut,
    stall() {
      stalled = true
      for (const socket of sockets) socket.pause()
    },
    resume() {
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
