import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import type { Env } from '../../config/env.ts'
import { StartupError } from '../../config/startup-error.ts'

type Program = 'pg_dump' | 'pg_restore'

const run = promisify(execFile)
type Failure = Error & { code?: unknown; stderr?: string }

/** Throws StartupError unless the program is on the PATH and at least of the server's major version. */
export async function requireProgram(
  program: Program,
  serverVersion: number,
  env: Env,
): Promise<void> {
  const hint = `install the client programs of PostgreSQL ${serverVersion} or later, and put them first on the PATH`
  const { stdout } = await run(program, ['--version'], { env: { ...env } }).catch((error) => {
    throw new StartupError(`${program} cannot be run (${error.code}): ${hint}.`)
  })
  const version = Number(/\) (\d+)/.exec(stdout)?.[1])
  if (version >= serverVersion) return
  throw new StartupError(
    `${program} has version ${version}, older than the server (PostgreSQL ${serverVersion}): ${hint}.`,
  )
}

/** Runs the program against the database at `url`; throws StartupError with its error output. */
export async function runProgram(program: Program, args: string[], url: string, env: Env) {
  const { address, password } = toLibpqUrl(url)
  // All users of the machine can read the arguments of a process, but not its environment.
  const secret = password === '' ? {} : { PGPASSWORD: password }
  try {
    await run(program, [...args, `--dbname=${address}`], { env: { ...env, ...secret } })
  } catch (error) {
    const { stderr, message } = error as Failure
    throw new StartupError(`${program} failed: ${(stderr || message).trim()}`)
  }
}

/**
 * Translates the URL for libpq, because `pg` verifies certificates by default and knows more values of
 * sslmode. The password is returned separately.
 */
function toLibpqUrl(url: string): { address: string; password: string } {
  const parsed = new URL(url)
  const password = decodeURIComponent(parsed.password)
  parsed.password = ''
  const query = parsed.searchParams
  const mode = query.get('sslmode')
  const isCompatible = query.get('uselibpqcompat') === 'true'
  query.delete('uselibpqcompat')
  if (mode === 'no-verify') query.set('sslmode', 'require')
  else if (mode && mode !== 'disable' && !isCompatible) {
    query.set('sslmode', 'verify-full')
    if (!query.has('sslrootcert')) query.set('sslrootcert', 'system')
  }
  return { address: parsed.href, password }
}
