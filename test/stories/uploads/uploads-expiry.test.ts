import { expect, test } from 'vitest'
import { leaseEnd } from '../../../src/database/clock.ts'
import { newId } from '../../../src/database/ids.ts'
import type { UploadStatus } from '../../../src/database/tables.ts'
import { expireUploads, releaseDeadConfirms } from '../../../src/domains/uploads/jobs.ts'
import { sweepOrphans } from '../../../src/domains/uploads/store/sweep.ts'
import {
  attempt,
  confirmUpload,
  createUpload,
  createWorkspace,
  download,
  sendBytes,
  uploadFile,
} from '../../support/client.ts'
import { startTestServer, type TestServer } from '../../support/servers/test-server.ts'

const HOUR = 3_600_000

async function openAt2030() {
  let now = Date.UTC(2030, 0, 1)
  const holdall = await startTestServer({ now: () => now, env: { UPLOAD_TTL_HOURS: '1' } })
  const { id: workspaceId } = await createWorkspace(holdall)
  const pass = (ms: number) => {
    now += ms
  }
  return { holdall, workspaceId, pass, [Symbol.asyncDispose]: () => holdall[Symbol.asyncDispose]() }
}

const scopeOf = ({ app }: TestServer) => ({ ...app, viewer: null, publicUrl: '' })
const keys = async ({ app }: TestServer, where: 'staged' | 'kept') =>
  (await Array.fromAsync(app.blobs.list(where))).map(({ key }) => key)

async function rowOf({ app }: TestServer, id: string) {
  return app.db.selectFrom('uploads').selectAll().where('id', '=', id).executeTakeFirstOrThrow()
}

async function usageOf(holdall: TestServer, id: string) {
  const query =
    'query ($id: ID!) { workspace(by: { id: $id }) { usage { reservedBytes currentBytes storedBytes } } }'
  return (await holdall.ask(query, { id })).workspace.usage
}

test('S26: an upload expires by inactivity, not by age', async () => {
  await using here = await openAt2030()
  const { holdall, workspaceId, pass } = here
  const made = await createUpload(holdall, { workspaceId, name: 'a', size: 11 })
  for (const [offset, bytes] of [
    [0, 'he'],
    [2, 'llo'],
    [5, ' wor'],
  ] as const) {
    pass(HOUR - 1000)
    expect(await expireUploads(scopeOf(holdall))).toBe(0)
    await sendBytes(holdall, made, bytes, offset)
  }
  pass(HOUR)
  expect(await usageOf(holdall, workspaceId)).toMatchObject({ reservedBytes: 11 })
  expect(await expireUploads(scopeOf(holdall))).toBe(1)
  expect(await usageOf(holdall, workspaceId)).toMatchObject({ reservedBytes: 0 })
  expect(await keys(holdall, 'staged')).toEqual([])
  expect((await rowOf(holdall, made.id)).status).toBe('EXPIRED')
  const confirm = await attempt(holdall, 'confirmUpload', { uploadId: made.id }, 'file { id }')
  expect(confirm).toMatchObject({ code: 'UPLOAD_EXPIRED' })
})

test('the job does so automatically', async () => {
  await using here = await openAt2030()
  const { holdall, workspaceId, pass } = here
  const made = await createUpload(holdall, { workspaceId, name: 'a', size: 11 })
  await holdall.app.jobs.runDue()
  pass(2 * HOUR)
  await holdall.app.jobs.runDue()
  // A clock that leaps is believed the second time.
  pass(600_000)
  await holdall.app.jobs.runDue()
  expect((await rowOf(holdall, made.id)).status).toBe('EXPIRED')
})

test('S26: a complete upload that is never confirmed expires as well', async () => {
  await using here = await openAt2030()
  const { holdall, workspaceId, pass } = here
  const made = await createUpload(holdall, { workspaceId, name: 'a', size: 2 })
  await sendBytes(holdall, made, 'hi')
  pass(HOUR)
  expect(
    await attempt(holdall, 'confirmUpload', { uploadId: made.id }, 'file { id }'),
  ).toMatchObject({ code: 'UPLOAD_EXPIRED' })
  expect(await expireUploads(scopeOf(holdall))).toBe(1)
  expect(await keys(holdall, 'staged')).toEqual([])
})

test('a confirm that failed after its bytes were committed leaves them to the sweeper at expiry', async () => {
  await using here = await openAt2030()
  const { holdall, workspaceId, pass } = here
  const { log } = holdall.app
  const made = await createUpload(holdall, { workspaceId, name: 'a', size: 3 })
  await sendBytes(holdall, made, 'new')
  const old = await uploadFile(holdall, { workspaceId, name: 'a', bytes: 'old' })
  expect(
    await attempt(holdall, 'confirmUpload', { uploadId: made.id }, 'file { id }'),
  ).toMatchObject({ code: 'NAME_CONFLICT' })
  expect(await keys(holdall, 'kept')).toContain(made.id)
  expect(await sweepOrphans(holdall.app, { graceMs: 0, log })).toEqual([])
  pass(HOUR)
  expect(await expireUploads(scopeOf(holdall))).toBe(1)
  // A later state of the database may have a file with them.
  expect(await keys(holdall, 'kept')).toContain(made.id)
  expect(await sweepOrphans(holdall.app, { graceMs: 0, log })).toEqual([made.id])
  const held = await holdall.app.db.selectFrom('quarantine').select(['key', 'place']).execute()
  expect(held).toEqual([{ key: made.id, place: 'kept' }])
  expect((await download(holdall, old.id)).toString()).toBe('old')
})

test('F16: unreferenced bytes are quarantined after a grace period, and no others', async () => {
  await using here = await openAt2030()
  const { holdall, workspaceId } = here
  const { blobs, db, log } = holdall.app
  const open = await createUpload(holdall, { workspaceId, name: 'open', size: 5 })
  await sendBytes(holdall, open, 'hel')
  const received = await createUpload(holdall, { workspaceId, name: 'received', size: 2 })
  await sendBytes(holdall, received, 'hi')
  const file = await uploadFile(holdall, { workspaceId, name: 'file', bytes: 'file' })
  const [staged, kept] = [newId('upl'), newId('upl')]
  for (const key of [staged, kept]) await blobs.stage(key)
  await blobs.commit(kept)
  const tooYoung = { graceMs: 100 * 365 * 24 * HOUR }
  expect(await sweepOrphans(holdall.app, { ...tooYoung, log })).toEqual([])
  expect(await sweepOrphans(holdall.app, { graceMs: 0, log })).toEqual([staged, kept])
  const rows = await db.selectFrom('quarantine').select(['key', 'place']).execute()
  expect(rows.sort((a, b) => (a.place < b.place ? 1 : -1))).toEqual([
    { key: staged, place: 'staged' },
    { key: kept, place: 'kept' },
  ])
  expect(await sweepOrphans(holdall.app, { graceMs: 0, log })).toEqual([])
  expect((await download(holdall, file.id)).toString()).toBe('file')
})

/** The state of an upload whose process is killed during a confirm. */
const setProcessing = ({ app: { db, now } }: TestServer, id: string, leaseMs: number) =>
  db
    .updateTable('uploads')
    .set({ status: 'PROCESSING' as UploadStatus, leaseUntil: leaseEnd(db, now(), leaseMs) })
    .where('id', '=', id)
    .execute()

test('F17: the next confirm takes over an interrupted one, whether or not its bytes were committed', async () => {
  await using here = await openAt2030()
  const { holdall, workspaceId } = here
  for (const adopted of [false, true]) {
    const made = await createUpload(holdall, { workspaceId, name: `${adopted}`, size: 5 })
    await sendBytes(holdall, made, 'hello')
    await setProcessing(holdall, made.id, -1)
    if (adopted) await holdall.app.blobs.commit(made.id)
    await holdall.restart()
    const file = await confirmUpload(holdall, { uploadId: made.id })
    expect((await download(holdall, file.id)).toString()).toBe('hello')
  }
  expect(await usageOf(holdall, workspaceId)).toEqual({
    reservedBytes: 0,
    currentBytes: 10,
    storedBytes: 5,
  })
})

test('F11, F17: a confirm waits for a running one; a job resets an abandoned one', async () => {
  await using here = await openAt2030()
  const { holdall, workspaceId } = here
  const made = await createUpload(holdall, { workspaceId, name: 'a', size: 5 })
  await sendBytes(holdall, made, 'hello')
  await setProcessing(holdall, made.id, 5000)
  const waiting = confirmUpload(holdall, { uploadId: made.id })
  const early = await Promise.race([
    waiting,
    new Promise((resolve) => setTimeout(resolve, 300, 'waits')),
  ])
  expect(early).toBe('waits')
  expect(await releaseDeadConfirms(scopeOf(holdall))).toBe(0)
  expect(await expireUploads(scopeOf(holdall))).toBe(0)
  await setProcessing(holdall, made.id, -1)
  expect(await releaseDeadConfirms(scopeOf(holdall))).toBeLessThanOrEqual(1)
  expect((await waiting).size).toBe(5)
})

test('F11: during a confirm PATCH and DELETE are 423, HEAD is not', async () => {
  await using here = await openAt2030()
  const { holdall, workspaceId } = here
  const made = await createUpload(holdall, { workspaceId, name: 'a', size: 5 })
  await sendBytes(holdall, made, 'hello')
  await setProcessing(holdall, made.id, 5000)
  const ask = (method: string) =>
    holdall.http(made.url, {
      method,
      headers: {
        'Tus-Resumable': '1.0.0',
        'Upload-Offset': '5',
        'Content-Type': 'application/offset+octet-stream',
      },
    })
  const statuses = []
  for (const method of ['HEAD', 'PATCH', 'DELETE']) statuses.push((await ask(method)).status)
  expect(statuses).toEqual([200, 423, 423])
  const cancel = await attempt(holdall, 'cancelUpload', { uploadId: made.id }, 'upload { id }')
  expect(cancel).toMatchObject({ code: 'INVALID_STATE' })
})
