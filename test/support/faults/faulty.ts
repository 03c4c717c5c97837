import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Client } from 'pg'
import { readConfig } from '../../../src/config/config.ts'
import type { Env } from '../../../src/config/env.ts'
import { inspect, type Options, sweep } from '../../../src/fsck/inspect.ts'
import { newDatabase } from '../databases.ts'
import { freePort } from '../network/free-port.ts'
import { root } from '../project-root.ts'
import { serverAt } from '../servers/server-at.ts'
import type { Armed, Tally } from './kinds/kinds.ts'

const token = 'killed-again-and-again'
/** Must equal DOWN_MS of preload.ts. */
const DOWN_MS = 10_000

export type Faulty = Awaited<ReturnType<typeof openFaulty>>

/** The server process ended before it listened. */
export class ServerExited extends Error {
  readonly output: string
  constructor(output: string, how: unknown) {
    super(`the server has ended (${how}): ${output}`)
    this.output = output
  }
}

/**
 * Prepares a server process whose calls can be made to fail one by one. It can be killed and started
 * again over the same data. `from` is a folder to copy first.
 */
export async function openFaulty({
  env = {},
  from,
  isEmpty = false,
}: {
  env?: Env
  from?: string
  isEmpty?: boolean
} = {}) {
  await using opened = new AsyncDisposableStack()
  const dir = await mkdtemp(join(tmpdir(), 'holdall-faulty-'))
  opened.defer(() => rm(dir, { recursive: true, force: true }))
  if (from) await cp(from, dir, { recursive: true })
  const port = await freePort()
  const database = opened.use(await newDatabase({ isEmpty }))
  const vars = {
    ...{ DATA_DIR: dir, ADMIN_TOKEN: token, LOG_LEVEL: process.env.TEST_LOG ?? 'silent' },
    DRAIN_SECONDS: '0',
    ...{ SCRUB_DAYS: '0', MAX_QUERY_COST: '1000000', ...database.env, ...env },
  }
  let child: ChildProcess | undefined
  let clock = 0

  /**
   * Starts the process. Throws ServerExited if it exits before it listens. `fault` strikes a step of the
   * start itself.
   */
  async function start(fault?: Armed) {
    const preload = fileURLToPath(new URL('./preload.ts', import.meta.url))
    const args = ['--import', preload, join(root, 'src/main.ts')]
    child = spawn(process.execPath, args, {
      env: {
        ...{ PATH: process.env.PATH, NODE_COMPILE_CACHE: join(root, 'node_modules/.cache/faults') },
        ...vars,
        ...{ PORT: `${port}`, FAULTS_CLOCK: `${clock}` },
        ...(fault && { FAULTS: JSON.stringify({ ...fault, everywhere: true }) }),
        ...credentials(),
      },
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    })
    if (clock > 0) await expireLeases()
    clock += DOWN_MS
    await listening(child)
  }

  /**
   * Moves leases and jobs back in time on PostgreSQL. They follow its clock, which the preload cannot move.
   */
  async function expireLeases() {
    const { DATABASE_URL } = database.env
    if (!DATABASE_URL) return
    const client = new Client({ connectionString: DATABASE_URL })
    await client.connect()
    const until = `"leaseUntil" = "leaseUntil" - ${DOWN_MS}`
    await client.query(`update uploads set ${until} where status = 'PROCESSING'`)
    await client.query(`update jobs set ${until}, "runAt" = "runAt" - ${DOWN_MS}`)
    await client.end()
  }

  async function kill() {
    if (!child) return
    const gone = child.exitCode === null && child.signalCode === null ? once(child, 'exit') : null
    child.kill('SIGKILL')
    await gone
  }

  /** Arms a fault, or none. Returns the tally so far; null if the process is dead. */
  async function arm(next: Armed | null): Promise<Tally | null> {
    if (!next) await expireLeases()
    // There must be no await between this check and the exit listener.
    if (!child?.connected || child.exitCode !== null || child.signalCode !== null) return null
    const answered = new AbortController()
    const { signal } = answered
    const tally = once(child, 'message', { signal }).then(([tally]) => tally as Tally)
    const dead = once(child, 'exit', { signal }).then(() => null)
    child.send(next as object, () => {})
    return Promise.race([tally, dead]).finally(() => {
      dead.catch(() => {})
      tally.catch(() => {})
      answered.abort()
    })
  }

  opened.defer(kill)
  const all = opened.move()
  return {
    dir,
    holdall: serverAt(`http://127.0.0.1:${port}`, token),
    start,
    kill,
    arm,
    /** Returns the findings of `npm run fsck`. */
    findings: (options: Partial<Options> = {}) =>
      Array.fromAsync(
        inspect(readConfig({ ...vars, LOG_LEVEL: 'silent' }), { pauseMs: 20, ...options }),
      ),
    /** Sweeps as `npm run fsck -- --sweep` does. */
    sweep: (graceMs: number) => sweep(readConfig({ ...vars, LOG_LEVEL: 'silent' }), graceMs),
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  }
}

async function listening(child: ChildProcess): Promise<void> {
  let output = ''
  child.stderr?.on('data', (text) => {
    output += text
    if (process.env.TEST_LOG) process.stderr.write(text)
  })
  const listens = once(child, 'message')
  const ended = once(child, 'exit').then(([code, signal]) => {
    throw new ServerExited(output, code ?? signal)
  })
  await Promise.race([listens, ended])
}

function credentials(): Env {
  const { AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY } = process.env
  return { AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY }
}
