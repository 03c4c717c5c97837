import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Env } from '../../src/config.ts'
import { newDatabase } from './databases.ts'
import type { House } from './house.ts'
import { until } from './tus.ts'

const token = 'killed-again-and-again'

/** The server as `npm start` runs it, in a process of its own that can be killed. */
export async function openProcess(vars: Env = {}) {
  const dir = await mkdtemp(join(tmpdir(), 'holdall-killed-'))
  const database = await newDatabase()
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  let child: ChildProcess | undefined

  async function start() {
    const env = {
      PATH: process.env.PATH,
      DATA_DIR: dir,
      PORT: `${port}`,
      ADMIN_TOKEN: token,
      LOG_LEVEL: 'error',
      ...database.env,
      ...vars,
    }
    const root = join(import.meta.dirname, '../..')
    child = spawn(process.execPath, ['src/main.ts'], {
      cwd: root,
      env,
      stdio: ['ignore', 'ignore', 'inherit'],
    })
    await until(
      async () => (await fetch(`${url}/readyz`).catch(() => null))?.status === 200,
      20_000,
    )
  }

  async function kill() {
    if (!child) return
    const gone = once(child, 'exit')
    child.kill('SIGKILL')
    await gone
    child = undefined
  }

  const http: House['http'] = (path, { token: as = token, headers, ...init } = {}) =>
    fetch(new URL(path, url), { ...init, headers: { authorization: `Bearer ${as}`, ...headers } })
  async function ask(query: string, variables: Record<string, unknown> = {}) {
    const headers = { 'content-type': 'application/json' }
    const body = JSON.stringify({ query, variables })
    const { data, errors } = (await (
      await http('/graphql', { method: 'POST', headers, body })
    ).json()) as any
    if (errors) throw new Error(JSON.stringify(errors))
    return data
  }

  await start()
  const close = async () => {
    await kill()
    await database[Symbol.asyncDispose]()
    await rm(dir, { recursive: true, force: true })
  }
  // All that the test's clients use of a house.
  const house = { dir, url, token, http, ask } as unknown as House
  return { house, dir, start, kill, [Symbol.asyncDispose]: close }
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}
