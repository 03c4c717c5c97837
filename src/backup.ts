import { parseArgs } from 'node:util'
import { backUp } from './backup/back-up.ts'
import { readConfig } from './config/config.ts'
import { StartupError } from './config/startup-error.ts'
import { runCommand } from './run-command.ts'

// Files that this process creates are accessible to its own user only.
process.umask(0o077)

const usage = `npm run backup -- <folder> [--rows-only]

Creates a backup in a new folder, also while servers run, with the same environment variables as they use.
  --rows-only  does not copy the bytes from the bucket (S3_BUCKET only)
Exit status: 0 if everything was copied, 1 if bytes are missing in the store, 2 if there is no backup.`

/** Creates the backup folder and prints a summary. */
async function main() {
  // The default until the backup is complete: a process that ends early has made no backup.
  process.exitCode = 2
  const { dir, rowsOnly } = readArguments()
  const config = readConfig(process.env)
  const { blobs, hasBytes, missing } = await backUp({ config, env: process.env, dir, rowsOnly })
  const contents = hasBytes ? `${blobs.count} blobs of ${blobs.bytes} bytes` : 'only the rows'
  console.log(`The backup in ${dir} is finished: ${contents}.`)
  process.exitCode = missing.length > 0 ? 1 : 0
  for (const id of missing) console.error(`The bytes of ${id} are missing or have changed.`)
  if (missing.length > 0)
    console.error('They are not in the backup; run npm run fsck to list the affected files.')
}

function readArguments() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { 'rows-only': { type: 'boolean', default: false } },
  })
  const [dir, ...more] = positionals
  if (dir === undefined || dir === '' || more.length > 0) throw new StartupError(usage)
  return { dir, rowsOnly: values['rows-only'] }
}

runCommand(main, usage)
