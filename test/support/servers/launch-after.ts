import { spawn, spawnSync } from 'node:child_process'
import { onTestFinished } from 'vitest'
import { freePort } from '../network/free-port.ts'
import { until } from '../network/tus.ts'
import { root } from '../project-root.ts'
import { databaseOf } from './process.ts'
import { serverAt } from './server-at.ts'

const ADMIN_TOKEN = 'the-kernel-says-no-to-this'

/** Whether this user may mount file systems: root, if the container allows it. */
export const canMount =
  spawnSync('unshare', ['-m', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt']).status === 0

/**
 * Starts the server with the folder `dir` in a separate mount namespace, after the shell command `line`,
 * which prepares the mounts.
 */
export async function launchAfter(line: string, dir: string, more: Record<string, string> = {}) {
  const url = `http://127.0.0.1:${await freePort()}`
  const env = {
    ...{ PATH: process.env.PATH, DATA_DIR: dir, ADMIN_TOKEN, LOG_LEVEL: 'silent' },
    ...{ NODE: process.execPath, PORT: new URL(url).port, ...databaseOf(dir), ...more },
  }
  const [command = '', ...args] = [
    'unshare',
    '-m',
    'sh',
    '-c',
    `${line} && exec "$NODE" src/main.ts`,
  ]
  const child = spawn(command, args, { cwd: root, env, stdio: ['ignore', 'ignore', 'inherit'] })
  onTestFinished(() => void child.kill('SIGKILL'))
  await until(async () => (await fetch(`${url}/readyz`).catch(() => null))?.status === 200, 30_000)
  /** Runs a command with the mounts of the server. */
  const beside = (...command: string[]) =>
    spawnSync('nsenter', ['-t', `${child.pid}`, '-m', '--wd=.', ...command], { cwd: root, env })
  return { holdall: serverAt(url, ADMIN_TOKEN), url, beside }
}
