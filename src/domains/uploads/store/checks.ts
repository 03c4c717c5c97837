import { Readable } from 'node:stream'
import type { Place } from '../../../database/tables.ts'
import { type Check, type CheckContext, chunked, type Finding } from '../../../fsck/check.ts'
import { AHEAD } from './claim.ts'
import { isPaused } from './installation.ts'
import { inQuarantine, type Orphan, orphanBatches, orphansAmong, places } from './orphans.ts'
import { quarantineOrphans, takeBack } from './quarantine.ts'
import { needsConfirmation } from './sweep.ts'
import { evaluateStore, isAhead } from './verdict.ts'

const confirm = 'make sure that it is the right one, then npm run fsck -- --sweep confirms it'

/** The store is the one of the database, was used with no other since, and is swept. */
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
          says: 'its store bears no installation id',
          left: 'the next start writes it',
        },
      ]
    const isStrange = await isAhead(c.db, found)
    const findings: Finding[] = []
    if (isStrange || own.pausedAt !== null)
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

const foreignLeft =
  'bytes were not looked at; DATABASE_URL, DATA_DIR or the S3_… variables name others'
const refusal = (objects: number) =>
  `a sweep found ${objects} objects that no row knows, and moved none`

/** What lies in quarantine and is needed by a row is put back. In a bucket it is in its place all the while. */
export const quarantineCheck: Check = {
  scan: (c) => chunked(keysOf(c.blobs.quarantine.list())),
  async evaluate(c, keys) {
    const found: Finding[] = []
    for (const place of places) {
      const orphans = new Set(await orphansAmong(c, place, keys))
      for (const key of keys) {
        if (orphans.has(key) || !(await c.blobs.quarantine.has(key, place))) continue
        const says = 'its bytes are in quarantine, and a row needs them'
        const repair = () => takeBack(c, { key, place })
        found.push({ code: 'BYTES_QUARANTINED', subject: key, says, repair })
      }
    }
    return found
  },
}

async function* keysOf(objects: AsyncIterable<{ key: string }>) {
  for await (const { key } of objects) yield key
}

/** Objects that no row knows are younger than a running upload: the sweeper puts the others aside, and so does a repair. */
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
    const there = await sizesOf(
      c,
      place,
      orphans.filter((key) => !known.has(key)),
    )
    const { isRefused } = await allOrphans(c)
    return [...there].map(([key, size]) => ({
      code: place === 'staged' ? 'BYTES_STAGED_UNKNOWN' : 'BYTES_KEPT_UNKNOWN',
      subject: key,
      says: `no row knows these ${place} bytes`,
      ...(isRefused
        ? { left: `there are too many of them, or sweeping is off; ${confirm}` }
        : { repair: () => quarantineOrphans(c, [{ key, place, size }]) }),
    }))
  },
})
export const strayStagedCheck = orphansCheck('staged')
export const strayKeptCheck = orphansCheck('kept')

type All = { orphans: Orphan[]; isRefused: boolean }
const found = new WeakMap<CheckContext, Promise<All>>()

/** Listed once for each inspection. Whether they may be put aside unasked depends on all of them. */
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

/** Those of the keys that exist at this moment, with their sizes. */
async function sizesOf({ blobs }: CheckContext, place: Place, keys: readonly string[]) {
  const sizes = new Map<string, number>()
  if (keys.length === 0) return sizes
  const wanted = new Set(keys)
  for await (const { key, size } of blobs.list(place)) if (wanted.has(key)) sizes.set(key, size)
  return sizes
}
