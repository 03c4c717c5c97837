import { randomBytes } from 'node:crypto'
import { copyFile, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inject, onTestFinished } from 'vitest'
import { type App, openApp } from '../../../src/app.ts'
import { readConfig } from '../../../src/config/config.ts'
import type { Env } from '../../../src/config/env.ts'
import { inspect, sweep } from '../../../src/fsck/inspect.ts'
import { createHttpServer } from '../../../src/http/server.ts'
import { openLog } from '../../../src/log.ts'
import { newDatabase } from '../databases.ts'
import { databaseUrl, onServer } from '../databases-setup.ts'
import { newS3Prefix, s3IsGiven } from '../s3.ts'
import { serverAt } from './server-at.ts'

const ADMIN_TOKEN = 'one-database-and-one-store'
const always = { LOG_LEVEL: 'silent', PORT: '0', METRICS: 'open' }

/** Creates an empty folder, deleted when the test ends. */
async function newFolder() {
  const dir = await mkdtemp(join(tmpdir(), 'holdall-store-'))
  onTestFinished(() => rm(dir, { recursive: true, force: true }))
  return dir
}

/** Creates a database with a new installation id. Returns the variables that name it. */
export async function createDatabase(): Promise<Env> {
  const { env, ...database } = await newDatabase({ isEmpty: true })
  onTestFinished(() => database[Symbol.asyncDispose]())
  return { DATABASE_URL: env.DATABASE_URL ?? join(await newFolder(), 'holdall.db') }
}

/** Copies a database, as a backup or a staging copy does. No server may be using it. */
export async function copyDatabase({ DATABASE_URL = '' }: Env): Promise<Env> {
  const postgres = inject('postgres')
  if (!postgres) {
    const path = join(await newFolder(), 'holdall.db')
    await copyFile(DATABASE_URL, path)
    return { DATABASE_URL: path }
  }
  const name = `holdall_${randomBytes(8).toString('hex')}`
  const from = new URL(DATABASE_URL).pathname.slice(1)
  await onServer(postgres.url, `create database ${name} template ${from} strategy file_copy`)
  onTestFinished(() => onServer(postgres.url, `drop database if exists ${name} with (force)`))
  return { DATABASE_URL: databaseUrl(postgres.url, name) }
}

const folder = async (): Promise<Env> => ({ DATA_DIR: await newFolder() })
const bucket = async (): Promise<Env> => ({
  ...(await folder()),
  ...newS3Prefix(),
  DOWNLOADS: 'proxy',
})

/** The kinds of blob store that these tests use: a folder, and a bucket if one is configured. */
export const storeKinds = [
  ['a folder', folder],
  ['a bucket', bucket],
].slice(0, s3IsGiven ? 2 : 1) as [string, () => Promise<Env>][]

/** Returns a log that records its lines. */
function logged() {
  const lines: { level: string; about: any; message: string }[] = []
  const log = openLog('silent')
  for (const level of ['info', 'warn', 'error'] as const)
    log[level] = (about: unknown, message?: string) =>
      void lines.push({ level, about, message: message ?? '' })
  return { log, lines }
}

/** Starts a server with the database and the store of `env`, closed when the test ends at the latest. */
export async function startInstallation(env: Env, { now = Date.now }: { now?: () => number } = {}) {
  const config = readConfig({ ...always, ADMIN_TOKEN, ...env })
  const { log, lines } = logged()
  const app = await openApp(config, { now, log })
  const server = createHttpServer(app)
  const port = await server.listen(0, '127.0.0.1')
  const holdall = { ...serverAt(`http://127.0.0.1:${port}`, ADMIN_TOKEN), app }
  let isOpen = true
  async function close() {
    if (!isOpen) return
    isOpen = false
    await server.close(2000)
    await app[Symbol.asyncDispose]()
  }
  onTestFinished(close)
  return { app, holdall, lines, close, keys: (place: 'staged' | 'kept') => keysIn(app, place) }
}
export type Running = Awaited<ReturnType<typeof startInstallation>>

export const keysIn = async ({ blobs }: App, place: 'staged' | 'kept'): Promise<string[]> =>
  (await Array.fromAsync(blobs.list(place))).map(({ key }) => key)

/** Returns the error with which a start with `env` fails. */
export const startErrorOf = (env: Env): Promise<string> =>
  startInstallation(env).then(
    async ({ close }) => {
      await close()
      throw new Error('the server started')
    },
    (error: Error) => `${error.name} ${error.constructor.name}: ${error.message}`,
  )

const toConfig = (env: Env) => readConfig({ LOG_LEVEL: 'silent', ...env })

/** Returns the codes of fsck's findings with `env`. */
export const fsckCodes = async (env: Env, options: Parameters<typeof inspect>[1] = {}) =>
  (await Array.fromAsync(inspect(toConfig(env), { pauseMs: 5, ...options }))).map(
    ({ code }) => code,
  )

/** Runs `fsck --sweep`. */
export const confirmSweep = (env: Env, graceMs?: number) => sweep(toConfig(env), graceMs)
