import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { scanLimits } from '../../../src/database/query/filtered-pages.ts'
import { workLimits } from '../../../src/database/query/work-budget.ts'
import {
  act,
  createFolder,
  createUpload,
  createWorkspace,
  downloadUrl,
  entryByPath,
  sendBytes,
  trashEntries,
  uploadFile,
  type WorkspaceHandle,
} from '../../support/client.ts'
import { startTestServer, type TestServer } from '../../support/servers/test-server.ts'

let holdall: TestServer
let lab: WorkspaceHandle

type Page = {
  totalCount: number
  nodes: { id: string; path: string }[]
  pageInfo: {
    hasNextPage: boolean
    hasPreviousPage: boolean
    startCursor: string
    endCursor: string
  }
}
const connection =
  'totalCount nodes { ... on Entry { id path } } pageInfo { hasNextPage hasPreviousPage startCursor endCursor }'

async function list(filter: object, args: object = { first: 100 }): Promise<Page> {
  const query = `query ($id: ID!, $filter: EntryFilter, $orderBy: EntryOrder, $first: Int, $after: String, $last: Int, $before: String) {
    workspace(by: { id: $id }) {
      entries(filter: $filter, orderBy: $orderBy, first: $first, after: $after, last: $last, before: $before) { ${connection} }
    }
  }`
  return (await holdall.ask(query, { id: lab.id, filter, ...args })).workspace.entries
}
const paths = async (filter: object) => (await list(filter)).nodes.map(({ path }) => path).sort()

/** Creates a file at a path, with its folders. */
const put = (path: string, more: object = {}) => {
  const slash = path.lastIndexOf('/') + 1
  const [folder, name] = [path.slice(0, slash), path.slice(slash)]
  return uploadFile(holdall, { workspaceId: lab.id, path: folder, name, bytes: path, ...more })
}

describe('over one tree', () => {
  const files = [
    'readme.md',
    'data/a.csv',
    'data/b.tsv',
    'data/2025/a.csv',
    'data/2025/raw/Plate 1.csv',
    'data2/a.csv',
    'drive/image/one.png',
    'drive/image/TWO.PNG',
    'drive/image/three.png.txt',
    'odd/a[1]*?{x}.txt',
    'Straße/Übung.txt',
  ]
  beforeAll(async () => {
    holdall = await startTestServer()
    lab = await createWorkspace(holdall)
    for (const path of files) await put(path)
  })
  afterAll(() => holdall?.[Symbol.asyncDispose]())

  test.each<[string, string[]]>([
    ['data/**/*.csv', ['data/2025/a.csv', 'data/2025/raw/Plate 1.csv', 'data/a.csv']],
    ['data/*', ['data/2025', 'data/a.csv', 'data/b.tsv']],
    ['data/?.{csv,tsv}', ['data/a.csv', 'data/b.tsv']],
    ['DATA/A.*', ['data/a.csv']],
    [
      'data/**',
      files
        .filter((path) => path.startsWith('data/'))
        .concat('data/2025', 'data/2025/raw')
        .sort(),
    ],
    ['**/raw', ['data/2025/raw']],
    ['**/a.csv', ['data/2025/a.csv', 'data/a.csv', 'data2/a.csv']],
    ['*.md', ['readme.md']],
    ['**.png', ['drive/image/TWO.PNG', 'drive/image/one.png']],
    ['{readme.*,d*2/a.csv}', ['data2/a.csv', 'readme.md']],
    ['odd/a[1]\\*\\?\\{x\\}.txt', ['odd/a[1]*?{x}.txt']],
    ['strasse/u\u0308b*', ['Straße/Übung.txt']],
    ['nowhere/**', []],
    ['data/a', []],
  ])('seed A3: the glob %s', async (pathGlob, wanted) => {
    expect(await paths({ pathGlob })).toEqual(wanted)
    expect((await list({ pathGlob }, { first: 1 })).totalCount).toBe(wanted.length)
  })

  test.each<[string, string[]]>([
    ['^drive/image/.*\\.png$', ['drive/image/one.png']],
    ['(?i)^drive/image/.*\\.png$', ['drive/image/TWO.PNG', 'drive/image/one.png']],
    ['\\.png', ['drive/image/one.png', 'drive/image/three.png.txt']],
    ['^data/\\d{4}$', ['data/2025']],
    ['^(data|data2)/a\\.csv$', ['data/a.csv', 'data2/a.csv']],
    ['^data/b|^readme', ['data/b.tsv', 'readme.md']],
    ['^dat[a-z]/[^/]+$', ['data/2025', 'data/a.csv', 'data/b.tsv']],
    ['^Straße/\\p{Lu}', ['Straße/Übung.txt']],
    ['^straße', []],
    ['Plate\\s1', ['data/2025/raw/Plate 1.csv']],
  ])('seed B7: the regex %s', async (pathRegex, wanted) => {
    expect(await paths({ pathRegex })).toEqual(wanted)
  })

  test('both at once, and with other filters', async () => {
    const both = { pathGlob: 'data/**', pathRegex: 'a\\.csv$' }
    expect(await paths(both)).toEqual(['data/2025/a.csv', 'data/a.csv'])
    expect(await paths({ ...both, pathPrefix: 'data/20' })).toEqual(['data/2025/a.csv'])
    expect(await paths({ pathGlob: '**', type: 'FOLDER', nameContains: 'raw' })).toEqual([
      'data/2025/raw',
    ])
    expect(await paths({ pathRegex: '', type: 'FOLDER' })).toHaveLength(8)
  })

  test.each([
    [{ pathRegex: 'a(b' }, /^filter\.pathRegex: missing closing \), at character 3$/],
    [{ pathRegex: 'x*|*a' }, /missing argument to repetition operator, at character 4$/],
    [{ pathRegex: 'ok/(?=x)' }, /invalid or unsupported Perl syntax, at character 4$/],
    [{ pathRegex: '(a)\\1' }, /invalid escape sequence, at character 4$/],
    [{ pathRegex: '(a{500}b{500}){3}' }, /pathRegex/],
    [{ pathRegex: 'x'.repeat(1001) }, /pattern has 1001 characters \(limit 1000\)/],
    [{ pathGlob: 'data/{a,b' }, /^filter\.pathGlob: unmatched {, at character 6$/],
    [{ pathGlob: '/data' }, /character 1$/],
    [{ pathGlob: '*'.repeat(1001) }, /pattern has 1001 characters \(limit 1000\)/],
  ])('seed B7: reports the position of an invalid pattern: %j', async (filter, message) => {
    const query = `query ($id: ID!, $filter: EntryFilter) { workspace(by: { id: $id }) { entries(filter: $filter) { totalCount } } }`
    const { status, errors } = await holdall.graphql(query, { id: lab.id, filter })
    expect(errors?.[0]).toMatchObject({
      message: expect.stringMatching(message),
      extensions: { code: 'INVALID_INPUT', path: ['filter', Object.keys(filter)[0]] },
    })
    expect(status).toBe(200)
  })

  test('in folders, under tags and in the trash, too', async () => {
    const csv = await put('tmp/x.csv', { tags: ['keep'] })
    await put('tmp/y.csv')
    const gone = await put('tmp/z.csv')
    await trashEntries(holdall, gone)
    const tmp = await entryByPath(holdall, lab.id, 'tmp')
    const query = `query ($folder: ID!, $id: ID!, $filter: EntryFilter) {
      node(id: $folder) { ... on Folder { children(filter: $filter) { ${connection} } } }
      workspace(by: { id: $id }) {
        trash(filter: $filter) { ${connection} }
        tags(nameContains: "keep") { nodes { entries(filter: $filter) { ${connection} } } }
      }
    }`
    const filter = { pathGlob: 'tmp/[xz]*' }
    const ask = async (filter: object) => {
      const { node, workspace } = await holdall.ask(query, { folder: tmp?.id, id: lab.id, filter })
      const lists = [node.children, workspace.tags.nodes[0].entries, workspace.trash]
      return lists.map(({ nodes }) => nodes.map(({ id }: { id: string }) => id))
    }
    expect(await ask(filter)).toEqual([[], [], []])
    expect(await ask({ pathGlob: 'tmp/{x,z}*' })).toEqual([[csv.id], [csv.id], [gone.id]])
    expect(await ask({ pathRegex: '^tmp/[xz]' })).toEqual([[csv.id], [csv.id], [gone.id]])
  })
})

describe('with limits', () => {
  const [{ rows }, { ms }] = [scanLimits, workLimits]
  beforeEach(async () => {
    holdall = await startTestServer()
    lab = await createWorkspace(holdall)
  })
  afterEach(async () => {
    Object.assign(scanLimits, { rows })
    Object.assign(workLimits, { ms })
    await holdall?.[Symbol.asyncDispose]()
  })

  test('pages of a pattern go forward and backward, in any order', async () => {
    for (let i = 0; i < 20; i++)
      await put(`box ${i % 3}/item ${String(i).padStart(2, '0')}.${i % 2 ? 'csv' : 'txt'}`)
    const filter = { pathGlob: '**/*.csv' }
    for (const orderBy of [
      { field: 'NAME' },
      { field: 'SIZE', direction: 'DESC', foldersFirst: false },
    ]) {
      const all = (await list(filter, { first: 100, orderBy })).nodes
      expect(all).toHaveLength(10)
      const forward: typeof all = []
      let after: string | undefined
      for (let more = true; more; ) {
        const page = await list(filter, { first: 3, orderBy, ...(after && { after }) })
        expect(page.totalCount).toBe(10)
        forward.push(...page.nodes)
        after = page.pageInfo.endCursor
        more = page.pageInfo.hasNextPage
      }
      expect(forward).toEqual(all)
      const back: typeof all = []
      let before: string | undefined
      for (let more = true; more; ) {
        const page = await list(filter, { last: 4, orderBy, ...(before && { before }) })
        back.unshift(...page.nodes)
        before = page.pageInfo.startCursor
        more = page.pageInfo.hasPreviousPage
      }
      expect(back).toEqual(all)
    }
  })

  test('a request that has scanned enough ends its page, and the next one continues', async () => {
    for (let i = 0; i < 30; i++) await put(`item ${String(i).padStart(2, '0')}.txt`)
    const wanted = [(await put('item 07.csv')).path, (await put('item 28.csv')).path]
    scanLimits.rows = 5
    const filter = { pathRegex: 'csv$' }
    const first = await list(filter, { first: 2 })
    expect([first.nodes.length, first.pageInfo.hasNextPage, first.totalCount]).toEqual([0, true, 0])
    const seen: string[] = []
    let [after, pages]: [string | null, number] = [first.pageInfo.endCursor, 1]
    while (after) {
      const page = await list(filter, { first: 2, after })
      seen.push(...page.nodes.map(({ path }) => path))
      after = page.pageInfo.hasNextPage ? page.pageInfo.endCursor : null
      pages += 1
    }
    expect([seen, pages]).toEqual([wanted, 7])
    const [back, befores]: [string[], number[]] = [[], []]
    let before: string | null = null
    do {
      const page = await list(filter, { last: 2, ...(before && { before }) })
      back.unshift(...page.nodes.map(({ path }) => path))
      before = page.pageInfo.hasPreviousPage ? page.pageInfo.startCursor : null
      befores.push(page.nodes.length)
    } while (before)
    expect([back, befores.length]).toEqual([wanted, 7])
  })

  test('S17: a pattern that is hard to match delays no other request', async () => {
    const name = 'ab'.repeat(120)
    for (let i = 0; i < 5; i++) await put(`${name}/${name}/${name}/${name} ${i}`)
    workLimits.ms = 1
    const page = await list({ pathRegex: '\\b(.*a.{100}){3}\\b$' }, { first: 10 })
    expect(page.pageInfo.hasNextPage).toBe(true)
    expect(page.nodes.length).toBeLessThan(9)
  })

  test('the lists of one request share its time: the second ends after a row, and continues in the next request', async () => {
    for (let i = 0; i < 8; i++) await put(`item ${i}.csv`)
    workLimits.ms = 0
    const requested = (alias: string, pattern: string) =>
      `${alias}: entries(filter: { pathRegex: "${pattern}" }, first: 5) {
        nodes { name } totalCount pageInfo { hasNextPage endCursor } }`
    const ask = (...lists: string[]) =>
      holdall.graphql(`query ($id: ID!) { workspace(by: { id: $id }) { ${lists.join(' ')} } }`, {
        id: lab.id,
      })
    const { data } = await ask(
      requested('a', 'csv$'),
      requested('b', 'csv$'),
      requested('c', 'csv$'),
    )
    for (const { nodes, totalCount, pageInfo } of Object.values<any>(data.workspace)) {
      expect(nodes.length).toBeLessThanOrEqual(1)
      expect(totalCount).toBeGreaterThanOrEqual(nodes.length)
      expect(pageInfo).toEqual({ hasNextPage: true, endCursor: expect.any(String) })
    }
    const { errors } = await ask(
      requested('a', 'csv$'),
      requested('b', '[cC]sv$'),
      requested('c', 'csv?$'),
    )
    expect(errors?.map(({ extensions }) => extensions?.code)).toEqual(['QUERY_TOO_COMPLEX'])
  })

  test('pathPrefix and within find the same through the folders as through the workspace', async () => {
    for (const path of ['a/1.txt', 'a/b/2.txt', 'a/b/c/3.txt', 'ab/4.txt', 'z/a/b/5.txt'])
      await put(path)
    expect(await paths({ pathPrefix: 'a/b' })).toEqual(['a/b', 'a/b/2.txt', 'a/b/c', 'a/b/c/3.txt'])
    expect(await paths({ pathPrefix: 'a/b/' })).toEqual(['a/b/2.txt', 'a/b/c', 'a/b/c/3.txt'])
    expect(await paths({ pathPrefix: 'a' })).toHaveLength(8)
    expect(await paths({ pathPrefix: 'x/y' })).toEqual([])
    const b = await entryByPath(holdall, lab.id, 'a/b')
    expect(await paths({ within: b?.id })).toEqual(['a/b/2.txt', 'a/b/c', 'a/b/c/3.txt'])
    expect(await paths({ within: b?.id, pathPrefix: 'a/b/c/' })).toEqual(['a/b/c/3.txt'])
    expect(await paths({ within: b?.id, pathPrefix: 'z/' })).toEqual([])
    await trashEntries(holdall, b as { id: string })
    expect(await paths({ pathPrefix: 'a/' })).toEqual(['a/1.txt'])
    expect(await paths({ within: b?.id })).toEqual([])
    expect(await paths({ pathPrefix: 'a/b/' })).toEqual([])
  })
})

describe('seed B19: names of all kinds survive every operation', () => {
  beforeAll(async () => {
    holdall = await startTestServer()
    lab = await createWorkspace(holdall)
  })
  afterAll(() => holdall?.[Symbol.asyncDispose]())

  test.each([
    'two words.txt',
    ' leading and trailing ',
    'a+b=c&d.txt',
    '100% #1.txt',
    '%2F%2e%2e.txt',
    `it's "quoted".txt`,
    'semi;colon,comma.txt',
    'back\\slash.txt',
    '<tag>&amp;.txt',
    '[x]{y}(z)*?.txt',
    '実験データ 🧪.csv',
    'مرحبا.txt',
    'Ünïcödé e\u0301.txt',
    '$HOME `ls`.txt',
    'x\u00a0nbsp.txt',
  ])('%s', async (name) => {
    const folder = `in ${name}`
    const upload = await createUpload(holdall, { workspaceId: lab.id, path: folder, name, size: 4 })
    await sendBytes(holdall, upload, 'data')
    const { file } = await act(
      holdall,
      'confirmUpload',
      { uploadId: upload.id },
      'file { id name path }',
    )
    const path = `${folder}/${name}`
    expect([file.name, file.path]).toEqual([name, path])
    expect((await entryByPath(holdall, lab.id, path))?.id).toBe(file.id)
    for (const filter of [
      { pathPrefix: path },
      { pathGlob: quotedGlob(path) },
      { pathRegex: quotedRegex(path) },
    ])
      expect([filter, (await list(filter)).nodes.map(({ id }) => id)]).toEqual([filter, [file.id]])
    const link = await holdall.http(await downloadUrl(holdall, file.id), { token: null })
    expect(await link.text()).toBe('data')
    expect(savedAs(link.headers.get('content-disposition') ?? '')).toBe(name)
    const bearer = await holdall.http(`/download/${file.id}`)
    expect(await bearer.text()).toBe('data')
    const byPath = { path: { workspaceId: lab.id, path } }
    const { entry } = await act(
      holdall,
      'updateEntry',
      { entry: byPath, description: 'x' },
      'entry { id name }',
    )
    expect(entry).toEqual({ id: file.id, name })
    const { folder: made } = await act(
      holdall,
      'createFolder',
      { folder: { path: { workspaceId: lab.id, path: folder } }, name: `sub ${name}` },
      'folder { path }',
    )
    expect(made.path).toBe(`${folder}/sub ${name}`)
    expect(await uploadByTus(name)).toBe(name)
  })

  const quotedGlob = (path: string) => path.replace(/[*?{}\\]/g, '\\$&')
  const quotedRegex = (path: string) => `^${path.replace(/[\\^$.|?*+()[\]{}]/g, '\\$&')}$`

  /** The name under which a browser saves the file (RFC 6266, RFC 8187). */
  function savedAs(disposition: string): string {
    const extended = /filename\*=UTF-8''([^;]+)/.exec(disposition)?.[1]
    if (extended) return decodeURIComponent(extended)
    const plain = /filename=(?:"((?:[^"\\]|\\.)*)"|([^;]+))/.exec(disposition)
    return plain?.[1]?.replace(/\\(.)/g, '$1') ?? plain?.[2] ?? ''
  }

  /** A plain tus client names the file in Upload-Metadata. */
  async function uploadByTus(name: string) {
    const value = (text: string) => Buffer.from(text).toString('base64')
    const folder = `tus ${name}`
    const metadata = { workspaceId: lab.id, path: folder, filename: name, confirm: 'auto' }
    const response = await holdall.http('/uploads', {
      method: 'POST',
      headers: {
        'tus-resumable': '1.0.0',
        'upload-length': '3',
        'content-type': 'application/offset+octet-stream',
        'upload-metadata': Object.entries(metadata)
          .map(([key, text]) => `${key} ${value(text)}`)
          .join(','),
      },
      body: 'tus',
    })
    expect(response.status).toBe(201)
    return (await entryByPath(holdall, lab.id, `${folder}/${name}`))?.name
  }
})

test('a folder created with createParents has the requested path', async () => {
  holdall = await startTestServer()
  await using _ = holdall
  lab = await createWorkspace(holdall)
  const made = await createFolder(holdall, {
    workspaceId: lab.id,
    name: 'a b/c#d/e%f',
    createParents: true,
  })
  expect(made.path).toBe('a b/c#d/e%f')
})
