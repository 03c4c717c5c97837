import { spawnSync } from 'node:child_process'
import { globSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import {
  act,
  attempt,
  children,
  createFolder,
  createUpload,
  createWorkspace,
  entryByPath,
  uploadFile,
} from '../../support/client.ts'
import { keysOf } from '../../support/data/bytes.ts'
import { archiveOf } from '../../support/data/zips.ts'
import { postForm } from '../../support/network/forms.ts'
import { metadata, tusOf } from '../../support/network/tus.ts'
import { startTestServer, type TestServer } from '../../support/servers/test-server.ts'

let holdall: TestServer
let workspaceId: string
let rootId: string
beforeAll(async () => {
  holdall = await startTestServer()
  const workspace = await createWorkspace(holdall)
  workspaceId = workspace.id
  rootId = workspace.root.id
  return () => holdall[Symbol.asyncDispose]()
})

const base64 = (bytes: string | Uint8Array) => Buffer.from(bytes).toString('base64')
const post = (declared: string) =>
  tusOf(holdall).post({ 'Upload-Length': '1', 'Upload-Metadata': declared }).then(codeIn)
async function codeIn(response: Response): Promise<string> {
  return response.ok ? 'made' : ((await response.json()) as { code: string }).code
}
const formCode = async (fields: Parameters<typeof postForm>[1]) =>
  (await postForm(holdall, { workspaceId, file: { name: 'a.txt', bytes: 'x' }, ...fields })).body
    .code

/** Returns the result of `fn`, and checks that no entry and no blob was added. */
async function unchanged<T>(act: () => Promise<T>): Promise<T> {
  const all = async () => ({
    entries: await holdall.app.db.selectFrom('entries').selectAll().orderBy('id').execute(),
    bytes: [await keysOf(holdall, 'staged'), await keysOf(holdall, 'kept')],
  })
  const before = await all()
  const answer = await act()
  expect(await all()).toEqual(before)
  return answer
}

/** Every operation that takes a folder path, with the code of its error. */
const pathOperations: Record<string, (path: string) => Promise<string>> = {
  createFolder: async (name) =>
    (
      await attempt(
        holdall,
        'createFolder',
        { workspaceId, name, createParents: true },
        '__typename',
      )
    ).code,
  createUpload: async (path) =>
    (
      await attempt(
        holdall,
        'createUpload',
        { workspaceId, path, name: 'a', size: 1 },
        '__typename',
      )
    ).code,
  'the place of a folder': async (path) =>
    (
      await attempt(
        holdall,
        'createFolder',
        { folder: { path: { workspaceId, path } }, name: 'a' },
        '__typename',
      )
    ).code,
  entryByPath: async (path) => {
    const query = `query ($id: ID!, $path: String!) { workspace(by: { id: $id }) { entryByPath(path: $path) { id } } }`
    const { errors } = await holdall.graphql(query, { id: workspaceId, path })
    return errors?.[0]?.extensions?.code
  },
  'the metadata of tus': (path) => post(metadata({ workspaceId, path, filename: 'a' })),
  'the field of a form': (path) => formCode({ path }),
  'dir in the query of a form': async (dir) => {
    const query = `?${new URLSearchParams({ dir })}`
    const file = { name: 'a.txt', bytes: 'x' }
    return (await postForm(holdall, { workspaceId, file }, { query })).body.code
  },
}

/** Every operation that takes a name. */
const nameOperations: Record<string, (name: string) => Promise<string>> = {
  createFolder: async (name) =>
    (await attempt(holdall, 'createFolder', { workspaceId, name }, '__typename')).code,
  createUpload: async (name) =>
    (await attempt(holdall, 'createUpload', { workspaceId, name, size: 1 }, '__typename')).code,
  'name of tus': (name) => post(metadata({ workspaceId, name })),
  'filename of tus': (filename) => post(metadata({ workspaceId, filename })),
  'the name in a form': (name) => formCode({ name }),
}

const climbing = [
  '../x',
  'a/../../x',
  '..',
  'a/..',
  './x',
  'a/./x',
  '..\\x',
  'a\\..\\..\\x',
  '/etc/x',
  '//etc/x',
  'a//x',
  'a\0/x',
  '\0',
]

describe.each(Object.entries(pathOperations))('S1: no path escapes by %s', (_, way) => {
  test.each(climbing)('%j', async (path) => {
    const code = await unchanged(() => way(path))
    expect(code).toMatch(/^(INVALID_INPUT|NOT_FOUND)$/)
  })
})

describe.each(Object.entries(nameOperations))('S1: no name escapes by %s', (_, way) => {
  test.each([...climbing, 'a/b'])('%j', async (name) => {
    expect(await unchanged(() => way(name))).toBe('INVALID_INPUT')
  })
})

test('S1: the file name of a form is reduced to its last part', async () => {
  const away = await createFolder(holdall, { workspaceId, name: 'form' })
  for (const [i, given] of [
    '../../up.txt',
    '/etc/passwd',
    '..\\..\\win.txt',
    'C:\\x\\c.txt',
  ].entries()) {
    const file = { name: given, bytes: `${i}` }
    const { status, body } = await postForm(holdall, { workspaceId, folderId: away.id, file })
    expect([status, body.path]).toEqual([201, `form/${given.split(/[\\/]/).at(-1)}`])
  }
})

test('S1: invalid UTF-8 is rejected, such as overlong dots and slashes', async () => {
  const overlong = [
    Buffer.from([0xc0, 0xae, 0xc0, 0xae, 0xc0, 0xaf]),
    Buffer.from([0xe0, 0x80, 0xaf]),
  ]
  for (const bytes of overlong) {
    for (const key of ['filename', 'path']) {
      const declared = `workspaceId ${base64(workspaceId)},${key} ${base64(bytes)}`
      expect(await unchanged(() => post(declared))).toBe('INVALID_INPUT')
    }
    const [head, tail] = [
      `{"query":"mutation($n:String!){createFolder(input:{workspaceId:\\"${workspaceId}\\",name:$n}){... on CreateFolderPayload{folder{name}} ... on UserError{code}}}","variables":{"n":"`,
      '"}}',
    ]
    const response = await holdall.http('/graphql', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: Buffer.concat([Buffer.from(head), bytes, Buffer.from(tail)]),
    })
    // JSON is UTF-8: invalid sequences become U+FFFD, never a dot or a slash.
    const { data } = (await response.json()) as any
    expect(data?.createFolder.folder?.name ?? '\ufffd').toMatch(/^\ufffd+$/)
  }
})

test('S1: percent-encoded names and drive letters are ordinary names within their folder', async () => {
  const { id } = await createFolder(holdall, { workspaceId, name: 'literal' })
  for (const name of [
    '%2e%2e%2f',
    '%2e%2e',
    '..%2f',
    '%00',
    'C:\\',
    'C:',
    '...',
    '~',
    '$HOME',
    '․․',
  ]) {
    const inside = await uploadFile(holdall, { workspaceId, folderId: id, name, bytes: name })
    expect(inside.path).toBe(`literal/${name}`)
    const made = await createFolder(holdall, {
      workspaceId,
      name: `literal/as folder/${name}`,
      createParents: true,
    })
    expect(made.path).toBe(`literal/as folder/${name}`)
    expect(await entryByPath(holdall, workspaceId, inside.path)).toMatchObject({ id: inside.id })
  }
  const above = await holdall.http(`/download/..%2f..%2fetc%2fpasswd`)
  expect([above.status, await codeIn(above)]).toEqual([403, 'URL_INVALID'])
})

test('S1: no input is part of a path of the blob store', async () => {
  await uploadFile(holdall, {
    workspaceId,
    name: 'needle in the hay.bin',
    path: 'needle',
    bytes: 'x',
  })
  await createUpload(holdall, { workspaceId, name: 'needle, open', size: 5 })
  const paths = globSync('**', { cwd: holdall.dir }).filter((path) => path.startsWith('blobs/'))
  expect(paths.length).toBeGreaterThan(3)
  for (const path of paths)
    expect(path).toMatch(
      /^blobs(\/installation\.json|\/(staged|kept)(\/[0-9a-f]{2}){0,2}(\/[a-z]*_?[0-9a-f]{32})?)?$/,
    )
})

/** Returns the warnings of a folder's entries by name. */
async function warnings(folderId: string): Promise<Record<string, string[]>> {
  const query = `query ($id: ID!) {
    node(id: $id) { ... on Folder { children { nodes { name nameWarnings } } } }
  }`
  const { node } = await holdall.ask(query, { id: folderId })
  return Object.fromEntries(
    node.children.nodes.map((entry: any) => [entry.name, entry.nameWarnings]),
  )
}

describe('S2: names that other systems interpret', () => {
  const odd = [
    'CON',
    'aux.txt',
    'COM1',
    'nul.',
    'trailing.',
    'trailing ',
    'a:b',
    'a<b>|c?*',
    'a\\b',
    'a\u200bb',
    '👩‍🔬.fa',
    'x'.repeat(255),
  ]

  test.runIf(spawnSync('unzip', ['-v']).status === 0)(
    'is accepted as a name, and mapped in archives',
    async () => {
      const { id } = await createFolder(holdall, { workspaceId, name: 'odd' })
      for (const name of odd)
        await uploadFile(holdall, { workspaceId, folderId: id, name, bytes: name })
      expect((await children(holdall, id)).map(({ name }) => name).sort()).toEqual([...odd].sort())
      const dir = mkdtempSync(join(tmpdir(), 'holdall-unzipped-'))
      onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
      writeFileSync(join(dir, 'a.zip'), await archiveOf(holdall, id))
      expect(spawnSync('unzip', ['-q', 'a.zip', '-d', 'out'], { cwd: dir }).status).toBe(0)
      const names = globSync('*', { cwd: join(dir, 'out') })
      expect(names).toHaveLength(odd.length + 1)
      for (const name of names) {
        expect(name).not.toMatch(/^(con|aux|nul|com1)(\.|$)|[<>:"|?*\\]|[. ]$/i)
      }
      expect(globSync('*', { cwd: dir }).sort()).toEqual(['a.zip', 'out'])
    },
  )

  test('gets a warning, for files and folders', async () => {
    const { id } = await createFolder(holdall, { workspaceId, name: 'warned' })
    for (const name of odd) await createFolder(holdall, { folder: { id }, name })
    await uploadFile(holdall, { workspaceId, folderId: id, name: 'Aux.csv', bytes: 'x' })
    expect(await warnings(id)).toEqual({
      ...Object.fromEntries(odd.map((name) => [name, ['RESERVED_ON_WINDOWS']])),
      'Aux.csv': ['RESERVED_ON_WINDOWS'],
      'a\u200bb': ['INVISIBLE_CHARACTERS'],
      '👩‍🔬.fa': [],
      ['x'.repeat(255)]: [],
    })
  })

  test('gets its warning for the holder of a share, too', async () => {
    const { id } = await createFolder(holdall, { workspaceId, name: 'nul.txt' })
    const { shareLink } = await act(
      holdall,
      'createShareLink',
      { entry: { id } },
      'shareLink { token }',
    )
    const query = 'query ($token: String!) { shared(token: $token) { entry { nameWarnings } } }'
    const { shared } = await holdall.ask(query, shareLink, { token: null })
    expect(shared.entry.nameWarnings).toEqual(['RESERVED_ON_WINDOWS'])
  })

  test.each([
    'a\u202eb',
    'a\u2066b',
    'a\u200fb',
    'a\u061cb',
    'a\u0085b',
    'a\u009bb',
    'a\u001b[31mb',
    'a\ufffeb',
  ])('with bidi or control characters is rejected: %j', async (name) => {
    for (const way of Object.values(nameOperations)) expect(await way(name)).toBe('INVALID_INPUT')
  })

  test('cannot be nested below the maximum depth', async () => {
    const path = Array(66).fill('d').join('/')
    for (const way of Object.values(pathOperations)) {
      expect(await unchanged(() => way(path))).toMatch(/^(INVALID_INPUT|NOT_FOUND)$/)
    }
  })
})

test('S3: equal names conflict in every operation, RENAME resolves them, and look-alikes differ', async () => {
  const { id } = await createFolder(holdall, { workspaceId, name: 'twins' })
  const twins = [
    ['caf\u00e9', 'cafe\u0301'],
    ['\ufb01le', 'FILE'],
    ['\u212bngstrom', '\u00c5NGSTROM'],
    ['\u0130x', 'i\u0307x'],
  ] as const
  for (const [one, other] of twins) {
    await uploadFile(holdall, { workspaceId, folderId: id, name: one, bytes: 'x' })
    expect(await post(metadata({ workspaceId, folderId: id, filename: other }))).toBe(
      'NAME_CONFLICT',
    )
    expect(await formCode({ folderId: id, name: other })).toBe('NAME_CONFLICT')
    const renamed = { folderId: id, name: other, onConflict: 'RENAME' }
    const made = await uploadFile(holdall, { workspaceId, ...renamed, bytes: 'y' })
    expect(made.name).toBe(`${other} (2)`)
  }
  const lookAlikes = ['a', '\u0430', '\u0251', 'I', '\u0131', '\u217c', 'l', 'p\u0430ypal']
  for (const name of lookAlikes)
    await uploadFile(holdall, { workspaceId, folderId: id, name, bytes: 'z' })
  expect(await warnings(id)).toMatchObject({
    ...{ a: [], I: [], l: [], 'caf\u00e9': [], '\u0131': [] },
    '\u0430': ['LOOKS_LIKE_ANOTHER'],
    '\u0251': ['LOOKS_LIKE_ANOTHER'],
    '\u217c': ['LOOKS_LIKE_ANOTHER'],
    'p\u0430ypal': ['MIXED_SCRIPTS', 'LOOKS_LIKE_ANOTHER'],
  })
})

test('S4: A.txt and a.txt are one name in every operation; a file may change its own case', async () => {
  const { id } = await createFolder(holdall, { workspaceId, name: 'case' })
  const file = await uploadFile(holdall, { workspaceId, folderId: id, name: 'A.txt', bytes: 'x' })
  for (const code of [
    await post(metadata({ workspaceId, folderId: id, filename: 'a.TXT' })),
    await formCode({ folderId: id, name: 'a.txt' }),
    (await attempt(holdall, 'createFolder', { folder: { id }, name: 'a.txt' }, '__typename')).code,
  ])
    expect(code).toBe('NAME_CONFLICT')
  const renamed = await attempt(
    holdall,
    'updateEntry',
    { entry: { id: file.id }, name: 'a.txt' },
    'entry { name }',
  )
  expect(renamed.entry).toEqual({ name: 'a.txt' })
  expect((await children(holdall, rootId)).map(({ name }) => name)).not.toContain('a.txt')
})
