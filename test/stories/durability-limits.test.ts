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
} from '../support/client.ts'
import { canMount, launchAfter } from '../support/launch-after.ts'
import { emptyFolder } from '../support/process.ts'
import type { House } from '../support/test-server.ts'
import { tusOf, until } from '../support/tus.ts'

/** A file, an upload with a part of its bytes, and one with all. */
async function furnish(house: House) {
  const { id: workspaceId } = await createWorkspace(house)
  const kept = await uploadFile(house, { workspaceId, name: 'kept', bytes: 'kept' })
  const begun = await createUpload(house, { workspaceId, name: 'begun', size: 5 })
  await sendBytes(house, begun, 'hel')
  const received = await createUpload(house, { workspaceId, name: 'received', size: 2 })
  await sendBytes(house, received, 'hi')
  return { workspaceId, kept, begun, received }
}
type Furnished = Awaited<ReturnType<typeof furnish>>

async function expectRefusal(house: House, { begun }: Furnished, status: number) {
  const patch = await tusOf(house).patch(begun.url, 3, 'lo')
  expect([patch.status, await patch.json()]).toMatchObject([status, { code: 'STORAGE_ERROR' }])
  expect(await tusOf(house).offset(begun.url)).toBe(3)
  expect((await house.http('/readyz')).status).toBe(200)
}

async function expectRefusals(house: House, there: Furnished) {
  await expectRefusal(house, there, 500)
  const { workspaceId, received, kept } = there
  const problem = { code: 'STORAGE_ERROR', retryable: true }
  const empty = { workspaceId, name: 'empty', size: 0 }
  expect(await attempt(house, 'createUpload', empty, 'upload { id }')).toMatchObject(problem)
  // Where bytes will come, the disk is asked when they do.
  const { url } = await createUpload(house, { workspaceId, name: 'new', size: 5 })
  expect((await tusOf(house).patch(url, 0, 'hello')).status).toBe(500)
  const confirm = { uploadId: received.id }
  expect(await attempt(house, 'confirmUpload', confirm, 'file { id }')).toMatchObject(problem)
  expect(`${await download(house, kept.id)}`).toBe('kept')
}

async function expectAsBefore(house: House, { kept, begun, received }: Furnished) {
  await sendBytes(house, begun, 'lo', 3)
  for (const [{ id: uploadId }, bytes] of [
    [begun, 'hello'],
    [received, 'hi'],
  ] as const) {
    const { id } = await confirmUpload(house, { uploadId })
    expect(`${await download(house, id)}`).toBe(bytes)
  }
  expect(`${await download(house, kept.id)}`).toBe('kept')
}

describe.skipIf(!canMount)('F5: with mounts of its own (skipped where none can be made)', () => {
  test('F5: bytes on a disk that becomes read-only: reading goes on, writing says why, and goes on later', async () => {
    const dir = await emptyFolder()
    const blobs = join(dir, 'blobs')
    await mkdir(blobs)
    const { house, beside } = await launchAfter(
      'mount -t tmpfs -o size=16m tmpfs "$DATA_DIR/blobs"',
      dir,
    )
    const there = await furnish(house)
    const remount = (how: string) =>
      expect(beside('mount', '-o', `remount,${how}`, blobs).status).toBe(0)
    remount('ro')
    await expectRefusals(house, there)
    remount('rw')
    await expectAsBefore(house, there)
    const { status, stdout } = beside(process.execPath, 'src/fsck.ts', '--deep')
    expect(status, `${stdout}`).toBe(0)
  }, 60_000)
})

describe('F5: with 64 file descriptors', () => {
  test('F5: and none left: what needs one says why, all else goes on, and so does that once there are some', async () => {
    const dir = await emptyFolder()
    const { house, url } = await launchAfter('ulimit -n 64', dir)
    const there = await furnish(house)
    // Over a connection that is there already; others are not let in.
    const sockets = await Promise.all(Array.from({ length: 80 }, () => idle(url)))
    await until(async () => sockets.some(({ destroyed }) => destroyed))
    // A moment later there may be some.
    await expectRefusal(house, there, 503)
    for (const socket of sockets) socket.destroy()
    await until(async () => (await tusOf(house).head(there.begun.url)).status === 200)
    await expectAsBefore(house, there)
  }, 60_000)
})

async function idle(url: string): Promise<Socket> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1').on('error', () => {})
  await once(socket, 'connect').catch(() => {})
  return socket.resume()
}
