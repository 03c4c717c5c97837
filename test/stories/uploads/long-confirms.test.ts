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
} from '../../support/client.ts'
import { openProcess } from '../../support/servers/killable.ts'
import type { TestServer } from '../../support/servers/test-server.ts'

const run = promisify(execFile)
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

/** Makes the disk hang for one upload: opening its file waits until the file is put back. */
async function stall(dir: string, id: string) {
  const [place, aside] = [join(dir, 'blobs/staged', id), join(dir, id)]
  await rename(place, aside)
  await run('mkfifo', [place])
  return async () => {
    await rm(place)
    await rename(aside, place)
  }
}

async function received(holdall: TestServer, input: { workspaceId: string; name: string }) {
  const bytes = randomBytes(300_000)
  const upload = await createUpload(holdall, { ...input, size: bytes.length })
  await sendBytes(holdall, upload, bytes)
  return { id: upload.id, bytes }
}

async function stateOf(holdall: TestServer, id: string): Promise<any> {
  const file = 'file { id name sha256 version { comment createdBy { id } } }'
  const fields = `status ${file} failures { code retryable }`
  const query = `query ($id: ID!) { node(id: $id) { ... on Upload { ${fields} } } }`
  return (await holdall.ask(query, { id })).node
}

/** Polls until the result is not PROCESSING. */
async function outcomeOf(holdall: TestServer, id: string) {
  await expect
    .poll(async () => (await stateOf(holdall, id)).status, { timeout: 30_000, interval: 100 })
    .not.toBe('PROCESSING')
  return stateOf(holdall, id)
}

/** Confirms for so long that the confirm is persisted for a job. */
async function confirming(holdall: TestServer, name: string, input: object, ids: string[]) {
  const answer = attempt(holdall, name, input as Record<string, unknown>, '__typename')
  answer.catch(() => {})
  for (const id of ids) {
    await expect.poll(async () => (await stateOf(holdall, id)).status).toBe('PROCESSING')
  }
  await sleep(1_800)
}

test('F17: killed while it hashes the bytes of a confirm: after the restart it becomes the requested file', async () => {
  await using process = await openProcess()
  const { holdall, dir, start, kill } = process
  const { id: workspaceId } = await createWorkspace(holdall)
  const { id, bytes } = await received(holdall, { workspaceId, name: 'night.bin' })
  const resume = await stall(dir, id)
  await confirming(holdall, 'confirmUpload', { uploadId: id, comment: 'of the night' }, [id])
  await kill()
  await resume()
  await start()
  expect(await stateOf(holdall, id)).toMatchObject({ status: 'PROCESSING', file: null })
  const { status, file, failures } = await outcomeOf(holdall, id)
  expect([status, failures]).toEqual(['COMPLETE', []])
  expect(file).toMatchObject({ sha256: sha256(bytes), version: { comment: 'of the night' } })
  expect((await download(holdall, file.id)).equals(bytes)).toBe(true)
  expect(await usageOf(holdall, workspaceId)).toMatchObject({ reservedBytes: 0, fileCount: 1 })
}, 60_000)

test('a conflict by then is reported, and the confirm can be repeated', async () => {
  await using process = await openProcess()
  const { holdall, dir, start, kill } = process
  const { id: workspaceId } = await createWorkspace(holdall)
  const { id } = await received(holdall, { workspaceId, name: 'a.bin' })
  const resume = await stall(dir, id)
  await confirming(holdall, 'confirmUpload', { uploadId: id }, [id])
  await uploadFile(holdall, { workspaceId, name: 'a.bin', bytes: 'first' })
  await kill()
  await resume()
  await start()
  const { status, file, failures } = await outcomeOf(holdall, id)
  expect([status, file, failures]).toEqual([
    'RECEIVED',
    null,
    [{ code: 'NAME_CONFLICT', retryable: true }],
  ])
  const again = await attempt(holdall, 'confirmUpload', { uploadId: id }, '__typename')
  expect(again.code).toBe('NAME_CONFLICT')
}, 60_000)

test('uploads that are confirmed together become files together, also after a kill', async () => {
  await using process = await openProcess()
  const { holdall, dir, start, kill } = process
  const { id: workspaceId } = await createWorkspace(holdall)
  const some = [
    await received(holdall, { workspaceId, name: 'a.bin' }),
    await received(holdall, { workspaceId, name: 'b.bin' }),
    await received(holdall, { workspaceId, name: 'c.bin' }),
  ]
  const ids = some.map(({ id }) => id)
  const resume = await stall(dir, ids[1] ?? '')
  const uploads = ids.map((uploadId, index) => ({ uploadId, comment: `number ${index}` }))
  await confirming(holdall, 'confirmUploads', { uploads, mode: 'ALL_OR_NOTHING' }, ids)
  await kill()
  await resume()
  await start()
  for (const [index, id] of ids.entries()) {
    const { status, file } = await outcomeOf(holdall, id)
    expect([status, file?.version.comment]).toEqual(['COMPLETE', `number ${index}`])
    expect(file.sha256).toBe(sha256(some[index]?.bytes ?? Buffer.of()))
  }
}, 60_000)
