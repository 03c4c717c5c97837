import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

/**
 * How a client sends a body: `first` writes all of it before it reads, as simple clients do; `meanwhile`
 * reads while it writes and stops at the response, as a proxy without request buffering does.
 */
export type Reading = 'first' | 'meanwhile'

const CHUNK = Buffer.alloc(256 * 1024)

/**
 * Sends `POST /x` or another request line with `lines` and a body of `bytes` zeros, and `Connection: close`.
 * Returns the response as text. Rejects if the connection breaks before the response is read.
 */
export async function sendRawBody(
  url: string,
  { line, lines = [], bytes }: { line: string; lines?: string[]; bytes: number },
  reading: Reading,
): Promise<string> {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  const failed = once(socket, 'error').then(([error]) => Promise.reject(error))
  failed.catch(() => {})
  const all = [...lines, `Host: ${hostname}`, 'Connection: close', `Content-Length: ${bytes}`]
  socket.write(`${line} HTTP/1.1\r\n${all.join('\r\n')}\r\n\r\n`)
  try {
    const written = writeZeros(socket, bytes)
    if (reading === 'first') await Promise.race([written, failed])
    return await Promise.race([readResponse(socket), failed])
  } finally {
    socket.destroy()
  }
}

async function writeZeros(socket: Socket, bytes: number) {
  for (let left = bytes; left > 0 && !socket.destroyed; left -= CHUNK.length) {
    if (!socket.write(CHUNK.subarray(0, Math.min(left, CHUNK.length)))) await once(socket, 'drain')
  }
}

/** Resolves with the head and the body of the response, as long as Content-Length says. */
function readResponse(socket: Socket): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  let text = ''
  socket.on('data', (chunk) => {
    text += chunk.toString('latin1')
    if (isWhole(text)) resolve(text)
  })
  socket.once('end', () => (text ? resolve(text) : reject(new Error('no response'))))
  return promise
}

function isWhole(text: string): boolean {
  const head = text.indexOf('\r\n\r\n')
  const length = /content-length: (\d+)/i.exec(text)?.[1]
  return head >= 0 && length !== undefined && text.length >= head + 4 + Number(length)
}
