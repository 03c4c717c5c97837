import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { houseAt } from './house-at.ts'

/** What `npm start` runs, in a process of its own, for whoever measures; `env` is all that it is told, with ADMIN_TOKEN. */
export async function startServer(env: NodeJS.ProcessEnv & { ADMIN_TOKEN: string }) {
  const main = join(import.meta.dirname, '../../src/main.ts')
  const child = spawn(process.execPath, ['--max-semi-space-size=2', main], {
    env: { PORT: '0', LOG_LEVEL: 'error', ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let said = ''
  child.stdout.on('data', (text) => {
    said += text
  })
  while (!/localhost:\d+/.test(said)) {
    if (child.exitCode !== null) throw new Error(`the server has ended: ${said}`)
    await sleep(20)
  }
  return {
    house: houseAt(`http://${/localhost:\d+/.exec(said)?.[0]}`, env.ADMIN_TOKEN),
    /** The most memory that it has had so far, in MB. */
    async peakMegabytes(): Promise<number> {
      const status = await readFile(`/proc/${child.pid}/status`, 'utf8')
      return Number(/VmHWM:\s+(\d+)/.exec(status)?.[1]) / 1024
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGTERM')
      await once(child, 'exit')
    },
  }
}
