import { expect, onTestFinished, test } from 'vitest'
import {
  act,
  attempt,
  batchDone,
  createFolder,
  createWorkspace,
  items,
  lookUp,
  trashEntries,
  uploadFile,
} from '../../support/client.ts'
import { findings } from '../../support/inspection.ts'
import { postForm } from '../../support/network/forms.ts'
import { tusOf } from '../../support/network/tus.ts'
import { startTestServer, type TestServer } from '../../support/servers/test-server.ts'

// When the client last modified a file: File.lastModified of browsers, mtime of file systems.

async function open() {
  const holdall = await startTestServer()
  onTestFinished(() => holdall[Symbol.asyncDispose]())
  const { id: workspaceId } = await createWorkspace(holdall)
  return { holdall, workspaceId }
}
type Here = Awaited<ReturnType<typeof open>>
type Fields = Record<string, string>

const AT = '2019-03-04T05:06:07.089Z'
const MS = Date.parse(AT)

/** The three ways to upload with a modification time; each creates a file and returns its id. */
const ways: Record<string, (here: Here, name: string, fields: Fields) => Promise<string>> = {
  createUpload: async ({ holdall, workspaceId }, name, metadata) =>
    (await uploadFile(holdall, { workspaceId, name, bytes: 'hello', metadata })).id,
  'plain tus': async ({ holdall, workspaceId }, filename, fields) => {
    const tus = tusOf(holdall)
    const declared = { workspaceId, filename, confirm: 'auto', ...fields }
    const url = await tus.create(declared, { 'Upload-Length': '5' })
    return (await tus.patch(url, 0, 'hello')).headers.get('holdall-file-id') ?? ''
  },
  'POST /files': async ({ holdall, workspaceId }, name, fields) => {
    const { status, body } = await postForm(holdall, {
      workspaceId,
      ...fields,
      file: { name, bytes: 'hello' },
    })
    expect([status, body.contentModifiedAt]).toEqual([201, await timeOf(holdall, body.id)])
    return body.id
  },
}

const facts = '... on File { contentModifiedAt version { contentModifiedAt } }'

/** Returns the time of a file, which its current version must have, too. */
async function timeOf(holdall: TestServer, id: string): Promise<string | null> {
  const { contentModifiedAt, version } = await lookUp(holdall, { id }, facts)
  expect(version).toEqual({ contentModifiedAt })
  return contentModifiedAt
}

const cases: [Fields, string | null][] = [
  [{ mtime: String(MS) }, AT],
  [{ lastModified: String(MS) }, AT],
  [{ mtime: `${MS}.9` }, AT],
  [{ mtime: AT }, AT],
  [{ lastModified: '2019-03-04T06:06:07.089999+01:00' }, AT],
  [{ lastModified: '2019-03-04' }, '2019-03-04T00:00:00.000Z'],
  [{ mtime: String(MS), lastModified: '0' }, AT],
  [{ mtime: 'yesterday', lastModified: String(MS) }, AT],
  [{ mtime: '0' }, '1970-01-01T00:00:00.000Z'],
  [{ mtime: '-1' }, '1969-12-31T23:59:59.999Z'],
  [{ mtime: '253402300799999' }, '9999-12-31T23:59:59.999Z'],
  [{}, null],
]
const unusable = [
  ...['', ' ', 'null', 'undefined', 'NaN', 'Infinity', '-Infinity', '1e400', '1e3', '0x10', '--1'],
  ...[
    '253402300800000',
    '-62167219200001',
    '9'.repeat(64),
    '9'.repeat(4000),
    `-${'9'.repeat(400)}`,
  ],
  ...['2019-02-30', '2019-03-04T05:06:07', 'Mon, 04 Mar 2019 05:06:07 GMT', '2019-03', '١٢٣'],
  ...['2019-03-04T05:06:60Z', '2019-03-04T24:00:00Z', 'a\u0301'.repeat(2000), '{}', '[1]', "'; --"],
]

test.each(Object.keys(ways))('%s: stores the modification time of the client', async (way) => {
  const here = await open()
  for (const [i, [fields, time]] of cases.entries()) {
    const id = await ways[way]?.(here, `${i}`, fields)
    expect([fields, await timeOf(here.holdall, id ?? '')]).toEqual([fields, time])
  }
  expect(await findings(here.holdall)).toEqual([])
})

test.each(Object.keys(ways))('%s: ignores what is no time', async (way) => {
  const here = await open()
  for (const [i, mtime] of unusable.entries()) {
    const id = await ways[way]?.(here, `${i}`, { mtime })
    expect([mtime, await timeOf(here.holdall, id ?? '')]).toEqual([mtime, null])
  }
})

test('metadata of any type may be called mtime', async () => {
  const { holdall, workspaceId } = await open()
  const times: [unknown, string | null][] = [
    [MS, AT],
    [MS + 0.75, AT],
    [1e300, null],
    [true, null],
    [null, null],
    [{ ms: MS }, null],
    [[MS], null],
  ]
  for (const [i, [mtime, time]] of times.entries()) {
    const metadata = { mtime, other: 1 }
    const { id } = await uploadFile(holdall, { workspaceId, name: `${i}`, bytes: 'x', metadata })
    expect([mtime, await timeOf(holdall, id)]).toEqual([mtime, time])
    const stored = await lookUp(holdall, { id }, 'metadata')
    expect(stored.metadata).toEqual(mtime === null ? { other: 1 } : metadata)
  }
})

test('contentModifiedAt of createUpload precedes metadata, and is checked', async () => {
  const { holdall, workspaceId } = await open()
  const input = { workspaceId, name: 'a', metadata: { mtime: 5 } }
  const { id } = await uploadFile(holdall, { ...input, contentModifiedAt: AT, bytes: 'x' })
  expect(await timeOf(holdall, id)).toBe(AT)
  const wrong = attempt(
    holdall,
    'createUpload',
    { ...input, contentModifiedAt: 'x' },
    'upload { id }',
  )
  await expect(wrong).rejects.toThrow(/a DateTime is/)
})

test('bytes that are not UTF-8 are no time, and no error', async () => {
  const { holdall, workspaceId } = await open()
  const encode = (text: string | Buffer) => Buffer.from(text).toString('base64')
  const header = [
    `workspaceId ${encode(workspaceId)}`,
    `filename ${encode('a')}`,
    `mtime ${encode(Buffer.from([0xff, 0xfe, 0x31]))}`,
  ].join(',')
  const sent = { 'Upload-Length': '0', 'Upload-Metadata': header }
  expect((await tusOf(holdall).post(sent)).status).toBe(201)
})

test('each version has its own time; restoring a version restores it', async () => {
  const { holdall, workspaceId } = await open()
  const file = { workspaceId, name: 'a.txt', onConflict: 'NEW_VERSION' }
  const { id, version } = await uploadFile(holdall, { ...file, bytes: '1', contentModifiedAt: AT })
  await uploadFile(holdall, { ...file, bytes: '2' })
  expect(await timeOf(holdall, id)).toBeNull()
  await uploadFile(holdall, { ...file, bytes: '3', metadata: { mtime: 0 } })
  await act(holdall, 'restoreVersion', { versionId: version.id }, 'version { id }')
  expect(await timeOf(holdall, id)).toBe(AT)
  const { versions } = await lookUp(
    holdall,
    { id },
    '... on File { versions { nodes { contentModifiedAt } } }',
  )
  const times = versions.nodes.map((one: { contentModifiedAt: string | null }) => one)
  const start = '1970-01-01T00:00:00.000Z'
  expect(times).toEqual([AT, start, null, AT].map((contentModifiedAt) => ({ contentModifiedAt })))
  expect(await findings(holdall)).toEqual([])
})

test('copies, moves, renames and the trash keep the time', async () => {
  const { holdall, workspaceId } = await open()
  const box = await createFolder(holdall, { workspaceId, name: 'box' })
  const target = await createFolder(holdall, { workspaceId, name: 'target' })
  const file = { workspaceId, folderId: box.id, name: 'a.txt', bytes: 'x', contentModifiedAt: AT }
  const { id } = await uploadFile(holdall, file)
  const folder = { id: target.id }
  const [copied] = await batchDone(holdall, 'copyEntries', { entries: items({ id }), folder })
  expect(await timeOf(holdall, copied?.id ?? '')).toBe(AT)
  await batchDone(holdall, 'copyEntries', { entries: items(box), folder })
  const deep = { path: { workspaceId, path: 'target/box/a.txt' } }
  const renamed = await act(holdall, 'updateEntry', { entry: deep, name: 'b.txt' }, 'entry { id }')
  expect(await timeOf(holdall, renamed.entry.id)).toBe(AT)
  const other = { workspaceId, folderId: target.id, name: 'a.txt', onConflict: 'NEW_VERSION' }
  await uploadFile(holdall, { ...other, bytes: 'y' })
  expect(await timeOf(holdall, copied?.id ?? '')).toBeNull()
  const again = { entries: items({ id }), folder, onConflict: 'NEW_VERSION' }
  await batchDone(holdall, 'copyEntries', again)
  expect(await timeOf(holdall, copied?.id ?? '')).toBe(AT)
  await trashEntries(holdall, { id })
  await batchDone(holdall, 'restoreEntries', { entries: items({ id }) })
  expect(await timeOf(holdall, id)).toBe(AT)
  expect(await findings(holdall)).toEqual([])
})

test('a new time changes neither createdAt nor updatedAt of the file', async () => {
  const { holdall, workspaceId } = await open()
  const { id } = await uploadFile(holdall, {
    workspaceId,
    name: 'a',
    bytes: 'x',
    contentModifiedAt: AT,
  })
  const { createdAt, updatedAt } = await lookUp(holdall, { id }, 'createdAt updatedAt')
  expect(Date.parse(createdAt)).toBeGreaterThan(MS)
  expect(updatedAt).toBe(createdAt)
})

test('fsck finds and repairs a file whose time differs from its version', async () => {
  const { holdall, workspaceId } = await open()
  const { id } = await uploadFile(holdall, {
    workspaceId,
    name: 'a',
    bytes: 'x',
    contentModifiedAt: AT,
  })
  const { db } = holdall.app
  await db.updateTable('entries').set({ contentModifiedAt: 1 }).where('id', '=', id).execute()
  expect(await findings(holdall)).toMatchObject([{ code: 'FILE_FIGURES', subject: id }])
  await findings(holdall, { repair: true })
  expect(await timeOf(holdall, id)).toBe(AT)
})

test('tus: a final upload takes the time, its parts do not', async () => {
  const { holdall, workspaceId } = await open()
  const tus = tusOf(holdall)
  const mtime = String(MS)
  const part = await tus.create(
    { workspaceId, mtime },
    { 'Upload-Length': '5', 'Upload-Concat': 'partial' },
  )
  await tus.patch(part, 0, 'hello')
  const concat = { 'Upload-Concat': `final;${part}`, 'Upload-Length': '' }
  const final = await tus.create(
    { workspaceId, filename: 'whole', relativePath: 'x/whole', mtime },
    concat,
  )
  const id = (await tus.head(final)).headers.get('holdall-upload-id') ?? ''
  const { file } = await act(holdall, 'confirmUpload', { uploadId: id }, 'file { id path }')
  expect([file.path, await timeOf(holdall, file.id)]).toEqual(['x/whole', AT])
})
