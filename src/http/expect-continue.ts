import type { IncomingMessage, Server, ServerResponse } from 'node:http'

/**
 * Makes `server` answer `Expect: 100-continue` with 100 only when the body is first read: a request that is
 * refused never receives it, so its client sends no body. The connection then closes, because the body may
 * still follow.
 */
export function continueWhenRead(
  server: Server,
  handle: (req: IncomingMessage, res: ServerResponse) => void,
): void {
  server.on('checkContinue', (req: IncomingMessage, res: ServerResponse) => {
    const { shouldKeepAlive } = res
    res.shouldKeepAlive = false
    const read = req._read
    req._read = (size) => {
      req._read = read
      if (!res.headersSent) {
        res.shouldKeepAlive = shouldKeepAlive
        res.writeContinue()
      }
      read.call(req, size)
    }
    handle(req, res)
  })
}
