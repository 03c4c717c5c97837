import { execFile } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import {
  attempt,
  createUpload,
  createWorkspace,
  download,
  sendBytes,
  uploadFile,
  usageOf,
} from '../support/client.ts'
import { openProcess } from '../support/killable.ts'
import type { House } from '../support/test-server.ts'

const run = promisify(execFile)
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

/** The disk does not answer for one upload: whoever opens its file waits, until the file is put back. */
async function stall(dir: string, id: string) {
  const [place, aside] = [join(dir, 'blobs/staged', id), join(dir, id)]
  await rename(place, aside)
  await run('mkfifo', [place])
  return async () => {
    await rm(place)
    await rename(aside, place)
  }
}

async function received(house: House, input: { workspaceId: string; name: string }) {
  const bytes = randomBytes(300_000)
  const upload = await createUpload(house, { ...input, size: bytes.length })
  await sendBytes(house, upload, bytes)
  return { id: upload.id, bytes }
}

async function stateOf(house: House, id: string): Promise<any> {
  const file = 'file { id name sha256 version { comment createdBy { id } } }'
  const fields = `status ${file} failures { code retryable }`
  const query = `query ($id: ID!) { node(id: $id) { ... on Upload { ${fields} } } }`
  return (await house.ask(query, { id })).node
}

/** Until it says something else than PROCESSING. */
async function outcomeOf(house: House, id: string) {
  await expect
    .poll(async () => (await stateOf(house, id)).status, { timeout: 30_000, interval: 100 })
    .not.toBe('PROCESSING')
  return stateOf(house, id)
}

/** Somebody confirms, and it takes so long that it is written down for whoever goes on with it. */
async function confirming(house: House, name: string, input: object, ids: string[]) {
  const answer = attempt(house, name, input as Record<string, unknown>, '__typename')
  answer.catch(() => {})
  for (const id of ids) {
    await expect.poll(async () => (await stateOf(house, id)).status).toBe('PROCESSING')
  }
  await sleep(1_800)
}

test('F17: killed while it reads the bytes of a confirm: after the restart it becomes the file that was asked for', async () => {
  await using process = await openProcess()
  const { house, dir, start, kill } = process
  const { id: workspaceId } = await createWorkspace(house)
  const { id, bytes } = await received(house, { workspaceId, name: 'night.bin' })
  const goOn = await stall(dir, id)
  await confirming(house, 'confirmUpload', { uploadId: id, comment: 'of the night' }, [id])
  await kill()
  await goOn()
  await start()
  expect(await stateOf(house, id)).toMatchObject({ status: 'PROCESSING', file: null })
  const { status, file, failures } = await outcomeOf(house, id)
  expect([status, failures]).toEqual(['COMPLETE', []])
  expect(file).toMatchObject({ sha256: sha256(bytes), version: { comment: 'of the night' } })
  expect((await download(house, file.id)).equals(bytes)).toBe(true)
  expect(await usageOf(house, workspaceId)).toMatchObject({ reservedBytes: 0, fileCount: 1 })
}, 60_000)

test('what stands in the way by then is told, and the upload can be confirmed again', async () => {
  await using process = await openProcess()
  const { house, dir, start, kill } = process
  const { id: workspaceId } = await createWorkspace(house)
  const { id } = await received(house, { workspaceId, name: 'a.bin' })
  const goOn = await stall(dir, id)
  await confirming(house, 'confirmUpload', { uploadId: id }, [id])
  await uploadFile(house, { workspaceId, name: 'a.bin', bytes: 'first' })
  await kill()
  await goOn()
  await start()
  const { status, file, failures } = await outcomeOf(house, id)
  expect([status, file, failures]).toEqual([
    'RECEIVED',
    null,
    [{ code: 'NAME_CONFLICT', retryable: true }],
  ])
  const again = await attempt(house, 'confirmUpload', { uploadId: id }, '__typename')
  expect(again.code).toBe('NAME_CONFLICT')
}, 60_000)

test('uploads that are confirmed together become files together, also after a death', async () => {
  await using process = await openProcess()
  const { house, dir, start, kill } = process
  const { id: workspaceId } = await createWorkspace(house)
  const some = [
    await received(house, { workspaceId, name: 'a.bin' }),
    await received(house, { workspaceId, name: 'b.bin' }),
    await received(house, { workspaceId, name: 'c.bin' }),
  ]
  const ids = some.map(({ id }) => id)
  const goOn = await stall(dir, ids[1] ?? '')
  const uploads = ids.map((uploadId, index) => ({ uploadId, comment: `number ${index}` }))
  await confirming(house, 'confirmUploads', { uploads, mode: 'ALL_OR_NOTHING' }, ids)
  await kill()
  await goOn()
  await start()
  for (const [index, id] of ids.entries()) {
    const { status, file } = await outcomeOf(house, id)
    expect([status, file?.version.comment]).toEqual(['COMPLETE', `number ${index}`])
    expect(file.sha256).toBe(sha256(some[index]?.bytes ?? Buffer.of()))
  }
}, 60_000)
