import { expect, onTestFinished, test } from 'vitest'
import { expireUploads } from '../../../src/domains/uploads/jobs.ts'
import {
  act,
  attempt,
  createFolder,
  createUpload,
  createWorkspace,
  sendBytes,
  usageOf,
} from '../../support/client.ts'
import { zipOf } from '../../support/data/zips.ts'
import { findings } from '../../support/inspection.ts'
import { until } from '../../support/network/tus.ts'
import { startTestServer, type TestServer } from '../../support/servers/test-server.ts'

async function open(env: Record<string, string> = {}) {
  let now = Date.now()
  const holdall = await startTestServer({ now: () => now, env })
  onTestFinished(() => holdall[Symbol.asyncDispose]())
  const { id: workspaceId } = await createWorkspace(holdall)
  return {
    holdall,
    workspaceId,
    expire() {
      now += 25 * 3_600_000
      return expireUploads({ ...holdall.app, viewer: null, publicUrl: '' })
    },
  }
}

const BYTES = 4_000_000
const archive = () =>
  zipOf(
    Array.from({ length: 40 }, (_, i) => ({
      name: `${i}.bin`,
      bytes: Buffer.alloc(BYTES / 40, i),
    })),
  )

const ARCHIVE_BYTES = archive().length

/** Uploads an archive, by default to the workspace of the folder that it creates. */
async function importInput(
  holdall: TestServer,
  workspaceId: string,
  folder: string,
  from = workspaceId,
) {
  const bytes = archive()
  const upload = await createUpload(holdall, {
    workspaceId: from,
    name: `${folder}.zip`,
    size: bytes.length,
  })
  await sendBytes(holdall, upload, bytes)
  const { id } = await createFolder(holdall, { workspaceId, name: folder })
  return { uploadId: upload.id, folder: { id } }
}

test('an import reserves all that its archive declares, and releases it as it is used', async () => {
  const { holdall, workspaceId } = await open()
  const input = await importInput(holdall, workspaceId, 'a')
  const before = await usageOf(holdall, workspaceId)
  const running = act(holdall, 'importArchive', input, 'entryCount')
  await until(
    async () => (await usageOf(holdall, workspaceId)).reservedBytes === ARCHIVE_BYTES + BYTES,
  )
  expect((await running).entryCount).toBe(40)
  expect(await usageOf(holdall, workspaceId)).toMatchObject({
    reservedBytes: 0,
    currentBytes: before.currentBytes + BYTES,
  })
  expect(await findings(holdall)).toEqual([])
})

test('concurrent imports and uploads never exceed the quota', async () => {
  const { holdall, workspaceId } = await open()
  const { id: from } = await createWorkspace(holdall, { name: 'Archives' })
  const inputs = [
    await importInput(holdall, workspaceId, 'a', from),
    await importInput(holdall, workspaceId, 'b', from),
    await importInput(holdall, workspaceId, 'c', from),
  ]
  const { currentBytes } = await usageOf(holdall, workspaceId)
  const quotaBytes = currentBytes + 2 * BYTES + 1000
  await act(holdall, 'updateWorkspace', { workspaceId, quotaBytes }, '__typename')
  const answers = await Promise.all(
    inputs.map((input) => attempt(holdall, 'importArchive', input, 'entryCount')),
  )
  const codes = answers.map(({ code }) => code ?? 'imported').sort()
  expect(codes).toEqual(['QUOTA_EXCEEDED', 'imported', 'imported'])
  const usage = await usageOf(holdall, workspaceId)
  expect(usage).toMatchObject({ reservedBytes: 0, currentBytes: currentBytes + 2 * BYTES })
  expect(await findings(holdall)).toEqual([])
})

test('an import counts among the unfinished uploads of its user, and reserves nothing after it fails', async () => {
  const limits = { MAX_UPLOAD_BYTES: '5000000', MAX_RESERVED_BYTES: '9000000' }
  const { holdall, workspaceId } = await open(limits)
  const input = await importInput(holdall, workspaceId, 'a')
  await createUpload(holdall, { workspaceId, name: 'open', size: 2_000_000 })
  const refused = await attempt(holdall, 'importArchive', input, 'entryCount')
  expect(refused).toMatchObject({ code: 'RATE_LIMITED', retryable: true })
  expect(await usageOf(holdall, workspaceId)).toMatchObject({
    reservedBytes: ARCHIVE_BYTES + 2_000_000,
  })
})

test('the reservation of an import whose process was killed is released when it expires', async () => {
  const { holdall, workspaceId, expire } = await open()
  const input = await importInput(holdall, workspaceId, 'a')
  const running = attempt(holdall, 'importArchive', input, 'entryCount').catch(() => null)
  await until(
    async () => (await usageOf(holdall, workspaceId)).reservedBytes === ARCHIVE_BYTES + BYTES,
  )
  const { db } = holdall.app
  const [row] = await db
    .selectFrom('uploads')
    .selectAll()
    .where('reservedBytes', '=', BYTES)
    .execute()
  await running
  // The row of an import that no process continues.
  if (row) await db.insertInto('uploads').values(row).execute()
  await db
    .updateTable('workspaces')
    .set({ reservedBytes: BYTES })
    .where('id', '=', workspaceId)
    .execute()
  expect(await findings(holdall)).toEqual([])
  expect(await expire()).toBe(1)
  expect(await usageOf(holdall, workspaceId)).toMatchObject({ reservedBytes: 0 })
})

test('forms whose fields follow the file count together before their workspace is known', async () => {
  const limits = { MAX_UPLOAD_BYTES: '3000000', MAX_RESERVED_BYTES: '4000000' }
  const { holdall, workspaceId } = await open(limits)
  async function form() {
    const body = new FormData()
    body.append('file', new Blob(['x'.repeat(2_900_000)]), `${Math.random()}`)
    body.append('workspaceId', workspaceId)
    return holdall.http('/files', { method: 'POST', body })
  }
  const answers = await Promise.all([form(), form(), form(), form(), form(), form()])
  const statuses = answers.map(({ status }) => status)
  expect(statuses).toContain(429)
  for (const status of statuses) expect([201, 429]).toContain(status)
  expect((await form()).status).toBe(201)
  expect(await usageOf(holdall, workspaceId)).toMatchObject({ reservedBytes: 0 })
  expect(await findings(holdall)).toEqual([])
})

test('an import whose upload was cancelled creates nothing', async () => {
  const { holdall, workspaceId } = await open()
  const input = await importInput(holdall, workspaceId, 'a')
  const running = attempt(holdall, 'importArchive', input, 'entryCount')
  await until(
    async () => (await usageOf(holdall, workspaceId)).reservedBytes === ARCHIVE_BYTES + BYTES,
  )
  const { db } = holdall.app
  const held = await db
    .selectFrom('uploads')
    .select('id')
    .where('reservedBytes', '=', BYTES)
    .executeTakeFirstOrThrow()
  await act(holdall, 'cancelUpload', { uploadId: held.id }, '__typename')
  expect(await running).toMatchObject({ code: 'INVALID_STATE' })
  expect(await usageOf(holdall, workspaceId)).toMatchObject({ reservedBytes: ARCHIVE_BYTES })
  expect(await findings(holdall)).toEqual([])
})
