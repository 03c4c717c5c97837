import { Readable } from 'node:stream'
import type { Place } from '../../../database/tables.ts'
import { type Check, type CheckContext, chunked, type Finding } from '../../../fsck/check.ts'
import { AHEAD } from './claim.ts'
import { isPaused } from './installation.ts'
import { inQuarantine, type Orphan, orphanBatches, orphansAmong, places } from './orphans.ts'
import { quarantineOrphans, restoreObject } from './quarantine.ts'
import { needsConfirmation } from './sweep.ts'
import { evaluateStore, isAhead } from './verdict.ts'

const confirm = 'verify that it is the right store, then confirm it with npm run fsck -- --sweep'

/** Checks that the store belongs to the database, was not used with another database, and is swept. */
export const storeCheck: Check = {
  async *scan() {
    yield ['store']
  },
  async evaluate(c) {
    const verdict = await evaluateStore(c)
    const { own, found } = verdict
    const subject = own.id
    if (verdict.kind === 'foreign')
      return [{ code: 'STORE_FOREIGN', subject, says: verdict.because, left: foreignLeft }]
    if (verdict.kind === 'unmarked')
      return [
        {
          code: 'STORE_UNMARKED',
          subject,
          says: 'the store has no installation record',
          left: 'the next start of the server writes it',
        },
      ]
    const isStoreAhead = await isAhead(c.db, found)
    const findings: Finding[] = []
    if (isStoreAhead || own.pausedAt !== null)
      findings.push({
        code: 'STORE_AHEAD',
        subject,
        says: own.pausedBecause ?? AHEAD,
        left: confirm,
      })
    if (own.refusedAt !== null)
      findings.push({
        code: 'SWEEP_REFUSED',
        subject,
        says: refusal(own.refusedObjects),
        left: confirm,
      })
    return findings
  },
}

const foreignLeft = 'bytes were not checked; correct DATABASE_URL, DATA_DIR or the S3_… variables'
const refusal = (objects: number) =>
  `a sweep found ${objects} objects without a row and moved none of them`

/**
 * Checks that no row needs an object in quarantine. Does not apply to a bucket, where quarantined objects are
 * not moved.
 */
export const quarantineCheck: Check = {
  scan: (c) => chunked(keysOf(c.blobs.quarantine.list())),
  async evaluate(c, keys) {
    const found: Finding[] = []
    for (const place of places) {
      const orphans = new Set(await orphansAmong(c, place, keys))
      for (const key of keys) {
        if (orphans.has(key) || !(await c.blobs.quarantine.has(key, place))) continue
        const says = 'its bytes are in quarantine, but a row needs them'
        const repair = () => restoreObject(c, { key, place })
        found.push({ code: 'BYTES_QUARANTINED', subject: key, says, repair })
      }
    }
    return found
  },
}

async function* keysOf(objects: AsyncIterable<{ key: string }>) {
  for await (const { key } of objects) yield key
}

/**
 * Checks that no object without a row is older than the grace period. A repair moves the older ones to
 * quarantine.
 */
const orphansCheck = (place: Place): Check => ({
  async *scan(c) {
    const { orphans } = await allOrphans(c)
    yield* chunked(keysOf(Readable.from(orphans.filter((orphan) => orphan.place === place))))
  },
  async evaluate(c, keys) {
    const [orphans, known] = [
      await orphansAmong(c, place, keys),
      await inQuarantine(c.db, place, keys),
    ]
    const sizes = await sizesOf(
      c,
      place,
      orphans.filter((key) => !known.has(key)),
    )
    const { isRefused } = await allOrphans(c)
    return [...sizes].map(([key, size]) => ({
      code: place === 'staged' ? 'BYTES_STAGED_UNKNOWN' : 'BYTES_KEPT_UNKNOWN',
      subject: key,
      says: `no row refers to these ${place} bytes`,
      ...(isRefused
        ? { left: `there are too many of them, or sweeping is paused; ${confirm}` }
        : { repair: () => quarantineOrphans(c, [{ key, place, size }]) }),
    }))
  },
})
/** Checks that staged objects have a row. */
export const strayStagedCheck = orphansCheck('staged')
/** Checks that committed objects have a row. */
export const strayKeptCheck = orphansCheck('kept')

type All = { orphans: Orphan[]; isRefused: boolean }
const found = new WeakMap<CheckContext, Promise<All>>()

/**
 * Lists the orphans once for each fsck run. Their total number decides whether fsck may move them to
 * quarantine.
 */
function allOrphans(c: CheckContext): Promise<All> {
  const listed = found.get(c) ?? listOrphans(c)
  found.set(c, listed)
  return listed
}

async function listOrphans(c: CheckContext): Promise<All> {
  const orphans: Orphan[] = []
  let objects = 0
  for await (const batch of orphanBatches(c, c)) {
    objects += batch.count
    orphans.push(...batch.orphans)
  }
  const isRefused = needsConfirmation(orphans.length, objects) || (await isPaused(c.db))
  return { orphans, isRefused }
}

/** Returns the sizes of those keys that exist in the store. */
async function sizesOf({ blobs }: CheckContext, place: Place, keys: readonly string[]) {
  const sizes = new Map<string, number>()
  if (keys.length === 0) return sizes
  const wanted = new Set(keys)
  for await (const { key, size } of blobs.list(place)) if (wanted.has(key)) sizes.set(key, size)
  return sizes
}
