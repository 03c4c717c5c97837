import { parse } from 'content-disposition'
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import {
  act,
  batchDone,
  children,
  createFolder,
  createWorkspace,
  download,
  downloadUrl,
  entryByPath,
  items,
  uploadFile,
} from '../../support/client.ts'
import { expectRefused } from '../../support/data/refusals.ts'
import { startTestServer, type TestServer } from '../../support/servers/test-server.ts'

let holdall: TestServer
let workspaceId: string
let root: { id: string }

beforeEach(async () => {
  holdall = await startTestServer()
  onTestFinished(() => holdall[Symbol.asyncDispose]())
  ;({ id: workspaceId, root } = await createWorkspace(holdall))
})

const folder = (name: string, more = {}) => createFolder(holdall, { workspaceId, name, ...more })
const file = (name: string, more = {}) =>
  uploadFile(holdall, { workspaceId, name, bytes: `bytes of ${name}`, ...more })
const rename = async (id: string, name: string) =>
  (await act(holdall, 'updateEntry', { entry: { id }, name }, 'entry { name path revision }')).entry

test.each([
  ['the two ways to write é', 'caf\u00e9', 'cafe\u0301'],
  ['case', 'Report.PDF', 'report.pdf'],
  ['case beyond ASCII', 'ÄPFEL', 'äpfel'],
  ['ﬁ and fi', '\ufb01le', 'FILE'],
  ['ß and ss', 'Straße', 'STRASSE'],
  ['İ and its own small letter', '\u0130zmir', 'i\u0307zmir'],
])('S3, S4: two names that differ only in %s cannot be in one folder', async (_, one, other) => {
  const { id } = await folder(one)
  expect(await expectRefused(holdall, 'createFolder', { workspaceId, name: other })).toMatchObject({
    code: 'NAME_CONFLICT',
    existing: { id, name: one },
  })
  const upload = { workspaceId, name: other, size: 1 }
  expect(await expectRefused(holdall, 'createUpload', upload)).toMatchObject({ existing: { id } })
  expect(await entryByPath(holdall, workspaceId, other)).toMatchObject({ id, name: one })
  const away = await folder('away')
  await createFolder(holdall, { folder: { id: away.id }, name: other })
})

test.each([
  ['İ and i', '\u0130zmir', 'izmir'],
  ['accents', 'resume', 'résumé'],
  ['alphabets', 'a', '\u0430'],
  ['white space', 'a', 'a '],
])('S3: two names that differ in %s can', async (_, one, other) => {
  const [first, second] = [await folder(one), await folder(other)]
  expect(await entryByPath(holdall, workspaceId, one)).toMatchObject({ id: first.id })
  expect(await entryByPath(holdall, workspaceId, other)).toMatchObject({ id: second.id })
})

test('S4: an entry may change the case of its own name', async () => {
  const [made, below] = [await folder('data'), await folder('Data/Raw', { createParents: true })]
  expect(await rename(made.id, 'DATA')).toEqual({ name: 'DATA', path: 'DATA', revision: 2 })
  expect(await entryByPath(holdall, workspaceId, 'data/raw')).toMatchObject({
    id: below.id,
    path: 'DATA/Raw',
  })
  const { id } = await file('cafe\u0301.txt')
  expect(await rename(id, 'Caf\u00e9.txt')).toMatchObject({ name: 'Caf\u00e9.txt', revision: 2 })
})

test.each([
  ['a control character', 'a\u0007b'],
  ['NUL', 'a\0b'],
  ['a line break', 'a\r\nX-Evil: 1'],
  ['a right-to-left override', 'invoice\u202efdp.exe'],
  ['a slash', 'a/b'],
  ['.', '.'],
  ['..', '..'],
  ['.. for Windows', '..\\x'],
  ['white space alone', '  '],
  ['nothing', ''],
  ['256 bytes', 'é'.repeat(128)],
])('S1, S2: %s is rejected as a name by every operation', async (_, name) => {
  const { id } = await folder('there')
  const wrong = {
    code: 'INVALID_INPUT',
    path: ['name'],
    issues: [{ path: ['name'], message: expect.stringMatching(/./) }],
  }
  expect(await expectRefused(holdall, 'createFolder', { workspaceId, name })).toMatchObject(wrong)
  expect(await expectRefused(holdall, 'updateEntry', { entry: { id }, name })).toMatchObject(wrong)
  expect(
    await expectRefused(holdall, 'createUpload', { workspaceId, name, size: 1 }),
  ).toMatchObject(wrong)
})

test('S2: a lone surrogate is rejected as a name', async () => {
  const body = (name: string) =>
    JSON.stringify({
      query: `mutation ($input: CreateFolderInput!) {
        createFolder(input: $input) { ... on UserError { code path message } } }`,
      variables: { input: { workspaceId, name: 'NAME' } },
    }).replace('NAME', name)
  for (const name of ['a\\ud800', '\\udc00a', '\\udc00\\ud800']) {
    const headers = { 'content-type': 'application/json' }
    const response = await holdall.http('/graphql', { method: 'POST', headers, body: body(name) })
    expect(await response.json()).toEqual({
      data: {
        createFolder: {
          ...{ code: 'INVALID_INPUT', path: ['name'] },
          message: expect.stringMatching(
            /^name: name contains U\+D[8C]00, half of a surrogate pair: the text was cut inside a/,
          ),
        },
      },
    })
  }
  expect(await children(holdall, root.id)).toEqual([])
})

const speaking = [
  'a b',
  ' lead and trail ',
  '1+1=2',
  '#1 100% %2F %00',
  `it's "so" \`rm -rf ~\``,
  'a;b&c?d=e',
  '<script>alert(1)',
  'C:\\plates\\1',
  'CON',
  '.hidden',
  'trailing.',
  '{a,b}*?[x]',
  '%_\\',
  'данные',
  '数据 🧬👩‍🔬',
  'e\u0301\u00e9',
  'x'.repeat(255),
  '🧬'.repeat(63),
]

test('S2: a name is shown as it was given, and matches in every path', async () => {
  for (const name of speaking) {
    const made = await folder(name)
    expect([made.name, made.path]).toEqual([name, name])
    expect(await entryByPath(holdall, workspaceId, name)).toMatchObject({ id: made.id, name })
    const inside = await file(name, { folderId: made.id })
    expect([inside.name, inside.path]).toEqual([name, `${name}/${name}`])
    expect(await entryByPath(holdall, workspaceId, inside.path)).toMatchObject({ id: inside.id })
    const below = await file(`${name.slice(0, 100)}.x`, { path: name })
    expect(below.path.startsWith(`${name}/`)).toBe(true)
  }
  const shown = (await children(holdall, root.id)).map(({ name }) => name)
  expect(shown.sort()).toEqual([...speaking].sort())
})

test('S2, S7: a file of any name is downloaded under that name', async () => {
  for (const name of speaking) {
    const { id } = await file(name)
    expect((await download(holdall, id)).toString()).toBe(`bytes of ${name}`)
    const response = await holdall.http(await downloadUrl(holdall, id), {
      method: 'HEAD',
      token: null,
    })
    const header = response.headers.get('content-disposition') ?? ''
    expect(parse(header).parameters.filename).toBe(name)
  }
})

test('a free name has its number before the extension, and stays within 255 bytes', async () => {
  const names: string[] = []
  const again = { onConflict: 'RENAME' }
  for (const name of ['data.tar.gz', 'README', '.bashrc', `${'é'.repeat(125)}.xlsx`]) {
    for (let i = 0; i < 3; i++) names.push((await file(name, again)).name)
  }
  expect(names).toEqual([
    'data.tar.gz',
    'data (2).tar.gz',
    'data (3).tar.gz',
    'README',
    'README (2)',
    'README (3)',
    '.bashrc',
    '.bashrc (2)',
    '.bashrc (3)',
    `${'é'.repeat(125)}.xlsx`,
    `${'é'.repeat(123)} (2).xlsx`,
    `${'é'.repeat(123)} (3).xlsx`,
  ])
})

describe('F13: fifty concurrent requests for one name', () => {
  const runFifty = <T>(act: (i: number) => Promise<T>) =>
    Promise.all(Array.from({ length: 50 }, (_, i) => act(i)))
  const names = async () => (await children(holdall, root.id)).map(({ name }) => name)

  test('FAIL admits one', async () => {
    const made = await runFifty((i) => folder(i % 2 ? 'Data' : 'dAtA').catch(() => null))
    expect(made.filter(Boolean)).toHaveLength(1)
    expect(await names()).toHaveLength(1)
  })

  test('RENAME creates fifty', async () => {
    await runFifty(() => folder('data', { onConflict: 'RENAME' }))
    const numberedNames = Array.from({ length: 49 }, (_, i) => `data (${i + 2})`)
    expect((await names()).sort()).toEqual(['data', ...numberedNames].sort())
  })

  test('moved into one folder by RENAME all get a name', async () => {
    const there = await runFifty((i) => folder(`${i}/x`, { createParents: true }))
    const to = await folder('to')
    const destination = { id: to.id }
    const input = { folder: destination, onConflict: 'RENAME' }
    await runFifty((i) =>
      batchDone(holdall, 'moveEntries', { ...input, entries: items(there[i] ?? to) }),
    )
    expect(await children(holdall, to.id)).toHaveLength(50)
  })
})
