import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { restore } from './backup/restore.ts'
import { readConfig, StartupError } from './config.ts'

// What it creates is for the user of this process alone.
process.umask(0o077)

const usage = `npm run restore -- <folder>

Restores a backup into an empty place, which the same variables name as for a server, and looks at all of it (npm run fsck -- --deep).
It exits as fsck does, and with 2 where nothing could be restored.`

/** The process: arguments → config → rows and bytes → fsck, whose exit code is its own. */
async function main() {
  // Until it is known better: a process that ends before its time has restored nothing.
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

main().catch((error) => {
  const isUsage = error?.code?.startsWith?.('ERR_PARSE_ARGS')
  console.error(error instanceof StartupError ? error.message : isUsage ? usage : error)
  process.exitCode = 2
})
