import { AsyncLocalStorage } from 'node:async_hooks'
import { type Logger, pino } from 'pino'

export type Log = Logger

const requests = new AsyncLocalStorage<{ requestId: string }>()

/** What must never be read in a log, wherever an object brings it along. */
const secrets = ['authorization', 'token', 'secret', 'password', 'adminToken', 'cookie']

/** The one logger: a line of JSON each on stderr. Lines written while a request is served carry its id. */
export function openLog(level: string): Log {
  const redact = { paths: secrets.flatMap(atAnyDepth), censor: '[redacted]' }
  return pino({ level, redact, base: null, mixin }, pino.destination(2))
}

/**
 * Routes through the log what else would reach stderr as plain text: what libraries write by `console`, Node's warnings and the
 * exception that ends the process. For the process that serves, once; its own sentences to a person are written to the descriptor.
 */
export function captureStderr(log: Log): void {
  process.stderr.write = (chunk: string | Uint8Array, ...rest: unknown[]) => {
    log.warn({ from: 'stderr' }, Buffer.from(chunk).toString().trimEnd())
    const done = rest.at(-1)
    if (typeof done === 'function') process.nextTick(done)
    return true
  }
  // Node's own listener prints them.
  process.removeAllListeners('warning')
  process.on('warning', (err) => log.warn({ err }, 'a warning of Node.js'))
  process.on('uncaughtException', (err) => {
    log.fatal({ err }, 'an uncaught exception ends the process')
    process.exit(1)
  })
}

/** Runs `act` so that all it logs carries this id. */
export function duringRequest<T>(requestId: string, act: () => T): T {
  return requests.run({ requestId }, act)
}

/** The id of the request that is being served, if one is. */
export const currentRequestId = () => requests.getStore()?.requestId

/** A copy each time: pino writes the rest of the line into it. */
const mixin = () => ({ ...requests.getStore() })

/** pino knows no `**`; three levels are what headers in a request in a line need. */
const atAnyDepth = (name: string) => ['', '*.', '*.*.', '*.*.*.'].map((depth) => depth + name)
