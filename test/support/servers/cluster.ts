import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Env } from '../../../src/config/env.ts'
import { newDatabase } from '../databases.ts'
import { openProxy } from '../network/proxy.ts'
import { until } from '../network/tus.ts'
import { root } from '../project-root.ts'
import { serverAt } from './server-at.ts'
import type { TestServer } from './test-server.ts'

/**
 * Starts three server processes at the same moment, with one database and one folder (or bucket),
 * behind a load balancer. Without ADMIN_TOKEN, `token` is the token that a process printed.
 */
export async function openCluster({
  env = {},
  isEmpty = false,
  clockOffsets = [],
}: {
  env?: Env
  isEmpty?: boolean
  /** Clock offset of each process in milliseconds; positive is ahead. */
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
  const printed = members.flatMap(({ output }) => /Token {6}(hld_\S+)/.exec(output.out)?.[1] ?? [])
  const token = env.ADMIN_TOKEN ?? printed[0] ?? ''
  const all = stack.move()
  return {
    dir,
    env: vars,
    members,
    proxy,
    printed,
    token,
    /** A client that goes through the load balancer. */
    holdall: memberServer(proxy.url, token),
    /** A client of one process. */
    at: (index: number) => memberServer(`http://127.0.0.1:${ports[index]}`, token),
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  }
}
export type Cluster = Awaited<ReturnType<typeof openCluster>>

/** Returns the variables that move the clock of a process ahead. */
const withClock = (ms: number): Env =>
  ms === 0
    ? {}
    : {
        CLOCK_OFFSET_MS: String(ms),
        NODE_OPTIONS: `--import=${join(root, 'test/support/clock-offset.ts')}`,
      }

function memberAt(port: number, env: Env, ends: string[]) {
  let child: ChildProcess | undefined
  /** The child that was signalled, so that its exit is expected. */
  let signalled: ChildProcess | undefined
  const output = { out: '', err: '' }

  async function signalAndWait(signal: NodeJS.Signals) {
    if (!child || child.exitCode !== null || child.signalCode !== null) return null
    const over = once(child, 'exit')
    signalled = child
    child.kill(signal)
    const [code] = await over
    return code as number | null
  }

  return {
    output,
    /** Resolves when the process accepts requests. */
    async start() {
      const all = { ...env, PORT: String(port) }
      output.out = ''
      child = spawn(process.execPath, ['src/main.ts'], { cwd: root, env: all as NodeJS.ProcessEnv })
      child.stdout?.on('data', (text) => (output.out += text))
      child.stderr?.on('data', (text) => (output.err += text))
      const ready = async () => {
        if (child?.exitCode != null) throw new Error(output.err)
        return output.out.includes('Holdall is')
      }
      await until(ready, 30_000)
      const mine = child
      mine.once('exit', (code, signal) => {
        if (signalled !== mine)
          ends.push(`${port} exited unexpectedly (${code ?? signal}): ${output.err}`)
      })
    },
    /** Kills the process at once. */
    kill: () => signalAndWait('SIGKILL'),
    /** Stops the process gracefully. Returns its exit code. */
    stop: () => signalAndWait('SIGTERM'),
    /** Suspends the process until resume(). */
    freeze: () => void child?.kill('SIGSTOP'),
    resume: () => void child?.kill('SIGCONT'),
  }
}

/** Drops the host of absolute URLs, so that a URL from another process is requested from this one. */
function memberServer(url: string, token: string): TestServer {
  const holdall = serverAt(url, token)
  const withoutHost = (path: string) => {
    const { pathname, search } = new URL(path, url)
    return `${pathname}${search}`
  }
  return { ...holdall, http: (path, init) => holdall.http(withoutHost(path), init) }
}

/** Returns a port outside the ephemeral range, so that a process that restarts finds it free. */
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
