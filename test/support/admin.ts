import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type { TestServer } from './test-server.ts'

/** `npm run admin -- …` beside a server: its exit code, its lines, and what it wrote to standard error. */
export async function runAdmin(
  { dir, databaseUrl }: Pick<TestServer, 'dir' | 'databaseUrl'>,
  ...args: string[]
) {
  const root = join(import.meta.dirname, '../..')
  const env = { DATA_DIR: dir, ...(databaseUrl && { DATABASE_URL: databaseUrl }) }
  const child = spawn(process.execPath, ['src/admin.ts', ...args], { cwd: root, env })
  const said = { out: '', err: '' }
  child.stdout.on('data', (text) => {
    said.out += text
  })
  child.stderr.on('data', (text) => {
    said.err += text
  })
  const [code] = await once(child, 'close')
  return { code, lines: said.out.split('\n').filter((line) => line !== ''), complained: said.err }
}
