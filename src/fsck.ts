import { parseArgs } from 'node:util'
import { readConfig, StartupError } from './config.ts'
import { inQuarantine, inspect, knownDamages, type ReportedFinding, sweep } from './fsck/inspect.ts'

// What --repair creates is for the user of this process alone.
process.umask(0o077)

const usage = `npm run fsck -- [--repair] [--deep] [--json] [--grace-hours=<hours>]

Looks whether rows and bytes are as they must be, also while the server runs.
  --repair       puts right what is safe to put right, and says what it left and why
  --sweep        confirms a store that is ahead of the database and a sweep that was refused: sweeping goes on,
                 and all bytes without a row are moved to quarantine, for QUARANTINE_DAYS
  --deep         reads and hashes all bytes, and reads what search knows
  --json         a line of JSON for each finding
  --grace-hours  bytes without a row are spared when they are younger (24)
It exits with 0 where nothing was found, with 1 where something was, and with 2 where it could not look.`

/** The process: arguments → config → findings, a line for each. */
async function main() {
  const { repair, deep, json, help, sweep: isSweep, 'grace-hours': graceHours } = readArguments()
  if (help) return console.log(usage)
  const config = readConfig(process.env)
  const options = { repair, deep, graceMs: graceHours * 3_600_000 }
  if (isSweep) {
    const swept = await sweep(config, options.graceMs)
    console.log(json ? JSON.stringify({ swept }) : sweptWords(swept))
  }
  const count = { found: 0, mended: 0 }
  for await (const told of inspect(config, options)) {
    count.found += 1
    if ('mended' in told && told.mended) count.mended += 1
    console.log(json ? JSON.stringify(told) : inWords(told, repair))
  }
  const damaged = await knownDamages(config)
  const quarantined = await inQuarantine(config)
  if (!json) console.log(sum({ ...count, damaged, quarantined }))
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
  if (!(graceHours >= 0)) throw new StartupError('--grace-hours is a number, 0 or more.')
  return { ...values, 'grace-hours': graceHours }
}

function inWords({ code, subject, says, ...what }: ReportedFinding, repair: boolean) {
  const done = 'left' in what ? ` Left: ${what.left}.` : repair ? ' Mended.' : ''
  return `${code} ${subject}: ${says}.${done}`
}

const sweptWords = ({ objects, quarantined, returned }: Awaited<ReturnType<typeof sweep>>) =>
  `Of ${objects} objects ${quarantined} were moved to quarantine; ${returned} were taken back.`

type Sums = {
  found: number
  mended: number
  damaged: number
  quarantined: { objects: number; bytes: number }
}
const sum = ({ found, mended, damaged, quarantined: { objects, bytes } }: Sums) =>
  [
    found === 0 ? 'Nothing was found.' : `${found} found, ${mended} mended.`,
    objects > 0 && `${objects} objects of ${bytes} bytes are in quarantine.`,
    damaged > 0 && `${damaged} blobs are known to be damaged; their files are FAILED.`,
  ]
    .filter((sentence) => sentence !== false)
    .join(' ')

main().catch((error) => {
  const isUsage = error?.code?.startsWith('ERR_PARSE_ARGS')
  console.error(error instanceof StartupError ? error.message : isUsage ? usage : error)
  process.exitCode = 2
})
