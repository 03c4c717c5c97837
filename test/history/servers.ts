import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Env } from '../../src/config/env.ts'
import { freePort } from '../support/network/free-port.ts'
import { openProxy } from '../support/network/proxy.ts'
import { startTcpProxy, type TcpProxy } from '../support/network/tcp-proxy.ts'
import { until } from '../support/network/tus.ts'
import { root } from '../support/project-root.ts'
import { newS3Prefix, s3IsGiven } from '../support/s3.ts'
import { serverAt } from '../support/servers/server-at.ts'
import type { TestServer } from '../support/servers/test-server.ts'

const clock = join(import.meta.dirname, 'clock.ts')
const ADMIN_TOKEN = 'a-history-that-is-checked'

/** One server process; `networks` are the proxies between it and its database and bucket. */
export type Member = {
  networks: TcpProxy[]
  /** Starts the process with a clock that is ahead, and waits until it is ready. */
  start: (clockAheadMs?: number) => Promise<void>
  /** Sends SIGKILL or SIGTERM and waits for the exit. */
  end: (signal: 'SIGKILL' | 'SIGTERM') => Promise<void>
  signal: (signal: 'SIGSTOP' | 'SIGCONT') => void
}
export type Installation = {
  members: Member[]
  holdall: TestServer
  /** Returns the output of `npm run fsck -- --deep`, or an empty string if it finds nothing. */
  fsck: () => Promise<string>
} & AsyncDisposable

/**
 * Starts three processes on this PostgreSQL database and one folder or bucket, or one on SQLite, behind a
 * round-robin proxy.
 */
export async function openInstallation(databaseUrl: string | undefined): Promise<Installation> {
  await using stack = new AsyncDisposableStack()
  const dir = await mkdtemp(join(tmpdir(), 'holdall-history-'))
  stack.defer(() => rm(dir, { recursive: true, force: true }))
  const { PATH, HOME, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY } = process.env
  const near: Env = {
    ...{ PATH, HOME, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY },
    ...{ DATA_DIR: dir, ADMIN_TOKEN, LOG_LEVEL: 'fatal', DRAIN_SECONDS: '1' },
    ...(databaseUrl && { DATABASE_URL: databaseUrl }),
    ...(databaseUrl && s3IsGiven && { ...newS3Prefix(), DOWNLOADS: 'proxy' }),
  }
  const ports = await Promise.all(Array.from({ length: databaseUrl ? 3 : 1 }, freePort))
  const members: Member[] = []
  for (const port of ports) members.push(await openMember({ ...near, PORT: `${port}` }, stack))
  await Promise.all(members.map((member) => member.start()))
  const proxy = stack.use(await openProxy(ports))
  const all = stack.move()
  return {
    members,
    holdall: serverAt(proxy.url, ADMIN_TOKEN),
    fsck: () => fsck(near),
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  }
}

async function openMember(near: Env, stack: AsyncDisposableStack): Promise<Member> {
  const networks: TcpProxy[] = []
  const env = { ...near }
  for (const name of ['DATABASE_URL', 'S3_ENDPOINT']) {
    const url = near[name]
    if (!url) continue
    const { hostname: host, port } = new URL(url)
    const network = stack.use(await startTcpProxy({ host, port: Number(port) }))
    networks.push(network)
    env[name] = Object.assign(new URL(url), { port: `${network.port}` }).href.replace(/\/$/, '')
  }
  let child: ChildProcess | undefined
  const member: Member = {
    networks,
    async start(clockAheadMs = 0) {
      const all = { ...env, CLOCK_AHEAD_MS: `${clockAheadMs}` }
      child = spawn(process.execPath, ['--import', clock, 'src/main.ts'], {
        ...{ cwd: root, env: all as NodeJS.ProcessEnv },
        stdio: ['ignore', 'ignore', 'inherit'],
      })
      await until(() => isReady(env.PORT ?? ''), 60_000)
    },
    async end(signal) {
      if (!child || child.exitCode !== null || child.signalCode !== null) return
      const over = once(child, 'exit')
      child.kill(signal)
      await over
    },
    signal: (signal) => void child?.kill(signal),
  }
  stack.defer(() => member.end('SIGKILL'))
  return member
}

const isReady = async (port: string) => {
  const answer = await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => null)
  return answer?.status === 200
}

async function fsck(env: Env): Promise<string> {
  const child = spawn(process.execPath, ['src/fsck.ts', '--deep'], {
    ...{ cwd: root, env: env as NodeJS.ProcessEnv },
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (output += text))
  const [code] = await once(child, 'close')
  return code === 0 ? '' : output
}
