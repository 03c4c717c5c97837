import { parseArgs } from 'node:util'
import { readConfig } from './config/config.ts'
import { StartupError } from './config/startup-error.ts'
import { inQuarantine, inspect, knownDamages, type ReportedFinding, sweep } from './fsck/inspect.ts'
import { runCommand } from './run-command.ts'

// Files that --repair creates are accessible to the user of this process only.
process.umask(0o077)

const usage = `npm run fsck -- [--repair] [--deep] [--json] [--grace-hours=<hours>]

Checks the consistency of rows and bytes, also while the server runs.
  --repair       repairs what is safe to repair, and reports what it left and why
  --sweep        accepts a store that is ahead of the database, and a sweep that was refused: sweeping continues,
                 and all bytes without a row are moved to quarantine for QUARANTINE_DAYS
  --deep         also reads and hashes all bytes, and checks the search index
  --json         prints one line of JSON per finding
  --grace-hours  ignores bytes without a row that are younger than this (24)
Exit status: 0 if nothing was found, 1 if something was found, 2 if the check failed.`

/** Prints one line per finding, and a summary. */
async function main() {
  const { repair, deep, json, help, sweep: isSweep, 'grace-hours': graceHours } = readArguments()
  if (help) return console.log(usage)
  const config = readConfig(process.env)
  const options = { repair, deep, graceMs: graceHours * 3_600_000 }
  if (isSweep) {
    const swept = await sweep(config, options.graceMs)
    console.log(json ? JSON.stringify({ swept }) : formatSweep(swept))
  }
  const count = { found: 0, repaired: 0 }
  for await (const finding of inspect(config, options)) {
    count.found += 1
    if ('repaired' in finding && finding.repaired) count.repaired += 1
    console.log(json ? JSON.stringify(finding) : formatFinding(finding, repair))
  }
  const damaged = await knownDamages(config)
  const quarantined = await inQuarantine(config)
  if (!json) console.log(formatSummary({ ...count, damaged, quarantined }))
  process.exitCode = count.found > 0 ? 1 : 0
}

function readArguments() {
  const flag = { type: 'boolean', default: false } as const
  const hours = { type: 'string', default: '24' } as const
  const { values } = parseArgs({
    options: {
      repair: flag,
      sweep: flag,
      deep: flag,
      json: flag,
      help: flag,
      'grace-hours': hours,
    },
  })
  const graceHours = Number(values['grace-hours'])
  if (!(graceHours >= 0)) throw new StartupError('--grace-hours must be a number, 0 or more.')
  return { ...values, 'grace-hours': graceHours }
}

function formatFinding({ code, subject, says, ...outcome }: ReportedFinding, repair: boolean) {
  const result = 'left' in outcome ? ` Not repaired: ${outcome.left}.` : repair ? ' Repaired.' : ''
  return `${code} ${subject}: ${says}.${result}`
}

const formatSweep = ({ objects, quarantined, returned }: Awaited<ReturnType<typeof sweep>>) =>
  `Of ${objects} objects ${quarantined} were moved to quarantine; ${returned} were returned.`

type Summary = {
  found: number
  repaired: number
  damaged: number
  quarantined: { objects: number; bytes: number }
}
const formatSummary = ({ found, repaired, damaged, quarantined: { objects, bytes } }: Summary) =>
  [
    found === 0 ? 'Nothing was found.' : `${found} found, ${repaired} repaired.`,
    objects > 0 && `${objects} objects of ${bytes} bytes are in quarantine.`,
    damaged > 0 && `${damaged} blobs are known to be damaged; their files are FAILED.`,
  ]
    .filter((sentence) => sentence !== false)
    .join(' ')

runCommand(main, usage)
