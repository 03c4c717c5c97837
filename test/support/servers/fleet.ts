import { join } from 'node:path'
import { startProgram } from './program.ts'
import { serverAt } from './server-at.ts'

export type Server = Awaited<ReturnType<typeof startServer>>

/**
 * Starts the server in a separate process, for measurements. Its environment is `env`, with defaults for PORT
 * and LOG_LEVEL.
 */
export async function startServer(env: NodeJS.ProcessEnv & { ADMIN_TOKEN: string }) {
  const main = join(import.meta.dirname, '../../../src/main.ts')
  const program = await startProgram([main], {
    PORT: '0',
    LOG_LEVEL: 'error',
    ...env,
  })
  return { ...program, holdall: serverAt(program.url, env.ADMIN_TOKEN) }
}
