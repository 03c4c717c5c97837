import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { root } from '../project-root.ts'
import type { Env } from '../servers/launch.ts'

/**
 * Starts `npm run <name> -- …` in a process that can be killed. `ended` resolves with its exit code and
 * its output.
 */
export function command(name: 'backup' | 'restore' | 'fsck', args: string[], env: Env) {
  const child = spawn(process.execPath, [`src/${name}.ts`, ...args], {
    cwd: root,
    env: { PATH: process.env.PATH, HOME: process.env.HOME, ...env },
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (text) => {
      output += text
    })
  const ended = once(child, 'close').then(([code]) => ({ code: code as number | null, output }))
  return { child, ended }
}

export const run = (name: 'backup' | 'restore' | 'fsck', args: string[], env: Env) =>
  command(name, args, env).ended

const pgDump = spawnSync('pg_dump', ['--version'])
/** Major version of the pg_dump on the PATH; 0 if there is none. */
export const pgDumpVersion = Number(/\) (\d+)/.exec(`${pgDump.stdout}`)?.[1] ?? 0)

/** Directory of the PostgreSQL server of that version in Debian's packages. */
const bin = `/usr/lib/postgresql/${pgDumpVersion}/bin`
export const systemPostgres = existsSync(join(bin, 'postgres')) ? bin : null
