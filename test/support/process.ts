import { spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished } from 'vitest'
import { newDatabase } from './databases.ts'

/** A folder that is gone when the test ends. */
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

/** The database that goes with each folder, as a variable; SQLite's lies in it, and needs none. */
const databases = new Map<string | undefined, { DATABASE_URL?: string }>()
export const databaseOf = (dir: string | undefined) => databases.get(dir) ?? {}

/** What `npm start` runs, on a free port, with these variables and no others; gone when the test ends. */
export async function startProcess(env: Record<string, string>) {
  const main = join(import.meta.dirname, '../../src/main.ts')
  const child = spawn(process.execPath, [main], {
    env: { PORT: '0', DRAIN_SECONDS: '0', ...databaseOf(env.DATA_DIR), ...env },
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  const said = { out: '', err: '' }
  child.stdout.on('data', (text) => {
    said.out += text
  })
  child.stderr.on('data', (text) => {
    said.err += text
  })
  const exited = new Promise<number | null>((resolve) => child.once('close', resolve))
  await expect.poll(() => said.out, { timeout: 20_000 }).toMatch(/localhost:\d+/)
  const url = `http://${/localhost:\d+/.exec(said.out)?.[0]}`
  return {
    url,
    said,
    /** Its exit code, once it has ended. */
    exited,
    signal: (signal: NodeJS.Signals) => void child.kill(signal),
    /** POSTs GraphQL and answers with the whole result. */
    async ask(token: string, query: string, variables: object = {}) {
      const response = await fetch(`${url}/graphql`, {
        method: 'POST',
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        body: JSON.stringify({ query, variables }),
      })
      return (await response.json()) as { data?: any; errors?: any[] }
    },
    /** Asks it to end, waits for that, and answers with all that it said. */
    async stop() {
      child.kill('SIGTERM')
      expect(await exited).toBe(0)
      return said
    },
  }
}
export type Process = Awaited<ReturnType<typeof startProcess>>
