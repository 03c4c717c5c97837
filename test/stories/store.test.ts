import { randomUUID } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { openBucket } from '../../src/blobs/s3/api/bucket.ts'
import { type Env, readConfig } from '../../src/config.ts'
import { newId } from '../../src/database/ids.ts'
import { claimStore } from '../../src/domains/uploads/store/claim.ts'
import { deletePermission } from '../../src/domains/uploads/store/delete-permission.ts'
import { newStamp, resumeSweeping } from '../../src/domains/uploads/store/installation.ts'
import { keepStamped } from '../../src/domains/uploads/store/restamp.ts'
import { sweepOrphans } from '../../src/domains/uploads/store/sweep.ts'
import {
  confirmUpload,
  createUpload,
  createWorkspace,
  download,
  sendBytes,
  uploadFile,
} from '../support/client.ts'
import {
  anotherDatabase,
  codesOver,
  confirmSweep,
  copyOf,
  keysIn,
  type Running,
  refusal,
  startOver,
  storeKinds,
} from '../support/installations.ts'

const names = { store: 'the store', database: 'the database' }

async function fill({ holdall }: Running, count: number) {
  const { id: workspaceId } = await createWorkspace(holdall)
  const files = []
  for (let i = 0; i < count; i += 1)
    files.push(await uploadFile(holdall, { workspaceId, name: `${i}.txt`, bytes: `bytes ${i}` }))
  return files
}

/** Removes from the store what says whose it is. */
async function removeRecord(env: Env) {
  const { blobs } = readConfig(env)
  if (blobs.kind === 'disk') return rm(join(blobs.dir, 'installation.json'))
  const bucket = openBucket(blobs)
  await bucket.remove(`${blobs.prefix}installation.json`)
  bucket.client.destroy()
}

/** Deletes kept bytes behind the server's back. */
const lose = async ({ app }: Running, keys: string[]) => {
  for (const key of keys) await app.blobs.remove(key)
}

const permitIn = (words: string) => / ADOPT_STORE=(\S+)$/.exec(words)?.[1]

describe.each(storeKinds)('F16: over %s', (_, newStore) => {
  /** A database and a store that belong together, with so many files; no server is running. */
  async function installation(files: number) {
    const store = await newStore()
    const database = await anotherDatabase()
    const env = { ...store, ...database }
    const first = await startOver(env)
    const made = await fill(first, files)
    const kept = await first.keys('kept')
    await first.close()
    return { store, database, env, files: made, kept }
  }

  test('F16: a start with an empty database is refused, and every byte stays', async () => {
    const { store, env, files, kept } = await installation(3)
    const wrong = { ...store, ...(await anotherDatabase()) }
    const words = await refusal(wrong)
    expect(words).toMatch(
      /^Error CannotStart: .* do not belong together: .*installation [-\w]+, the database to installation [-\w]+\. Name the right database/,
    )
    expect(await codesOver(wrong)).toEqual(['STORE_FOREIGN'])
    expect(await refusal(wrong)).toBe(words)
    const again = await startOver(env)
    expect((await again.keys('kept')).sort()).toEqual(kept.sort())
    expect(`${await download(again.holdall, files[0]?.id ?? '')}`).toBe('bytes 0')
  })

  test('F16: a start with the database of another installation is refused', async () => {
    const [one, other] = [await installation(2), await installation(2)]
    expect(await refusal({ ...one.store, ...other.database })).toMatch(/do not belong together/)
    expect(await codesOver(one.env)).toEqual([])
    expect(await codesOver(other.env)).toEqual([])
  })

  test('F16: a start with another store, empty or not, is refused', async () => {
    const { database, env } = await installation(12)
    const empty = { ...(await newStore()), ...database }
    expect(await refusal(empty)).toMatch(
      /of 10 files of the database that were looked for in the store, none could be found\./,
    )
    expect(await codesOver(empty)).toEqual(['STORE_FOREIGN'])
    const other = await installation(1)
    expect(await refusal({ ...other.store, ...database })).toMatch(/do not belong together/)
    await (await startOver(env)).close()
  })

  test('F16: ADOPT_STORE lets the two that it names be used, once, and is harmless later', async () => {
    const { database, files } = await installation(2)
    const env = { ...(await newStore()), ...database }
    const ADOPT_STORE = permitIn(await refusal(env))
    for (const wrong of [`${randomUUID()}/none/1`, ADOPT_STORE?.replace(/\d+$/, '999')])
      expect(permitIn(await refusal({ ...env, ADOPT_STORE: wrong }))).toBe(ADOPT_STORE)
    const adopted = await startOver({ ...env, ADOPT_STORE })
    await fill(adopted, 1)
    await adopted.close()
    await (await startOver(env)).close()
    // Left set it lets no other store in.
    const another = { ...(await newStore()), ...database }
    expect(await refusal({ ...another, ADOPT_STORE })).toMatch(/none could be found/)
    // What is lost is known to be lost.
    const losses = ['BYTES_MISSING', 'BYTES_MISSING']
    expect(await codesOver(env, { repair: true })).toEqual(['STORE_AHEAD', ...losses])
    expect(files).toHaveLength(2)
  })

  test('F16: an adoption of files that are there accepts no loss of them later', async () => {
    const { database, env } = await installation(2)
    const first = await startOver(env)
    const { version = '' } = (await first.app.blobs.record.read()) ?? {}
    const other = { installation: randomUUID(), number: 1, stamp: randomUUID() }
    await first.app.blobs.record.replace(other, version)
    await first.close()
    await (await startOver({ ...env, ADOPT_STORE: permitIn(await refusal(env)) })).close()
    await confirmSweep(env)
    await (await startOver(env)).close()
    const empty = { ...(await newStore()), ...database }
    expect(await refusal(empty)).toMatch(/of 2 files .* none could be found/)
  })

  test('F16: an empty store is refused also where all files are damaged, or their loss was accepted', async () => {
    const { database } = await installation(2)
    const adopted = { ...(await newStore()), ...database }
    await (await startOver({ ...adopted, ADOPT_STORE: permitIn(await refusal(adopted)) })).close()
    await (await startOver(adopted)).close()
    const empty = { ...(await newStore()), ...database }
    expect(await refusal(empty)).toMatch(/the store is empty, and the database has files/)
    const running = await startOver(adopted)
    const damage = JSON.stringify({ code: 'MISSING', at: 1 })
    await running.app.db.updateTable('blobs').set({ damage }).execute()
    await running.app.db.updateTable('installation').set({ acceptedUpTo: null }).execute()
    await running.close()
    expect(await refusal(empty)).toMatch(/the store is empty, and the database has files/)
  })

  test('F16: ADOPT_STORE over a store without an id keeps its bytes until fsck --sweep', async () => {
    const { store, env } = await installation(8)
    await (await withoutRecord(env)).close()
    const wrong = { ...store, ...(await anotherDatabase()) }
    const adopted = await startOver({ ...wrong, ADOPT_STORE: permitIn(await refusal(wrong)) })
    const { app } = adopted
    expect((await rowOf(app)).pausedBecause).toBe('the store was adopted')
    expect(await sweepOrphans(app, { graceMs: -5000, log: app.log })).toEqual([])
    await adopted.close()
    expect(await confirmSweep(wrong, -5000)).toMatchObject({ quarantined: 8 })
  })

  test('F16: ADOPT_STORE over a store of another installation keeps its bytes until fsck --sweep', async () => {
    const one = await installation(3)
    const env = { ...one.store, ...(await anotherDatabase()) }
    const ADOPT_STORE = permitIn(await refusal(env))
    const adopted = await startOver({ ...env, ADOPT_STORE })
    expect(await sweepOrphans(adopted.app, { graceMs: -5000, log: adopted.app.log })).toEqual([])
    await adopted.close()
    expect(await codesOver(env)).toEqual(['STORE_AHEAD'])
    expect(await confirmSweep(env, -5000)).toMatchObject({ quarantined: 3 })
    expect(await codesOver(env)).toEqual([])
    expect(await refusal(one.env)).toMatch(/do not belong together/)
  })

  test('F16: some files of ten that are gone are damage, and no reason not to start', async () => {
    const { env, kept } = await installation(10)
    const running = await startOver(env)
    await lose(running, kept.slice(0, 9))
    await running.close()
    await (await startOver(env)).close()
    const last = await startOver(env)
    await lose(last, kept.slice(9))
    await last.close()
    expect(await refusal(env)).toMatch(/of 10 files .* none could be found/)
  })

  test('F16: files that are known to be damaged are not looked for', async () => {
    const { env, kept } = await installation(2)
    const running = await startOver(env)
    await lose(running, kept)
    const damage = JSON.stringify({ code: 'MISSING', at: 1 })
    await running.app.db.updateTable('blobs').set({ damage }).execute()
    await running.close()
    await (await startOver(env)).close()
  })

  test('F20: a store of the version before gets the id of its database, by its files', async () => {
    const { env, kept } = await installation(11)
    const before = await withoutRecord(env)
    await lose(before, kept.slice(0, 1))
    await before.close()
    const upgraded = await startOver(env)
    const { installation: id } = (await upgraded.app.blobs.record.read())?.record ?? {}
    expect(id).toBe(
      (await upgraded.app.db.selectFrom('installation').select('id').executeTakeFirst())?.id,
    )
    await upgraded.close()
    expect(await codesOver(env)).toEqual(['BYTES_MISSING'])
  })

  test('F20: a store of the version before is refused to another database, with files or without', async () => {
    const { store, env } = await installation(4)
    await (await withoutRecord(env)).close()
    const wrong = { ...store, ...(await anotherDatabase()) }
    expect(await refusal(wrong)).toMatch(
      /the store holds files, and the database knows none of 4 that were looked at/,
    )
    const other = await installation(4)
    expect(await refusal({ ...store, ...other.database })).toMatch(/none could be found/)
    expect(await codesOver(wrong)).toEqual(['STORE_FOREIGN'])
    await (await startOver(env)).close()
  })

  test('F20: a store of the version before that has uploads alone gets the id of their database', async () => {
    const { store, env } = await installation(0)
    const first = await startOver(env)
    const { id: workspaceId } = await createWorkspace(first.holdall)
    const upload = await createUpload(first.holdall, { workspaceId, name: 'a', size: 5 })
    await sendBytes(first.holdall, upload, 'hel')
    await first.close()
    await (await withoutRecord(env)).close()
    if (env.S3_BUCKET === undefined)
      expect(await refusal({ ...store, ...(await anotherDatabase()) })).toMatch(/knows none of 1/)
    await (await startOver(env)).close()
  })

  test('F10: several servers that start at once over new rows and a new store agree, and find no other', async () => {
    const env = { ...(await newStore()), ...(await anotherDatabase()) }
    await (await startOver(env)).close()
    const { app } = await withoutRecord(env)
    const log = app.log
    const start = () => claimStore(app, { names, adopt: null, log })
    await Promise.all(Array.from({ length: 8 }, start))
    await Promise.all(Array.from({ length: 8 }, start))
    const { pausedAt, starts } = await rowOf(app)
    expect([pausedAt, starts]).toEqual([null, expect.any(Number)])
    expect(await codesOver(env)).toEqual([])
  })

  test('F1: a crash between the stamp of the database and that of the store is no sign of another', async () => {
    const { env } = await installation(1)
    const { app, close } = await startOver(env)
    await newStamp(app.db)
    await newStamp(app.db)
    await close()
    const again = await startOver(env)
    expect((await rowOf(again.app)).pausedAt).toBe(null)
    expect(await sweepOrphans(again.app, { graceMs: -5000, log: again.app.log })).toEqual([])
    expect(again.lines.map(({ message }) => message)).toContain('swept')
  })

  test('F16: a restored older database starts, and deletes nothing until fsck --sweep', async () => {
    const { store, database, env } = await installation(2)
    const older = { ...store, ...(await copyOf(database)) }
    const later = await startOver(env)
    const files = await fill(later, 3)
    await later.close()

    const restored = await startOver(older)
    expect(files).toHaveLength(3)
    expect(restored.lines).toContainEqual(
      expect.objectContaining({ level: 'warn', message: 'sweeping is off until fsck --sweep' }),
    )
    expect(await sweepOrphans(restored.app, { graceMs: -5000, log: restored.app.log })).toEqual([])
    const metrics = await (await restored.holdall.http('/metrics')).text()
    expect(metrics).toMatch(/^sweep_paused 1$/m)
    // Also what the rows no longer need stays.
    const orphan = newId('upl')
    await restored.app.blobs.stage(orphan, 0)
    await restored.app.blobs.commit(orphan)
    await restored.app.blobs.remove(orphan)
    expect(await restored.keys('kept')).toContain(orphan)
    await restored.close()
    await (await startOver(older)).close()
    expect(await codesOver(older)).toEqual(['STORE_AHEAD'])

    expect(await confirmSweep(older, -5000)).toMatchObject({ objects: 6, quarantined: 4 })
    expect(await codesOver(older)).toEqual([])
    const swept = await startOver(older)
    expect((await rowOf(swept.app)).pausedAt).toBe(null)
    expect(await (await swept.holdall.http('/metrics')).text()).toMatch(/^quarantine_objects 4$/m)
  })

  test('F16: a staging copy that runs over the same store stops both sweepers', async () => {
    const { store, database, env } = await installation(2)
    const staging = { ...store, ...(await copyOf(database)) }
    const production = await startOver(env)
    const copy = await startOver(staging)
    const { log } = production.app
    await fill(production, 3)
    expect((await rowOf(copy.app)).pausedAt).not.toBe(null)
    expect(await sweepOrphans(copy.app, { graceMs: -5000, log })).toEqual([])
    expect(await sweepOrphans(production.app, { graceMs: -5000, log })).toEqual([])
    expect((await rowOf(production.app)).pausedAt).not.toBe(null)
    expect(await keysIn(production.app, 'kept')).toHaveLength(5)
    await copy.close()
    expect(await confirmSweep(env)).toMatchObject({ quarantined: 0 })
    expect(await codesOver(env)).toEqual([])
  })

  /** Rows of which a copy has an upload that is open, and the store a file that was made of it since. */
  async function confirmedSince() {
    const { store, database, env } = await installation(1)
    const before = await startOver(env)
    const { id: workspaceId } = await createWorkspace(before.holdall)
    const upload = await createUpload(before.holdall, { workspaceId, name: 'a', size: 5 })
    await before.close()
    const older = { ...store, ...(await copyOf(database)) }
    const later = await startOver(env)
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

  test('F16: an end of an upload under an older database leaves what was confirmed since', async () => {
    const { env, older, later, upload, file } = await confirmedSince()
    await later.close()
    const wrong = await startOver(older)
    // As if the store had not been stamped since.
    await resumeSweeping(wrong.app.db)
    await cancel(wrong, upload.id)
    expect(await wrong.keys('kept')).toContain(upload.id)
    await wrong.close()
    const right = await startOver(env)
    expect(`${await download(right.holdall, file.id)}`).toBe('hello')
  })

  test('F16: a server that ends leaves a stamp that an older database does not know', async () => {
    const { older, later } = await confirmedSince()
    await later.close()
    const wrong = await startOver(older)
    expect((await rowOf(wrong.app)).pausedAt).not.toBe(null)
  })

  test('F16: a minute in which something was written is stamped, and a quiet one is not', async () => {
    const { app, holdall } = await startOver((await installation(1)).env)
    const stamped = keepStamped(app, app.log)
    onTestFinished(() => stamped[Symbol.asyncDispose]())
    const stampNow = async () => {
      await stamped.restamp()
      return (await app.blobs.record.read())?.record.stamp
    }
    const first = await stampNow()
    expect(await stampNow()).toBe(first)
    await createWorkspace(holdall)
    const second = await stampNow()
    expect(second).not.toBe(first)
    expect(await stampNow()).toBe(second)
    const key = newId('upl')
    await stamped.blobs.stage(key, 0)
    await stamped.blobs.commit(key)
    const third = await stampNow()
    const fourth = await stampNow()
    expect(new Set([second, third, fourth]).size).toBe(3)
    expect(await stampNow()).toBe(fourth)
  })

  test('F16: nothing is deleted once the store bears the stamp of another database', async () => {
    const { store, database, env } = await installation(2)
    const staging = { ...store, ...(await copyOf(database)) }
    const production = await startOver(env)
    const [kept = ''] = await production.keys('kept')
    const copy = await startOver(staging)
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
    const { app } = await startOver((await installation(1)).env)
    const { version = '' } = (await app.blobs.record.read()) ?? {}
    const other = { installation: randomUUID(), number: 1, stamp: randomUUID() }
    await app.blobs.record.replace(other, version)
    expect(await deletePermission(app, app.log)()).toBe(false)
    await keepStamped(app, app.log).restamp()
    expect((await app.blobs.record.read())?.record).toEqual(other)
    expect((await rowOf(app)).pausedBecause).toMatch(/another installation/)
  })

  test('F16: a record that is not readable is no missing one', async () => {
    const { env } = await installation(1)
    const { app, close } = await startOver(env)
    const { version = '' } = (await app.blobs.record.read()) ?? {}
    await app.blobs.record.replace({ installation: 7 } as never, version)
    await close()
    expect(await refusal(env)).toMatch(/installation\.json is not an installation record of Holdall/)
  })

  /** A server that runs over a store that says nothing of itself, as the version before left it. */
  async function withoutRecord(env: Env) {
    const running = await startOver(env)
    await removeRecord(env)
    return running
  }
})

const rowOf = ({ db }: Running['app']) =>
  db.selectFrom('installation').selectAll().executeTakeFirstOrThrow()
