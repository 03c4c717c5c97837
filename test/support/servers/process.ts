import { spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished } from 'vitest'
import { newDatabase } from '../databases.ts'

/** Creates an empty folder, deleted when the test ends. */
export async function emptyFolder(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'holdall-'))
  const database = await newDatabase()
  databases.set(dir, database.env)
  onTestFinished(async () => {
    await database[Symbol.asyncDispose]()
    await rm(dir, { recursive: true, force: true })
  })
  return dir
}

/** The database of each folder, as a variable; SQLite needs none. */
const databases = new Map<string | undefined, { DATABASE_URL?: string }>()
export const databaseOf = (dir: string | undefined) => databases.get(dir) ?? {}

/** Starts `npm start` on a free port with only these variables. It is killed when the test ends. */
export async function startProcess(env: Record<string, string>) {
  const main = join(import.meta.dirname, '../../../src/main.ts')
  const child = spawn(process.execPath, [main], {
    env: { PORT: '0', DRAIN_SECONDS: '0', ...databaseOf(env.DATA_DIR), ...env },
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  const output = { out: '', err: '' }
  child.stdout.on('data', (text) => {
    output.out += text
  })
  child.stderr.on('data', (text) => {
    output.err += text
  })
  const exited = new Promise<number | null>((resolve) => child.once('close', resolve))
  await expect.poll(() => output.out, { timeout: 20_000 }).toMatch(/localhost:\d+/)
  const url = `http://${/localhost:\d+/.exec(output.out)?.[0]}`
  return {
    url,
    output,
    /** Resolves with its exit code. */
    exited,
    signal: (signal: NodeJS.Signals) => void child.kill(signal),
    /** Sends GraphQL. Returns the whole result. */
    async ask(token: string, query: string, variables: object = {}) {
      const response = await fetch(`${url}/graphql`, {
        method: 'POST',
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        body: JSON.stringify({ query, variables }),
      })
      return (await response.json()) as { data?: any; errors?: any[] }
    },
    /** Stops it gracefully. Returns its output. */
    async stop() {
      child.kill('SIGTERM')
      expect(await exited).toBe(0)
      return output
    },
  }
}
export type Process = Awaited<ReturnType<typeof startProcess>>
