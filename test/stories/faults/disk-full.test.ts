import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import {
  act,
  attempt,
  confirmUpload,
  createFolder,
  createUpload,
  createWorkspace,
  download,
  sendBytes,
  trashEntries,
  uploadFile,
  usageOf,
} from '../../support/client.ts'
import { postForm } from '../../support/network/forms.ts'
import { metadata, tusOf, until } from '../../support/network/tus.ts'
import { canMount, launchAfter } from '../../support/servers/launch-after.ts'
import { emptyFolder } from '../../support/servers/process.ts'
import type { TestServer } from '../../support/servers/test-server.ts'

const MIB = 1024 * 1024
const full = {
  code: 'STORAGE_ERROR',
  retryable: true,
  message: expect.stringContaining('no space'),
}

/**
 * Starts a server with a disk of `sizeMib` mounted at `$DATA_DIR/<folder>`, of which it keeps 8 MiB
 * free.
 */
async function launchOn(folder: string, sizeMib: number, rows?: string) {
  const dir = await emptyFolder()
  const disk = join(dir, folder)
  await mkdir(disk, { recursive: true })
  const line = `mount -t tmpfs -o size=${sizeMib}m tmpfs "${disk}"`
  const reserve = { DISK_RESERVE_BYTES: `${8 * MIB}`, METRICS: 'open' }
  const database = rows && { DATABASE_URL: join(dir, rows) }
  const server = await launchAfter(line, dir, { ...reserve, ...database })
  const run = (script: string) => `${server.beside('sh', '-c', script).stdout}`.trim()
  return {
    ...server,
    /** Fills the disk to so many free MiB with a file of another program. */
    async leave(mib: number) {
      run(`rm -f '${disk}/filler'`)
      const free = Number(run(`echo $(($(stat -f -c '%a * %S' '${disk}')))`))
      run(`head -c ${free - mib * MIB} /dev/zero > '${disk}/filler'`)
    },
    /** Deletes that file. */
    makeRoom: () => run(`rm -f '${disk}/filler'`),
    stagedBytes: (id: string) => Number(run(`stat -c %s '${dir}/blobs/staged/${id}'`)),
  }
}

const body = async (holdall: TestServer, path: string) => (await holdall.http(path)).text()
const degraded = (holdall: TestServer) => body(holdall, '/readyz')

/** What must work on a full disk: deleting, cancelling, reading. */
async function expectRowsStillWork(holdall: TestServer, workspaceId: string) {
  const folder = await createFolder(holdall, { workspaceId, name: `rows ${Math.random()}` })
  await trashEntries(holdall, folder)
  await act(holdall, 'purgeEntries', { entries: [{ entry: { id: folder.id } }] }, '__typename')
}

async function expectNoBytes(holdall: TestServer, workspaceId: string) {
  const upload = { workspaceId, name: `refused ${Math.random()}`, size: 1000 }
  expect(await attempt(holdall, 'createUpload', upload, 'upload { id }')).toMatchObject(full)
  const many = { uploads: [upload], mode: 'BEST_EFFORT' }
  const selection = 'results { error { code message retryable } }'
  const { results } = await act(holdall, 'createUploads', many, selection)
  expect(results[0].error).toMatchObject(full)
  const creation = await tusOf(holdall).post({
    'Upload-Length': '1000',
    'Upload-Metadata': metadata({ workspaceId, filename: 'refused' }),
  })
  expect([creation.status, await creation.json()]).toMatchObject([507, { code: 'STORAGE_ERROR' }])
  const form = await postForm(holdall, { workspaceId, file: { name: 'refused', bytes: 'x' } })
  expect([form.status, form.body]).toMatchObject([507, { code: 'STORAGE_ERROR' }])
}

// Mounting requires root, and a container that allows it.
describe.skipIf(!canMount)('F4: a full disk (skipped where nothing can be mounted)', () => {
  test('refuses uploads that do not fit before a byte is sent, counting reservations of others', async () => {
    const { holdall } = await launchOn('.', 64)
    const { id: workspaceId } = await createWorkspace(holdall)
    const upload = (name: string, mib: number) => ({ workspaceId, name, size: mib * MIB })
    const create = (name: string, mib: number) =>
      attempt(holdall, 'createUpload', upload(name, mib), 'upload { id url }')
    expect(await create('larger than the disk', 1000)).toMatchObject({
      ...full,
      message: `the server's disk has no space for ${1000 * MIB} more bytes; try again later`,
    })
    expect(await usageOf(holdall, workspaceId)).toMatchObject({ reservedBytes: 0 })

    const first = await create('first', 30)
    expect(await create('second', 30)).toMatchObject(full)
    await act(holdall, 'cancelUpload', { uploadId: first.upload.id }, '__typename')
    const second = await create('second', 30)
    expect(second.upload.id).toMatch(/^upl_/)

    const many = await Promise.all(Array.from({ length: 10 }, (_, i) => create(`many ${i}`, 5)))
    const created = many.filter(({ upload }) => upload)
    expect(created.length).toBeGreaterThan(0)
    expect(created.length).toBeLessThan(6)
    expect(await degraded(holdall)).toBe('ok\n')
  }, 60_000)

  test('stops uploads at the reserve, keeps rows writable, reports it, and continues when there is room', async () => {
    const { holdall, leave, makeRoom, stagedBytes } = await launchOn('.', 64)
    const { id: workspaceId } = await createWorkspace(holdall)
    const kept = await uploadFile(holdall, { workspaceId, name: 'kept', bytes: 'kept' })
    const begun = await createUpload(holdall, { workspaceId, name: 'begun', size: 20 * MIB })
    const bytes = Buffer.alloc(20 * MIB, 'bytes ')
    await sendBytes(holdall, begun, bytes.subarray(0, MIB))
    const cancelled = await createUpload(holdall, { workspaceId, name: 'cancelled', size: 10 })
    const put = await createUpload(holdall, {
      ...{ workspaceId, name: 'put', size: 10 },
      transport: 'SIGNED_PUT',
    })

    // It is reached within a body: bytes beyond the offset are truncated.
    await leave(12)
    const patch = await tusOf(holdall).patch(begun.url, MIB, bytes.subarray(MIB))
    expect([patch.status, await patch.json()]).toMatchObject([507, { code: 'STORAGE_ERROR' }])
    expect(await tusOf(holdall).offset(begun.url)).toBe(MIB)
    expect(stagedBytes(begun.id)).toBe(MIB)

    await leave(7)
    await until(async () => /^degraded: .*\(database, blobs\)/.test(await degraded(holdall)))
    expect((await holdall.http('/readyz')).status).toBe(200)
    expect(await body(holdall, '/metrics')).toMatch(/^disk_full\{volume="blobs"\} 1$/m)
    await expectNoBytes(holdall, workspaceId)
    expect((await tusOf(holdall).patch(begun.url, MIB, 'x')).status).toBe(507)
    expect((await holdall.http(put.url, { method: 'PUT', body: '0123456789' })).status).toBe(507)
    await expectRowsStillWork(holdall, workspaceId)
    await act(holdall, 'cancelUpload', { uploadId: cancelled.id }, '__typename')
    expect(`${await download(holdall, kept.id)}`).toBe('kept')

    makeRoom()
    await sendBytes(holdall, begun, bytes.subarray(MIB), MIB)
    const file = await confirmUpload(holdall, { uploadId: begun.id })
    expect((await download(holdall, file.id)).equals(bytes)).toBe(true)
    await until(async () => (await degraded(holdall)) === 'ok\n')
    expect(await body(holdall, '/metrics')).toMatch(/^disk_full\{volume="blobs"\} 0$/m)
  }, 60_000)

  test('frees purged bytes while the disk is full', async () => {
    const { holdall, leave } = await launchOn('.', 64)
    const { id: workspaceId } = await createWorkspace(holdall)
    const bytes = Buffer.alloc(20 * MIB, 'large ')
    const large = await uploadFile(holdall, { workspaceId, name: 'large', bytes })
    await leave(4)
    await until(async () => (await degraded(holdall)).startsWith('degraded: '))
    await trashEntries(holdall, large)
    await act(holdall, 'purgeEntries', { entries: [{ entry: { id: large.id } }] }, '__typename')
    await until(async () => (await degraded(holdall)) === 'ok\n', 20_000)
    await uploadFile(holdall, { workspaceId, name: 'again', bytes: bytes.subarray(0, MIB) })
  }, 60_000)

  test('checks the disk of the database, too', async () => {
    const { holdall, leave, makeRoom } = await launchOn('rows', 32, 'rows/holdall.db')
    const { id: workspaceId } = await createWorkspace(holdall)
    await leave(6)
    await until(async () => (await degraded(holdall)).includes('(database)'))
    await expectNoBytes(holdall, workspaceId)
    await expectRowsStillWork(holdall, workspaceId)
    makeRoom()
    await uploadFile(holdall, { workspaceId, name: 'again', bytes: 'again' })
  }, 60_000)
})
