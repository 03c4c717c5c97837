import { StartupError } from '../../../config/startup-error.ts'
import type { Log } from '../../../log.ts'
import { confirmStore, type StoreContext } from './claim.ts'
import { newStamp, recordRefusedSweep, resumeSweeping } from './installation.ts'
import { type Orphan, orphanBatches } from './orphans.ts'
import { quarantineOrphans, restoreReferenced } from './quarantine.ts'

const DAY_MS = 86_400_000
/**
 * Thresholds above which an operator must confirm a sweep: MAX_ORPHANS in any store, or MAX_FEW_ORPHANS and
 * MAX_ORPHAN_SHARE of the objects together. More orphans indicate a wrong database rather than crashes.
 */
const MAX_ORPHANS = 1000
const MAX_FEW_ORPHANS = 10
const MAX_ORPHAN_SHARE = 0.01
/** In a store with more objects than this, a majority of orphans must be confirmed too. */
const MAX_TINY_STORE_OBJECTS = 2
const MAX_STAMP_ATTEMPTS = 10

type Options = { graceMs?: number; signal?: AbortSignal | undefined; log: Log }

/** Returns whether an operator must confirm a sweep that finds `orphans` orphans among `objects` objects. */
export const needsConfirmation = (orphans: number, objects: number): boolean =>
  orphans > MAX_ORPHANS ||
  (orphans > MAX_FEW_ORPHANS && orphans > objects * MAX_ORPHAN_SHARE) ||
  (objects > MAX_TINY_STORE_OBJECTS && orphans > objects / 2)

/**
 * Moves objects without a row that are older than `graceMs` to quarantine. A crash between writing bytes and
 * rows leaves such objects. If there are more than crashes can explain, moves nothing and records the
 * refusal. Returns the keys that were moved.
 */
export async function sweepOrphans(
  s: StoreContext,
  { graceMs = DAY_MS, signal, log }: Options,
): Promise<string[]> {
  if (!(await confirmStore(s, log))) return []
  const { found, objects, orphans } = await findOrphans(s, { graceMs, signal })
  const isRefused = needsConfirmation(found, objects)
  await recordRefusedSweep(s, isRefused ? found : 0)
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

/** Counts all orphans, but collects no more than a sweep may move. */
async function findOrphans(
  s: StoreContext,
  options: { graceMs: number; signal?: AbortSignal | undefined },
) {
  const all = { found: 0, objects: 0, orphans: [] as Orphan[] }
  for await (const { count, orphans } of orphanBatches(s, options)) {
    all.objects += count
    all.found += orphans.length
    if (all.found <= MAX_ORPHANS) all.orphans.push(...orphans)
  }
  return all
}

/**
 * Sweeps after an operator has confirmed the store: stamps the store, resumes sweeping, and moves all objects
 * without a row to quarantine, regardless of their number. The caller must have verified that store and
 * database belong together.
 */
export async function sweepConfirmed(s: StoreContext, graceMs: number) {
  await stampConfirmed(s)
  await resumeSweeping(s.db)
  const swept = { objects: 0, quarantined: 0, returned: await restoreReferenced(s) }
  for await (const { count, orphans } of orphanBatches(s, { graceMs })) {
    swept.objects += count
    swept.quarantined += orphans.length
    await quarantineOrphans(s, orphans)
  }
  return swept
}

/** Retries, because running servers write stamps concurrently. */
async function stampConfirmed({ db, blobs }: StoreContext) {
  for (let attempt = 1; attempt <= MAX_STAMP_ATTEMPTS; attempt += 1) {
    const { version = '' } = (await blobs.record.read()) ?? {}
    if (await blobs.record.replace(await newStamp(db), version)) return
  }
  throw new StartupError(
    `The store was not swept: other servers replaced its record in ${MAX_STAMP_ATTEMPTS} attempts; stop them first.`,
  )
}
