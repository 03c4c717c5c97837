import { describe, expect, test } from 'vitest'
import { readConfig } from '../../../src/config/config.ts'
import type { Env } from '../../../src/config/env.ts'
import { newId } from '../../../src/database/ids.ts'
import { processQuarantine } from '../../../src/domains/uploads/store/quarantine.ts'
import { needsConfirmation, sweepOrphans } from '../../../src/domains/uploads/store/sweep.ts'
import {
  confirmUpload,
  createUpload,
  createWorkspace,
  download,
  sendBytes,
  uploadFile,
} from '../../support/client.ts'
import { corruptRows } from '../../support/inspection.ts'
import {
  confirmSweep,
  createDatabase,
  fsckCodes,
  type Running,
  startInstallation,
  storeKinds,
} from '../../support/servers/installations.ts'

const HOUR = 3_600_000
const DAY = 24 * HOUR
const YEAR = 365 * DAY

test('F16: a sweep of more than 1,000 objects, or of more than ten and 1 %, or of most, needs an operator', () => {
  const cases: [orphans: number, objects: number, isRefused: boolean][] = [
    [0, 0, false],
    [2, 2, false],
    [1, 3, false],
    [2, 4, false],
    [2, 3, true],
    [10, 10, true],
    [10, 20, false],
    [11, 11, true],
    [11, 1099, true],
    [11, 1100, false],
    [1000, 100_000, false],
    [1000, 99_999, true],
    [1001, 10_000_000, true],
  ]
  for (const [orphans, objects, isRefused] of cases)
    expect([orphans, objects, needsConfirmation(orphans, objects)]).toEqual([
      orphans,
      objects,
      isRefused,
    ])
})

describe.each(storeKinds)('F16: in %s', (_, newStore) => {
  /** A server with a settable clock, and the two jobs of its sweeper. */
  async function open(more: Env = {}) {
    const clock = { now: Date.now() }
    const env = { ...(await newStore()), ...(await createDatabase()), ...more }
    const running = await startInstallation(env, { now: () => clock.now })
    const { app, lines } = running
    const { log } = app
    const { quarantineMs } = readConfig(env)
    // The first sweep of the server itself is over.
    await app.jobs.runDue()
    lines.length = 0
    return {
      ...running,
      env,
      clock,
      workspaceId: (await createWorkspace(running.holdall)).id,
      sweep: () => sweepOrphans(app, { graceMs: -HOUR, log }),
      tend: () => processQuarantine(app, { quarantineMs, log }),
      /** Moves the clock, and runs the jobs of the quarantine every hour. */
      async pass(ms: number) {
        for (const end = clock.now + ms; clock.now < end; ) {
          clock.now += HOUR
          await processQuarantine(app, { quarantineMs, log })
        }
      },
      logged: (message: string) =>
        lines.filter((line) => line.message === message).map(({ level, about }) => [level, about]),
      quarantined: async () =>
        (await app.db.selectFrom('quarantine').select('key').execute()).map(({ key }) => key),
    }
  }

  async function strangers({ app }: Pick<Running, 'app'>, count: number) {
    const keys = Array.from({ length: count }, () => newId('upl'))
    for (const key of keys) {
      await app.blobs.stage(key, 0)
      await app.blobs.commit(key)
    }
    return keys
  }

  /** Whether a blob exists, in any place and whatever the rows say. */
  const exists = ({ app }: Pick<Running, 'app'>, key: string) =>
    app.blobs.peek(key, 1).then(
      () => true,
      () => false,
    )

  test('F16: unreferenced blobs are quarantined for QUARANTINE_DAYS, and then deleted; each step is logged', async () => {
    const here = await open({ QUARANTINE_DAYS: '2' })
    const file = await uploadFile(here.holdall, {
      workspaceId: here.workspaceId,
      name: 'a',
      bytes: 'a',
    })
    const [key = ''] = await strangers(here, 1)
    expect(await here.sweep()).toEqual([key])
    expect(here.logged('swept')).toEqual([['info', { objects: 2, found: 1, quarantined: 1 }]])
    expect(await here.sweep()).toEqual([])
    await here.tend()
    await here.pass(2 * DAY - HOUR)
    expect(await exists(here, key)).toBe(true)
    expect(await fsckCodes(here.env, { graceMs: -5000 })).toEqual([])
    await here.pass(2 * HOUR)
    expect(await exists(here, key)).toBe(false)
    expect(await here.quarantined()).toEqual([])
    const deleted = here.logged('quarantine processed').map(([, about]) => about.deleted)
    expect(deleted.reduce((sum, one) => sum + one)).toBe(1)
    expect(`${await download(here.holdall, file.id)}`).toBe('a')
  })

  test.each([
    ['ten years forward', [10 * YEAR]],
    ['forward, and back again', [10 * YEAR, -10 * YEAR]],
    ['back', [-YEAR]],
  ])('F8: a clock that leaps %s deletes nothing that was just quarantined', async (_, leaps) => {
    const here = await open({ QUARANTINE_DAYS: '1' })
    const [key = ''] = await strangers(here, 1)
    await here.sweep()
    for (const leap of leaps) {
      here.clock.now += leap
      await here.tend()
      await here.tend()
    }
    await here.pass(20 * HOUR)
    expect(await exists(here, key)).toBe(true)
    await here.pass(5 * HOUR)
    expect(await exists(here, key)).toBe(false)
  })

  test('F16: a blob that gets a row again is restored, and readable before that', async () => {
    const here = await open()
    const file = await uploadFile(here.holdall, {
      workspaceId: here.workspaceId,
      name: 'a',
      bytes: 'a',
    })
    const { db } = here.app
    const blobs = await db.selectFrom('blobs').selectAll().execute()
    await corruptRows(here.holdall, (tx) => tx.deleteFrom('blobs').execute())
    expect(await here.sweep()).toEqual(blobs.map(({ id }) => id))
    expect(await here.quarantined()).toHaveLength(1)
    await db.insertInto('blobs').values(blobs).execute()
    const isOnDisk = here.env.S3_BUCKET === undefined
    // In a bucket, a quarantined object stays in its place.
    expect(await fsckCodes(here.env)).toEqual(isOnDisk ? ['BYTES_QUARANTINED'] : [])
    expect(await fsckCodes(here.env)).toEqual(isOnDisk ? ['BYTES_QUARANTINED'] : [])
    expect(`${await download(here.holdall, file.id)}`).toBe('a')
    await here.tend()
    expect(await here.quarantined()).toEqual([])
    await here.pass(8 * DAY)
    expect(`${await download(here.holdall, file.id)}`).toBe('a')
    expect(await fsckCodes(here.env)).toEqual([])
  })

  test('F16: fsck --repair restores blobs that a row needs, and quarantines unreferenced ones', async () => {
    const here = await open()
    await uploadFile(here.holdall, { workspaceId: here.workspaceId, name: 'a', bytes: 'a' })
    const [kept = ''] = await here.keys('kept')
    await here.app.blobs.quarantine.move(kept, 'kept')
    const [key = ''] = await strangers(here, 1)
    const isOnDisk = here.env.S3_BUCKET === undefined
    const found = ['BYTES_KEPT_UNKNOWN', ...(isOnDisk ? ['BYTES_QUARANTINED'] : [])]
    expect(await fsckCodes(here.env, { graceMs: -5000 })).toEqual(found)
    expect(await fsckCodes(here.env, { graceMs: -5000, repair: true })).toEqual(found)
    expect(await fsckCodes(here.env, { graceMs: -5000 })).toEqual([])
    expect(await exists(here, key)).toBe(true)
    expect(await here.quarantined()).toEqual([key])
  })

  test('F16: blobs that a row needs are restored while sweeping is paused, and nothing is deleted', async () => {
    const here = await open({ QUARANTINE_DAYS: '1' })
    const { db } = here.app
    await uploadFile(here.holdall, { workspaceId: here.workspaceId, name: 'a', bytes: 'a' })
    const [kept = ''] = await here.keys('kept')
    const [key = ''] = await strangers(here, 1)
    await here.sweep()
    await here.app.blobs.quarantine.move(kept, 'kept')
    await db.updateTable('installation').set({ pausedAt: 1, pausedBecause: 'a test' }).execute()
    await here.tend()
    expect(await here.keys('kept')).toContain(kept)
    await here.pass(3 * DAY)
    expect(await exists(here, key)).toBe(true)
    expect(await here.quarantined()).toEqual([key])
  })

  test.each(['small', 'all', 'off'])(
    'F16: with VERIFY_READS=%s quarantined blobs are readable at once',
    async (VERIFY_READS) => {
      const here = await open({ VERIFY_READS, DOWNLOADS: 'proxy' })
      const file = await uploadFile(here.holdall, {
        workspaceId: here.workspaceId,
        name: 'a',
        bytes: 'a',
      })
      const [kept = ''] = await here.keys('kept')
      await here.app.blobs.quarantine.move(kept, 'kept')
      expect(`${await download(here.holdall, file.id)}`).toBe('a')
    },
  )

  test('F16: staged bytes whose upload row is back are restored, and the upload continues', async () => {
    const here = await open()
    const { db } = here.app
    const upload = await createUpload(here.holdall, {
      workspaceId: here.workspaceId,
      name: 'a',
      size: 5,
    })
    await sendBytes(here.holdall, upload, 'hel')
    const rows = await db.selectFrom('uploads').selectAll().execute()
    await db.deleteFrom('uploads').execute()
    expect(await here.sweep()).toEqual([upload.id])
    await db.insertInto('uploads').values(rows).execute()
    await sendBytes(here.holdall, upload, 'lo', 3)
    const file = await confirmUpload(here.holdall, { uploadId: upload.id })
    expect(`${await download(here.holdall, file.id)}`).toBe('hello')
  })

  test('F16: a sweep that finds too much moves nothing until fsck --sweep, and reports it everywhere', async () => {
    const here = await open()
    const keys = await strangers(here, 11)
    expect(await here.sweep()).toEqual([])
    expect(here.lines.filter(({ level }) => level === 'error')).toMatchObject([
      { about: { objects: 11, found: 11 }, message: expect.stringMatching(/^sweep refused/) },
    ])
    const metrics = async () => (await here.holdall.http('/metrics')).text()
    expect(await metrics()).toMatch(/^sweep_refused_objects 11$/m)
    expect((await here.keys('kept')).sort()).toEqual(keys.sort())
    expect(await fsckCodes(here.env)).toEqual(['SWEEP_REFUSED'])
    expect(await fsckCodes(here.env, { graceMs: -5000, repair: true })).toEqual([
      'SWEEP_REFUSED',
      ...keys.map(() => 'BYTES_KEPT_UNKNOWN'),
    ])
    expect(await here.quarantined()).toEqual([])

    expect(await confirmSweep(here.env, -5000)).toEqual({
      objects: 11,
      quarantined: 11,
      returned: 0,
    })
    expect(await fsckCodes(here.env, { graceMs: -5000 })).toEqual([])
    expect(await metrics()).toMatch(/^sweep_refused_objects 0$/m)
    expect(await metrics()).toMatch(/^quarantine_objects 11$/m)
    for (const key of keys) expect(await exists(here, key)).toBe(true)
    await here.pass(7 * DAY + HOUR)
    for (const key of keys) expect(await exists(here, key)).toBe(false)
  })

  test('F16: purged bytes are deleted at once, without a quarantine', async () => {
    const here = await open()
    const file = await uploadFile(here.holdall, {
      workspaceId: here.workspaceId,
      name: 'a',
      bytes: 'a',
    })
    const act = (name: string, ids: object) =>
      here.holdall.ask(
        `mutation ($input: ${name[0]?.toUpperCase()}${name.slice(1)}Input!) { ${name}(input: $input) { __typename } }`,
        { input: ids },
      )
    await act('trashEntries', { entries: [{ entry: { id: file.id } }] })
    await act('purgeEntries', { entries: [{ entry: { id: file.id } }] })
    await here.app.jobs.runDue()
    expect(await here.keys('kept')).toEqual([])
    expect(await here.quarantined()).toEqual([])
  })

  test('F16: a quarantined blob without a row, after a restore, ages from when it is first seen', async () => {
    const here = await open({ QUARANTINE_DAYS: '1' })
    const [key = ''] = await strangers(here, 1)
    await here.sweep()
    await here.pass(23 * HOUR)
    await here.app.db.deleteFrom('quarantine').execute()
    await here.sweep()
    await here.pass(23 * HOUR)
    expect(await exists(here, key)).toBe(true)
    await here.pass(3 * HOUR)
    expect(await exists(here, key)).toBe(false)
  })
})
