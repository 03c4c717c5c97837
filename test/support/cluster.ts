import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Env } from '../../src/config.ts'
import { newDatabase } from './databases.ts'
import { openProxy } from './proxy.ts'
import { serverAt } from './server-at.ts'
import type { TestServer } from './test-server.ts'
import { until } from './tus.ts'

const root = join(import.meta.dirname, '../..')

/**
 * Three processes as `npm start` runs them, over one database and one folder (or bucket), behind a load balancer. They start at
 * the same moment, and without ADMIN_TOKEN the token is the one that was printed.
 */
export async function openCluster({
  env = {},
  isEmpty = false,
  clockOffsets = [],
}: {
  env?: Env
  isEmpty?: boolean
  /** By how many milliseconds the clock of each process is ahead. */
  clockOffsets?: number[]
} = {}) {
  await using stack = new AsyncDisposableStack()
  const dir = await mkdtemp(join(tmpdir(), 'holdall-cluster-'))
  stack.defer(() => rm(dir, { recursive: true, force: true }))
  const database = stack.use(await newDatabase({ isEmpty }))
  const ports = await Promise.all([freePort(), freePort(), freePort()])
  const { HOME, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY } = process.env
  const shared = {
    HOME,
    AWS_ACCESS_KEY_ID,
    AWS_SECRET_ACCESS_KEY,
    DATA_DIR: dir,
    LOG_LEVEL: 'warn',
    DRAIN_SECONDS: '0',
  }
  const vars = { ...shared, ...database.env, ...env }
  const ends: string[] = []
  const members = ports.map((port, i) =>
    memberAt(port, { ...vars, ...withClock(clockOffsets[i] ?? 0) }, ends),
  )
  stack.defer(async () => {
    await Promise.all(members.map((member) => member.kill()))
    if (ends.length > 0) throw new Error(ends.join('\n'))
  })
  await Promise.all(members.map((member) => member.start()))
  const proxy = stack.use(await openProxy(ports))
  const printed = members.flatMap(({ said }) => /Token {6}(hld_\S+)/.exec(said.out)?.[1] ?? [])
  const token = env.ADMIN_TOKEN ?? printed[0] ?? ''
  const all = stack.move()
  return {
    dir,
    env: vars,
    members,
    proxy,
    printed,
    token,
    /** Through the load balancer. */
    holdall: memberServer(proxy.url, token),
    /** The same by one of the processes. */
    at: (index: number) => memberServer(`http://127.0.0.1:${ports[index]}`, token),
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  }
}
export type Cluster = Awaited<ReturnType<typeof openCluster>>

/** Variables by which the clock of a process is ahead. */
const withClock = (ms: number): Env =>
  ms === 0
    ? {}
    : {
        CLOCK_OFFSET_MS: String(ms),
        NODE_OPTIONS: `--import=${join(import.meta.dirname, 'clock-offset.ts')}`,
      }

function memberAt(port: number, env: Env, ends: string[]) {
  let child: ChildProcess | undefined
  /** The one that was told to end. */
  let asked: ChildProcess | undefined
  const said = { out: '', err: '' }

  async function gone(signal: NodeJS.Signals) {
    if (!child || child.exitCode !== null || child.signalCode !== null) return null
    const over = once(child, 'exit')
    asked = child
    child.kill(signal)
    const [code] = await over
    return code as number | null
  }

  return {
    said,
    /** Resolves when it takes requests. */
    async start() {
      const all = { ...env, PORT: String(port) }
      said.out = ''
      child = spawn(process.execPath, ['src/main.ts'], { cwd: root, env: all as NodeJS.ProcessEnv })
      child.stdout?.on('data', (text) => (said.out += text))
      child.stderr?.on('data', (text) => (said.err += text))
      const ready = async () => {
        if (child?.exitCode != null) throw new Error(said.err)
        return said.out.includes('Holdall is')
      }
      await until(ready, 30_000)
      const mine = child
      mine.once('exit', (code, signal) => {
        if (asked !== mine) ends.push(`${port} ended by itself (${code ?? signal}): ${said.err}`)
      })
    },
    /** Without a word, in the middle of whatever it does. */
    kill: () => gone('SIGKILL'),
    /** Asks it to end; its exit code. */
    stop: () => gone('SIGTERM'),
    /** It stays where it is, and does nothing more, until it goes on. */
    freeze: () => void child?.kill('SIGSTOP'),
    goOn: () => void child?.kill('SIGCONT'),
  }
}

/** Whole URLs lose their host: a house that hands out another's is asked all the same. */
function memberServer(url: string, token: string): TestServer {
  const holdall = serverAt(url, token)
  const here = (path: string) => {
    const { pathname, search } = new URL(path, url)
    return `${pathname}${search}`
  }
  return { ...holdall, http: (path, init) => holdall.http(here(path), init) }
}

/** One that is given to nobody who asks for any: a process that starts again finds it free. */
async function freePort(): Promise<number> {
  for (let tries = 0; tries < 50; tries += 1) {
    const port = 20_000 + Math.floor(Math.random() * 12_000)
    const server = createServer()
    const listens = new Promise((resolve) => {
      server.once('listening', () => resolve(true)).once('error', () => resolve(false))
    })
    server.listen(port, '127.0.0.1')
    if (!(await listens)) continue
    await new Promise((resolve) => server.close(resolve))
    return port
  }
  throw new Error('no port is free')
}
