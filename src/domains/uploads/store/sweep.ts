import { StartupError } from '../../../config.ts'
import type { Log } from '../../../log.ts'
import { confirmStore, type StoreScope } from './claim.ts'
import { newStamp, noteRefusal, resumeSweeping } from './installation.ts'
import { type Orphan, orphanBatches } from './orphans.ts'
import { quarantineOrphans, returnKnown } from './quarantine.ts'

const DAY_MS = 86_400_000
/** More than these in one sweep look like a wrong database, and not like what crashes leave. */
const MAX_OBJECTS = 1000
const TRIES = 10
const MAX_FEW = 10
const MAX_SHARE = 0.01
/** In a store of more than so many objects, not even few orphans may be most of them. */
const MIN_OBJECTS = 2

type Options = { graceMs?: number; signal?: AbortSignal | undefined; log: Log }

/** Whether a sweep that finds so many orphans among so many objects needs an operator to confirm it. */
export const needsConfirmation = (orphans: number, objects: number): boolean =>
  orphans > MAX_OBJECTS ||
  (orphans > MAX_FEW && orphans > objects * MAX_SHARE) ||
  (objects > MIN_OBJECTS && orphans > objects / 2)

/**
 * Moves to quarantine what lies in the store for longer than `graceMs` and no row knows: what a crash left between bytes and rows.
 * Finding more than crashes leave, it moves nothing and notes the refusal. Returns the keys that were moved.
 */
export async function sweepOrphans(
  s: StoreScope,
  { graceMs = DAY_MS, signal, log }: Options,
): Promise<string[]> {
  if (!(await confirmStore(s, log))) return []
  const { found, objects, orphans } = await findOrphans(s, { graceMs, signal })
  const isRefused = needsConfirmation(found, objects)
  await noteRefusal(s, isRefused ? found : 0)
  if (isRefused) {
    log.error(
      { objects, found },
      'sweep refused: too many objects without a row; fsck --sweep confirms it',
    )
    return []
  }
  await quarantineOrphans(s, orphans)
  log.info({ objects, found, quarantined: orphans.length }, 'swept')
  return orphans.map(({ key }) => key)
}

/** Counts all orphans, and remembers no more than a sweep may take. */
async function findOrphans(
  s: StoreScope,
  options: { graceMs: number; signal?: AbortSignal | undefined },
) {
  const all = { found: 0, objects: 0, orphans: [] as Orphan[] }
  for await (const { count, orphans } of orphanBatches(s, options)) {
    all.objects += count
    all.found += orphans.length
    if (all.found <= MAX_OBJECTS) all.orphans.push(...orphans)
  }
  return all
}

/**
 * The sweep that an operator confirms: the store is stamped as the one of this database, sweeping is on again, and all that no row knows
 * is moved to quarantine, however much it is. The caller has made sure that store and database belong together.
 */
export async function sweepConfirmed(s: StoreScope, graceMs: number) {
  await stampConfirmed(s)
  await resumeSweeping(s.db)
  const swept = { objects: 0, quarantined: 0, returned: await returnKnown(s) }
  for await (const { count, orphans } of orphanBatches(s, { graceMs })) {
    swept.objects += count
    swept.quarantined += orphans.length
    await quarantineOrphans(s, orphans)
  }
  return swept
}

/** Servers that run write stamps, too: another one's may come first. */
async function stampConfirmed({ db, blobs }: StoreScope) {
  for (let tried = 1; tried <= TRIES; tried += 1) {
    const { version = '' } = (await blobs.record.read()) ?? {}
    if (await blobs.record.replace(await newStamp(db), version)) return
  }
  throw new StartupError(
    'The store is not swept: servers write its record all the while; stop them.',
  )
}
