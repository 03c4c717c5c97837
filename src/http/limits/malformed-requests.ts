import type { Server, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Config } from '../../config/config.ts'

const LINGER_MS = 1000

type ParseError = Error & { code?: string; rawPacket?: Buffer }

/**
 * Answers requests that Node cannot parse, such as those whose headers exceed MAX_HEADER_BYTES, with one line
 * of JSON and CORS headers, and closes the connection. `inFlight`: the responses that have begun or will
 * begin.
 */
export function answerMalformed(
  server: Server,
  config: Pick<Config, 'corsOrigins' | 'maxHeaderBytes'>,
  inFlight: ReadonlySet<ServerResponse>,
) {
  const answered = new WeakSet<Duplex>()
  server.on('clientError', (error: ParseError, socket) => {
    // Every later packet of the connection is an error, too.
    if (answered.has(socket)) return
    answered.add(socket)
    const hasBegun = [...inFlight].some((res) => res.socket === socket && res.headersSent)
    if (hasBegun || !socket.writable || error.code === 'ECONNRESET') return socket.destroy()
    socket.end(responseOf(error, config))
    setTimeout(() => socket.destroy(), LINGER_MS).unref()
    return undefined
  })
}

function responseOf(error: ParseError, config: Pick<Config, 'corsOrigins' | 'maxHeaderBytes'>) {
  const { line, code, message } = refusalOf(error, config.maxHeaderBytes)
  const body = `${JSON.stringify({ code, message })}\n`
  const headers = [
    ...corsHeaders(config.corsOrigins, error.rawPacket),
    'Content-Type: application/json; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Cache-Control: no-store',
    'X-Content-Type-Options: nosniff',
    'Connection: close',
  ]
  return `HTTP/1.1 ${line}\r\n${headers.join('\r\n')}\r\n\r\n${body}`
}

function refusalOf({ code }: ParseError, maxHeaderBytes: number) {
  if (code === 'HPE_HEADER_OVERFLOW')
    return {
      line: '431 Request Header Fields Too Large',
      code: 'HEADERS_TOO_LARGE',
      message: `the headers of the request exceed ${maxHeaderBytes} bytes (MAX_HEADER_BYTES)`,
    }
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT')
    return { line: '408 Request Timeout', code: 'TIMEOUT', message: 'the headers took too long' }
  return { line: '400 Bad Request', code: 'BAD_REQUEST', message: 'malformed HTTP request' }
}

/** The headers are not parsed, so the origin is searched for; otherwise the first allowed one is sent. */
function corsHeaders([first, ...others]: string[], packet?: Buffer): string[] {
  if (first === undefined) return []
  const sent = /^origin:[ \t]*(\S{1,300})[ \t]*\r?$/im.exec(packet?.toString('latin1') ?? '')?.[1]
  const origin = [first, ...others].find((allowed) => allowed === sent) ?? first
  return ['Vary: Origin', `Access-Control-Allow-Origin: ${origin}`]
}
