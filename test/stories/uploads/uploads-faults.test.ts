import { rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { commitOffset, takeLease } from '../../../src/domains/uploads/receive/offsets.ts'
import {
  attempt,
  confirmUpload,
  createUpload,
  createWorkspace,
  download,
  sendBytes,
  uploadFile,
} from '../../support/client.ts'
import { tusOf } from '../../support/network/tus.ts'
import { startTestServer, type TestServer } from '../../support/servers/test-server.ts'

async function open() {
  const holdall = await startTestServer()
  const { id: workspaceId } = await createWorkspace(holdall)
  return {
    holdall,
    workspaceId,
    tus: tusOf(holdall),
    [Symbol.asyncDispose]: () => holdall[Symbol.asyncDispose](),
  }
}

/** Makes the folder of blobs unusable, so that every access to it is a disk error. */
async function breakFolder({ dir }: TestServer, folder: 'staged' | 'kept') {
  const [there, aside] = [join(dir, 'blobs', folder), join(dir, 'aside')]
  await rename(there, aside)
  await writeFile(there, 'not a folder')
  return async () => {
    await rm(there)
    await rename(aside, there)
  }
}

async function reserved({ app }: TestServer) {
  const { reservedBytes } = await app.db
    .selectFrom('workspaces')
    .select('reservedBytes')
    .executeTakeFirstOrThrow()
  return reservedBytes
}

test('createUpload fails as a whole if the disk is unusable, and the same key can be retried', async () => {
  await using here = await open()
  const { holdall, workspaceId } = here
  // The file is created when the first bytes arrive.
  const input = { workspaceId, name: 'a', size: 0, idempotencyKey: 'k' }
  const later = await createUpload(holdall, { workspaceId, name: 'later', size: 5 })
  const repair = await breakFolder(holdall, 'staged')
  expect((await tusOf(holdall).patch(later.url, 0, 'bytes')).status).toBe(500)
  expect(await attempt(holdall, 'createUpload', input, 'upload { id }')).toMatchObject({
    code: 'STORAGE_ERROR',
    retryable: true,
  })
  expect(await reserved(holdall)).toBe(5)
  await repair()
  expect((await createUpload(holdall, input)).status).toBe('RECEIVED')
  expect((await tusOf(holdall).patch(later.url, 0, 'bytes')).status).toBe(204)
})

test('F1: an upload whose process died between row and file accepts all bytes', async () => {
  await using here = await open()
  const { holdall, workspaceId } = here
  const made = async (name: string, size: number, more = {}) => {
    const upload = await createUpload(holdall, { workspaceId, name, size, ...more })
    await holdall.app.blobs.discard(upload.id)
    return upload
  }
  const [patched, empty] = [await made('patched', 5), await made('empty', 0)]
  const signed = await made('signed', 5, { transport: 'SIGNED_PUT' })
  expect(await sendBytes(holdall, patched, 'bytes')).toBe(5)
  const put = await holdall.http(signed.url, { method: 'PUT', token: null, body: 'bytes' })
  expect(put.status).toBeLessThan(300)
  for (const upload of [patched, empty, signed]) {
    const file = await confirmUpload(holdall, { uploadId: upload.id })
    const bytes = upload === empty ? '' : 'bytes'
    expect((await download(holdall, file.id)).toString()).toBe(bytes)
  }
})

test('if the disk is unusable PATCH reports it, HEAD returns the offset, and the upload can be resumed', async () => {
  await using here = await open()
  const { holdall, workspaceId, tus } = here
  const made = await createUpload(holdall, { workspaceId, name: 'a', size: 11 })
  await sendBytes(holdall, made, 'hello')
  const repair = await breakFolder(holdall, 'staged')
  const response = await tus.patch(made.url, 5, ' world')
  expect([response.status, await response.json()]).toMatchObject([500, { code: 'STORAGE_ERROR' }])
  expect(await tus.offset(made.url)).toBe(5)
  await repair()
  expect((await tus.patch(made.url, 5, ' world')).status).toBe(204)
  const file = await confirmUpload(holdall, { uploadId: made.id })
  expect((await download(holdall, file.id)).toString()).toBe('hello world')
})

test('lost bytes are never replaced by others', async () => {
  await using here = await open()
  const { holdall, workspaceId, tus } = here
  const made = await createUpload(holdall, { workspaceId, name: 'a', size: 11 })
  await sendBytes(holdall, made, 'hello')
  await writeFile(join(holdall.dir, 'blobs/staged', made.id), 'hel')
  expect((await tus.patch(made.url, 5, ' world')).status).toBe(500)
  expect(await tus.offset(made.url)).toBe(5)
})

test('if the bytes cannot be committed, the confirm fails, is recorded, and can be retried', async () => {
  await using here = await open()
  const { holdall, workspaceId } = here
  const made = await createUpload(holdall, { workspaceId, name: 'a', size: 5 })
  await sendBytes(holdall, made, 'hello')
  const repair = await breakFolder(holdall, 'kept')
  const answer = await attempt(holdall, 'confirmUpload', { uploadId: made.id }, 'file { id }')
  expect(answer).toMatchObject({ code: 'STORAGE_ERROR', retryable: true })
  const query =
    'query ($id: ID!) { node(id: $id) { ... on Upload { status failures { code message retryable } } } }'
  const { node } = await holdall.ask(query, { id: made.id })
  const failure = {
    code: 'STORAGE_ERROR',
    message: 'storage error; retry later',
    retryable: true,
  }
  expect(node).toEqual({ status: 'RECEIVED', failures: [failure] })
  await repair()
  const file = await confirmUpload(holdall, { uploadId: made.id })
  expect((await download(holdall, file.id)).toString()).toBe('hello')
})

test('HEAD is never 5xx, because clients would give the upload up', async () => {
  await using here = await open()
  const { holdall, workspaceId, tus } = here
  const made = await createUpload(holdall, { workspaceId, name: 'a', size: 5 })
  await holdall.app.jobs.stop()
  await holdall.app.db.destroy()
  const head = await tus.head(made.url)
  expect([head.status, head.headers.get('retry-after')]).toEqual([423, '1'])
  expect((await tus.patch(made.url, 0, 'hello')).status).toBe(500)
})

test('F17: a writer that has lost its lease changes nothing', async () => {
  await using here = await open()
  const { holdall, workspaceId } = here
  const made = await createUpload(holdall, { workspaceId, name: 'a', size: 5 })
  const ctx = await holdall.app.contextFor(`Bearer ${holdall.token}`, holdall.url)
  const first = await takeLease(ctx, made.id)
  const second = await takeLease(ctx, made.id)
  if (!first || !second) throw new Error('the upload exists')
  expect(await commitOffset(ctx, first, 3)).toBe(null)
  expect(await commitOffset(ctx, second, 4)).toMatchObject({ offset: 4, status: 'RECEIVING' })
  expect(await commitOffset(ctx, second, 5)).toBe(null)
})

test('bytes of the wrong length never become a file, also beyond the offset', async () => {
  await using here = await open()
  const { holdall, workspaceId, tus } = here
  const made = await createUpload(holdall, { workspaceId, name: 'a' })
  await sendBytes(holdall, made, 'hello')
  await writeFile(join(holdall.dir, 'blobs/staged', made.id), 'hello, and what a crash left')
  await tus.patch(made.url, 5, '', { 'Upload-Length': '5' })
  const file = await confirmUpload(holdall, { uploadId: made.id })
  expect([file.size, (await download(holdall, file.id)).toString()]).toEqual([5, 'hello'])
  expect((await uploadFile(holdall, { workspaceId, name: 'b', bytes: 'hello' })).sha256).toBe(
    file.sha256,
  )
})
