import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Env } from '../../../src/config/env.ts'
import { newDatabase } from '../databases.ts'
import { freePort } from '../network/free-port.ts'
import { until } from '../network/tus.ts'
import { root } from '../project-root.ts'
import { serverAt } from './server-at.ts'

const token = 'killed-again-and-again'

/** Starts the server in a separate process that can be killed. */
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

  await start()
  const close = async () => {
    await kill()
    await database[Symbol.asyncDispose]()
    await rm(dir, { recursive: true, force: true })
  }
  const holdall = { ...serverAt(url, token), dir }
  return { holdall, dir, start, kill, [Symbol.asyncDispose]: close }
}
