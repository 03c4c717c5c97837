import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openApp } from '../../../src/app.ts'
import { readConfig } from '../../../src/config/config.ts'
import { inspect, type ReportedFinding } from '../../../src/fsck/inspect.ts'
import { createHttpServer } from '../../../src/http/server.ts'
import { freePort } from '../network/free-port.ts'
import { until } from '../network/tus.ts'
import { root } from '../project-root.ts'
import { serverAt } from '../servers/server-at.ts'
import type { TestServer } from '../servers/test-server.ts'
import { type Call, readTrace, strace } from './strace.ts'
import type { Disk } from './traced-disk.ts'

const ADMIN_TOKEN = 'all-that-it-does-is-traced'

/**
 * Starts the server and traces its system calls; its DATA_DIR is `data` in a folder that does not exist
 * yet.
 */
export async function openTraced() {
  await using stack = new AsyncDisposableStack()
  const dir = await mkdtemp(join(tmpdir(), 'holdall-traced-'))
  stack.defer(() => rm(dir, { recursive: true, force: true }))
  const [place, file] = [join(dir, 'disk'), join(dir, 'trace')]
  await mkdir(place)
  const url = `http://127.0.0.1:${await freePort()}`
  const env = {
    ...{ PATH: process.env.PATH, DATA_DIR: join(place, 'new/data'), PORT: new URL(url).port },
    DRAIN_SECONDS: '0',
    ...{ ADMIN_TOKEN, LOG_LEVEL: 'error' },
    // Writes through io_uring are not system calls and would not be traced.
    UV_USE_IO_URING: '0',
  }
  const [command = '', ...args] = [...strace(file), process.execPath, 'src/main.ts']
  const child = spawn(command, args, { cwd: root, env, stdio: ['ignore', 'ignore', 'inherit'] })
  stack.defer(() => void child.kill('SIGKILL'))
  await until(async () => (await fetch(`${url}/readyz`).catch(() => null))?.status === 200, 30_000)
  const all = stack.move()
  return {
    ...withRequestIds(serverAt(url, ADMIN_TOKEN)),
    place,
    /** Stops the server. Returns all its calls. */
    async stop(): Promise<Call[]> {
      const gone = once(child, 'exit')
      child.kill('SIGTERM')
      const [code] = await gone
      if (code !== 0) throw new Error(`the server ended with ${code}`)
      // strace pads short process ids with spaces.
      const ended = new RegExp(`${child.pid} +\\+\\+\\+ exited with 0 \\+\\+\\+\n$`)
      await until(async () => ended.test(await readFile(file, 'latin1')))
      return readTrace(file)
    },
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  }
}

/** Gives each request an id, which its response repeats; `lastRequestId` returns the last one. */
function withRequestIds(holdall: TestServer) {
  const { http } = holdall
  let lastRequestId = ''
  holdall.http = (path, init = {}) => {
    lastRequestId = randomUUID()
    return http(path, { ...init, headers: { ...init.headers, 'x-request-id': lastRequestId } })
  }
  return { holdall, lastRequestId: () => lastRequestId }
}

/** Returns the call that sent the first bytes of a response. */
export function answerTo(calls: Call[], requestId: string): Call {
  const found = calls.find(
    ({ path, strings }) =>
      path.startsWith('socket:') && strings.some((bytes) => bytes.includes(requestId)),
  )
  if (!found) throw new Error(`no answer to request ${requestId} was sent`)
  return found
}

/** Opens a server, with a clock one minute ahead, with the data that a loss of power has left of `place`. */
export async function openAfterPowerLoss(disk: Disk, place: string) {
  await using stack = new AsyncDisposableStack()
  const dir = await mkdtemp(join(tmpdir(), 'holdall-survivor-'))
  stack.defer(() => rm(dir, { recursive: true, force: true }))
  for (const [path, bytes] of disk) {
    // Shared memory, which SQLite creates anew.
    if (path.endsWith('-shm')) continue
    const copy = join(dir, path.slice(place.length))
    if (bytes) await writeFile(copy, bytes)
    else await mkdir(copy, { recursive: true })
  }
  const env = { DATA_DIR: join(dir, 'new/data'), ADMIN_TOKEN, LOG_LEVEL: 'silent' }
  const app = stack.use(await openApp(readConfig(env), { now: () => Date.now() + 60_000 }))
  const server = createHttpServer(app)
  const port = await server.listen(0, '127.0.0.1')
  stack.defer(() => server.close(1000))
  const holdall = serverAt(`http://127.0.0.1:${port}`, ADMIN_TOKEN)
  const fsck = (): Promise<ReportedFinding[]> =>
    Array.fromAsync(inspect(app.config, { repair: true, deep: true, pauseMs: 1 }))
  const all = stack.move()
  return { holdall, fsck, [Symbol.asyncDispose]: () => all.disposeAsync() }
}
