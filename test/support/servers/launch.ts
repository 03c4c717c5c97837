import { type ChildProcess, spawn } from 'node:child_process'
import { expect, onTestFinished } from 'vitest'
import { until } from '../network/tus.ts'
import { root } from '../project-root.ts'
import { serverAt } from './server-at.ts'

export type Env = Record<string, string>
export type Command = { command?: string; args?: string[]; detached?: boolean }

/**
 * Starts `npm start` with only these variables and records its output. The process is killed when the test
 * ends.
 */
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
  const output = { out: '', err: '' }
  child.stdout.on('data', (text) => (output.out += text))
  child.stderr.on('data', (text) => (output.err += text))
  const exited = new Promise<number | null>((resolve) => child.once('close', resolve))
  return { child, output, exited, startedAt }
}

/** Starts the server and waits until it is ready; `token` is the token of its client. */
export async function launchReady(env: Env, command?: Command, token = env.ADMIN_TOKEN ?? '') {
  const begun = launch(env, command)
  await until(async () => {
    if (begun.child.exitCode !== null) throw new Error(begun.output.err)
    return /localhost:\d+/.test(begun.output.out)
  }, 20_000)
  const url = `http://${/localhost:\d+/.exec(begun.output.out)?.[0]}`
  expect((await fetch(`${url}/readyz`)).status).toBe(200)
  const ms = performance.now() - begun.startedAt
  return { ...begun, url, ms, holdall: serverAt(url, token) }
}

/** Stops the server and expects exit code 0. */
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
