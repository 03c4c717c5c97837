import { writeSync } from 'node:fs'
import { enableCompileCache } from 'node:module'
import { join } from 'node:path'
import { inspect } from 'node:util'
import type { App } from './app.ts'
import type { Config } from './config.ts'
import type { HttpServer } from './http/server.ts'

// Files and folders that this process creates are for its own user alone.
process.umask(0o077)

// What was compiled serves the next start, too, where it can be written: to compile all takes a third of a start.
enableCompileCache(join(import.meta.dirname, '../node_modules/.cache/holdall'))
const { openApp } = await import('./app.ts')
const { StartupError, readConfig } = await import('./config.ts')
const { createHttpServer } = await import('./http/server.ts')
const { captureStderr, openLog } = await import('./log.ts')

/** The process: config, app, server, then wait for a signal and close in reverse. */
async function main() {
  const config = readConfig(process.env)
  const log = openLog(config.logLevel)
  captureStderr(log)
  const app = await openApp(config, { log })
  const server = createHttpServer(app)
  await listenForMetrics(server, config)
  const port = await listen(server, config)
  greet(app, port)
  const signal = await firstSignal()
  app.log.info({ signal }, 'closing')
  const closed = server.close()
  // Until then GraphQL is answered, and may wait for a job.
  await server.drain()
  await Promise.all([closed, app.jobs.stop()])
  await app[Symbol.asyncDispose]()
  process.exit(0)
}

async function listen(server: HttpServer, { host, port }: Config) {
  try {
    return await server.listen(port, host)
  } catch (error) {
    throw new StartupError(sentenceFor(error as NodeJS.ErrnoException, host, port, 'PORT'))
  }
}

async function listenForMetrics(server: HttpServer, { host, metrics: { port } }: Config) {
  if (port === null) return
  try {
    await server.listenForMetrics(port, host)
  } catch (error) {
    throw new StartupError(sentenceFor(error as NodeJS.ErrnoException, host, port, 'METRICS_PORT'))
  }
}

function sentenceFor({ code }: NodeJS.ErrnoException, host: string, port: number, name: string) {
  if (code === 'EADDRINUSE') return `Port ${port} of ${host} is taken; ${name} names another.`
  if (code === 'EACCES')
    return `Port ${port} may not be opened by this user; ${name} names another.`
  return `${host} is no address of this machine (${code}); HOST names another.`
}

/** For the person at the terminal; the log goes to stderr. The token is shown here and never again. */
function greet({ config, firstToken }: App, port: number) {
  const address = `${config.publicUrl ?? `http://${hostInUrl(config.host)}:${port}`}/graphql`
  if (firstToken === null) return console.log(`Holdall is at ${address}`)
  const token = config.adminToken ? 'the one in ADMIN_TOKEN' : firstToken
  console.log(`Holdall is ready.

  GraphiQL   ${address}
  Token      ${token}

The token is shown this once; only a hash of it is kept. Send it as "Authorization: Bearer <token>".`)
}

/** Where everybody on this machine can reach it, whatever it listens on. */
const hostInUrl = (host: string) =>
  ['127.0.0.1', '0.0.0.0', '::', '::1'].includes(host)
    ? 'localhost'
    : host.includes(':')
      ? `[${host}]`
      : host

/** Signals within this time are one request: systemd sends SIGTERM to the whole process group, and npm passes its own on. */
const SAME_REQUEST_MS = 2_000

/** The first signal is a request to stop, a later one the order to end at once. */
function firstSignal(): Promise<string> {
  return new Promise((resolve) => {
    let isLate = false
    // By way of the event loop's check phase: signals that waited while the loop was busy are handled before it.
    const later = () => setImmediate(() => (isLate = true))
    const request = (signal: string) => {
      if (isLate) process.exit(1)
      setTimeout(later, SAME_REQUEST_MS).unref()
      resolve(signal)
    }
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, request)
  })
}

main().catch((error) => {
  writeSync(2, `${error instanceof StartupError ? error.message : inspect(error)}\n`)
  process.exit(1)
})
