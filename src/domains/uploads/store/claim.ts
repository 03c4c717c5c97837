import { setTimeout as sleep } from 'node:timers/promises'
import { StartupError } from '../../../config/startup-error.ts'
import type { ServiceContext } from '../../../context.ts'
import type { Log } from '../../../log.ts'
import { acceptLosses, installationOf, newStamp, pauseSweeping } from './installation.ts'
import {
  adoptionPermit,
  evaluateStore,
  type FoundRecord,
  isAhead,
  type Verdict,
} from './verdict.ts'

export type StoreContext = Pick<ServiceContext, 'db' | 'blobs' | 'now'>

/** Descriptions of store and database for error messages. */
type Names = { store: string; database: string }

type Claim = { names: Names; adopt: string | null; log: Log }

const MAX_ATTEMPTS = 4

/**
 * Verifies at startup that store and database belong together, and stamps both. Creates the record of a store
 * that has none. Throws StartupError if they do not belong together, unless `adopt` names exactly these two,
 * or if they cannot be read.
 */
export async function claimStore(s: StoreContext, { names, adopt, log }: Claim): Promise<void> {
  for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt += 1) {
    const verdict = await readWithRetry(() => evaluateStore(s), names)
    if (verdict.kind === 'foreign') await adoptStore(s, verdict, { names, adopt, log })
    const { kind, found } = verdict
    if (await isAhead(s.db, found)) await pause(s, AHEAD, log)
    if ((await readWithRetry(() => stampStore(s, found, log), names)) || kind === 'own') break
  }
  const { pausedBecause } = await installationOf(s.db)
  if (pausedBecause) log.warn({ because: pausedBecause }, 'sweeping is off until fsck --sweep')
}

/**
 * Stamps the store before a sweep. Returns whether it still belongs to this database and no other database
 * uses it.
 */
export async function confirmStore(s: StoreContext, log: Log): Promise<boolean> {
  const { id, pausedBecause } = await installationOf(s.db)
  if (pausedBecause) {
    log.warn({ because: pausedBecause }, 'sweeping is off until fsck --sweep')
    return false
  }
  const found = await s.blobs.record.read()
  if (found?.record.installation !== id) {
    log.error(
      { installation: id, found: found?.record },
      'the store belongs to another installation',
    )
    return false
  }
  const isStoreAhead = await isAhead(s.db, found)
  if (isStoreAhead) await pause(s, AHEAD, log)
  await stampStore(s, found, log)
  return !isStoreAhead
}

/**
 * Pauses sweeping and returns the reason if the record of the store was not written by this database.
 * Otherwise returns null. The record must have been read before this call, as in evaluateStore. A missing
 * record counts as unchanged since startup.
 */
export async function isTakenOver(
  s: StoreContext,
  found: FoundRecord | null,
  log: Log,
): Promise<'AHEAD' | 'FOREIGN' | null> {
  if (!found) return null
  const { id } = await installationOf(s.db)
  if (found.record.installation !== id) {
    await pause(s, FOREIGN, log)
    return 'FOREIGN'
  }
  if (!(await isAhead(s.db, found))) return null
  await pause(s, AHEAD, log)
  return 'AHEAD'
}

async function pause(s: StoreContext, because: string, log: Log) {
  if (await pauseSweeping(s, because))
    log.error({ because }, 'nothing is deleted from the store until fsck --sweep')
}

/** The reason why a store with an unknown stamp is not swept. */
export const AHEAD =
  'the store was used since with another database, or with a later state of this one'

const FOREIGN = 'the store was taken over by another installation'
const ADOPTED = 'the store was adopted'

/**
 * Writes the next stamp to the database, then to the store. If the store was ahead, the other database finds
 * an unknown stamp and stops sweeping too. Returns false if the record was not written because another server
 * has written it meanwhile or the disk is full; the previous stamp is then still valid.
 */
export async function stampStore({ db, blobs }: StoreContext, found: FoundRecord | null, log: Log) {
  const record = await newStamp(db)
  if (!found) return blobs.record.create(record)
  const replaced = blobs.record.replace(record, found.version)
  if (found.record.installation !== record.installation) return replaced
  return replaced.catch((err: unknown) => {
    log.warn({ err }, 'the record of the store could not be written')
    return false
  })
}

async function adoptStore(
  s: StoreContext,
  verdict: Extract<Verdict, { kind: 'foreign' }>,
  { names: { store, database }, adopt, log }: Claim,
) {
  const permit = adoptionPermit(verdict)
  if (adopt === permit) {
    if (verdict.isMissing) await acceptLosses(s.db)
    // Pause sweeping, because objects in the store may belong to another database.
    return pause(s, ADOPTED, log)
  }
  throw new StartupError(
    `${store} and ${database} do not belong together: ${verdict.because}. Set DATABASE_URL or DATA_DIR to the right database, or DATA_DIR or the S3_… variables to the right store; to use these two together anyway, start once with ADOPT_STORE=${permit}`,
  )
}

/**
 * Retries reads, because a transient error of a disk or bucket does not show whether the two belong together.
 */
async function readWithRetry<T>(read: () => Promise<T>, { store, database }: Names): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await read()
    } catch (error) {
      if (attempt === MAX_ATTEMPTS)
        throw new StartupError(`${store} cannot be compared with ${database} (${reasonOf(error)}).`)
      await sleep(100 * 2 ** attempt)
    }
  }
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const { cause } = error
  return cause instanceof Error ? `${error.message}: ${cause.message}` : error.message
}
