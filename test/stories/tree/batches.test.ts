import { createHash } from 'node:crypto'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import {
  act,
  attempt,
  createFolder,
  createWorkspace,
  download,
  entryByPath,
  sendBytes,
  usageOf,
} from '../../support/client.ts'
import { expectUnchanged } from '../../support/data/refusals.ts'
import { startTestServer, type TestServer } from '../../support/servers/test-server.ts'

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')

async function open(workspace: object = {}) {
  const holdall = await startTestServer()
  const { id: workspaceId } = await createWorkspace(holdall, { ...workspace })
  return { holdall, workspaceId, [Symbol.asyncDispose]: () => holdall[Symbol.asyncDispose]() }
}

const results = `results {
  index upload { id url name status headers { name value } } file { id path sha256 } error { code message path }
} succeeded failed syncCursor`
const createUploads = (holdall: TestServer, uploads: object[], mode?: string) =>
  act(holdall, 'createUploads', { uploads, ...(mode && { mode }) }, results)
const confirmUploads = (holdall: TestServer, uploads: object[], mode?: string) =>
  act(holdall, 'confirmUploads', { uploads, ...(mode && { mode }) }, results)
const codes = ({ results }: any) => results.map(({ error }: any) => error?.code ?? 'OK')
const names = ({ results }: any) => results.map(({ upload }: any) => upload?.name ?? null)

/** Creates uploads of these texts, named by index, and sends all bytes. */
async function received(
  holdall: TestServer,
  workspaceId: string,
  texts: string[],
  more: object = {},
) {
  const uploads = texts.map((text, i) => ({
    workspaceId,
    name: `${i}.txt`,
    size: text.length,
    ...more,
  }))
  const made = await createUploads(holdall, uploads)
  for (const [i, { upload }] of made.results.entries()) {
    await sendBytes(holdall, upload, texts[i] ?? '')
  }
  return made.results.map(({ upload }: any) => ({ uploadId: upload.id }))
}

test('a batch of files: created, sent, confirmed, with results in order', async () => {
  await using here = await open()
  const { holdall, workspaceId } = here
  const texts = Array.from({ length: 5 }, (_, i) => `file number ${i}`)
  const folders = ['raw', 'raw/a', 'raw/b', '', 'raw/a']
  const made = await createUploads(
    holdall,
    texts.map((text, i) => ({
      workspaceId,
      path: folders[i],
      name: `${i}.txt`,
      size: text.length,
      tags: ['batch'],
      idempotencyKey: `key ${i}`,
    })),
  )
  expect([made.succeeded, made.failed, names(made)]).toEqual([
    5,
    0,
    ['0.txt', '1.txt', '2.txt', '3.txt', '4.txt'],
  ])
  for (const { index, upload } of made.results) await sendBytes(holdall, upload, texts[index] ?? '')
  const ids = made.results.map(({ upload }: any) => ({ uploadId: upload.id }))
  const confirmed = await confirmUploads(holdall, ids.toReversed())
  expect(confirmed).toMatchObject({ succeeded: 5, failed: 0 })
  expect(confirmed.results.map(({ file }: any) => file.path)).toEqual([
    'raw/a/4.txt',
    '3.txt',
    'raw/b/2.txt',
    'raw/a/1.txt',
    'raw/0.txt',
  ])
  for (const { index, file } of confirmed.results) {
    expect((await download(holdall, file.id)).toString()).toBe(texts[4 - index])
  }
  // The downloads are logged in this workspace, too.
  const again = { ...confirmed, syncCursor: expect.any(String) }
  expect(await confirmUploads(holdall, ids.toReversed())).toEqual(again)
  expect(await usageOf(holdall, workspaceId)).toMatchObject({ reservedBytes: 0, fileCount: 5 })
})

test('100 items are accepted, 101 and none are rejected', async () => {
  await using here = await open()
  const { holdall, workspaceId } = here
  const upload = (i: number) => ({ workspaceId, name: `${i}.txt`, size: 1 })
  const many = (count: number) => Array.from({ length: count }, (_, i) => upload(i))
  for (const count of [0, 101]) {
    const input = { uploads: many(count) }
    const error = await expectUnchanged(holdall, () =>
      attempt(holdall, 'createUploads', input, results),
    )
    expect(error).toMatchObject({
      code: 'INVALID_INPUT',
      path: ['uploads'],
      message: 'uploads: 1 to 100 uploads',
    })
  }
  const made = await createUploads(holdall, many(100))
  expect(made.succeeded).toBe(100)
  for (const { upload } of made.results) await sendBytes(holdall, upload, 'x')
  const ids = made.results.map(({ upload }: any) => ({ uploadId: upload.id }))
  expect((await confirmUploads(holdall, ids, 'ALL_OR_NOTHING')).succeeded).toBe(100)
})

test('createUploads, ALL_OR_NOTHING: one invalid item aborts all, and nothing is reserved', async () => {
  await using here = await open({ quotaBytes: 100 })
  const { holdall, workspaceId } = here
  const uploads = [10, 20, 90, 10].map((size, i) => ({ workspaceId, name: `${i}.txt`, size }))
  const made = await expectUnchanged(holdall, () => createUploads(holdall, uploads))
  expect(codes(made)).toEqual(['BATCH_ABORTED', 'BATCH_ABORTED', 'QUOTA_EXCEEDED', 'BATCH_ABORTED'])
  expect(made).toMatchObject({ succeeded: 0, failed: 4, syncCursor: null })
})

test('createUploads, BEST_EFFORT: creates the valid items', async () => {
  await using here = await open({ quotaBytes: 100 })
  const { holdall, workspaceId } = here
  const sizes = [10, 20, 90, 10]
  const uploads = sizes.map((size, i) => ({ workspaceId, name: i === 1 ? '' : `${i}.txt`, size }))
  const made = await createUploads(holdall, uploads, 'BEST_EFFORT')
  expect(codes(made)).toEqual(['OK', 'INVALID_INPUT', 'OK', 'QUOTA_EXCEEDED'])
  expect(await usageOf(holdall, workspaceId)).toMatchObject({ reservedBytes: 100 })
})

test('a repeated batch returns the same uploads; an aborted batch leaves earlier uploads alone', async () => {
  await using here = await open()
  const { holdall, workspaceId } = here
  const inputWithKey = (i: number) => ({
    workspaceId,
    name: `${i}.txt`,
    size: 5,
    idempotencyKey: `k${i}`,
  })
  const ids = (made: any) => made.results.map(({ upload }: any) => upload.id)
  const made = await createUploads(holdall, [inputWithKey(0), inputWithKey(1)])
  expect(ids(await createUploads(holdall, [inputWithKey(0), inputWithKey(1)]))).toEqual(ids(made))
  await createUploads(holdall, [inputWithKey(1), { ...inputWithKey(2), name: '..' }])
  expect(ids(await createUploads(holdall, [inputWithKey(0), inputWithKey(1)]))).toEqual(ids(made))
  expect(await usageOf(holdall, workspaceId)).toMatchObject({ reservedBytes: 10 })
})

test('createUploads, ALL_OR_NOTHING, on a disk that cannot be written: nothing stays reserved', async () => {
  await using here = await open()
  const { holdall, workspaceId } = here
  const staged = join(holdall.dir, 'blobs', 'staged')
  await rm(staged, { recursive: true })
  await writeFile(staged, 'no folder')
  // The file is created when the first bytes arrive.
  const uploads = [5, 0].map((size) => ({ workspaceId, name: `${size}.txt`, size }))
  const made = await createUploads(holdall, uploads)
  expect(codes(made)).toEqual(['BATCH_ABORTED', 'STORAGE_ERROR'])
  expect(await usageOf(holdall, workspaceId)).toMatchObject({ reservedBytes: 0 })
})

test('confirmUploads, BEST_EFFORT: the first item gets a contested name; the others get errors', async () => {
  await using here = await open()
  const { holdall, workspaceId } = here
  const same = { name: 'same.txt' }
  const [a, b, ...more] = await received(holdall, workspaceId, ['one', 'two', 'three'], same)
  const unfinished = await createUploads(holdall, [{ workspaceId, name: 'open.txt', size: 3 }])
  const incomplete = { uploadId: unfinished.results[0].upload.id }
  const wrong = { ...more[0], sha256: sha256('thrice') }
  const unknown = { uploadId: 'upl_00000000000000000000000000000000' }
  const confirmed = await confirmUploads(holdall, [a, b, incomplete, wrong, unknown, a])
  expect(codes(confirmed)).toEqual([
    'OK',
    'NAME_CONFLICT',
    'UPLOAD_INCOMPLETE',
    'CHECKSUM_MISMATCH',
    'NOT_FOUND',
    'OK',
  ])
  expect(confirmed.results[5].file).toEqual(confirmed.results[0].file)
  expect(confirmed.results[0].file).toMatchObject({ path: 'same.txt', sha256: sha256('one') })
})

test('confirmUploads, ALL_OR_NOTHING: one failure aborts all; the others stay confirmable', async () => {
  await using here = await open()
  const { holdall, workspaceId } = here
  const texts = ['one', 'two', 'three']
  const uploads = await received(holdall, workspaceId, texts, { path: 'new' })
  await createFolder(holdall, { workspaceId, name: 'new' })
  const before = await usageOf(holdall, workspaceId)
  await createFolder(holdall, { workspaceId, name: 'new/1.txt', createParents: true })
  const refused = await confirmUploads(holdall, uploads, 'ALL_OR_NOTHING')
  expect(codes(refused)).toEqual(['BATCH_ABORTED', 'NAME_CONFLICT', 'BATCH_ABORTED'])
  expect(refused).toMatchObject({ succeeded: 0, failed: 3, syncCursor: null })
  expect(await entryByPath(holdall, workspaceId, 'new/0.txt')).toBe(null)
  expect(await usageOf(holdall, workspaceId)).toEqual({ ...before, folderCount: 2 })
  const query = 'query ($id: ID!) { node(id: $id) { ... on Upload { status failures { code } } } }'
  const { node } = await holdall.ask(query, { id: uploads[0].uploadId })
  expect(node).toEqual({ status: 'RECEIVED', failures: [{ code: 'BATCH_ABORTED' }] })
  const others = await confirmUploads(holdall, [uploads[0], uploads[2]], 'ALL_OR_NOTHING')
  expect(others.succeeded).toBe(2)
  for (const { index, file } of others.results) {
    expect((await download(holdall, file.id)).toString()).toBe(texts[2 * index])
  }
})

test('confirmUploads, ALL_OR_NOTHING: wrong bytes fail only their own upload', async () => {
  await using here = await open()
  const { holdall, workspaceId } = here
  const uploads = await received(holdall, workspaceId, ['one', 'two'])
  const wrong = await received(holdall, workspaceId, ['three'], {
    name: 'x',
    sha256: sha256('four'),
  })
  const refused = await confirmUploads(holdall, [...uploads, ...wrong], 'ALL_OR_NOTHING')
  expect(codes(refused)).toEqual(['BATCH_ABORTED', 'BATCH_ABORTED', 'CHECKSUM_MISMATCH'])
  expect((await confirmUploads(holdall, uploads, 'ALL_OR_NOTHING')).succeeded).toBe(2)
  expect(codes(await confirmUploads(holdall, wrong))).toEqual(['CHECKSUM_MISMATCH'])
})

test('confirmUploads, ALL_OR_NOTHING: rejects an upload that is named twice', async () => {
  await using here = await open()
  const { holdall, workspaceId } = here
  const [one, two] = await received(holdall, workspaceId, ['one', 'two'])
  const refused = await confirmUploads(holdall, [one, two, one], 'ALL_OR_NOTHING')
  expect(codes(refused)).toEqual(['BATCH_ABORTED', 'BATCH_ABORTED', 'INVALID_INPUT'])
  expect((await confirmUploads(holdall, [one, two], 'ALL_OR_NOTHING')).succeeded).toBe(2)
})

test('concurrent batches over the same uploads: each file is created once, and all get it as their result', async () => {
  await using here = await open()
  const { holdall, workspaceId } = here
  const texts = Array.from({ length: 12 }, (_, i) => `text ${i}`)
  const uploads = await received(holdall, workspaceId, texts)
  const orders = [uploads, uploads.toReversed(), uploads.slice(3), uploads.slice(0, 9)]
  const modes = ['ALL_OR_NOTHING', 'ALL_OR_NOTHING', 'BEST_EFFORT', 'ALL_OR_NOTHING']
  const all = await Promise.all(orders.map((order, i) => confirmUploads(holdall, order, modes[i])))
  expect(all.map(({ failed }) => failed)).toEqual([0, 0, 0, 0])
  const files = all.flatMap(({ results }) => results.map(({ file }: any) => file.id))
  expect(new Set(files).size).toBe(12)
  expect(await usageOf(holdall, workspaceId)).toMatchObject({ reservedBytes: 0, fileCount: 12 })
})
