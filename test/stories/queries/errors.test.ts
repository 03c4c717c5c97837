import { createHash } from 'node:crypto'
import { rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { sql } from 'kysely'
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { readConfig } from '../../../src/config/config.ts'
import { openDatabase } from '../../../src/database/database.ts'
import {
  act,
  createFolder,
  createUpload,
  createWorkspace,
  items,
  sendBytes,
  trashEntries,
  uploadFile,
  usageOf,
} from '../../support/client.ts'
import { createToken, invite } from '../../support/data/people.ts'
import { errorOf, expectRefused, readState } from '../../support/data/refusals.ts'
import { databaseOf, emptyFolder, startProcess } from '../../support/servers/process.ts'
import { startTestServer, type TestServer } from '../../support/servers/test-server.ts'

const HOUR = 3_600_000
let holdall: TestServer
let workspaceId: string
let now: number

beforeEach(async () => {
  now = Date.now()
  holdall = await startTestServer({ now: () => now, env: { MAX_UPLOAD_BYTES: '1000' } })
  onTestFinished(() => holdall[Symbol.asyncDispose]())
  workspaceId = (await createWorkspace(holdall, { quotaBytes: 100 })).id
})

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')
/** An upload that is complete and not confirmed. */
async function received(name: string, bytes: string, input: object = {}) {
  const size = Buffer.byteLength(bytes)
  const upload = await createUpload(holdall, { workspaceId, name, size, ...input })
  await sendBytes(holdall, upload, bytes)
  return upload
}
const entriesOf = async () => {
  const query = 'query ($id: ID!) { workspace(by: { id: $id }) { entries { nodes { path } } } }'
  const { workspace } = await holdall.ask(query, { id: workspaceId })
  return workspace.entries.nodes.map(({ path }: { path: string }) => path)
}

describe('errors have all their fields, and nothing is written', () => {
  test('NOT_FOUND', async () => {
    expect(
      await expectRefused(holdall, 'updateEntry', { entry: { id: 'fld_0' }, name: 'x' }),
    ).toEqual({
      __typename: 'NotFoundError',
      code: 'NOT_FOUND',
      message: 'no object with the id fld_0 was found',
      path: ['entry'],
      retryable: false,
      id: 'fld_0',
    })
  })

  test('FORBIDDEN, for a missing scope and for a missing role', async () => {
    const { secret } = await createToken(holdall, { scopes: ['FILES_READ'] })
    const viewer = await invite(holdall, workspaceId, 'VIEWER')
    const input = { workspaceId, name: 'x', size: 1 }
    const error = { __typename: 'ForbiddenError', code: 'FORBIDDEN', retryable: false }
    expect(await expectRefused(holdall, 'createUpload', input, { token: secret })).toMatchObject({
      ...error,
      message: 'this token lacks the scope FILES_WRITE',
      missingScopes: ['FILES_WRITE'],
      requiredRole: null,
    })
    expect(await expectRefused(holdall, 'createUpload', input, viewer)).toMatchObject({
      ...error,
      message: 'this requires the role EDITOR in the workspace',
      missingScopes: [],
      requiredRole: 'EDITOR',
    })
  })

  test('NAME_CONFLICT', async () => {
    const folder = await createFolder(holdall, { workspaceId, name: 'Raw' })
    expect(await expectRefused(holdall, 'createFolder', { workspaceId, name: 'RAW' })).toEqual({
      __typename: 'NameConflictError',
      code: 'NAME_CONFLICT',
      message: 'the folder already contains "RAW"; "RAW (2)" is available',
      path: ['name'],
      retryable: false,
      existing: { id: folder.id, name: 'Raw', path: 'Raw' },
      suggestedName: 'RAW (2)',
    })
  })

  test('NAME_CONFLICT for a name that was taken during the upload', async () => {
    const [first, second] = [await received('a.txt', 'one'), await received('a.txt', 'two')]
    const file = await act(holdall, 'confirmUpload', { uploadId: first.id }, 'file { id }')
    const before = await usageOf(holdall, workspaceId)
    expect(await errorOf(holdall, 'confirmUpload', { uploadId: second.id })).toMatchObject({
      __typename: 'NameConflictError',
      existing: { id: file.file.id, name: 'a.txt', path: 'a.txt' },
      suggestedName: 'a (2).txt',
    })
    expect([await entriesOf(), await usageOf(holdall, workspaceId)]).toEqual([['a.txt'], before])
  })

  test('STALE_REVISION', async () => {
    const { id, name, revision } = await createFolder(holdall, { workspaceId, name: 'raw' })
    const input = { entry: { id }, name: 'x', expectedRevision: 7 }
    expect(await expectRefused(holdall, 'updateEntry', input)).toMatchObject({
      __typename: 'StaleRevisionError',
      code: 'STALE_REVISION',
      message: `expected revision 7, but the current revision is ${revision}`,
      retryable: false,
      expectedRevision: 7,
      actualRevision: revision,
      entry: { id, name, revision },
    })
  })

  test('CYCLE', async () => {
    const outer = await createFolder(holdall, { workspaceId, name: 'outer' })
    const inner = await createFolder(holdall, { folder: { id: outer.id }, name: 'inner' })
    const input = { entries: items(outer), folder: { id: inner.id } }
    expect(await expectRefused(holdall, 'moveEntries', input)).toMatchObject({
      __typename: 'CycleError',
      code: 'CYCLE',
      message: 'a folder cannot be placed in itself or in a folder below it',
      retryable: false,
    })
  })

  test('NOT_EMPTY', async () => {
    const folder = await createFolder(holdall, { workspaceId, name: 'raw' })
    await createFolder(holdall, { folder: { id: folder.id }, name: 'inner' })
    const input = { entries: items(folder), recursive: false }
    expect(await expectRefused(holdall, 'trashEntries', input)).toMatchObject({
      __typename: 'NotEmptyError',
      code: 'NOT_EMPTY',
      message: 'the folder contains 1 entries; use recursive: true to include them',
      retryable: false,
      entryCount: 1,
    })
  })

  test('INVALID_STATE', async () => {
    const folder = await createFolder(holdall, { workspaceId, name: 'raw' })
    await trashEntries(holdall, folder)
    const input = { folder: { id: folder.id }, name: 'x' }
    expect(await expectRefused(holdall, 'createFolder', input)).toEqual({
      __typename: 'InvalidStateError',
      code: 'INVALID_STATE',
      message: 'the entry is in the trash; restore it first',
      path: ['folder'],
      retryable: false,
      state: 'TRASHED',
    })
  })

  test('an item of a batch, with its path in the input', async () => {
    const [a, b] = [
      await createFolder(holdall, { workspaceId, name: 'a' }),
      await createFolder(holdall, { workspaceId, name: 'b' }),
    ]
    const entries = items(a, { id: 'fld_0' }, b)
    expect(await expectRefused(holdall, 'trashEntries', { entries })).toMatchObject({
      __typename: 'NotFoundError',
      id: 'fld_0',
      path: ['entries', '1'],
    })
  })

  test('BATCH_ABORTED, with the error of the upload that failed', async () => {
    const uploads = ['a', 'b/', 'c'].map((name) => ({ workspaceId, name, size: 1 }))
    const aborted = {
      __typename: 'BatchAbortedError',
      code: 'BATCH_ABORTED',
      message: 'nothing was changed because item 1 failed',
      retryable: false,
      failedIndex: 1,
    }
    const error = `error { __typename code message retryable ... on BatchAbortedError { failedIndex } }`
    const { results } = await act(holdall, 'createUploads', { uploads }, `results { ${error} }`)
    expect(results.map(({ error }: { error: object }) => error)).toMatchObject([
      aborted,
      { __typename: 'InvalidInputError' },
      aborted,
    ])
  })

  test('QUOTA_EXCEEDED', async () => {
    await uploadFile(holdall, { workspaceId, name: 'a.txt', bytes: 'x'.repeat(40) })
    await createUpload(holdall, { workspaceId, name: 'b.txt', size: 50 })
    const input = { workspaceId, name: 'c.txt', size: 11 }
    expect(await expectRefused(holdall, 'createUpload', input)).toMatchObject({
      __typename: 'QuotaExceededError',
      code: 'QUOTA_EXCEEDED',
      message:
        '11 bytes are needed, but 10 bytes of the quota of the workspace are left: delete files and empty the trash, or ask an owner for a larger quota',
      retryable: false,
      neededBytes: 11,
      usage: { quotaBytes: 100, remainingBytes: 10, reservedBytes: 50, currentBytes: 40 },
    })
    await createUpload(holdall, { ...input, size: 10 })
  })

  test('QUOTA_EXCEEDED by a copy', async () => {
    const file = await uploadFile(holdall, { workspaceId, name: 'a.txt', bytes: 'x'.repeat(60) })
    const input = { entries: items(file), folder: { path: { workspaceId, path: '' } } }
    expect(await expectRefused(holdall, 'copyEntries', input)).toMatchObject({
      __typename: 'QuotaExceededError',
      neededBytes: 60,
      usage: { remainingBytes: 40 },
    })
  })

  test('FILE_TOO_LARGE', async () => {
    const input = { workspaceId, name: 'a.txt', size: 1001 }
    expect(await expectRefused(holdall, 'createUpload', input)).toEqual({
      __typename: 'FileTooLargeError',
      code: 'FILE_TOO_LARGE',
      message: 'the file exceeds the maximum size of 1000 bytes',
      path: ['size'],
      retryable: false,
      maxBytes: 1000,
    })
  })

  test('UPLOAD_INCOMPLETE, with and without a length', async () => {
    const upload = await createUpload(holdall, { workspaceId, name: 'a.txt', size: 5 })
    await sendBytes(holdall, upload, 'he')
    expect(await expectRefused(holdall, 'confirmUpload', { uploadId: upload.id })).toMatchObject({
      __typename: 'UploadIncompleteError',
      code: 'UPLOAD_INCOMPLETE',
      message: '3 bytes are missing',
      retryable: true,
      missingBytes: 3,
      upload: { id: upload.id, status: 'RECEIVING', offset: 2, size: 5 },
    })
    const deferred = await createUpload(holdall, { workspaceId, name: 'b.txt' })
    expect(await expectRefused(holdall, 'confirmUpload', { uploadId: deferred.id })).toMatchObject({
      message: 'the length is not known yet',
      missingBytes: null,
      upload: { id: deferred.id, status: 'CREATED', offset: 0, size: null },
    })
  })

  test('UPLOAD_EXPIRED', async () => {
    const { id: uploadId } = await received('a.txt', 'hello')
    const query = 'query ($id: ID!) { node(id: $id) { ... on Upload { expiresAt } } }'
    const { expiresAt } = (await holdall.ask(query, { id: uploadId })).node
    now += 25 * HOUR
    expect(await errorOf(holdall, 'confirmUpload', { uploadId })).toMatchObject({
      __typename: 'UploadExpiredError',
      code: 'UPLOAD_EXPIRED',
      message: `the upload expired at ${expiresAt}`,
      retryable: false,
      expiredAt: expiresAt,
    })
    expect(await entriesOf()).toEqual([])
  })

  test('SIZE_MISMATCH', async () => {
    const { id: uploadId } = await received('a.txt', 'hello')
    expect(await expectRefused(holdall, 'confirmUpload', { uploadId, size: 6 })).toEqual({
      __typename: 'SizeMismatchError',
      code: 'SIZE_MISMATCH',
      message: 'received 5 bytes, expected 6',
      path: ['size'],
      retryable: false,
      expectedBytes: 6,
      actualBytes: 5,
    })
    await act(holdall, 'confirmUpload', { uploadId, size: 5 }, '__typename')
  })

  test('CHECKSUM_MISMATCH, of the declared hash and of the hash given to confirm', async () => {
    const announced = await received('a.txt', 'hello', { sha256: sha256('other') })
    const requested = await received('b.txt', 'hello')
    const mismatch = {
      __typename: 'ChecksumMismatchError',
      code: 'CHECKSUM_MISMATCH',
      message: `the checksum of the bytes is ${sha256('hello')}, expected ${sha256('other')}`,
      path: ['sha256'],
      retryable: false,
      expectedSha256: sha256('other'),
      actualSha256: sha256('hello'),
    }
    const confirm = (uploadId: string, more = {}) =>
      errorOf(holdall, 'confirmUpload', { uploadId, ...more })
    expect(await confirm(announced.id)).toEqual(mismatch)
    expect(await confirm(announced.id)).toMatchObject({ code: 'CHECKSUM_MISMATCH' })
    expect(await confirm(requested.id, { sha256: sha256('other') })).toEqual(mismatch)
    expect(await entriesOf()).toEqual([])
    // The declared bytes cannot arrive any more, so their room is released. A wrong hash in a confirm
    // can be corrected.
    expect((await usageOf(holdall, workspaceId)).reservedBytes).toBe(5)
    expect(await confirm(requested.id, { sha256: sha256('hello') })).toEqual({
      __typename: 'ConfirmUploadPayload',
    })
  })
})

describe('STORAGE_ERROR', () => {
  const blobs = () => join(holdall.dir, 'blobs')
  const fault = {
    __typename: 'StorageError',
    code: 'STORAGE_ERROR',
    message: expect.any(String),
    path: null,
    retryable: true,
  }

  test('if no byte can be stored: the room is released', async () => {
    await rm(blobs(), { recursive: true })
    await writeFile(blobs(), 'in the way')
    // The file is created when the first bytes arrive.
    const input = { workspaceId, name: 'a.txt', size: 0 }
    const error = await errorOf(holdall, 'createUpload', input)
    expect(error).toEqual(fault)
    expect(JSON.stringify(error)).not.toContain(holdall.dir)
    expect((await usageOf(holdall, workspaceId)).reservedBytes).toBe(0)
    expect(await entriesOf()).toEqual([])
  })

  test('if no file can be created: the confirm can be repeated later', async () => {
    const { id: uploadId } = await received('a.txt', 'hello')
    const away = join(holdall.dir, 'away')
    await rename(blobs(), away)
    await writeFile(blobs(), 'in the way')
    expect(await errorOf(holdall, 'confirmUpload', { uploadId })).toEqual(fault)
    expect([await entriesOf(), (await usageOf(holdall, workspaceId)).reservedBytes]).toEqual([
      [],
      5,
    ])
    await rm(blobs())
    await rename(away, blobs())
    await act(holdall, 'confirmUpload', { uploadId }, '__typename')
    expect([await entriesOf(), (await usageOf(holdall, workspaceId)).reservedBytes]).toEqual([
      ['a.txt'],
      0,
    ])
  })
})

describe('invalid input', () => {
  type Place = { folder: string; file: string; root: string; tag: string }
  let place: Place
  beforeEach(async () => {
    const folder = await createFolder(holdall, { workspaceId, name: 'raw', tags: ['red'] })
    const file = await uploadFile(holdall, { workspaceId, name: 'a.txt', bytes: 'a' })
    const query = `query ($id: ID!) { workspace(by: { id: $id }) {
      root { id } tags { nodes { id } }
    } }`
    const { root, tags } = (await holdall.ask(query, { id: workspaceId })).workspace
    place = { folder: folder.id, file: file.id, root: root.id, tag: tags.nodes[0].id }
  })

  const name = (right: string) => [['name'], right] as const
  const many = Array.from({ length: 51 }, (_, i) => `tag ${i}`)
  type Case = [string, (of: Place) => object, readonly [readonly string[], string]]
  test.each<Case>([
    ['createFolder', () => ({ name: 'x' }), [['workspaceId'], 'workspaceId or folder is required']],
    ['createFolder', () => ({ workspaceId, name: '' }), name('name is empty')],
    ['createFolder', () => ({ workspaceId, name: 'a/b' }), name('name contains "/"')],
    ['createFolder', () => ({ workspaceId, name: '..' }), name('".." is not a valid name')],
    [
      'createFolder',
      () => ({ workspaceId, name: 'é'.repeat(128) }),
      name('name has 256 bytes (limit 255)'),
    ],
    [
      'createFolder',
      () => ({ workspaceId, name: 'x', description: 'x'.repeat(10_001) }),
      [['description'], 'text has 10001 characters (limit 10000)'],
    ],
    ['createFolder', () => ({ workspaceId, name: 'x', tags: many }), [['tags'], 'at most 50 tags']],
    [
      'createFolder',
      () => ({ folder: { path: { workspaceId, path: '../x' } }, name: 'x' }),
      [['folder', 'path'], '".." is not a valid name'],
    ],
    [
      'updateEntry',
      () => ({ entry: { path: { workspaceId, path: '/raw' } }, name: 'x' }),
      [['entry', 'path'], 'path begins with "/"'],
    ],
    [
      'updateTag',
      ({ tag }) => ({ tagId: tag, color: 'red' }),
      [['color'], 'must be a color such as #1e90ff'],
    ],
    [
      'moveEntries',
      ({ root }) => ({ entries: [], folder: { id: root } }),
      [['entries'], 'expected 1 to 100 entries, got 0'],
    ],
    [
      'moveEntries',
      ({ folder, root }) => ({
        entries: items({ id: folder }),
        folder: { id: root },
        onConflict: 'NEW_VERSION',
      }),
      [['onConflict'], 'moveEntries does not support NEW_VERSION; use FAIL, RENAME or REPLACE'],
    ],
    [
      'createUpload',
      () => ({ workspaceId, name: 'x', path: '/raw' }),
      [['path'], 'path begins with "/"'],
    ],
    [
      'createUpload',
      () => ({ workspaceId, name: 'x', sha256: 'ABC' }),
      [['sha256'], 'must be 64 lower-case hexadecimal digits'],
    ],
    [
      'confirmUpload',
      () => ({ uploadId: 'upl_0', sha256: 'abc' }),
      [['sha256'], 'must be 64 lower-case hexadecimal digits'],
    ],
  ])('of %s is reported with its path and the valid values', async (mutation, input, wrong) => {
    const [path, message] = wrong
    expect(await expectRefused(holdall, mutation, input(place))).toEqual({
      __typename: 'InvalidInputError',
      code: 'INVALID_INPUT',
      message: `${path.join('.')}: ${message}`,
      path,
      retryable: false,
      issues: [{ path, message }],
    })
  })

  test.each([
    ['quotaBytes', -1, 'a whole number from 0 to 9007199254740991'],
    ['quotaBytes', 1.5, 'a whole number from 0 to 9007199254740991'],
    ['trashRetentionDays', 2 ** 31, '32-bit signed integer'],
    ['visibility', 'SECRET', 'Visibility'],
    ['colour', 'red', 'colour'],
  ])('that has not even the type of %s is a bad request', async (field, value, right) => {
    const query = `mutation ($input: UpdateWorkspaceInput!) {
      updateWorkspace(input: $input) { __typename }
    }`
    const before = await readState(holdall)
    const input = { workspaceId, [field]: value }
    const { status, data, errors } = await holdall.graphql(query, { input })
    expect([status, data, errors?.[0]?.extensions?.code]).toEqual([400, undefined, 'BAD_REQUEST'])
    expect(errors?.[0]?.message).toContain(field)
    expect(errors?.[0]?.message).toContain(right)
    expect(await readState(holdall)).toEqual(before)
  })
})

test.each([
  [
    'QUERY_TOO_COMPLEX',
    `{ node(id: "fld_0") ${'{ ... on Folder { parent '.repeat(30)}{ id }${' } }'.repeat(30)} }`,
  ],
  ['BAD_PAGE_SIZE', '{ viewer { workspaces(first: 101) { totalCount } } }'],
  ['INVALID_CURSOR', '{ viewer { workspaces(after: "nonsense") { totalCount } } }'],
])('%s is reported beside the data, with the valid values', async (code, query) => {
  const { errors } = await holdall.graphql(query)
  expect(errors?.map(({ extensions }) => extensions?.code)).toEqual([code])
  expect(errors?.[0]?.message).toMatch(/\(limit \d+\)|from 1 to 100|does not belong to this list/)
})

describe('S34: an unexpected error', () => {
  const query = 'query ($id: ID!) { workspace(by: { id: $id }) { name entries { totalCount } } }'
  const bug = { code: 'INTERNAL_SERVER_ERROR', message: 'internal server error' }

  test('is answered with the id of the request and no detail, at every endpoint', async () => {
    const file = await uploadFile(holdall, { workspaceId, name: 'a.txt', bytes: 'a' })
    const upload = await createUpload(holdall, { workspaceId, name: 'b.txt', size: 1 })
    await holdall.app.db.destroy()
    const { status, headers, data, errors } = await holdall.graphql(query, { id: workspaceId })
    const requestId = headers.get('x-request-id')
    expect(requestId).toMatch(/^[0-9a-f-]{36}$/)
    expect([status, data]).toEqual([500, undefined])
    const extensions = { code: bug.code, requestId }
    expect(errors).toEqual([{ message: bug.message, extensions }])

    const given = { 'x-request-id': 'mine-1' }
    const tus = { ...given, 'tus-resumable': '1.0.0' }
    for (const [path, init] of [
      [`/download/${file.id}`, { headers: given }],
      [upload.url, { method: 'DELETE', headers: tus }],
    ] as const) {
      const response = await holdall.http(path, init)
      expect(response.headers.get('x-request-id')).toBe('mine-1')
      const answer = { status: response.status, ...(await response.json()) }
      expect(answer).toEqual({ status: 500, ...bug, requestId: 'mine-1' })
    }
  })

  test('in one field leaves the others, and names its path', async () => {
    await holdall.app.db.schema.dropTable('folderKinds').execute()
    const { status, data, errors } = await holdall.graphql(
      'query ($id: ID!) { viewer { user { name } } workspace(by: { id: $id }) { usage { byKind { kind } } } }',
      { id: workspaceId },
    )
    expect([status, data]).toEqual([200, { viewer: { user: { name: 'Owner' } }, workspace: null }])
    expect(errors).toMatchObject([
      {
        message: bug.message,
        path: ['workspace', 'usage', 'byKind'],
        extensions: { code: bug.code },
      },
    ])
    expect(JSON.stringify(errors)).not.toMatch(/sqlite|folderKinds|node_modules|select/i)
  })

  test('is logged with that id and all details', async () => {
    const dir = await emptyFolder()
    const token = 'chosen-by-the-operator-2025'
    const { ask, stop } = await startProcess({ DATA_DIR: dir, ADMIN_TOKEN: token })
    const db = openDatabase(readConfig({ DATA_DIR: dir, ...databaseOf(dir) }).database)
    await sql`ALTER TABLE members RENAME TO lost`.execute(db).finally(() => db.destroy())
    const { errors } = await ask(token, '{ viewer { workspaces { totalCount } } }')
    expect(errors).toMatchObject([{ message: bug.message, extensions: { code: bug.code } }])
    expect(JSON.stringify(errors)).not.toMatch(/members|sqlite/i)
    const { err } = await stop()
    const lines = err
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    const logged = lines.find(({ requestId }) => requestId === errors?.[0]?.extensions.requestId)
    expect(logged).toMatchObject({
      level: 50,
      err: { message: expect.stringContaining('members') },
    })
    expect(logged.err.stack).toContain('src/')
    expect(err).not.toContain(token)
  })
})
