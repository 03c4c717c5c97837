import { join } from 'node:path'
import { startProgram } from './program.ts'
import { serverAt } from './server-at.ts'

export type Server = Awaited<ReturnType<typeof startServer>>

/** What `npm start` runs, in a process of its own, for whoever measures; `env` is all that it is told, with ADMIN_TOKEN. */
export async function startServer(env: NodeJS.ProcessEnv & { ADMIN_TOKEN: string }) {
  const main = join(import.meta.dirname, '../../src/main.ts')
  const program = await startProgram([main], {
    PORT: '0',
    LOG_LEVEL: 'error',
    ...env,
  })
  return { ...program, holdall: serverAt(program.url, env.ADMIN_TOKEN) }
}
