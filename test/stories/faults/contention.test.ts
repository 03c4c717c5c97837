import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  act,
  attempt,
  batch,
  children,
  createFolder,
  createUpload,
  createWorkspace,
  entryByPath,
  items,
  lookUp,
  sendBytes,
  trashEntries,
  uploadFile,
  type WorkspaceHandle,
} from '../../support/client.ts'
import { invite } from '../../support/data/people.ts'
import { expectExact } from '../../support/data/recount.ts'
import { database } from '../../support/databases.ts'
import { rawPatch, tusOf } from '../../support/network/tus.ts'
import { startTestServer, type TestServer } from '../../support/servers/test-server.ts'

/** Number of concurrent requests. */
const MANY = 50
const many = <T>(ask: (index: number) => Promise<T>, count = MANY) =>
  Promise.all(Array.from({ length: count }, (_, index) => ask(index)))

/** Counts the results by error code; 'done' for success. */
const tally = (answers: { code?: string }[]) =>
  Object.fromEntries(
    Object.entries(Object.groupBy(answers, ({ code }) => code ?? 'done')).map(([code, all]) => [
      code,
      all?.length,
    ]),
  )

let holdall: TestServer
let lab: WorkspaceHandle
beforeAll(async () => {
  // The recount reads more at once than the default limit allows.
  holdall = await startTestServer({ env: { MAX_QUERY_COST: '1000000' } })
})
afterAll(() => holdall[Symbol.asyncDispose]())

const newLab = async (input = {}) => {
  lab = await createWorkspace(holdall, { name: 'Contested', ...input })
}
const inLab = () => children(holdall, lab.root.id)
const entryFields = 'id name path revision'

/** Creates complete uploads with one name; upload `index` has `index` + 1 bytes. */
const received = (name: string, onConflict: string, more = {}) =>
  many(async (index) => {
    const bytes = 'x'.repeat(index + 1)
    const input = { workspaceId: lab.id, name, size: bytes.length, onConflict, ...more }
    const upload = await createUpload(holdall, input)
    await sendBytes(holdall, upload, bytes)
    return upload
  })

const confirm = ({ id: uploadId }: { id: string }) =>
  attempt(holdall, 'confirmUpload', { uploadId }, 'file { id name }')

describe('F13: fifty requests for one name', () => {
  test.each([
    ['FAIL', { done: 1, NAME_CONFLICT: MANY - 1 }, 1, 0],
    ['RENAME', { done: MANY }, MANY, 0],
    ['REPLACE', { done: MANY }, 1, MANY - 1],
    ['REUSE', { done: MANY }, 1, 0],
  ])('for a folder: %s', async (onConflict, answers, living, trashed) => {
    await newLab()
    const input = { workspaceId: lab.id, name: 'Data', onConflict }
    const made = await many(() => attempt(holdall, 'createFolder', input, 'folder { id }'))
    expect(tally(made)).toEqual(answers)
    expect(await inLab()).toHaveLength(living)
    expect(await inTrash()).toBe(trashed)
    await expectExact(holdall, lab)
  })

  test.each([
    ['FAIL', { done: 1, NAME_CONFLICT: MANY - 1 }, 1, 0],
    ['RENAME', { done: MANY }, MANY, 0],
    ['REPLACE', { done: MANY }, 1, MANY - 1],
    ['NEW_VERSION', { done: MANY }, 1, 0],
  ])('for a file in folders that it creates: %s', async (mode, answers, living, trashed) => {
    await newLab()
    const uploads = await received('plate.csv', mode, { path: 'raw/2025' })
    const made = await many((index) => confirm(uploads[index] as { id: string }))
    expect(tally(made)).toEqual(answers)
    const folder = await entryByPath(holdall, lab.id, 'raw/2025')
    expect(await children(holdall, folder?.id ?? '')).toHaveLength(living)
    expect(await inTrash()).toBe(trashed)
    const file = made.find(({ file }) => file)?.file
    const { versions } = await lookUp(
      holdall,
      file,
      '... on File { versions(first: 100) { nodes { number } } }',
    )
    const numbers = versions.nodes.map(({ number }: { number: number }) => number)
    const expected = mode === 'NEW_VERSION' ? MANY : 1
    expect(numbers).toEqual(Array.from({ length: expected }, (_, i) => expected - i))
    await expectExact(holdall, lab)
  })

  const inTrash = async () => {
    const query =
      'query ($id: ID!) { workspace(by: { id: $id }) { trash(first: 1) { totalCount } } }'
    return (await holdall.ask(query, { id: lab.id })).workspace.trash.totalCount
  }
})

test('F11: fifty confirms of one upload all return the same file', async () => {
  await newLab()
  const upload = await createUpload(holdall, { workspaceId: lab.id, name: 'a.csv', size: 3 })
  await sendBytes(holdall, upload, 'a,b')
  const results = await many(() => confirm(upload))
  expect(tally(results)).toEqual({ done: MANY })
  expect(new Set(results.map(({ file }) => file.id)).size).toBe(1)
  expect(await inLab()).toHaveLength(1)
  expect(await expectExact(holdall, lab)).toMatchObject({ currentBytes: 3, reservedBytes: 0 })
})

describe('F12: a quota', () => {
  test('is filled to its last byte and not exceeded', async () => {
    await newLab({ quotaBytes: 400 })
    const uploads = await many((index) => {
      const input = { workspaceId: lab.id, name: `${index}.bin`, size: 10 }
      return attempt(holdall, 'createUpload', input, 'upload { id }')
    })
    expect(tally(uploads)).toEqual({ done: 40, QUOTA_EXCEEDED: 10 })
    expect(await expectExact(holdall, lab)).toMatchObject({ reservedBytes: 400 })
    const open = uploads.flatMap(({ upload }) => upload ?? [])
    await many(
      (index) => act(holdall, 'cancelUpload', { uploadId: open[index].id }, '__typename'),
      40,
    )
    expect(await expectExact(holdall, lab)).toMatchObject({ reservedBytes: 0 })
  })

  test('holds for uploads of deferred length', async () => {
    await newLab({ quotaBytes: 400 })
    const tus = tusOf(holdall)
    const declared = (index: number) => ({ workspaceId: lab.id, filename: `${index}.bin` })
    const urls = await many((index) => tus.create(declared(index), { 'Upload-Defer-Length': '1' }))
    const answers = await many((index) => tus.patch(urls[index] ?? '', 0, 'x'.repeat(10)))
    const codes = answers.map(({ status }) => ({ code: String(status) }))
    expect(tally(codes)).toEqual({ 204: 40, 422: 10 })
    const query = `query ($id: ID!) { workspace(by: { id: $id }) { usage { reservedBytes } } }`
    expect((await holdall.ask(query, { id: lab.id })).workspace.usage.reservedBytes).toBe(400)
  })
})

test('of fifty updates with the same expected revision one succeeds', async () => {
  await newLab()
  const { id, revision } = await createFolder(holdall, { workspaceId: lab.id, name: 'Data' })
  const answers = await many((index) => {
    const input = { entry: { id }, name: `Data ${index}`, expectedRevision: revision }
    return attempt(holdall, 'updateEntry', input, `entry { ${entryFields} }`)
  })
  expect(tally(answers)).toEqual({ done: 1, STALE_REVISION: MANY - 1 })
  const winner = answers.find(({ entry }) => entry)
  expect(await lookUp(holdall, { id }, entryFields)).toMatchObject(winner.entry)
  await expectExact(holdall, lab)
})

test('fifty updates without an expected revision all succeed', async () => {
  await newLab()
  const { id, revision } = await createFolder(holdall, { workspaceId: lab.id, name: 'Data' })
  await many((index) =>
    act(
      holdall,
      'updateEntry',
      { entry: { id }, metadata: { [`k${index}`]: index } },
      '__typename',
    ),
  )
  const entry = await lookUp(holdall, { id }, 'revision metadata')
  expect(entry.revision).toBe(revision + MANY)
  expect(Object.keys(entry.metadata)).toHaveLength(MANY)
})

test('a download limit is reached and not exceeded', async () => {
  await newLab()
  const { id } = await uploadFile(holdall, { workspaceId: lab.id, name: 'a.txt', bytes: 'a' })
  const terms = { entry: { id }, maxDownloads: 7 }
  const { shareLink } = await act(holdall, 'createShareLink', terms, 'shareLink { url }')
  const shared = (await (await holdall.http(shareLink.url, { token: null })).json()) as any
  const answers = await many(async () => {
    const response = await holdall.http(shared.downloadUrl.url, { token: null })
    await response.arrayBuffer()
    return { code: String(response.status) }
  })
  expect(tally(answers)).toEqual({ 200: 7, 404: MANY - 7 })
})

test('F14: concurrent moves of folders into each other make no cycle', async () => {
  await newLab()
  const folders = await many((index) =>
    createFolder(holdall, { workspaceId: lab.id, name: `F${index}` }),
  )
  // Each into the next one, and the last into the first: one of them must fail.
  const answers = await many((index) => {
    const [one, next] = [folders[index], folders[(index + 1) % MANY]]
    const entries = items(one as { id: string })
    return batch(holdall, 'moveEntries', { entries, folder: { id: next?.id } })
  }, 10)
  expect(answers.every(({ failed }) => failed === 0)).toBe(true)
  const [a, b] = [folders[20] as { id: string }, folders[21] as { id: string }]
  const into = (one: { id: string }, other: { id: string }) =>
    attempt(holdall, 'moveEntries', { entries: items(one), folder: { id: other.id } }, '__typename')
  const moves = await many((index) => (index % 2 === 0 ? into(a, b) : into(b, a)))
  expect(tally(moves)).toEqual({ done: MANY / 2, CYCLE: MANY / 2 })
  expect(await expectExact(holdall, lab)).toMatchObject({ folderCount: MANY })
})

test('batches over the same entries in different orders all complete', async () => {
  await newLab()
  const other = await createWorkspace(holdall, { name: 'Another' })
  const folders = await many(
    (index) =>
      createFolder(holdall, { workspaceId: [lab, other][index % 2]?.id, name: `F${index}` }),
    10,
  )
  const answers = await many((index) => {
    const order = index % 2 === 0 ? folders : folders.toReversed()
    const entries = items(...order).map((item) => ({ ...item, expectedRevision: null }))
    return attempt(holdall, 'trashEntries', { entries, mode: 'ALL_OR_NOTHING' }, 'succeeded')
  })
  const whole = answers.filter(({ succeeded }) => succeeded === 10)
  expect(whole).toHaveLength(1)
  expect(answers.filter(({ code }) => code === 'INVALID_STATE')).toHaveLength(MANY - 1)
  await expectExact(holdall, lab)
  await expectExact(holdall, other)
})

test('F11, F14: a folder is trashed while files are added to it', async () => {
  await newLab()
  const folder = await createFolder(holdall, { workspaceId: lab.id, name: 'Inbox' })
  const uploads = await received('a.bin', 'RENAME', { folderId: folder.id })
  const answers = await many((index) => {
    if (index === MANY / 2) return trashEntries(holdall, folder).then(() => ({ code: 'trashed' }))
    return confirm(uploads[index] as { id: string })
  })
  const { done = 0, INVALID_STATE: late = 0, trashed } = tally(answers)
  expect([done + late, trashed]).toEqual([MANY - 1, 1])
  expect(await lookUp(holdall, folder, 'trash { trashedAt }')).toMatchObject({ trash: {} })
  expect(await expectExact(holdall, lab)).toMatchObject({ fileCount: 0, folderCount: 0 })
})

test('fifty assignments of a new tag create one tag', async () => {
  await newLab()
  const answers = await many((index) =>
    attempt(
      holdall,
      'createFolder',
      { workspaceId: lab.id, name: `F${index}`, tags: ['Blue', `only ${index}`] },
      'folder { id }',
    ),
  )
  expect(tally(answers)).toEqual({ done: MANY })
  const query = `query ($id: ID!) { workspace(by: { id: $id }) {
    tags(first: 100) { totalCount nodes { name entryCount } } } }`
  const { tags } = (await holdall.ask(query, { id: lab.id })).workspace
  expect(tags.totalCount).toBe(MANY + 1)
  expect(tags.nodes).toContainEqual({ name: 'Blue', entryCount: MANY })
})

describe('one email address', () => {
  const person = { email: 'ann@example.org', role: 'EDITOR' }
  const add = (workspaceId: string) =>
    attempt(holdall, 'addMember', { ...person, workspaceId }, 'member { user { id } }')

  test('is one member, however often it is added', async () => {
    await newLab()
    const answers = await many(() => add(lab.id))
    expect(tally(answers)).toEqual({ done: MANY })
    expect(new Set(answers.map(({ member }) => member.user.id)).size).toBe(1)
    const query = 'query ($id: ID!) { workspace(by: { id: $id }) { members { totalCount } } }'
    expect((await holdall.ask(query, { id: lab.id })).workspace.members.totalCount).toBe(2)
  })

  test('is one user in many workspaces', async () => {
    const labs = await many((index) => createWorkspace(holdall, { name: `For Ann ${index}` }))
    const answers = await many((index) =>
      attempt(
        holdall,
        'addMember',
        { email: 'new@example.org', workspaceId: labs[index]?.id, role: 'VIEWER' },
        'member { user { id } }',
      ),
    )
    expect(tally(answers)).toEqual({ done: MANY })
    expect(new Set(answers.map(({ member }) => member.user.id)).size).toBe(1)
  })
})

test('a workspace keeps one owner if all owners leave at once', async () => {
  await newLab()
  const owners = await many(() => invite(holdall, lab.id, 'OWNER'), 9)
  const { viewer } = await holdall.ask('query { viewer { user { id } } }')
  const all = [...owners, { userId: viewer.user.id, token: holdall.token }]
  const leave = ({ userId, token }: { userId: string; token: string }) =>
    attempt(holdall, 'removeMember', { workspaceId: lab.id, userId }, '__typename', { token })
  const answers = await Promise.all(all.map(leave))
  expect(tally(answers)).toEqual({ done: 9, INVALID_STATE: 1 })
})

describe('fifty new workspaces', () => {
  test('with one slug are one', async () => {
    const input = { name: 'Lab', slug: 'the-one' }
    const answers = await many(() => attempt(holdall, 'createWorkspace', input, 'workspace { id }'))
    expect(tally(answers)).toEqual({ done: 1, INVALID_INPUT: MANY - 1 })
  })

  test('with one name have fifty slugs', async () => {
    const made = await many(() => createWorkspace(holdall, { name: 'Namesakes' }))
    expect(new Set(made.map(({ slug }) => slug)).size).toBe(MANY)
  })
})

test('fifty createUpload with one idempotency key are one upload', async () => {
  await newLab()
  const input = { workspaceId: lab.id, name: 'a.bin', size: 10, idempotencyKey: 'once' }
  const made = await many(() => createUpload(holdall, input))
  expect(new Set(made.map(({ id, url }) => `${id} ${url}`)).size).toBe(1)
  expect(await expectExact(holdall, lab)).toMatchObject({ reservedBytes: 10 })
})

test('trashed entries are purged once by concurrent requests', async () => {
  await newLab()
  const folder = await createFolder(holdall, { workspaceId: lab.id, name: 'Old' })
  await many(
    (index) =>
      uploadFile(holdall, {
        workspaceId: lab.id,
        folderId: folder.id,
        name: `${index}`,
        bytes: `${index % 5}`,
      }),
    20,
  )
  const kept = await uploadFile(holdall, { workspaceId: lab.id, name: 'kept', bytes: '1' })
  await trashEntries(holdall, folder)
  const answers = await many((index) =>
    index % 2 === 0
      ? attempt(holdall, 'emptyTrash', { workspaceId: lab.id }, 'purgedCount')
      : batch(holdall, 'purgeEntries', { entries: [{ entry: { id: folder.id } }] }),
  )
  const purged = answers.map(({ purgedCount, succeeded }) => purgedCount ?? succeeded ?? 0)
  expect(purged.reduce((all, count) => all + count, 0)).toBe(1)
  const usage = await expectExact(holdall, lab)
  expect(usage).toMatchObject({ currentBytes: 1, trashedBytes: 0, storedBytes: 1, fileCount: 1 })
  expect(await lookUp(holdall, kept, 'name')).toMatchObject({ name: 'kept' })
})

describe.runIf(database === 'PostgreSQL')('F7: a pool with one connection', () => {
  const startWithOneConnection = () =>
    startTestServer({ env: { DATABASE_POOL: '1', MAX_QUERY_COST: '1000000' } })

  test('serves fifty concurrent requests', async () => {
    await using narrow = await startWithOneConnection()
    const workspace = await createWorkspace(narrow)
    const files = await many((index) =>
      uploadFile(narrow, {
        workspaceId: workspace.id,
        path: `raw/${index % 3}`,
        name: 'plate.csv',
        bytes: `${index}`,
        onConflict: 'RENAME',
        tags: ['raw'],
      }),
    )
    await many((index) =>
      index % 2 === 0
        ? narrow.ask('query { viewer { workspaces(first: 5) { nodes { usage { fileCount } } } } }')
        : trashEntries(narrow, files[index] as { id: string }),
    )
    expect(await expectExact(narrow, workspace)).toMatchObject({ fileCount: MANY / 2 })
  })

  test('is not held while bytes trickle in or are read slowly', async () => {
    await using narrow = await startWithOneConnection()
    const workspace = await createWorkspace(narrow)
    const { id } = workspace
    const bytes = Buffer.alloc(16 * 1024 * 1024, 'x')
    const file = await uploadFile(narrow, { workspaceId: id, name: 'large.bin', bytes })
    const read = await narrow.http(`/download/${file.id}`)
    const url = await tusOf(narrow).create(
      { workspaceId: id, filename: 'slow.bin' },
      { 'Upload-Length': '100' },
    )
    const slow = await rawPatch(narrow, url, 0, 100)
    await slow.write('x'.repeat(10))
    const form = await narrow.http(`/files?workspaceId=${id}`, slowForm()).catch(() => null)
    expect(form).toBeNull()
    for (let i = 0; i < 5; i++) {
      const requested = narrow.ask('query ($id: ID!) { workspace(by: { id: $id }) { name } }', {
        id,
      })
      expect(await withTimeout(requested, 1000)).toMatchObject({ workspace: { name: 'Lab' } })
    }
    await slow.write('x'.repeat(90))
    expect((await slow.answer()).status).toBe(204)
    expect((await read.arrayBuffer()).byteLength).toBe(bytes.length)
  })

  /** The head of a form whose file does not end; aborted after half a second. */
  const slowForm = () => {
    const head = '--b\r\nContent-Disposition: form-data; name="file"; filename="a.bin"\r\n\r\n'
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(Buffer.from(`${head}xxxx`)),
    })
    const headers = { 'content-type': 'multipart/form-data; boundary=b' }
    const signal = AbortSignal.timeout(500)
    return { method: 'POST', headers, body, duplex: 'half' as const, signal }
  }

  const withTimeout = <T>(requested: Promise<T>, ms: number): Promise<T> =>
    Promise.race([
      requested,
      new Promise<never>((_, reject) => {
        setTimeout(() => reject(new Error(`no answer within ${ms} ms`)), ms).unref()
      }),
    ])
})
