import { randomUUID } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { openBucket } from '../../../src/blobs/s3/api/bucket.ts'
import { readConfig } from '../../../src/config/config.ts'
import type { Env } from '../../../src/config/env.ts'
import { newId } from '../../../src/database/ids.ts'
import { claimStore } from '../../../src/domains/uploads/store/claim.ts'
import { deletePermission } from '../../../src/domains/uploads/store/delete-permission.ts'
import { newStamp, resumeSweeping } from '../../../src/domains/uploads/store/installation.ts'
import { keepStamped } from '../../../src/domains/uploads/store/restamp.ts'
import { sweepOrphans } from '../../../src/domains/uploads/store/sweep.ts'
import {
  confirmUpload,
  createUpload,
  createWorkspace,
  download,
  sendBytes,
  uploadFile,
} from '../../support/client.ts'
import {
  confirmSweep,
  copyDatabase,
  createDatabase,
  fsckCodes,
  keysIn,
  type Running,
  startErrorOf,
  startInstallation,
  storeKinds,
} from '../../support/servers/installations.ts'

const names = { store: 'the store', database: 'the database' }

async function fill({ holdall }: Running, count: number) {
  const { id: workspaceId } = await createWorkspace(holdall)
  const files = []
  for (let i = 0; i < count; i += 1)
    files.push(await uploadFile(holdall, { workspaceId, name: `${i}.txt`, bytes: `bytes ${i}` }))
  return files
}

/** Deletes the id of the store. */
async function deleteStoreId(env: Env) {
  const { blobs } = readConfig(env)
  if (blobs.kind === 'disk') return rm(join(blobs.dir, 'installation.json'))
  const bucket = openBucket(blobs)
  await bucket.remove(`${blobs.prefix}installation.json`)
  bucket.client.destroy()
}

/** Deletes committed blobs behind the server's back. */
const deleteBlobs = async ({ app }: Running, keys: string[]) => {
  for (const key of keys) await app.blobs.remove(key)
}

const adoptionIdIn = (words: string) => / ADOPT_STORE=(\S+)$/.exec(words)?.[1]

describe.each(storeKinds)('F16: over %s', (_, newStore) => {
  /** Creates a database and a store that belong together, with `count` files and no running server. */
  async function installation(files: number) {
    const store = await newStore()
    const database = await createDatabase()
    const env = { ...store, ...database }
    const first = await startInstallation(env)
    const made = await fill(first, files)
    const kept = await first.keys('kept')
    await first.close()
    return { store, database, env, files: made, kept }
  }

  test('F16: a start with an empty database is refused, and every blob stays', async () => {
    const { store, env, files, kept } = await installation(3)
    const wrong = { ...store, ...(await createDatabase()) }
    const words = await startErrorOf(wrong)
    expect(words).toMatch(
      /^Error StartupError: .* do not belong together: .*installation [-\w]+, the database to installation [-\w]+\. Set DATABASE_URL or DATA_DIR to the right database/,
    )
    expect(await fsckCodes(wrong)).toEqual(['STORE_FOREIGN'])
    expect(await startErrorOf(wrong)).toBe(words)
    const again = await startInstallation(env)
    expect((await again.keys('kept')).sort()).toEqual(kept.sort())
    expect(`${await download(again.holdall, files[0]?.id ?? '')}`).toBe('bytes 0')
  })

  test('F16: a start with the database of another installation is refused', async () => {
    const [one, other] = [await installation(2), await installation(2)]
    expect(await startErrorOf({ ...one.store, ...other.database })).toMatch(
      /do not belong together/,
    )
    expect(await fsckCodes(one.env)).toEqual([])
    expect(await fsckCodes(other.env)).toEqual([])
  })

  test('F16: a start with another store, empty or not, is refused', async () => {
    const { database, env } = await installation(12)
    const empty = { ...(await newStore()), ...database }
    expect(await startErrorOf(empty)).toMatch(
      /of 10 sampled files of the database, none could be found in the store\./,
    )
    expect(await fsckCodes(empty)).toEqual(['STORE_FOREIGN'])
    const other = await installation(1)
    expect(await startErrorOf({ ...other.store, ...database })).toMatch(/do not belong together/)
    await (await startInstallation(env)).close()
  })

  test('F16: ADOPT_STORE accepts the two ids that it names, once, and is harmless later', async () => {
    const { database, files } = await installation(2)
    const env = { ...(await newStore()), ...database }
    const ADOPT_STORE = adoptionIdIn(await startErrorOf(env))
    for (const wrong of [`${randomUUID()}/none/1`, ADOPT_STORE?.replace(/\d+$/, '999')])
      expect(adoptionIdIn(await startErrorOf({ ...env, ADOPT_STORE: wrong }))).toBe(ADOPT_STORE)
    const adopted = await startInstallation({ ...env, ADOPT_STORE })
    await fill(adopted, 1)
    await adopted.close()
    await (await startInstallation(env)).close()
    // Left set, it accepts no other store.
    const another = { ...(await newStore()), ...database }
    expect(await startErrorOf({ ...another, ADOPT_STORE })).toMatch(/none could be found/)
    // The lost files are marked as damaged.
    const losses = ['BYTES_MISSING', 'BYTES_MISSING']
    expect(await fsckCodes(env, { repair: true })).toEqual(['STORE_AHEAD', ...losses])
    expect(files).toHaveLength(2)
  })

  test('F16: an adoption without losses accepts no later loss', async () => {
    const { database, env } = await installation(2)
    const first = await startInstallation(env)
    const { version = '' } = (await first.app.blobs.record.read()) ?? {}
    const other = { installation: randomUUID(), number: 1, stamp: randomUUID() }
    await first.app.blobs.record.replace(other, version)
    await first.close()
    await (
      await startInstallation({ ...env, ADOPT_STORE: adoptionIdIn(await startErrorOf(env)) })
    ).close()
    await confirmSweep(env)
    await (await startInstallation(env)).close()
    const empty = { ...(await newStore()), ...database }
    expect(await startErrorOf(empty)).toMatch(/of 2 sampled files .* none could be found/)
  })

  test('F16: an empty store is refused also if all files are damaged, or their loss was accepted', async () => {
    const { database } = await installation(2)
    const adopted = { ...(await newStore()), ...database }
    await (
      await startInstallation({
        ...adopted,
        ADOPT_STORE: adoptionIdIn(await startErrorOf(adopted)),
      })
    ).close()
    await (await startInstallation(adopted)).close()
    const empty = { ...(await newStore()), ...database }
    expect(await startErrorOf(empty)).toMatch(/the store is empty, but the database has files/)
    const running = await startInstallation(adopted)
    const damage = JSON.stringify({ code: 'MISSING', at: 1 })
    await running.app.db.updateTable('blobs').set({ damage }).execute()
    await running.app.db.updateTable('installation').set({ acceptedUpTo: null }).execute()
    await running.close()
    expect(await startErrorOf(empty)).toMatch(/the store is empty, but the database has files/)
  })

  test('F16: ADOPT_STORE of a store without an id keeps its bytes until fsck --sweep', async () => {
    const { store, env } = await installation(8)
    await (await withoutRecord(env)).close()
    const wrong = { ...store, ...(await createDatabase()) }
    const adopted = await startInstallation({
      ...wrong,
      ADOPT_STORE: adoptionIdIn(await startErrorOf(wrong)),
    })
    const { app } = adopted
    expect((await rowOf(app)).pausedBecause).toBe('the store was adopted')
    expect(await sweepOrphans(app, { graceMs: -5000, log: app.log })).toEqual([])
    await adopted.close()
    expect(await confirmSweep(wrong, -5000)).toMatchObject({ quarantined: 8 })
  })

  test('F16: ADOPT_STORE of another installation’s store keeps its bytes until fsck --sweep', async () => {
    const one = await installation(3)
    const env = { ...one.store, ...(await createDatabase()) }
    const ADOPT_STORE = adoptionIdIn(await startErrorOf(env))
    const adopted = await startInstallation({ ...env, ADOPT_STORE })
    expect(await sweepOrphans(adopted.app, { graceMs: -5000, log: adopted.app.log })).toEqual([])
    await adopted.close()
    expect(await fsckCodes(env)).toEqual(['STORE_AHEAD'])
    expect(await confirmSweep(env, -5000)).toMatchObject({ quarantined: 3 })
    expect(await fsckCodes(env)).toEqual([])
    expect(await startErrorOf(one.env)).toMatch(/do not belong together/)
  })

  test('F16: the loss of some of ten files is damage, and does not prevent a start', async () => {
    const { env, kept } = await installation(10)
    const running = await startInstallation(env)
    await deleteBlobs(running, kept.slice(0, 9))
    await running.close()
    await (await startInstallation(env)).close()
    const last = await startInstallation(env)
    await deleteBlobs(last, kept.slice(9))
    await last.close()
    expect(await startErrorOf(env)).toMatch(/of 10 sampled files .* none could be found/)
  })

  test('F16: files that are marked as damaged are not searched', async () => {
    const { env, kept } = await installation(2)
    const running = await startInstallation(env)
    await deleteBlobs(running, kept)
    const damage = JSON.stringify({ code: 'MISSING', at: 1 })
    await running.app.db.updateTable('blobs').set({ damage }).execute()
    await running.close()
    await (await startInstallation(env)).close()
  })

  test('F20: a store of the previous version gets the id of its database, by its files', async () => {
    const { env, kept } = await installation(11)
    const before = await withoutRecord(env)
    await deleteBlobs(before, kept.slice(0, 1))
    await before.close()
    const upgraded = await startInstallation(env)
    const { installation: id } = (await upgraded.app.blobs.record.read())?.record ?? {}
    expect(id).toBe(
      (await upgraded.app.db.selectFrom('installation').select('id').executeTakeFirst())?.id,
    )
    await upgraded.close()
    expect(await fsckCodes(env)).toEqual(['BYTES_MISSING'])
  })

  test('F20: a store of the previous version is refused to another database, with files or without', async () => {
    const { store, env } = await installation(4)
    await (await withoutRecord(env)).close()
    const wrong = { ...store, ...(await createDatabase()) }
    expect(await startErrorOf(wrong)).toMatch(
      /of 4 sampled files of the store, the database knows none/,
    )
    const other = await installation(4)
    expect(await startErrorOf({ ...store, ...other.database })).toMatch(/none could be found/)
    expect(await fsckCodes(wrong)).toEqual(['STORE_FOREIGN'])
    await (await startInstallation(env)).close()
  })

  test('F20: a store of the previous version with uploads only gets the id of their database', async () => {
    const { store, env } = await installation(0)
    const first = await startInstallation(env)
    const { id: workspaceId } = await createWorkspace(first.holdall)
    const upload = await createUpload(first.holdall, { workspaceId, name: 'a', size: 5 })
    await sendBytes(first.holdall, upload, 'hel')
    await first.close()
    await (await withoutRecord(env)).close()
    if (env.S3_BUCKET === undefined)
      expect(await startErrorOf({ ...store, ...(await createDatabase()) })).toMatch(
        /of 1 sampled files of the store, the database knows none/,
      )
    await (await startInstallation(env)).close()
  })

  test('F10: servers that start at once over a new database and a new store agree', async () => {
    const env = { ...(await newStore()), ...(await createDatabase()) }
    await (await startInstallation(env)).close()
    const { app } = await withoutRecord(env)
    const log = app.log
    const start = () => claimStore(app, { names, adopt: null, log })
    await Promise.all(Array.from({ length: 8 }, start))
    await Promise.all(Array.from({ length: 8 }, start))
    const { pausedAt, starts } = await rowOf(app)
    expect([pausedAt, starts]).toEqual([null, expect.any(Number)])
    expect(await fsckCodes(env)).toEqual([])
  })

  test('F1: a crash between the stamps of database and store is not reported as a mismatch', async () => {
    const { env } = await installation(1)
    const { app, close } = await startInstallation(env)
    await newStamp(app.db)
    await newStamp(app.db)
    await close()
    const again = await startInstallation(env)
    expect((await rowOf(again.app)).pausedAt).toBe(null)
    expect(await sweepOrphans(again.app, { graceMs: -5000, log: again.app.log })).toEqual([])
    expect(again.lines.map(({ message }) => message)).toContain('swept')
  })

  test('F16: a restored older database starts, and deletes nothing until fsck --sweep', async () => {
    const { store, database, env } = await installation(2)
    const older = { ...store, ...(await copyDatabase(database)) }
    const later = await startInstallation(env)
    const files = await fill(later, 3)
    await later.close()

    const restored = await startInstallation(older)
    expect(files).toHaveLength(3)
    expect(restored.lines).toContainEqual(
      expect.objectContaining({ level: 'warn', message: 'sweeping is off until fsck --sweep' }),
    )
    expect(await sweepOrphans(restored.app, { graceMs: -5000, log: restored.app.log })).toEqual([])
    const metrics = await (await restored.holdall.http('/metrics')).text()
    expect(metrics).toMatch(/^sweep_paused 1$/m)
    // Also bytes that no row needs stay.
    const orphan = newId('upl')
    await restored.app.blobs.stage(orphan, 0)
    await restored.app.blobs.commit(orphan)
    await restored.app.blobs.remove(orphan)
    expect(await restored.keys('kept')).toContain(orphan)
    await restored.close()
    await (await startInstallation(older)).close()
    expect(await fsckCodes(older)).toEqual(['STORE_AHEAD'])

    expect(await confirmSweep(older, -5000)).toMatchObject({ objects: 6, quarantined: 4 })
    expect(await fsckCodes(older)).toEqual([])
    const swept = await startInstallation(older)
    expect((await rowOf(swept.app)).pausedAt).toBe(null)
    expect(await (await swept.holdall.http('/metrics')).text()).toMatch(/^quarantine_objects 4$/m)
  })

  test('F16: a staging copy that runs over the same store stops both sweepers', async () => {
    const { store, database, env } = await installation(2)
    const staging = { ...store, ...(await copyDatabase(database)) }
    const production = await startInstallation(env)
    const copy = await startInstallation(staging)
    const { log } = production.app
    await fill(production, 3)
    expect((await rowOf(copy.app)).pausedAt).not.toBe(null)
    expect(await sweepOrphans(copy.app, { graceMs: -5000, log })).toEqual([])
    expect(await sweepOrphans(production.app, { graceMs: -5000, log })).toEqual([])
    expect((await rowOf(production.app)).pausedAt).not.toBe(null)
    expect(await keysIn(production.app, 'kept')).toHaveLength(5)
    await copy.close()
    expect(await confirmSweep(env)).toMatchObject({ quarantined: 0 })
    expect(await fsckCodes(env)).toEqual([])
  })

  /** A copy of the rows has an open upload, from which the store has a committed blob since. */
  async function confirmedSince() {
    const { store, database, env } = await installation(1)
    const before = await startInstallation(env)
    const { id: workspaceId } = await createWorkspace(before.holdall)
    const upload = await createUpload(before.holdall, { workspaceId, name: 'a', size: 5 })
    await before.close()
    const older = { ...store, ...(await copyDatabase(database)) }
    const later = await startInstallation(env)
    const url = `${later.holdall.url}${new URL(upload.url).pathname}`
    await sendBytes(later.holdall, { ...upload, url }, 'hello')
    const file = await confirmUpload(later.holdall, { uploadId: upload.id })
    return { env, older, later, upload, file }
  }

  const cancel = ({ holdall }: Running, uploadId: string) =>
    holdall.ask(
      'mutation ($input: CancelUploadInput!) { cancelUpload(input: $input) { __typename } }',
      { input: { uploadId } },
    )

  test('F16: the end of an upload under an older database keeps the bytes confirmed since', async () => {
    const { env, older, later, upload, file } = await confirmedSince()
    await later.close()
    const wrong = await startInstallation(older)
    // As if the store had not been stamped since.
    await resumeSweeping(wrong.app.db)
    await cancel(wrong, upload.id)
    expect(await wrong.keys('kept')).toContain(upload.id)
    await wrong.close()
    const right = await startInstallation(env)
    expect(`${await download(right.holdall, file.id)}`).toBe('hello')
  })

  test('F16: a server that ends leaves a stamp that an older database does not have', async () => {
    const { older, later } = await confirmedSince()
    await later.close()
    const wrong = await startInstallation(older)
    expect((await rowOf(wrong.app)).pausedAt).not.toBe(null)
  })

  test('F16: a minute with writes is stamped, and an idle one is not', async () => {
    const { app, holdall } = await startInstallation((await installation(1)).env)
    const stamped = keepStamped(app, app.log)
    onTestFinished(() => stamped[Symbol.asyncDispose]())
    const runStampJob = async () => {
      await stamped.restamp()
      return (await app.blobs.record.read())?.record.stamp
    }
    const first = await runStampJob()
    expect(await runStampJob()).toBe(first)
    await createWorkspace(holdall)
    const second = await runStampJob()
    expect(second).not.toBe(first)
    expect(await runStampJob()).toBe(second)
    const key = newId('upl')
    await stamped.blobs.stage(key, 0)
    await stamped.blobs.commit(key)
    const third = await runStampJob()
    const fourth = await runStampJob()
    expect(new Set([second, third, fourth]).size).toBe(3)
    expect(await runStampJob()).toBe(fourth)
  })

  test('F16: nothing is deleted once the store has the stamp of another database', async () => {
    const { store, database, env } = await installation(2)
    const staging = { ...store, ...(await copyDatabase(database)) }
    const production = await startInstallation(env)
    const [kept = ''] = await production.keys('kept')
    const copy = await startInstallation(staging)
    const may = deletePermission(production.app, production.app.log)
    expect(await may()).toBe(false)
    expect((await rowOf(production.app)).pausedAt).not.toBe(null)
    expect(production.lines.map(({ level }) => level)).toContain('error')
    await production.app.blobs.remove(kept)
    expect(await production.keys('kept')).toContain(kept)
    // The copy finds the stamp of production within a minute.
    await keepStamped(production.app, production.app.log).restamp()
    expect(await deletePermission(copy.app, copy.app.log)()).toBe(false)
    expect((await rowOf(copy.app)).pausedAt).not.toBe(null)
  })

  test('F16: nothing is deleted from a store that another installation has taken over', async () => {
    const { app } = await startInstallation((await installation(1)).env)
    const { version = '' } = (await app.blobs.record.read()) ?? {}
    const other = { installation: randomUUID(), number: 1, stamp: randomUUID() }
    await app.blobs.record.replace(other, version)
    expect(await deletePermission(app, app.log)()).toBe(false)
    await keepStamped(app, app.log).restamp()
    expect((await app.blobs.record.read())?.record).toEqual(other)
    expect((await rowOf(app)).pausedBecause).toMatch(/another installation/)
  })

  test('F16: an unreadable record does not count as missing', async () => {
    const { env } = await installation(1)
    const { app, close } = await startInstallation(env)
    const { version = '' } = (await app.blobs.record.read()) ?? {}
    await app.blobs.record.replace({ installation: 7 } as never, version)
    await close()
    expect(await startErrorOf(env)).toMatch(
      /installation\.json is not an installation record of Holdall/,
    )
  })

  /** A server over a store without an id, as the previous version left it. */
  async function withoutRecord(env: Env) {
    const running = await startInstallation(env)
    await deleteStoreId(env)
    return running
  }
})

const rowOf = ({ db }: Running['app']) =>
  db.selectFrom('installation').selectAll().executeTakeFirstOrThrow()
