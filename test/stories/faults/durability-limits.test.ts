import { once } from 'node:events'
import { mkdir } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import {
  attempt,
  confirmUpload,
  createUpload,
  createWorkspace,
  download,
  sendBytes,
  uploadFile,
} from '../../support/client.ts'
import { tusOf, until } from '../../support/network/tus.ts'
import { canMount, launchAfter } from '../../support/servers/launch-after.ts'
import { emptyFolder } from '../../support/servers/process.ts'
import type { TestServer } from '../../support/servers/test-server.ts'

/** A file, a partly received upload, and a complete one. */
async function createFixtures(holdall: TestServer) {
  const { id: workspaceId } = await createWorkspace(holdall)
  const kept = await uploadFile(holdall, { workspaceId, name: 'kept', bytes: 'kept' })
  const begun = await createUpload(holdall, { workspaceId, name: 'begun', size: 5 })
  await sendBytes(holdall, begun, 'hel')
  const received = await createUpload(holdall, { workspaceId, name: 'received', size: 2 })
  await sendBytes(holdall, received, 'hi')
  return { workspaceId, kept, begun, received }
}
type Furnished = Awaited<ReturnType<typeof createFixtures>>

async function expectRefusal(holdall: TestServer, { begun }: Furnished, status: number) {
  const patch = await tusOf(holdall).patch(begun.url, 3, 'lo')
  expect([patch.status, await patch.json()]).toMatchObject([status, { code: 'STORAGE_ERROR' }])
  expect(await tusOf(holdall).offset(begun.url)).toBe(3)
  expect((await holdall.http('/readyz')).status).toBe(200)
}

async function expectRefusals(holdall: TestServer, there: Furnished) {
  await expectRefusal(holdall, there, 500)
  const { workspaceId, received, kept } = there
  const problem = { code: 'STORAGE_ERROR', retryable: true }
  const empty = { workspaceId, name: 'empty', size: 0 }
  expect(await attempt(holdall, 'createUpload', empty, 'upload { id }')).toMatchObject(problem)
  // The file is created when the first bytes arrive.
  const { url } = await createUpload(holdall, { workspaceId, name: 'new', size: 5 })
  expect((await tusOf(holdall).patch(url, 0, 'hello')).status).toBe(500)
  const confirm = { uploadId: received.id }
  expect(await attempt(holdall, 'confirmUpload', confirm, 'file { id }')).toMatchObject(problem)
  expect(`${await download(holdall, kept.id)}`).toBe('kept')
}

async function expectUnchangedState(holdall: TestServer, { kept, begun, received }: Furnished) {
  await sendBytes(holdall, begun, 'lo', 3)
  for (const [{ id: uploadId }, bytes] of [
    [begun, 'hello'],
    [received, 'hi'],
  ] as const) {
    const { id } = await confirmUpload(holdall, { uploadId })
    expect(`${await download(holdall, id)}`).toBe(bytes)
  }
  expect(`${await download(holdall, kept.id)}`).toBe('kept')
}

describe.skipIf(!canMount)('F5: with mounts of its own (skipped where none can be made)', () => {
  test('F5: a disk that becomes read-only: reads work, writes report the reason, and work again later', async () => {
    const dir = await emptyFolder()
    const blobs = join(dir, 'blobs')
    await mkdir(blobs)
    const { holdall, beside } = await launchAfter(
      'mount -t tmpfs -o size=16m tmpfs "$DATA_DIR/blobs"',
      dir,
    )
    const there = await createFixtures(holdall)
    const remount = (how: string) =>
      expect(beside('mount', '-o', `remount,${how}`, blobs).status).toBe(0)
    remount('ro')
    await expectRefusals(holdall, there)
    remount('rw')
    await expectUnchangedState(holdall, there)
    const { status, stdout } = beside(process.execPath, 'src/fsck.ts', '--deep')
    expect(status, `${stdout}`).toBe(0)
  }, 60_000)
})

describe('F5: with 64 file descriptors', () => {
  test('F5: without free descriptors requests that need one report it, and all works again once there are some', async () => {
    const dir = await emptyFolder()
    const { holdall, url } = await launchAfter('ulimit -n 64', dir)
    const there = await createFixtures(holdall)
    // On an existing connection; new ones are not accepted.
    const sockets = await Promise.all(Array.from({ length: 80 }, () => idle(url)))
    await until(async () => sockets.some(({ destroyed }) => destroyed))
    // Descriptors may be free a moment later.
    await expectRefusal(holdall, there, 503)
    for (const socket of sockets) socket.destroy()
    await until(async () => (await tusOf(holdall).head(there.begun.url)).status === 200)
    await expectUnchangedState(holdall, there)
  }, 60_000)
})

async function idle(url: string): Promise<Socket> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1').on('error', () => {})
  await once(socket, 'connect').catch(() => {})
  return socket.resume()
}
