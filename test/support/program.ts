import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'

export type Program = Awaited<ReturnType<typeof startProgram>>

/**
 * A server in a process of its own, for whoever measures: started with `words` after `node`, with `env` and nothing else. It has
 * to say where it listens, as localhost:PORT, on its standard output.
 */
export async function startProgram(words: string[], env: NodeJS.ProcessEnv) {
  const child = spawn(process.execPath, words, {
    env: { DRAIN_SECONDS: '0', ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let said = ''
  child.stdout.on('data', (text) => {
    said += text
  })
  while (!/localhost:\d+/.test(said)) {
    if (child.exitCode !== null) throw new Error(`the server has ended: ${said}`)
    await sleep(5)
  }
  const megabytes = async (name: string) => {
    const status = await readFile(`/proc/${child.pid}/status`, 'utf8')
    return Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)?.[1]) / 1024
  }
  return {
    url: `http://${/localhost:\d+/.exec(said)?.[0]}`,
    pid: child.pid as number,
    /** The memory that it has now, in MB. */
    megabytes: () => megabytes('VmRSS'),
    /** The most memory that it has had so far, in MB. */
    peakMegabytes: () => megabytes('VmHWM'),
    /** The time that cores have worked for it so far, in seconds. */
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
