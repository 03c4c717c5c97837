import {
  appendFile,
  mkdir,
  readdir,
  rename,
  rm,
  symlink,
  truncate,
  utimes,
  writeFile,
} from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import type { Tables } from '../../../src/database/tables.ts'
import type { ReportedFinding } from '../../../src/fsck/inspect.ts'
import {
  act,
  confirmUpload,
  createFolder,
  createUpload,
  items,
  lookUp,
  sendBytes,
  trashEntries,
  uploadFile,
} from '../../support/client.ts'
import { createFixtures, type Fixtures, serverWithFixtures } from '../../support/data/fixtures.ts'
import { bytesAt, corruptRows, findings, flipBit, runFsck } from '../../support/inspection.ts'
import { markHandled } from '../../support/mark-handled.ts'
import { startTestServer } from '../../support/servers/test-server.ts'

const key = (end: string) => `upl_${end.padStart(32, '0')}`
const codesOf = (found: ReportedFinding[]) => [...new Set(found.map(({ code }) => code))].sort()

type Act = (place: Fixtures) => Promise<unknown>

/** Sets columns of one row, with the checks of the database disabled. */
const set =
  <T extends keyof Tables>(table: T, idOf: (p: Fixtures) => string, values: Partial<Tables[T]>) =>
  (place: Fixtures) =>
    corruptRows(place.holdall, (tx) => {
      const sets = Object.entries(values).map(([name, value]) => sql`${sql.id(name)} = ${value}`)
      const row = sql`${sql.id(table)} SET ${sql.join(sets)} WHERE "id" = ${idOf(place)}`
      return sql`UPDATE ${row}`.execute(tx)
    })

const del =
  (table: keyof Tables, column: string, idOf: (p: Fixtures) => string): Act =>
  (place) =>
    corruptRows(place.holdall, (tx) =>
      sql`DELETE FROM ${sql.id(table)} WHERE ${sql.id(column)} = ${idOf(place)}`.execute(tx),
    )

const links =
  (values: Partial<Tables['rowLinks']>): Act =>
  ({ holdall }) =>
    holdall.app.db.updateTable('rowLinks').set(values).execute()

/** A search document under another id. */
const stray: Act = ({ holdall, tagId }) =>
  holdall.app.db
    .updateTable('searchDocuments')
    .set({ id: 'tag_nobody' })
    .where('id', '=', tagId)
    .execute()

/** Old bytes that no row refers to. */
async function oldFile(path: string) {
  await mkdir(dirname(path), { recursive: true })
  await writeFile(path, 'unreferenced')
  const then = Date.now() / 1000 - 30 * 86_400
  await utimes(path, then, then)
}
const inBlobs = ({ holdall }: Fixtures, ...path: string[]) => join(holdall.dir, 'blobs', ...path)
const plateBytes = ({ holdall, plateBlob }: Fixtures) => bytesAt(holdall, plateBlob)

const workspace = ({ workspaceId }: Fixtures) => workspaceId
const raw = (place: Fixtures) => place.raw.id
const year = (place: Fixtures) => place.year.id
const plate = (place: Fixtures) => place.plate.id
const trashed = (place: Fixtures) => place.trashed.id
const upload = (place: Fixtures) => place.upload.id
const late = (place: Fixtures) => place.late.id
const plateBlob = (place: Fixtures) => place.plateBlob
const plateVersion = (place: Fixtures) => place.plate.version.id

type Harm = [what: string, found: string[], harm: Act]

const repairable: Harm[] = [
  ['usedBytes', ['WORKSPACE_FIGURES'], set('workspaces', workspace, { usedBytes: 1 })],
  ['reservedBytes', ['WORKSPACE_FIGURES'], set('workspaces', workspace, { reservedBytes: 99 })],
  ['trashedBytes', ['WORKSPACE_FIGURES'], set('workspaces', workspace, { trashedBytes: 0 })],
  ['storedBytes', ['WORKSPACE_FIGURES'], set('workspaces', workspace, { storedBytes: -1 })],
  ['the end of the log', ['WORKSPACE_FIGURES'], set('workspaces', workspace, { lastSeq: 2 })],
  ['what a folder weighs', ['FOLDER_TOTALS'], set('entries', year, { size: 5 })],
  ['older versions in a folder', ['FOLDER_TOTALS'], set('entries', year, { olderBytes: 1 })],
  ['files in a folder', ['FOLDER_TOTALS'], set('entries', raw, { fileCount: 7 })],
  ['folders in a folder', ['FOLDER_TOTALS'], set('entries', raw, { folderCount: 0 })],
  [
    'what lies in the trash',
    ['FOLDER_TOTALS', 'WORKSPACE_FIGURES'],
    set('entries', trashed, { size: 9 }),
  ],
  [
    'the size of a file',
    ['FILE_FIGURES', 'FOLDER_KINDS', 'FOLDER_TOTALS'],
    set('entries', plate, { size: 1 }),
  ],
  ['the hash of a file', ['FILE_FIGURES'], set('entries', plate, { sha256: 'f'.repeat(64) })],
  ['kinds of files', ['FOLDER_KINDS'], del('folderKinds', 'folderId', year)],
  ['a path', ['ENTRY_PLACE', 'LINK_PATH'], set('entries', year, { path: 'cooked' })],
  ['a path as it compares', ['ENTRY_PLACE'], set('entries', raw, { pathKey: 'elsewhere/' })],
  ['references to a blob', ['BLOB_REFERENCES'], set('blobs', plateBlob, { refs: 9 })],
  [
    'a blob that is to be removed',
    ['BLOB_REFERENCES', 'WORKSPACE_FIGURES'],
    set('blobs', plateBlob, { unreferencedAt: 1 }),
  ],
  ['room for what has ended', ['UPLOAD_ROOM'], set('uploads', upload, { status: 'CANCELED' })],
  ['an upload that is long over', ['UPLOAD_OVERDUE'], set('uploads', late, { expiresAt: 1 })],
  ['what search has of a file', ['SEARCH_ENTRY'], del('searchDocuments', 'id', plate)],
  ['what search has of a tag', ['SEARCH_STRAY', 'SEARCH_TAG'], stray],
  ['the path in a link', ['LINK_PATH'], links({ path: 'old.csv' })],
  ['a link to nothing', ['LINK_FILE'], links({ fileId: 'file_nothing' })],
  ['a blob that is gone', ['BYTES_MISSING'], (p) => rm(plateBytes(p))],
  [
    'a blob that is cut short',
    ['BYTES_TRUNCATED'],
    (p) => truncate(bytesAt(p.holdall, p.otherBlob), 3),
  ],
  [
    'unreferenced committed bytes',
    ['BYTES_KEPT_UNKNOWN'],
    (p) => oldFile(inBlobs(p, 'kept', '00', '01', key('1'))),
  ],
  [
    'unreferenced staged bytes',
    ['BYTES_STAGED_UNKNOWN'],
    (p) => oldFile(inBlobs(p, 'staged', key('1'))),
  ],
]

test('finds nothing on a server with one of everything, even with --deep', async () => {
  const { holdall, workspaceId, plate, raw } = await serverWithFixtures()
  const inspectDeep = () => findings(holdall, { deep: true, graceMs: 0 })
  expect(await inspectDeep()).toEqual([])
  await act(holdall, 'updateEntry', { entry: { id: raw.id }, name: 'Raw' }, '__typename')
  await trashEntries(holdall, plate)
  expect(await inspectDeep()).toEqual([])
  await act(holdall, 'emptyTrash', { workspaceId }, '__typename')
  expect(await inspectDeep()).toEqual([])
})

describe('F16: finds, repairs, and finds no more:', () => {
  let place: Fixtures
  beforeAll(async () => {
    place = await createFixtures(await startTestServer())
  })
  afterAll(() => place.holdall[Symbol.asyncDispose]())

  test.each(repairable)('%s', async (_, codes, harm) => {
    await harm(place)
    expect(codesOf(await findings(place.holdall))).toEqual(codes)
    const repaired = await findings(place.holdall, { repair: true })
    expect(repaired.length).toBeGreaterThan(0)
    expect(repaired).toEqual(repaired.map((finding) => ({ ...finding, repaired: true })))
    expect(await findings(place.holdall)).toEqual([])
  })
})

test('finds an unindexed entry only with --deep', async () => {
  const place = await serverWithFixtures()
  const { holdall, plate: file } = place
  await set('entries', plate, { description: 'fresh' })(place)
  expect(await findings(holdall)).toEqual([])
  const found = { code: 'SEARCH_ENTRY', subject: file.id, repaired: true }
  expect(await findings(holdall, { deep: true, repair: true })).toMatchObject([found])
  expect(await findings(holdall, { deep: true })).toEqual([])
})

test('a deleted tag of an entry is no finding', async () => {
  const { holdall, tagId } = await serverWithFixtures()
  await act(holdall, 'deleteTag', { tagId }, '__typename')
  expect(await findings(holdall, { deep: true })).toEqual([])
})

const others: Harm[] = [
  ['a folder that is gone', ['ENTRY_PARENT'], set('entries', plate, { parentId: 'fld_nobody' })],
  ['what lies nowhere', ['ENTRY_LOST'], set('entries', plate, { parentId: null })],
  ['half in the trash', ['ENTRY_TRASH'], set('entries', plate, { trashedAt: 5 })],
  ['folders in a circle', ['ENTRY_CYCLE'], hasCycle],
  ['a name that compares as another', ['ENTRY_NAME'], set('entries', plate, { nameKey: 'x' })],
  ['a missing current version', ['FILE_VERSION'], set('entries', plate, { versionId: 'ver_x' })],
  [
    'a version of other bytes',
    ['BLOB_VERSIONS'],
    set('versions', plateVersion, { sha256: 'e'.repeat(64) }),
  ],
  [
    'a workspace without a root',
    ['WORKSPACE_ROOT'],
    set('workspaces', workspace, { rootId: 'fld_x' }),
  ],
  ['a blob that is too long', ['BYTES_LONGER'], (p) => appendFile(plateBytes(p), 'more')],
  ['staged bytes that are gone', ['UPLOAD_BYTES'], (p) => rm(inBlobs(p, 'staged', upload(p)))],
  [
    'staged bytes that are fewer',
    ['UPLOAD_BYTES'],
    (p) => truncate(inBlobs(p, 'staged', upload(p)), 2),
  ],
]

async function hasCycle(place: Fixtures) {
  await set('entries', raw, { parentId: year(place) })(place)
}

describe('finds, but leaves to the operator with a reason:', () => {
  test.each(others)('%s', async (_, codes, harm) => {
    const place = await serverWithFixtures()
    await harm(place)
    const found = await findings(place.holdall, { repair: true })
    const left = found.filter((finding) => 'left' in finding)
    expect(codesOf(left)).toEqual(expect.arrayContaining(codes))
    expect(left.every((finding) => 'left' in finding && finding.left.length > 10)).toBe(true)
    expect(codesOf(await findings(place.holdall))).toEqual(expect.arrayContaining(codes))
  })
})

test('F16: recent bytes are spared, with or without a row', async () => {
  const place = await serverWithFixtures()
  await mkdir(inBlobs(place, 'kept/00/01'), { recursive: true })
  await writeFile(inBlobs(place, 'kept/00/01', key('1')), 'its row is on the way')
  await writeFile(inBlobs(place, 'staged', key('2')), 'so is its')
  expect(await findings(place.holdall)).toEqual([])
  const codes = ['BYTES_KEPT_UNKNOWN', 'BYTES_STAGED_UNKNOWN']
  expect(codesOf(await findings(place.holdall, { graceMs: -1000 }))).toEqual(codes)
})

test('F15: changed or exchanged bytes are found by reading them, and their files are FAILED', async () => {
  const place = await serverWithFixtures()
  const { holdall, plate, other } = place
  await flipBit(bytesAt(holdall, place.otherBlob))
  expect(await findings(holdall)).toEqual([])
  expect(codesOf(await findings(holdall, { deep: true }))).toEqual(['BYTES_CHANGED'])
  await flipBit(bytesAt(holdall, place.otherBlob))
  expect(await findings(holdall, { deep: true })).toEqual([])

  const extra = { workspaceId: place.workspaceId, name: 'same size.bin', bytes: 'y'.repeat(1000) }
  const twin = await uploadFile(holdall, extra)
  await swap(
    bytesAt(holdall, place.otherBlob),
    bytesAt(holdall, await blobIdOf(place, twin.version.id)),
  )
  const found = await findings(holdall, { deep: true, repair: true })
  expect(found.map(({ code }) => code)).toEqual(['BYTES_CHANGED', 'BYTES_CHANGED'])
  const status = async (id: string) =>
    (await lookUp(holdall, { id }, '... on File { status }')).status
  expect([await status(other.id), await status(twin.id)]).toEqual(['FAILED', 'FAILED'])
  expect(await status(plate.id)).toBe('COMPLETE')
  expect(await findings(holdall, { deep: true })).toEqual([])

  await swap(
    bytesAt(holdall, place.otherBlob),
    bytesAt(holdall, await blobIdOf(place, twin.version.id)),
  )
  expect(codesOf(await findings(holdall, { deep: true, repair: true }))).toEqual([
    'BYTES_RECOVERED',
  ])
  expect([await status(other.id), await status(twin.id)]).toEqual(['COMPLETE', 'COMPLETE'])
})

async function swap(one: string, other: string) {
  await rename(one, `${one}.away`)
  await rename(other, one)
  await rename(`${one}.away`, other)
}

const blobIdOf = async ({ holdall }: Fixtures, versionId: string) =>
  (
    await holdall.app.db
      .selectFrom('versions')
      .select('blobId')
      .where('id', '=', versionId)
      .executeTakeFirstOrThrow()
  ).blobId

test('finds nothing on a busy server, and disturbs no request', {
  timeout: 120_000,
}, async () => {
  const place = await serverWithFixtures()
  const { holdall, workspaceId } = place
  // Without the copies, which would grow with each copy.
  const destination = await createFolder(holdall, { folder: { id: place.rootId }, name: 'sorted' })
  let [isOver, done] = [false, 0]
  onTestFinished(() => {
    isOver = true
  })
  const busy = async (name: string) => {
    for (let i = 0; !isOver; i++) {
      const parent = { id: place.rootId }
      const folder = await createFolder(holdall, {
        folder: parent,
        name: `${name} ${i}`,
        tags: [name],
      })
      const upload = await createUpload(holdall, {
        workspaceId,
        folderId: folder.id,
        name,
        size: 8,
      })
      await sendBytes(holdall, upload, `${name}${i}`.padEnd(4).slice(0, 4))
      await sendBytes(holdall, upload, 'rest', 4)
      await confirmUpload(holdall, { uploadId: upload.id })
      const sorting = { entries: items(folder), folder: { id: destination.id } }
      await act(holdall, 'moveEntries', sorting, 'succeeded')
      if (i % 2)
        await act(holdall, 'copyEntries', { entries: items(place.raw), folder: parent }, 'failed')
      if (i % 3 === 0) await trashEntries(holdall, folder)
      if (i % 6 === 0)
        await act(holdall, 'purgeEntries', { entries: [{ entry: { id: folder.id } }] }, 'succeeded')
      done += 1
    }
  }
  const working = markHandled(Promise.all(['one', 'two', 'three'].map(busy)))
  const found: string[] = []
  // As the operator runs it, in a process of its own.
  for (let looks = 0; looks < 100 && done < 40; looks++) {
    const { lines, stderr } = await runFsck(holdall, '--deep', '--repair', '--json')
    found.push(...lines, ...stderr.split('\n').filter(Boolean))
  }
  const beside = await runFsck(holdall, '--deep')
  isOver = true
  await working
  expect(beside).toMatchObject({ code: 0, stderr: '' })
  expect(found).toEqual([])
  expect(done).toBeGreaterThan(39)
  expect(await findings(holdall, { deep: true })).toEqual([])
})

describe('npm run fsck', () => {
  test('exits with 0 without findings, with 1 with findings, and prints what it did', async () => {
    const place = await serverWithFixtures()
    const { holdall } = place
    expect(await runFsck(holdall)).toMatchObject({ code: 0, lines: ['Nothing was found.'] })
    await set('entries', raw, { fileCount: 7 })(place)
    await rm(bytesAt(holdall, place.otherBlob))
    const found = await runFsck(holdall, '--json')
    expect(found.code).toBe(1)
    expect(found.lines.map((line) => JSON.parse(line))).toEqual([
      { code: 'FOLDER_TOTALS', subject: place.rootId, says: expect.any(String), repaired: false },
      {
        code: 'FOLDER_TOTALS',
        subject: place.raw.id,
        says: expect.stringContaining('"fileCount":7'),
        repaired: false,
      },
      {
        code: 'BYTES_MISSING',
        subject: place.otherBlob,
        says: 'its bytes are missing',
        repaired: false,
      },
    ])
    const repaired = await runFsck(holdall, '--repair', '--deep')
    expect(repaired.code).toBe(1)
    expect(repaired.lines).toContainEqual(
      `BYTES_MISSING ${place.otherBlob}: its bytes are missing. Repaired.`,
    )
    const known = 'Nothing was found. 1 blobs are known to be damaged; their files are FAILED.'
    expect(await runFsck(holdall, '--deep')).toMatchObject({ code: 0, lines: [known] })
  })

  test('exits with 2 if it cannot read', async () => {
    const { holdall } = await serverWithFixtures()
    expect((await runFsck(holdall, '--repiar')).code).toBe(2)
    expect((await runFsck(holdall, '--grace-hours=soon')).code).toBe(2)
    const nowhere = { ...holdall, dir: join(holdall.dir, 'nowhere'), databaseUrl: undefined }
    const { code, stderr } = await runFsck(nowhere)
    expect([code, stderr]).toEqual([2, expect.stringMatching(/holdall\.db does not exist; .*\n$/)])
  })

  test('names the folder of bytes that it cannot open, and creates none', async () => {
    await using holdall = await startTestServer()
    const kept = join(holdall.dir, 'blobs/kept')
    await rm(kept, { recursive: true })
    expect((await runFsck(holdall)).code).toBe(0)
    expect(await readdir(join(holdall.dir, 'blobs'))).not.toContain('kept')

    await symlink('/nowhere/kept', kept)
    const refused = { code: 2, stderr: expect.stringMatching(/^\S+blobs cannot be opened \(E/) }
    expect(await runFsck(holdall)).toMatchObject(refused)
    expect(await runFsck(holdall, '--repair')).toMatchObject(refused)
    await rename(join(holdall.dir, 'blobs'), join(holdall.dir, 'elsewhere'))
    await symlink('/nowhere', join(holdall.dir, 'blobs'))
    expect(await runFsck(holdall)).toMatchObject(refused)
    await rm(join(holdall.dir, 'blobs'))
    await writeFile(join(holdall.dir, 'blobs'), 'a file')
    expect(await runFsck(holdall)).toMatchObject(refused)
  })
})
