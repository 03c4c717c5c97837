import { setTimeout as sleep } from 'node:timers/promises'
import { guardDeletes } from '../blobs/delete-guard.ts'
import { openBlobs, requireBucket } from '../blobs/open.ts'
import type { Config } from '../config/config.ts'
import { StartupError } from '../config/startup-error.ts'
import type { ServiceContext } from '../context.ts'
import { withoutStatementTimeout } from '../database/database.ts'
import { createMultipartStore } from '../database/multipart-store.ts'
import { openExisting } from '../database/open-existing.ts'
import { createRateLimiter } from '../database/rate-limit/limiter.ts'
import { readSigningKeys } from '../database/signing-keys.ts'
import { kindsCheck, rootsCheck, totalsCheck, treeCheck } from '../domains/entries/checks.ts'
import { bytesCheck, filesCheck, hashesCheck, referencesCheck } from '../domains/files/checks.ts'
import { entryIndexCheck, orphanDocumentsCheck, tagIndexCheck } from '../domains/search/checks.ts'
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
import { adoptionPermit, evaluateStore } from '../domains/uploads/store/verdict.ts'
import { figuresCheck } from '../domains/workspaces/checks.ts'
import { openLog } from '../log.ts'
import { createSigningKeys } from '../signing/signing-keys.ts'
import type { Check, CheckContext, Finding } from './check.ts'

/** The checks in dependency order: sums are repaired after the rows that they are computed from. */
const checks: Check[] = [
  storeCheck,
  ...[rootsCheck, treeCheck, filesCheck, totalsCheck, kindsCheck],
  ...[referencesCheck, bytesCheck, hashesCheck],
  ...[overdueCheck, reservationsCheck, stagedCheck, strayStagedCheck, strayKeptCheck],
  quarantineCheck,
  figuresCheck,
  ...[entryIndexCheck, tagIndexCheck, orphanDocumentsCheck],
  linksCheck,
]

/** Checks that are meaningless if the store belongs to another database. */
const storeChecks = new Set([
  ...[bytesCheck, hashesCheck, stagedCheck],
  ...[strayStagedCheck, strayKeptCheck, quarantineCheck],
])

/**
 * A finding as `--json` prints it. `repaired` is true if `--repair` fixed it; `left` is the reason why it was
 * not repaired.
 */
export type ReportedFinding = Pick<Finding, 'code' | 'subject' | 'says'> &
  ({ repaired: boolean } | { left: string })

export type Options = {
  repair: boolean
  /** Reads and hashes all bytes. */
  deep: boolean
  graceMs: number
  /** Time between the first and the second evaluation. */
  pauseMs: number
}

/** `graceMs` equals that of the sweeper: longer than a running upload waits for its row. */
const defaultOptions: Options = { repair: false, deep: false, graceMs: 86_400_000, pauseMs: 250 }

/**
 * Runs all checks; servers may keep running. Rows are read in batches without a common transaction, and a
 * finding is reported only if a second evaluation confirms it. Throws StartupError if the database or store
 * is missing or cannot be opened.
 */
export async function* inspect(
  config: Config,
  options: Partial<Options> = {},
): AsyncGenerator<ReportedFinding> {
  const resolved = { ...defaultOptions, ...options }
  await using ctx = await openContext(config)
  const isForeign = await belongsElsewhere(config, ctx)
  const blobs = isForeign ? guardDeletes(ctx.blobs, async () => false) : ctx.blobs
  const c: CheckContext = { ...ctx, ...resolved, blobs, kept: createLazyList(blobs) }
  for (const check of checks.filter((check) => !isForeign || !storeChecks.has(check)))
    for await (const subjects of check.scan(c))
      for (const finding of await evaluateTwice(c, check, subjects, resolved))
        yield await reportFinding(c, check, finding, resolved)
}

/** Returns whether the store belongs to another database and the operator has not permitted this pair. */
async function belongsElsewhere({ adoptStore }: Config, ctx: ServiceContext): Promise<boolean> {
  const verdict = await evaluateStore(ctx)
  return verdict.kind === 'foreign' && adoptStore !== adoptionPermit(verdict)
}

/**
 * Runs the sweep that the server refuses when the store is ahead of its database: moves all blobs without a
 * row to quarantine. Throws StartupError if the store does not belong to the database.
 */
export async function sweep(config: Config, graceMs = defaultOptions.graceMs) {
  await using ctx = await openContext(config)
  const verdict = await evaluateStore(ctx)
  if (verdict.kind !== 'own')
    throw new StartupError(
      verdict.kind === 'foreign'
        ? `The store is not swept: ${verdict.because}.`
        : 'The store is not swept: it has no installation id; npm start writes one.',
    )
  return await sweepConfirmed(ctx, graceMs)
}

/**
 * Returns the number and size of the blobs in quarantine. They are not findings, because no row needs them.
 */
export async function inQuarantine(config: Config): Promise<{ objects: number; bytes: number }> {
  await using ctx = await openContext(config)
  return await quarantineSize(ctx.db)
}

/**
 * Returns the number of blobs that are known to be damaged. They are not findings, because their files
 * already report it.
 */
export async function knownDamages(config: Config): Promise<number> {
  await using ctx = await openContext(config)
  const { damaged } = await ctx.db
    .selectFrom('blobs')
    .select((eb) => eb.fn.countAll<number>().as('damaged'))
    .where('damage', 'is not', null)
    .where('unreferencedAt', 'is', null)
    .executeTakeFirstOrThrow()
  return damaged
}

async function evaluateTwice(
  c: CheckContext,
  { evaluate }: Check,
  subjects: readonly string[],
  { pauseMs }: Options,
): Promise<Finding[]> {
  const first = await evaluate(c, subjects)
  if (first.length === 0) return []
  await sleep(pauseMs)
  const suspected = new Set(first.map(nameOf))
  const again = await evaluate(c, [...new Set(first.map(({ subject }) => subject))])
  return again.filter((finding) => suspected.has(nameOf(finding)))
}

const nameOf = ({ code, subject }: Finding) => `${code} ${subject}`

async function reportFinding(
  c: CheckContext,
  { evaluate }: Check,
  finding: Finding,
  { repair }: Options,
): Promise<ReportedFinding> {
  const { code, subject, says } = finding
  if ('left' in finding) return { code, subject, says, left: finding.left }
  if (!repair) return { code, subject, says, repaired: false }
  await finding.repair()
  const now = (await evaluate(c, [subject])).map(nameOf)
  if (!now.includes(nameOf(finding))) return { code, subject, says, repaired: true }
  return { code, subject, says, left: 'the repair did not fix it' }
}

/**
 * Opens the database and the store without a server: no jobs run, and no missing file or directory is
 * created.
 */
async function openContext({
  database,
  blobs,
  limits,
}: Config): Promise<ServiceContext & AsyncDisposable> {
  await using opened = new AsyncDisposableStack()
  // Counting a large workspace may take longer than the timeout.
  const existing = await openExisting(withoutStatementTimeout(database))
  const db = opened.adopt(existing, (db) => db.destroy())
  await requireBucket(blobs)
  const bytes = await openBlobs(blobs, createMultipartStore(db), { isReadOnly: true })
  const store = guardDeletes(
    bytes,
    deletePermission({ db, blobs: bytes, now: Date.now }, openLog('silent')),
  )
  const open = opened.move()
  const signingKeys = createSigningKeys(await readSigningKeys(db), Date.now)
  const system = { viewer: null, signingKeys, publicUrl: '' }
  return {
    ...{ ...system, db, blobs: store, limits, now: Date.now },
    counter: createRateLimiter(db, Date.now),
    [Symbol.asyncDispose]: () => open.disposeAsync(),
  }
}

/** Lists the store on first use. Memory holds a key and a number per blob. */
function createLazyList(blobs: ServiceContext['blobs']) {
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
