import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'

export type Program = Awaited<ReturnType<typeof startProgram>>

/**
 * Starts a server in a separate process, for measurements: `words` are the arguments of `node`, and
 * `env` is its whole environment. It must print its address as localhost:PORT.
 */
export async function startProgram(words: string[], env: NodeJS.ProcessEnv) {
  const child = spawn(process.execPath, words, {
    env: { DRAIN_SECONDS: '0', ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  child.stdout.on('data', (text) => {
    output += text
  })
  while (!/localhost:\d+/.test(output)) {
    if (child.exitCode !== null) throw new Error(`the server has ended: ${output}`)
    await sleep(5)
  }
  const megabytes = async (name: string) => {
    const status = await readFile(`/proc/${child.pid}/status`, 'utf8')
    return Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)?.[1]) / 1024
  }
  return {
    url: `http://${/localhost:\d+/.exec(output)?.[0]}`,
    pid: child.pid as number,
    /** Current memory in MB. */
    megabytes: () => megabytes('VmRSS'),
    /** Peak memory in MB. */
    peakMegabytes: () => megabytes('VmHWM'),
    /** CPU time so far in seconds. */
    async cpuSeconds(): Promise<number> {
      const stat = await readFile(`/proc/${child.pid}/stat`, 'utf8')
      const [user, system] = stat
        .slice(stat.lastIndexOf(')') + 2)
        .split(' ')
        .slice(11, 13)
      return (Number(user) + Number(system)) / 100
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGTERM')
      await once(child, 'exit')
    },
  }
}
