import { setTimeout as sleep } from 'node:timers/promises'
import { guardDeletes } from '../blobs/delete-guard.ts'
import { openBlobs, requireBucket } from '../blobs/open.ts'
import { type Config, type DatabaseConfig, StartupError } from '../config.ts'
import type { ServiceContext } from '../context.ts'
import { multipartLedger } from '../database/multipart-store.ts'
import { openExisting } from '../database/open-existing.ts'
import { createRateLimiter } from '../database/rate-limiter.ts'
import { readSigningKeys } from '../database/signing-keys.ts'
import { kindsCheck, placesCheck, rootsCheck, totalsCheck } from '../domains/entries/checks.ts'
import { bytesCheck, filesCheck, hashesCheck, referencesCheck } from '../domains/files/checks.ts'
import { entriesFoundCheck, straysFoundCheck, tagsFoundCheck } from '../domains/search/checks.ts'
import { linksCheck } from '../domains/tables/checks.ts'
import { overdueCheck, reservationsCheck, stagedCheck } from '../domains/uploads/checks.ts'
import {
  quarantineCheck,
  storeCheck,
  strayKeptCheck,
  strayStagedCheck,
} from '../domains/uploads/store/checks.ts'
import { deletePermission } from '../domains/uploads/store/delete-permission.ts'
import { quarantineSize } from '../domains/uploads/store/installation.ts'
import { sweepConfirmed } from '../domains/uploads/store/sweep.ts'
import { evaluateStore, permitOf } from '../domains/uploads/store/verdict.ts'
import { figuresCheck } from '../domains/workspaces/checks.ts'
import { openLog } from '../log.ts'
import { createSigningKeys } from '../signing/signing-keys.ts'
import type { Check, CheckContext, Finding } from './check.ts'

/** What follows from what: mended in this order, the sums come after what they are made of. */
const checks: Check[] = [
  storeCheck,
  ...[rootsCheck, placesCheck, filesCheck, totalsCheck, kindsCheck],
  ...[referencesCheck, bytesCheck, hashesCheck],
  ...[overdueCheck, reservationsCheck, stagedCheck, strayStagedCheck, strayKeptCheck],
  quarantineCheck,
  figuresCheck,
  ...[entriesFoundCheck, tagsFoundCheck, straysFoundCheck],
  linksCheck,
]

/** What says nothing of the bytes of another store. */
const ofBytes = new Set([
  ...[bytesCheck, hashesCheck, stagedCheck],
  ...[strayStagedCheck, strayKeptCheck, quarantineCheck],
])

/** What is told of a finding: `mended` with --repair, where that was safe and has helped; else why it was `left`. */
export type ReportedFinding = Pick<Finding, 'code' | 'subject' | 'says'> &
  ({ mended: boolean } | { left: string })

export type Options = {
  repair: boolean
  /** Reads and hashes all bytes. */
  deep: boolean
  graceMs: number
  /** So long after the first look comes the second. */
  pauseMs: number
}

/** Longer than a running upload waits for its row, as the sweeper has it. */
const usual: Options = { repair: false, deep: false, graceMs: 86_400_000, pauseMs: 250 }

/**
 * Looks at everything, also beside servers that run: some hundred rows at a time, each statement by itself, and no finding is told
 * that is not one a moment later. Throws StartupError where there is nothing to look at, or it cannot be understood.
 */
export async function* inspect(
  config: Config,
  options: Partial<Options> = {},
): AsyncGenerator<ReportedFinding> {
  const asked = { ...usual, ...options }
  await using house = await openHouse(config)
  const isForeign = await belongsElsewhere(config, house)
  const blobs = isForeign ? guardDeletes(house.blobs, async () => false) : house.blobs
  const c: CheckContext = { ...house, ...asked, blobs, kept: onceListed(blobs) }
  for (const check of checks.filter((check) => !isForeign || !ofBytes.has(check)))
    for await (const subjects of check.walk(c))
      for (const finding of await judgedTwice(c, check, subjects, asked))
        yield await tell(c, check, finding, asked)
}

/** Whether the store is another database's, and the operator does not name the two. */
async function belongsElsewhere({ adoptStore }: Config, house: ServiceContext): Promise<boolean> {
  const verdict = await evaluateStore(house)
  return verdict.kind === 'foreign' && adoptStore !== permitOf(verdict)
}

/**
 * Confirms a store that is ahead of its database and a sweep that was refused: moves to quarantine all that no row knows. Throws
 * StartupError where the store is not the one of the database.
 */
export async function sweep(config: Config, graceMs = usual.graceMs) {
  await using house = await openHouse(config)
  const verdict = await evaluateStore(house)
  if (verdict.kind !== 'own')
    throw new StartupError(
      verdict.kind === 'foreign'
        ? `The store is not swept: ${verdict.because}.`
        : 'The store is not swept: it bears no installation id; npm start writes it.',
    )
  return await sweepConfirmed(house, graceMs)
}

/** How much is in quarantine: no findings, for no row needs it. */
export async function inQuarantine(config: Config): Promise<{ objects: number; bytes: number }> {
  await using house = await openHouse(config)
  return await quarantineSize(house.db)
}

/** How many blobs are known to be damaged: no findings, for their files say so. */
export async function knownDamages(config: Config): Promise<number> {
  await using house = await openHouse(config)
  const { damaged } = await house.db
    .selectFrom('blobs')
    .select((eb) => eb.fn.countAll<number>().as('damaged'))
    .where('damage', 'is not', null)
    .where('unreferencedAt', 'is', null)
    .executeTakeFirstOrThrow()
  return damaged
}

async function judgedTwice(
  c: CheckContext,
  { judge }: Check,
  subjects: readonly string[],
  { pauseMs }: Options,
): Promise<Finding[]> {
  const first = await judge(c, subjects)
  if (first.length === 0) return []
  await sleep(pauseMs)
  const suspected = new Set(first.map(nameOf))
  const again = await judge(c, [...new Set(first.map(({ subject }) => subject))])
  return again.filter((finding) => suspected.has(nameOf(finding)))
}

const nameOf = ({ code, subject }: Finding) => `${code} ${subject}`

async function tell(
  c: CheckContext,
  { judge }: Check,
  finding: Finding,
  { repair }: Options,
): Promise<ReportedFinding> {
  const { code, subject, says } = finding
  if ('left' in finding) return { code, subject, says, left: finding.left }
  if (!repair) return { code, subject, says, mended: false }
  await finding.mend()
  const now = (await judge(c, [subject])).map(nameOf)
  if (!now.includes(nameOf(finding))) return { code, subject, says, mended: true }
  return { code, subject, says, left: 'what was tried did not help' }
}

/** The rows and the bytes, without a server: no jobs, and nothing is made that is not there. */
async function openHouse({
  database,
  blobs,
  limits,
}: Config): Promise<ServiceContext & AsyncDisposable> {
  await using opened = new AsyncDisposableStack()
  const db = opened.adopt(await openExisting(unhurried(database)), (db) => db.destroy())
  await requireBucket(blobs)
  const bytes = await openBlobs(blobs, multipartLedger(db), { isReadOnly: true })
  const store = guardDeletes(
    bytes,
    deletePermission({ db, blobs: bytes, now: Date.now }, openLog('silent')),
  )
  const open = opened.move()
  const signingKeys = createSigningKeys(await readSigningKeys(db), Date.now)
  const nobody = { viewer: null, signingKeys, publicUrl: '' }
  return {
    ...{ ...nobody, db, blobs: store, limits, now: Date.now },
    counter: createRateLimiter(db, Date.now),
    [Symbol.asyncDispose]: () => open.disposeAsync(),
  }
}

/** To count a large workspace may take longer than a statement of a server. */
const unhurried = (database: DatabaseConfig): DatabaseConfig =>
  database.kind === 'sqlite' ? database : { ...database, poolSize: 2, statementTimeoutMs: 0 }

/** The list is made when it is first asked for. Memory holds a key and a number for each blob. */
function onceListed(blobs: ServiceContext['blobs']) {
  let listed: Promise<Map<string, number>> | undefined
  const list = async () => {
    const sizes = new Map<string, number>()
    for await (const { key, size } of blobs.list('kept')) sizes.set(key, size)
    return sizes
  }
  return () => {
    listed ??= list()
    return listed
  }
}
