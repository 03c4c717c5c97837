import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { restore } from './backup/restore.ts'
import { readConfig } from './config/config.ts'
import { StartupError } from './config/startup-error.ts'
import { runCommand } from './run-command.ts'

// Files that this process creates are accessible to its own user only.
process.umask(0o077)

const usage = `npm run restore -- <folder>

Restores a backup to an empty location, configured by the same environment variables as a server, and then checks it
completely (npm run fsck -- --deep).
Exit status: that of fsck, or 2 if nothing could be restored.`

/** Restores rows and bytes, then runs fsck and exits with its code. */
async function main() {
  // The default until the restore is complete: a process that ends early has restored nothing.
  process.exitCode = 2
  const dir = readArguments()
  const config = readConfig(process.env)
  const { blobs, endedUploads, missing } = await restore({ config, env: process.env, dir })
  console.log(
    `Restored ${blobs} blobs and all rows; ${endedUploads} unfinished uploads were ended.`,
  )
  for (const id of missing)
    console.error(`The bytes of ${id} were missing when the backup was made.`)
  const fsck = join(import.meta.dirname, 'fsck.ts')
  const { status } = spawnSync(process.execPath, [fsck, '--deep'], { stdio: 'inherit' })
  process.exitCode = status ?? 2
}

function readArguments() {
  const { positionals } = parseArgs({ allowPositionals: true, options: {} })
  const [dir, ...more] = positionals
  if (dir === undefined || dir === '' || more.length > 0) throw new StartupError(usage)
  return dir
}

runCommand(main, usage)
