import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished } from 'vitest'
import { root } from '../project-root.ts'
import { emptyFolder } from '../servers/process.ts'
import { npmStepsOf } from './walkthrough.ts'

/** Returns the blocks of commands of a page that call npm. */
export const npmStepsIn = (file: string) => npmStepsOf(readFileSync(join(root, file), 'utf8'))

/** Runs a command that starts a server until the server is ready, and ends it. Returns the output. */
export async function startAsShown(command: string, env: NodeJS.ProcessEnv = {}): Promise<string> {
  const { PATH, HOME } = process.env
  const child = spawn('bash', ['-c', command], {
    cwd: root,
    env: { PATH, HOME, PORT: '0', DATA_DIR: await emptyFolder(), ...env },
    // npm starts the server in a process of its own: the group is ended.
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let isOver = false
  const closed = once(child, 'close').then(() => (isOver = true))
  const kill = () => void (isOver || process.kill(-(child.pid as number), 'SIGKILL'))
  onTestFinished(kill)
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (output += text))
  await expect.poll(() => output, { timeout: 20_000 }).toContain('Holdall is ready')
  kill()
  await closed
  return output
}
