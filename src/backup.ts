import { parseArgs } from 'node:util'
import { backUp } from './backup/back-up.ts'
import { readConfig, StartupError } from './config.ts'

// What it creates is for the user of this process alone.
process.umask(0o077)

const usage = `npm run backup -- <folder> [--rows-only]

Makes a backup in a new folder, also while servers run, with the same variables as they have.
  --rows-only  leaves the bytes in the bucket where they are (S3_BUCKET only)
It exits with 0 where all was copied, with 1 where the store lacks bytes, and with 2 where there is no backup.`

/** The process: arguments → config → a folder with a manifest. */
async function main() {
  // Until it is known better: a process that ends before its time has made no backup.
  process.exitCode = 2
  const { dir, rowsOnly } = readArguments()
  const config = readConfig(process.env)
  const { blobs, hasBytes, missing } = await backUp({ config, env: process.env, dir, rowsOnly })
  const what = hasBytes ? `${blobs.count} blobs of ${blobs.bytes} bytes` : 'the rows alone'
  console.log(`The backup in ${dir} is finished: ${what}.`)
  process.exitCode = missing.length > 0 ? 1 : 0
  for (const id of missing) console.error(`The bytes of ${id} are missing or have changed.`)
  if (missing.length > 0)
    console.error('They are not in the backup; npm run fsck says which files that are.')
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

main().catch((error) => {
  const isUsage = error?.code?.startsWith?.('ERR_PARSE_ARGS')
  console.error(error instanceof StartupError ? error.message : isUsage ? usage : error)
  process.exitCode = 2
})
