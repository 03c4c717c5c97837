import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Row } from '../../../src/database/tables.ts'
import {
  act,
  attempt,
  createUpload,
  createWorkspace,
  items,
  sendBytes,
  usageOf,
} from '../../support/client.ts'
import { startTestServer, type TestServer } from '../../support/servers/test-server.ts'

/** Takes several seconds, and more on a busy machine. */
const timeout = { timeout: 90_000 }
let holdall: TestServer
beforeAll(async () => {
  holdall = await startTestServer()
})
afterAll(() => holdall[Symbol.asyncDispose]())

type EntryRow = Row<'entries'>
type Place = { id: string; rootId: string }
/** One operation; its numbers, modulo what exists, select its entries and variant. */
type Step = { name: keyof typeof steps; n: number; m: number }

const names = ['a', 'A', 'b', 'c.csv', 'C.csv', 'd.png']
const contents = ['', 'x', 'yy', 'zzz,1', 'x'.repeat(50)]
const modes = ['FAIL', 'RENAME', 'NEW_VERSION', 'REPLACE']
const folderModes = ['FAIL', 'RENAME', 'REUSE', 'REPLACE']
const pick = <T>(from: readonly T[], n: number): T => {
  const picked = from[n % from.length]
  if (picked === undefined) throw new Nothing()
  return picked
}
/** There is no entry for this operation. */
class Nothing extends Error {}

const entriesIn = ({ id }: Place) =>
  holdall.app.db
    .selectFrom('entries')
    .selectAll()
    .where('workspaceId', '=', id)
    .orderBy('id')
    .execute()
const folders = async (place: Place) =>
  (await entriesIn(place)).filter(({ kind, trashRootId }) => kind === 'folder' && !trashRootId)
const trashed = async (place: Place) =>
  (await entriesIn(place)).filter(({ trashedAt }) => trashedAt !== null)
const any = async (place: Place) =>
  (await entriesIn(place)).filter(({ parentId }) => parentId !== null)
const files = async (place: Place) => (await any(place)).filter(({ kind }) => kind === 'file')
const versionsIn = ({ id }: Place) =>
  holdall.app.db.selectFrom('versions').selectAll().where('workspaceId', '=', id).execute()
const uploadsIn = ({ id }: Place) =>
  holdall.app.db.selectFrom('uploads').selectAll().where('workspaceId', '=', id).execute()
const blobsIn = ({ id }: Place) =>
  holdall.app.db.selectFrom('blobs').selectAll().where('workspaceId', '=', id).execute()

/** A typed error is a valid result; anything else fails the test. */
const doing = (name: string, input: object) => attempt(holdall, name, { ...input }, '__typename')

async function send(input: object, bytes: string) {
  const size = bytes.length
  const answer = await attempt(
    holdall,
    'createUpload',
    { ...input, size },
    'upload { id url headers { name value } }',
  )
  if (answer.code) return
  if (bytes) await sendBytes(holdall, answer.upload, bytes)
  await doing('confirmUpload', { uploadId: answer.upload.id })
}

const toMany =
  (name: 'moveEntries' | 'copyEntries') => async (place: Place, n: number, m: number) => {
    const destination = { id: pick(await folders(place), m).id }
    const onConflict = pick(modes, n + m)
    await doing(name, {
      entries: items(pick(await any(place), n)),
      folder: destination,
      onConflict,
    })
  }

const steps = {
  createFolder: async (place: Place, n: number, m: number) => {
    const folder = { id: pick(await folders(place), n).id }
    const onConflict = pick(folderModes, n + m)
    await doing('createFolder', { folder, name: pick(names, m), onConflict })
  },
  upload: async (place: Place, n: number, m: number) => {
    const folderId = pick(await folders(place), n).id
    const to = { workspaceId: place.id, folderId, name: pick(names, n + m) }
    await send({ ...to, onConflict: pick(modes, m) }, pick(contents, m))
  },
  addVersion: async (place: Place, n: number, m: number) => {
    const versionOf = pick(await files(place), n).id
    await send({ workspaceId: place.id, name: 'x', versionOf }, pick(contents, m))
  },
  move: toMany('moveEntries'),
  copy: toMany('copyEntries'),
  rename: async (place: Place, n: number, m: number) => {
    await doing('updateEntry', {
      entry: { id: pick(await any(place), n).id },
      name: pick(names, m),
    })
  },
  trash: async (place: Place, n: number) => {
    await doing('trashEntries', { entries: items(pick(await any(place), n)), recursive: true })
  },
  restore: async (place: Place, n: number, m: number) => {
    const entries = items(pick(await trashed(place), n))
    const onConflict = pick(['RENAME', 'REPLACE', 'FAIL'], m)
    const fallbackFolder = m % 2 ? { id: pick(await folders(place), m).id } : null
    await doing('restoreEntries', { entries, onConflict, fallbackFolder })
  },
  purge: async (place: Place, n: number) => {
    await doing('purgeEntries', { entries: items(pick(await trashed(place), n)) })
  },
  emptyTrash: async (place: Place, n: number) => {
    if (n % 4 === 0) await doing('emptyTrash', { workspaceId: place.id })
  },
  deleteVersion: async (place: Place, n: number) => {
    await doing('deleteVersion', { versionId: pick(await versionsIn(place), n).id })
  },
  restoreVersion: async (place: Place, n: number) => {
    await doing('restoreVersion', { versionId: pick(await versionsIn(place), n).id })
  },
  openUpload: async (place: Place, n: number, m: number) => {
    const open = { workspaceId: place.id, name: `open ${n}`, size: m, onConflict: 'RENAME' }
    const upload = await createUpload(holdall, open)
    if (m > 3) await sendBytes(holdall, upload, 'x'.repeat(m - (n % 3)))
  },
  cancel: async (place: Place, n: number) => {
    await doing('cancelUpload', { uploadId: pick(await uploadsIn(place), n).id })
  },
  confirm: async (place: Place, n: number) => {
    await doing('confirmUpload', { uploadId: pick(await uploadsIn(place), n).id })
  },
}

const often: Step['name'][] = [
  'createFolder',
  'createFolder',
  'upload',
  'upload',
  'move',
  'move',
  'copy',
]
const step: fc.Arbitrary<Step> = fc.record({
  name: fc.constantFrom(...(Object.keys(steps) as Step['name'][]), ...often),
  n: fc.nat(50),
  m: fc.nat(20),
})

async function perform({ name, n, m }: Step, place: Place) {
  try {
    await steps[name](place, n, m)
  } catch (error) {
    if (!(error instanceof Nothing)) throw error
  }
}

// ---- the same figures, counted from the rows ----

async function recount(place: Place) {
  const entries = await entriesIn(place)
  const versions = await versionsIn(place)
  const byId = new Map(entries.map((entry) => [entry.id, entry]))
  const rootOf = (entry: EntryRow): EntryRow => {
    const parent = entry.parentId && byId.get(entry.parentId)
    return parent ? rootOf(parent) : entry
  }
  const isAlive = (entry: EntryRow) => rootOf(entry).id === place.rootId
  const isBelow = (entry: EntryRow, folder: EntryRow): boolean => {
    const parent = entry.parentId ? byId.get(entry.parentId) : undefined
    return parent !== undefined && (parent.id === folder.id || isBelow(parent, folder))
  }
  const ofFiles = entries.filter(({ kind }) => kind === 'file')
  const sizes = (rows: EntryRow[], current: boolean) =>
    sum(
      versions.filter(({ fileId, id }) =>
        rows.some((row) => row.id === fileId && (row.versionId === id) === current),
      ),
    )
  const alive = ofFiles.filter(isAlive)
  const dead = ofFiles.filter((file) => !isAlive(file))
  const open = (await uploadsIn(place)).filter(({ status }) =>
    ['CREATED', 'RECEIVING', 'RECEIVED', 'PROCESSING'].includes(status),
  )
  const contents = new Map(versions.map((version) => [version.sha256, version]))
  const kinds = Object.entries(Object.groupBy(alive, ({ mediaKind }) => mediaKind ?? 'none')).map(
    ([kind, rows]) => ({ kind, bytes: sizes(rows, true), fileCount: rows.length }),
  )
  return {
    usage: {
      currentBytes: sizes(alive, true),
      olderVersionBytes: sizes(alive, false),
      trashedBytes: sizes(dead, true) + sizes(dead, false),
      reservedBytes: open.reduce((all, { size }) => all + (size ?? 0), 0),
      storedBytes: sum([...contents.values()]),
      fileCount: alive.length,
      folderCount: entries.filter((entry) => entry.kind === 'folder' && isAlive(entry)).length - 1,
      byKind: kinds.sort((a, b) => b.bytes - a.bytes || a.kind.localeCompare(b.kind)),
    },
    totals: entries
      .filter(({ kind }) => kind === 'folder')
      .map((folder) => {
        const below = entries.filter((entry) => isBelow(entry, folder))
        const fileRows = below.filter(({ kind }) => kind === 'file')
        const folderCount = below.length - fileRows.length
        const bytes = sizes(fileRows, true)
        return { id: folder.id, totals: { bytes, fileCount: fileRows.length, folderCount } }
      }),
    paths: entries.flatMap((entry) => {
      if (entry.kind === 'file' || !entry.parentId) return []
      const parent = byId.get(entry.parentId)
      const [path, pathKey] = [parent?.path ? `${parent.path}/` : '', parent?.pathKey ?? '']
      const trashRootId = isAlive(entry) ? null : rootOf(entry).id
      const { id, name, nameKey } = entry
      return { id, path: path + name, pathKey: `${pathKey}${nameKey}/`, trashRootId }
    }),
    references: Object.groupBy(versions, ({ blobId }) => blobId),
  }
}

const sum = (rows: { size: number }[]) => rows.reduce((all, { size }) => all + size, 0)

async function reportedTotals(ids: string[]) {
  const query = `query ($ids: [ID!]!) { nodes(ids: $ids) { ... on Folder {
    id totals { bytes fileCount folderCount } } } }`
  const pages = Array.from({ length: Math.ceil(ids.length / 100) }, (_, i) =>
    ids.slice(i * 100, i * 100 + 100),
  )
  const answers = await Promise.all(pages.map((ids) => holdall.ask(query, { ids })))
  return answers.flatMap(({ nodes }) => nodes)
}

async function expectExact(place: Place) {
  const counted = await recount(place)
  expect(await usageOf(holdall, place.id)).toEqual(counted.usage)
  expect(await reportedTotals(counted.totals.map(({ id }) => id))).toEqual(counted.totals)
  const rows = await entriesIn(place)
  const placed = rows.flatMap(({ id, kind, parentId, path, pathKey, trashRootId }) =>
    kind === 'folder' && parentId ? { id, path, pathKey, trashRootId } : [],
  )
  expect(placed).toEqual(counted.paths)
  const { usedBytes } = await holdall.app.db
    .selectFrom('workspaces')
    .select('usedBytes')
    .where('id', '=', place.id)
    .executeTakeFirstOrThrow()
  const { currentBytes, olderVersionBytes, trashedBytes } = counted.usage
  expect(usedBytes).toBe(currentBytes + olderVersionBytes + trashedBytes)
  for (const { id, refs, unreferencedAt } of await blobsIn(place)) {
    expect([id, refs]).toEqual([id, counted.references[id]?.length ?? 0])
    expect(unreferencedAt === null).toBe(refs > 0)
  }
}

/**
 * Each referenced blob has its bytes, and after the jobs no other blob exists, except for those of an
 * upload whose confirm was refused, which can be repeated.
 */
async function expectBytes() {
  await holdall.app.jobs.runDue()
  const { db, blobs } = holdall.app
  // Bytes of an upload that failed after they had arrived are quarantined by the sweeper.
  const waiting = await db
    .selectFrom('uploads')
    .select('id')
    .where('status', 'in', ['RECEIVED', 'CANCELED', 'FAILED', 'EXPIRED'])
    .execute()
  const kept = await Array.fromAsync(blobs.list('kept'), ({ key, size }) => ({ id: key, size }))
  const referred = await db
    .selectFrom('blobs')
    .select(['id', 'size'])
    .where('unreferencedAt', 'is', null)
    .orderBy('id')
    .execute()
  const isWaiting = ({ id }: { id: string }) => waiting.some((upload) => upload.id === id)
  expect(kept.filter((blob) => !isWaiting(blob)).sort((a, b) => (a.id < b.id ? -1 : 1))).toEqual(
    referred,
  )
}

test('after random operations all figures equal a count of the rows', timeout, async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 50, maxLength: 70, size: 'max' }),
      async (steps) => {
        const { id, root } = await createWorkspace(holdall)
        const place = { id, rootId: root.id }
        for (const step of steps) await perform(step, place)
        await expectExact(place)
      },
    ),
    { numRuns: 10, endOnFailure: true },
  )
  await expectBytes()
})

test('also with four concurrent operations', timeout, async () => {
  const atOnce = fc.array(step, { minLength: 4, maxLength: 4 })
  await fc.assert(
    fc.asyncProperty(fc.array(atOnce, { minLength: 14, maxLength: 16 }), async (steps) => {
      const { id, root } = await createWorkspace(holdall)
      const place = { id, rootId: root.id }
      for (const four of steps) await Promise.all(four.map((step) => perform(step, place)))
      await expectExact(place)
    }),
    { numRuns: 6, endOnFailure: true },
  )
  await expectBytes()
})

test('the rest of a quota is what is neither used nor reserved', async () => {
  const { id } = await createWorkspace(holdall, { quotaBytes: 100 })
  const place = { id, rootId: '' }
  await send({ workspaceId: id, name: '1.bin' }, 'x'.repeat(30))
  await send({ workspaceId: id, name: '1.bin', onConflict: 'NEW_VERSION' }, 'x'.repeat(10))
  await createUpload(holdall, { workspaceId: id, name: 'open', size: 25 })
  await doing('trashEntries', { entries: items(pick(await files(place), 0)) })
  const query = `query ($id: ID!) { workspace(by: { id: $id }) { usage { quotaBytes remainingBytes trashedBytes } } }`
  const usage = async () => (await holdall.ask(query, { id })).workspace.usage
  expect(await usage()).toEqual({ quotaBytes: 100, remainingBytes: 35, trashedBytes: 40 })
  await act(holdall, 'updateWorkspace', { workspaceId: id, quotaBytes: 10 }, 'workspace { id }')
  expect(await usage()).toMatchObject({ quotaBytes: 10, remainingBytes: 0 })
  await act(holdall, 'updateWorkspace', { workspaceId: id, quotaBytes: null }, 'workspace { id }')
  expect(await usage()).toMatchObject({ quotaBytes: null, remainingBytes: null })
})
