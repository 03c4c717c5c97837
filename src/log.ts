import { AsyncLocalStorage } from 'node:async_hooks'
import { type Logger, pino } from 'pino'

export type Log = Logger

type LoggedRequest = { requestId: string; operation?: string }
const requests = new AsyncLocalStorage<LoggedRequest>()

/** Names of properties that are redacted in every logged object, up to three levels deep. */
const secrets = ['authorization', 'token', 'secret', 'password', 'adminToken', 'cookie']

/**
 * Creates the logger, which writes one JSON line per entry to stderr. Lines written during a request have its
 * id and its GraphQL operation.
 */
export function openLog(level: string): Log {
  const redact = { paths: secrets.flatMap(atAnyDepth), censor: '[redacted]' }
  return pino({ level, redact, base: null, mixin }, pino.destination(2))
}

/**
 * Redirects to the log what would be written to stderr as plain text: console output of libraries, Node's
 * warnings and the exception that ends the process. Call it once, in the server process. To show the operator
 * a message in spite of this, write to the file descriptor.
 */
export function captureStderr(log: Log): void {
  process.stderr.write = (chunk: string | Uint8Array, ...rest: unknown[]) => {
    log.warn({ from: 'stderr' }, Buffer.from(chunk).toString().trimEnd())
    const done = rest.at(-1)
    if (typeof done === 'function') process.nextTick(done)
    return true
  }
  // Node's default listener prints warnings to stderr.
  process.removeAllListeners('warning')
  process.on('warning', (err) => log.warn({ err }, 'Node.js warning'))
  process.on('uncaughtException', (err) => {
    log.fatal({ err }, 'uncaught exception; the process exits')
    process.exit(1)
  })
}

/** Runs `fn`; everything that it logs has this request id. */
export function duringRequest<T>(requestId: string, fn: () => T): T {
  return requests.run({ requestId }, fn)
}

/** Sets the GraphQL operation of the current request, which all its later log lines name. */
export function setOperation(operation: string): void {
  const request = requests.getStore()
  if (request) request.operation = operation
}

/** Returns the id of the current request, or undefined outside a request. */
export const currentRequestId = () => requests.getStore()?.requestId

/**
 * Returns the properties of the current request for each line; a copy, because pino adds the rest of the line
 * to it.
 */
const mixin = () => ({ ...requests.getStore() })

/**
 * Returns the paths of a property for pino, which does not support `**`; three levels cover the headers of a
 * logged request.
 */
const atAnyDepth = (name: string) => ['', '*.', '*.*.', '*.*.*.'].map((depth) => depth + name)
