import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { root } from './project-root.ts'
import type { TestServer } from './servers/test-server.ts'

/**
 * Runs `npm run admin -- …` for the data of a server. Returns its exit code, its output lines and its
 * standard error.
 */
export async function runAdmin(
  { dir, databaseUrl }: Pick<TestServer, 'dir' | 'databaseUrl'>,
  ...args: string[]
) {
  const env = { DATA_DIR: dir, ...(databaseUrl && { DATABASE_URL: databaseUrl }) }
  const child = spawn(process.execPath, ['src/admin.ts', ...args], { cwd: root, env })
  const output = { out: '', err: '' }
  child.stdout.on('data', (text) => {
    output.out += text
  })
  child.stderr.on('data', (text) => {
    output.err += text
  })
  const [code] = await once(child, 'close')
  return { code, lines: output.out.split('\n').filter((line) => line !== ''), stderr: output.err }
}
