import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { type Env, StartupError } from '../../config.ts'

type Program = 'pg_dump' | 'pg_restore'

const run = promisify(execFile)
type Failure = Error & { code?: unknown; stderr?: string }

/** Throws StartupError unless the program is on the PATH and not older than the server. */
export async function requireProgram(
  program: Program,
  serverVersion: number,
  env: Env,
): Promise<void> {
  const wanted = `install the client programs of PostgreSQL ${serverVersion} or later, and put them first on the PATH`
  const { stdout } = await run(program, ['--version'], { env: { ...env } }).catch((error) => {
    throw new StartupError(`${program} cannot be run (${error.code}): ${wanted}.`)
  })
  const version = Number(/\) (\d+)/.exec(stdout)?.[1])
  if (version >= serverVersion) return
  throw new StartupError(
    `${program} is of version ${version}, and the server is PostgreSQL ${serverVersion}: ${wanted}.`,
  )
}

/** Throws StartupError with what the program says. */
export async function runProgram(program: Program, args: string[], url: string, env: Env) {
  const { address, password } = forLibpq(url)
  // Everybody on this machine sees the arguments of a process, and its user alone the variables.
  const secret = password === '' ? {} : { PGPASSWORD: password }
  try {
    await run(program, [...args, `--dbname=${address}`], { env: { ...env, ...secret } })
  } catch (error) {
    const { stderr, message } = error as Failure
    throw new StartupError(`${program} failed: ${(stderr || message).trim()}`)
  }
}

/** The URL of the server in words that libpq knows: `pg` verifies certificates unless it is told not to, and knows more modes. */
function forLibpq(url: string): { address: string; password: string } {
  const there = new URL(url)
  const password = decodeURIComponent(there.password)
  there.password = ''
  const query = there.searchParams
  const mode = query.get('sslmode')
  const isCompatible = query.get('uselibpqcompat') === 'true'
  query.delete('uselibpqcompat')
  if (mode === 'no-verify') query.set('sslmode', 'require')
  else if (mode && mode !== 'disable' && !isCompatible) {
    query.set('sslmode', 'verify-full')
    if (!query.has('sslrootcert')) query.set('sslrootcert', 'system')
  }
  return { address: there.href, password }
}
