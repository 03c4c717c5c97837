import { setTimeout as sleep } from 'node:timers/promises'
import { StartupError } from '../../../config.ts'
import type { ServiceContext } from '../../../context.ts'
import type { Log } from '../../../log.ts'
import { acceptLosses, installationOf, newStamp, pauseSweeping } from './installation.ts'
import { evaluateStore, type FoundRecord, isAhead, permitOf, type Verdict } from './verdict.ts'

export type StoreScope = Pick<ServiceContext, 'db' | 'blobs' | 'now'>

/** How the two are called in sentences for the operator. */
type Names = { store: string; database: string }

type Claim = { names: Names; adopt: string | null; log: Log }

const TRIES = 4

/**
 * For each start: makes sure that store and database belong together and stamps both. A store without a record gets one. Throws
 * StartupError where they do not belong together, unless `adopt` names exactly these two.
 */
export async function claimStore(s: StoreScope, { names, adopt, log }: Claim): Promise<void> {
  for (let tried = 1; tried <= TRIES; tried += 1) {
    const verdict = await readPatiently(() => evaluateStore(s), names)
    if (verdict.kind === 'foreign') await adoptStore(s, verdict, { names, adopt, log })
    const { kind, found } = verdict
    if (await isAhead(s.db, found)) await pause(s, AHEAD, log)
    if ((await readPatiently(() => stampStore(s, found, log), names)) || kind === 'own') break
  }
  const { pausedBecause } = await installationOf(s.db)
  if (pausedBecause) log.warn({ because: pausedBecause }, 'sweeping is off until fsck --sweep')
}

/** For each sweep: true where the store still is the one of this database, and of it alone. It is stamped, too. */
export async function confirmStore(s: StoreScope, log: Log): Promise<boolean> {
  const { id, pausedBecause } = await installationOf(s.db)
  if (pausedBecause) {
    log.warn({ because: pausedBecause }, 'sweeping is off until fsck --sweep')
    return false
  }
  const found = await s.blobs.record.read()
  if (found?.record.installation !== id) {
    log.error(
      { installation: id, found: found?.record },
      'the store is not the one of the database',
    )
    return false
  }
  const isStrange = await isAhead(s.db, found)
  if (isStrange) await pause(s, AHEAD, log)
  await stampStore(s, found, log)
  return !isStrange
}

/**
 * Pauses sweeping where the store bears what this database did not write, and returns whether it does. The record is read before the
 * rows, as in evaluateStore. A store whose record vanished counts as the one that this process found at its start.
 */
export async function isTakenOver(
  s: StoreScope,
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

async function pause(s: StoreScope, because: string, log: Log) {
  if (await pauseSweeping(s, because))
    log.error({ because }, 'nothing is deleted from the store until fsck --sweep')
}

/** Why a store that bears an unknown stamp is not swept. */
export const AHEAD =
  'the store was used since with another database, or with a later state of this one'

const FOREIGN = 'the store was taken over by another installation'
const ADOPTED = 'the store was adopted'

/**
 * Writes the next stamp to the database, then to the store. Also where the store is ahead: the other database finds a stamp that it does
 * not know, and stops sweeping, too. False where the store does not have it: another server wrote to the record meanwhile, or the disk is
 * full, and then the stamp before is as good.
 */
export async function stampStore({ db, blobs }: StoreScope, found: FoundRecord | null, log: Log) {
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
  s: StoreScope,
  verdict: Extract<Verdict, { kind: 'foreign' }>,
  { names: { store, database }, adopt, log }: Claim,
) {
  const permit = permitOf(verdict)
  if (adopt === permit) {
    if (verdict.isMissing) await acceptLosses(s.db)
    // What lies in it may be another database's.
    return pause(s, ADOPTED, log)
  }
  throw new StartupError(
    `${store} and ${database} do not belong together: ${verdict.because}. Name the right database with DATABASE_URL or DATA_DIR, or the right store with DATA_DIR or the S3_… variables; to use these two together all the same, start once with ADOPT_STORE=${permit}`,
  )
}

/** A disk or bucket that fails for a moment says nothing of what lies in it. */
async function readPatiently<T>(read: () => Promise<T>, { store, database }: Names): Promise<T> {
  for (let tried = 1; ; tried += 1) {
    try {
      return await read()
    } catch (error) {
      if (tried === TRIES)
        throw new StartupError(`${store} cannot be compared with ${database} (${reasonOf(error)}).`)
      await sleep(100 * 2 ** tried)
    }
  }
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const { cause } = error
  return cause instanceof Error ? `${error.message}: ${cause.message}` : error.message
}
