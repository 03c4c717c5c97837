import { writeSync } from 'node:fs'
import { enableCompileCache } from 'node:module'
import { join } from 'node:path'
import { inspect } from 'node:util'
import type { App } from './app.ts'
import type { Config } from './config/config.ts'
import type { HttpServer } from './http/server.ts'

// Files and folders that this process creates are accessible to its own user only.
process.umask(0o077)

// The compile cache saves a third of the start-up time, if its folder is writable.
enableCompileCache(join(import.meta.dirname, '../node_modules/.cache/holdall'))
const { openApp } = await import('./app.ts')
const { readConfig } = await import('./config/config.ts')
const { StartupError } = await import('./config/startup-error.ts')
const { createHttpServer } = await import('./http/server.ts')
const { captureStderr, openLog } = await import('./log.ts')

/**
 * Runs the server: reads the configuration, opens the app, listens, waits for a signal and closes in reverse.
 */
async function main() {
  const config = readConfig(process.env)
  const log = openLog(config.logLevel)
  captureStderr(log)
  const app = await openApp(config, { log })
  const server = createHttpServer(app)
  await listenForMetrics(server, config)
  const port = await listen(server, config)
  printAddress(app, port)
  const signal = await firstSignal()
  app.log.info({ signal }, 'closing')
  const closed = server.close()
  // GraphQL is served until the server is drained, and a request may wait for a job.
  await server.drain()
  await Promise.all([closed, app.jobs.stop()])
  await app[Symbol.asyncDispose]()
  process.exit(0)
}

async function listen(server: HttpServer, { host, port }: Config) {
  try {
    return await server.listen(port, host)
  } catch (error) {
    throw new StartupError(messageFor(error as NodeJS.ErrnoException, host, port, 'PORT'))
  }
}

async function listenForMetrics(server: HttpServer, { host, metrics: { port } }: Config) {
  if (port === null) return
  try {
    await server.listenForMetrics(port, host)
  } catch (error) {
    throw new StartupError(messageFor(error as NodeJS.ErrnoException, host, port, 'METRICS_PORT'))
  }
}

function messageFor({ code }: NodeJS.ErrnoException, host: string, port: number, name: string) {
  if (code === 'EADDRINUSE')
    return `Port ${port} of ${host} is already in use; set ${name} to another port.`
  if (code === 'EACCES')
    return `Port ${port} cannot be opened by this user; set ${name} to another port.`
  return `${host} is not an address of this machine (${code}); set HOST to another one.`
}

/**
 * Prints the address for the operator at the terminal, and on the first start the token. The log goes to
 * stderr.
 */
function printAddress({ config, firstToken }: App, port: number) {
  const address = `${config.publicUrl ?? `http://${hostInUrl(config.host)}:${port}`}/graphql`
  if (firstToken === null) return console.log(`Holdall is ready at ${address}`)
  const token = config.adminToken ? 'the one in ADMIN_TOKEN' : firstToken
  console.log(`Holdall is ready.

  GraphiQL   ${address}
  Token      ${token}

The token is shown only once; the server stores only its hash. Send it as "Authorization: Bearer <token>".`)
}

/** Returns the host for URLs that work on this machine, whatever address the server listens on. */
const hostInUrl = (host: string) =>
  ['127.0.0.1', '0.0.0.0', '::', '::1'].includes(host)
    ? 'localhost'
    : host.includes(':')
      ? `[${host}]`
      : host

/**
 * Signals within this time count as one: systemd sends SIGTERM to the whole process group, and npm forwards
 * its own.
 */
const SAME_REQUEST_MS = 2_000

/** Resolves with the first signal, which shuts down gracefully; a later signal ends the process at once. */
function firstSignal(): Promise<string> {
  return new Promise((resolve) => {
    let isLate = false
    // setImmediate runs after pending signals, so that those that queued up while the loop was busy still
    // count.
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
