import { createHash } from 'node:crypto'
import { globSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { beforeAll, describe, expect, test, vi } from 'vitest'
import {
  act,
  attempt,
  children,
  createFolder,
  createWorkspace,
  entryByPath,
  sendBytes,
  uploadFile,
  usageOf,
} from '../../support/client.ts'
import { keysOf } from '../../support/data/bytes.ts'
import { archiveOf, type Member, zipOf } from '../../support/data/zips.ts'
import { findings } from '../../support/inspection.ts'
import { expectWithin } from '../../support/retry-timing.ts'
import { startTestServer, type TestServer } from '../../support/servers/test-server.ts'

let holdall: TestServer
let workspaceId: string
let rootId: string
beforeAll(async () => {
  const ours = mkdtempSync(join(tmpdir(), 'holdall-archives-'))
  vi.stubEnv('TMPDIR', ours)
  holdall = await startTestServer()
  const workspace = await createWorkspace(holdall)
  workspaceId = workspace.id
  rootId = workspace.root.id
  return async () => {
    await holdall[Symbol.asyncDispose]()
    vi.unstubAllEnvs()
    rmSync(ours, { recursive: true, force: true })
  }
})

let archives = 0
let target: { id: string } | undefined
/** Uploads an archive. */
async function uploaded(bytes: Uint8Array): Promise<string> {
  const input = { workspaceId, name: `archive ${++archives}.zip`, size: bytes.length }
  const { upload } = await act(
    holdall,
    'createUpload',
    input,
    'upload { id url headers { name value } }',
  )
  await sendBytes(holdall, upload, bytes)
  return upload.id
}
const importing = (uploadId: string, folderId: string, more = {}) =>
  attempt(holdall, 'importArchive', { uploadId, folder: { id: folderId }, ...more }, 'entryCount')

/** Returns the result of `fn`, and checks that no entry was added, and no blob but that of the upload. */
async function unchanged<T>(uploadId: string, act: () => Promise<T>): Promise<T> {
  const all = async () => ({
    entries: await holdall.app.db.selectFrom('entries').selectAll().orderBy('id').execute(),
    bytes: (await keysOf(holdall, 'kept')).filter((key) => key !== uploadId),
  })
  const before = await all()
  const answer = await act()
  expect(await all()).toEqual(before)
  return answer
}

/** Returns the error of an import of these bytes, which must come within a second and write nothing. */
async function refusalOf(bytes: Uint8Array): Promise<string> {
  target ??= await createFolder(holdall, { workspaceId, name: 'target' })
  const { id } = target
  const uploadId = await uploaded(bytes)
  const { code } = await unchanged(uploadId, () =>
    expectWithin(holdall, () => importing(uploadId, id)),
  )
  expect(globSync('holdall-import-*', { cwd: tmpdir() })).toEqual([])
  return code
}

describe('S1, S23: an archive with a member outside its root is refused as a whole', () => {
  const names: (string | Uint8Array)[] = [
    '../evil',
    'a/../../evil',
    '..',
    'a/..',
    './a',
    'a/./b',
    '..\\evil',
    'a\\b',
    '/etc/passwd',
    '//host/share',
    'C:\\evil',
    'c:evil',
    'a//b',
    'a\0.txt',
    '',
    '/',
    'a\u202eb',
    'a\nb',
    Buffer.from([0x2e, 0x2e, 0x2f, 0xff]),
    'x'.repeat(256),
    Array(70).fill('d').join('/'),
  ]
  test.each(names.map((name) => [JSON.stringify(name.toString()).slice(0, 40), name] as const))(
    '%s',
    async (_, name) => {
      expect(
        await refusalOf(
          zipOf([
            { name: 'good.txt', bytes: 'x' },
            { name, bytes: 'x' },
          ]),
        ),
      ).toBe('INVALID_INPUT')
    },
  )

  test.each<[string, number]>([
    ['a symbolic link', 0o120777],
    ['a device', 0o060666],
    ['a pipe', 0o010666],
    ['a socket', 0o140666],
  ])('%s', async (_, mode) => {
    expect(await refusalOf(zipOf([{ name: 'link', bytes: '/etc/passwd', mode }]))).toBe(
      'INVALID_INPUT',
    )
  })

  test('overlong encodings of dots are ordinary names, and stay below the root', async () => {
    const folder = await createFolder(holdall, { workspaceId, name: 'overlong' })
    const name = Buffer.concat([Buffer.from([0xc0, 0xae, 0xc0, 0xae]), Buffer.from('/x')])
    const { code } = await importing(await uploaded(zipOf([{ name, bytes: 'x' }])), folder.id)
    if (code === undefined) expect(await children(holdall, folder.id)).toHaveLength(1)
    else expect(code).toBe('INVALID_INPUT')
    expect((await children(holdall, rootId)).map(({ name }) => name)).not.toContain('x')
  })
})

describe('S23: a ZIP bomb is refused before it is unpacked', () => {
  const zeros = Buffer.alloc(30 * 2 ** 20)
  const small: Member = { name: 'a', bytes: 'x' }
  const bombs: [string, () => Buffer][] = [
    ['a ratio of a thousand to one', () => zipOf([{ name: 'bomb', bytes: zeros, deflate: true }])],
    [
      'one that declares less than its size',
      () => zipOf([{ name: 'bomb', bytes: zeros, deflate: true, size: 100 }]),
    ],
    [
      'one that declares 4 GiB',
      () => zipOf([{ name: 'bomb', bytes: 'xxx', deflate: true, size: 0xfffffffe }]),
    ],
    [
      'members that share their bytes',
      () =>
        zipOf([
          { name: 'a', bytes: Buffer.alloc(1000, 7) },
          ...Array.from({ length: 50 }, (_, i) => ({
            name: `b${i}`,
            bytes: '',
            size: 1000,
            offset: 0,
          })),
        ]),
    ],
    ['65,535 missing members', () => zipOf([small], { count: 65_535 })],
    ['fewer members than exist', () => zipOf([small, { name: 'b', bytes: 'y' }], { count: 1 })],
    ['ten million members, by a record of ZIP64', () => withZip64(zipOf([small]), 10_000_000n)],
    ['2^63 members', () => withZip64(zipOf([small]), 2n ** 63n)],
    ['twins', () => zipOf([small, small])],
    ['names that differ in case', () => zipOf([small, { name: 'A', bytes: 'y' }])],
    ['a file that is a folder of others', () => zipOf([small, { name: 'a/b', bytes: 'y' }])],
    ['encryption', () => zipOf([{ ...small, flags: 0x0801 }])],
    ['another method', () => zipOf([{ ...small, method: 12 }])],
    ['another checksum', () => zipOf([{ ...small, crc: 1 }])],
    ['an offset after the end', () => zipOf([{ ...small, offset: 2 ** 31 }])],
  ]
  test.each(bombs)('%s', async (_, make) => {
    expect(await refusalOf(make())).toMatch(/^(INVALID_INPUT|NAME_CONFLICT)$/)
  })

  test('nested archives are files, and are not unpacked', async () => {
    const inner = zipOf([{ name: '../evil', bytes: zeros, deflate: true }])
    const before = await usageOf(holdall, workspaceId)
    const folder = await createFolder(holdall, { workspaceId, name: 'nested' })
    const { entryCount } = await importing(
      await uploaded(zipOf([{ name: 'inner.zip', bytes: inner }])),
      folder.id,
    )
    expect(entryCount).toBe(1)
    expect(await children(holdall, folder.id)).toMatchObject([
      { __typename: 'File', name: 'inner.zip' },
    ])
    const after = await usageOf(holdall, workspaceId)
    expect(after.fileCount - before.fileCount).toBe(1)
  })

  test('the quota limits the unpacked size', async () => {
    const other = await createWorkspace(holdall, { quotaBytes: 100_000 })
    const bytes = zipOf([
      { name: 'roomy', bytes: Buffer.alloc(90_000, 1), deflate: true },
      { name: 'more', bytes: Buffer.alloc(90_000, 2), deflate: true },
    ])
    const file = { workspaceId: other.id, name: 'a.zip', size: bytes.length }
    const { upload } = await act(
      holdall,
      'createUpload',
      file,
      'upload { id url headers { name value } }',
    )
    await sendBytes(holdall, upload, bytes)
    const { code } = await unchanged(upload.id, () => importing(upload.id, other.root.id))
    expect(code).toBe('QUOTA_EXCEEDED')
  })
})

describe('F23: an archive with false records', () => {
  const entry = (change: object = {}, version: object = {}) => {
    const sha256 = createHash('sha256').update('truth').digest('hex')
    const one = {
      number: 1,
      size: 5,
      sha256,
      comment: null,
      createdAt: '2025-01-01T00:00:00.000Z',
      member: 'a.txt',
      ...version,
    }
    return JSON.stringify({
      path: 'a.txt',
      kind: 'file',
      description: null,
      tags: [],
      metadata: {},
      versions: [one],
      ...change,
    })
  }
  let head = ''
  const withManifest = (lines: string) =>
    zipOf([
      { name: 'a.txt', bytes: 'truth' },
      { name: 'manifest.json', bytes: `${head}\n${lines}\n]}\n` },
    ])

  beforeAll(async () => {
    const folder = await createFolder(holdall, { workspaceId, name: 'source of the head' })
    const archive = (await archiveOf(holdall, folder.id)).toString('latin1')
    head = /\{"[^\n]*\[(?=\n)/.exec(archive)?.[0] ?? ''
    expect(head).not.toBe('')
  })

  test('with true records it is accepted', async () => {
    const folder = await createFolder(holdall, { workspaceId, name: 'truth' })
    expect(await importing(await uploaded(withManifest(entry())), folder.id)).toMatchObject({
      entryCount: 1,
    })
    expect(await entryByPath(holdall, workspaceId, 'truth/a.txt')).not.toBeNull()
  })

  const deep = JSON.parse(`${'{"a":'.repeat(40)}1${'}'.repeat(40)}`)
  const proto = (key: string) =>
    entry().replace('"metadata":{}', `"metadata":{"${key}":{"polluted":true}}`)
  const manyVersions = (count: number) => {
    const [one] = JSON.parse(entry()).versions
    const versions = Array.from({ length: count }, (_, i) => ({ ...one, number: i + 1 }))
    return entry({ versions })
  }
  const folderLines = (count: number) =>
    Array.from({ length: count }, (_, i) =>
      JSON.stringify({ path: `folder ${i}`, kind: 'folder' }),
    ).join(',\n')
  const lies: [string, () => string][] = [
    ['S36: metadata that reaches for the prototype', () => proto('__proto__')],
    ['S36: metadata that reaches for the constructor', () => proto('constructor')],
    ['S36: metadata of 64 KiB and more', () => entry({ metadata: { a: 'x'.repeat(65_536) } })],
    ['S36: metadata that nests 40 deep', () => entry({ metadata: deep })],
    ['metadata that is a list', () => entry({ metadata: [] })],
    ['a number out of range', () => entry().replace('"metadata":{}', '"metadata":{"a":1e999}')],
    ['another size', () => entry({}, { size: 6 })],
    ['a negative size', () => entry({}, { size: -1 })],
    ['a size of half a byte', () => entry({}, { size: 5.5 })],
    ['an invalid hash', () => entry({}, { sha256: 'x' })],
    ['a member that is elsewhere', () => entry({}, { member: '../a.txt' })],
    ['a member that is the manifest', () => entry({}, { member: 'manifest.json' })],
    ['a path that escapes', () => entry({ path: '../../a.txt' })],
    ['an invalid path', () => entry({ path: '' })],
    ['an invalid kind', () => entry({ kind: 'device' })],
    ['a file without a version', () => entry({ versions: [] })],
    ['a folder with versions', () => entry({ kind: 'folder' })],
    ['version 0', () => entry({}, { number: 0 })],
    ['version 2^40', () => entry({}, { number: 2 ** 40 })],
    ['51 tags', () => entry({ tags: Array.from({ length: 51 }, (_, i) => `t${i}`) })],
    ['a tag that is a number', () => entry({ tags: [7] })],
    ['a description of a megabyte', () => entry({ description: 'x'.repeat(1_000_000) })],
    ['a comment that is an object', () => entry({}, { comment: {} })],
    ['a line that is not JSON', () => '{nonsense'],
    ['a line that is null', () => 'null'],
    ['a manifest without entries', () => ''],
    ['the same file twice', () => `${entry()},\n${entry()}`],
    ['one member for two files', () => `${entry()},\n${entry({ path: 'b.txt' })}`],
    ['one member for 300 versions', () => manyVersions(300)],
    ['missing folders', () => `${entry()},\n${folderLines(1000)}`],
    ['brackets that nest 100,000 deep', () => '['.repeat(100_000)],
  ]
  test.each(lies)('%s', async (_, lie) => {
    expect(await refusalOf(withManifest(lie()))).toMatch(
      /^(INVALID_INPUT|CHECKSUM_MISMATCH|NAME_CONFLICT)$/,
    )
    expect(({} as Record<string, unknown>).polluted).toBeUndefined()
  })

  test('one member for 300 versions is refused before a byte is staged, even within the quota', async () => {
    const bytes = Buffer.alloc(2 ** 20)
    const sha256 = createHash('sha256').update(bytes).digest('hex')
    const versions = Array.from({ length: 300 }, (_, i) => ({
      number: i + 1,
      size: bytes.length,
      sha256,
      comment: null,
      member: 'a.bin',
    }))
    const line = JSON.stringify({ path: 'a.bin', kind: 'file', versions })
    const zip = zipOf([
      { name: 'a.bin', bytes, deflate: true },
      { name: 'manifest.json', bytes: `${head}\n${line}\n]}\n`, deflate: true },
    ])
    expect(zip.length).toBeLessThan(10_000)
    const uploadId = await uploaded(zip)
    const stage = vi.spyOn(holdall.app.blobs, 'stage')
    const { id } = await createFolder(holdall, { workspaceId, name: 'versions' })
    const { reservedBytes } = await usageOf(holdall, workspaceId)
    const { code } = await unchanged(uploadId, () => importing(uploadId, id))
    expect([code, stage.mock.calls]).toEqual(['INVALID_INPUT', []])
    stage.mockRestore()
    expect(await usageOf(holdall, workspaceId)).toMatchObject({ reservedBytes })
  })

  test('with any byte changed it is imported whole or refused, and can be tried again', async () => {
    const source = await createFolder(holdall, { workspaceId, name: 'source' })
    await uploadFile(holdall, {
      workspaceId,
      folderId: source.id,
      name: 'a.txt',
      bytes: 'truth',
      tags: ['red'],
      metadata: { ph: 7 },
    })
    await uploadFile(holdall, {
      workspaceId,
      folderId: source.id,
      path: 'deep/er',
      name: 'b.bin',
      bytes: Buffer.alloc(300, 3),
    })
    const genuine = await archiveOf(holdall, source.id)
    let refused = 0
    const change = fc.tuple(fc.nat(genuine.length - 1), fc.integer({ min: 1, max: 255 }))
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 3 }), async (changes) => {
        const spoiled = Buffer.from(genuine)
        for (const [at, by] of changes) spoiled[at] = (spoiled[at] ?? 0) ^ by
        const folder = await createFolder(holdall, {
          workspaceId,
          name: 'fuzzed',
          onConflict: 'RENAME',
        })
        const uploadId = await uploaded(spoiled)
        const { code, entryCount } = await importing(uploadId, folder.id)
        if (code === undefined) {
          expect(entryCount).toBeGreaterThan(0)
          return
        }
        refused++
        expect(code).toMatch(
          /^(INVALID_INPUT|CHECKSUM_MISMATCH|NAME_CONFLICT|QUOTA_EXCEEDED|FILE_TOO_LARGE)$/,
        )
        expect(await children(holdall, folder.id)).toEqual([])
      }),
      { numRuns: 20 },
    )
    expect(refused).toBeGreaterThan(5)
    const folder = await createFolder(holdall, { workspaceId, name: 'again' })
    await createFolder(holdall, { folder: { id: folder.id }, name: 'a.txt' })
    const uploadId = await uploaded(genuine)
    expect((await importing(uploadId, folder.id)).code).toBe('NAME_CONFLICT')
    expect((await importing(uploadId, folder.id, { onConflict: 'RENAME' })).entryCount).toBe(4)
    expect(await findings(holdall)).toEqual([])
  })
})

/** A ZIP64 end record that claims so many members. */
function withZip64(zip: Buffer, count: bigint): Buffer {
  const end = zip.subarray(-22)
  const record = Buffer.alloc(56)
  record.writeUInt32LE(0x06064b50, 0)
  record.writeBigUInt64LE(44n, 4)
  for (const at of [24, 32]) record.writeBigUInt64LE(count, at)
  record.writeBigUInt64LE(BigInt(end.readUInt32LE(12)), 40)
  record.writeBigUInt64LE(BigInt(end.readUInt32LE(16)), 48)
  const locator = Buffer.alloc(20)
  locator.writeUInt32LE(0x07064b50, 0)
  locator.writeBigUInt64LE(BigInt(zip.length - 22), 8)
  locator.writeUInt32LE(1, 16)
  return Buffer.concat([zip.subarray(0, -22), record, locator, end])
}
