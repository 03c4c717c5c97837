import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import { expect, onTestFinished } from 'vitest'
import { serverAt } from './server-at.ts'
import { until } from './tus.ts'

const root = join(import.meta.dirname, '../..')

export type Env = Record<string, string>
export type Command = { command?: string; args?: string[]; detached?: boolean }

/** What `npm start` runs, with these variables and no others, and all that it prints; killed when the test ends. */
export function launch(
  env: Env,
  { command = process.execPath, args = ['src/main.ts'], detached = false }: Command = {},
) {
  const startedAt = performance.now()
  const { PATH, HOME } = process.env
  const child = spawn(command, args, {
    cwd: root,
    env: { ...{ PATH, HOME }, PORT: '0', LOG_LEVEL: 'error', DRAIN_SECONDS: '0', ...env },
    detached,
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  const said = { out: '', err: '' }
  child.stdout.on('data', (text) => (said.out += text))
  child.stderr.on('data', (text) => (said.err += text))
  const exited = new Promise<number | null>((resolve) => child.once('close', resolve))
  return { child, said, exited, startedAt }
}

/** The same once it is ready; `token` is the one that its `house` sends. */
export async function launchReady(env: Env, command?: Command, token = env.ADMIN_TOKEN ?? '') {
  const begun = launch(env, command)
  await until(async () => {
    if (begun.child.exitCode !== null) throw new Error(begun.said.err)
    return /localhost:\d+/.test(begun.said.out)
  }, 20_000)
  const url = `http://${/localhost:\d+/.exec(begun.said.out)?.[0]}`
  expect((await fetch(`${url}/readyz`)).status).toBe(200)
  const ms = performance.now() - begun.startedAt
  return { ...begun, url, ms, holdall: serverAt(url, token) }
}

/** Asks it to stop, and expects that it does so in order. */
export async function stop({
  child,
  exited,
}: {
  child: ChildProcess
  exited: Promise<number | null>
}) {
  child.kill('SIGTERM')
  expect(await exited).toBe(0)
}
