import { createHash } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  act,
  createFolder,
  createWorkspace,
  entryByPath,
  trashEntries,
  uploadFile,
} from '../../support/client.ts'
import { invite, type Person } from '../../support/data/people.ts'
import { startTestServer, type TestServer } from '../../support/servers/test-server.ts'

const START = Date.parse('2025-06-01T09:00:00Z')
const minute = (minutes: number) => new Date(START + minutes * 60_000).toISOString()
let now = START
let holdall: TestServer
let workspaceId: string
let editor: Person

const png = Buffer.from('89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489', 'hex')

// No test changes these entries, which are created one minute apart.
beforeAll(async () => {
  holdall = await startTestServer({ now: () => now })
  ;({ id: workspaceId } = await createWorkspace(holdall))
  editor = await invite(holdall, workspaceId)
  const file = async (path: string, bytes: string | Buffer, more = {}, as = {}) => {
    const [name = '', ...folders] = path.split('/').reverse()
    now += 60_000
    await uploadFile(
      holdall,
      { workspaceId, name, path: folders.reverse().join('/'), bytes, ...more },
      as,
    )
  }
  const asEditor = { token: editor.token }
  const modifiedAt = (minutes: number) => ({ contentModifiedAt: minute(minutes) })
  await file('results/plate_1.csv', 'a,b\n', { tags: ['Raw', 'checked'], ...modifiedAt(-60) })
  await file('results/plate%1.csv', 'a,b,c\n', { tags: ['raw'] }, asEditor)
  await file('results/platex1.csv', '', { tags: ['CHECKED'] })
  await file('results/deep/er/Scan.PNG', png, { tags: ['raw', 'image'], ...modifiedAt(-30) })
  await file('results2/plate_1.csv', 'a,b\n', {}, asEditor)
  await file('results2/Größe \\.txt', 'x'.repeat(5000))
  await file('notes', 'text without an extension')
  now += 60_000
  await createFolder(holdall, { workspaceId, name: 'empty', tags: ['raw'] }, asEditor)
  now += 60_000
  const entry = { path: { workspaceId, path: 'results/platex1.csv' } }
  await act(holdall, 'updateEntry', { entry, description: 'seen' }, 'entry { id }')
})
afterAll(() => holdall[Symbol.asyncDispose]())

const folders = ['empty', 'results', 'results/deep', 'results/deep/er', 'results2']
const csv = [
  'results/plate%1.csv',
  'results/plate_1.csv',
  'results/platex1.csv',
  'results2/plate_1.csv',
]
const scan = 'results/deep/er/Scan.PNG'
const size = 'results2/Größe \\.txt'
const everything = [...folders, ...csv, scan, size, 'notes']

const pathsOf = (nodes: { path: string }[]) => nodes.map(({ path }) => path).sort()
async function found(filter: object): Promise<string[]> {
  const { workspace } = await holdall.ask(
    `query ($id: ID!, $filter: EntryFilter) {
      workspace(by: { id: $id }) { entries(filter: $filter) { nodes { path } totalCount } } }`,
    { id: workspaceId, filter },
  )
  const { nodes, totalCount } = workspace.entries
  expect(totalCount).toBe(nodes.length)
  return pathsOf(nodes)
}
async function foundIn(path: string, filter: object, field = 'children'): Promise<string[]> {
  const { workspace } = await holdall.ask(
    `query ($id: ID!, $path: String!, $filter: EntryFilter) { workspace(by: { id: $id }) {
      entryByPath(path: $path) { ... on Folder { ${field}(filter: $filter) { nodes { path } } } } } }`,
    { id: workspaceId, path, filter },
  )
  return pathsOf(workspace.entryByPath.children.nodes)
}
const idOf = async (path: string) => (await entryByPath(holdall, workspaceId, path))?.id
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')

const cases: [string, object, string[]][] = [
  ['nothing asked', {}, everything],
  ['type FILE', { type: 'FILE' }, [...csv, scan, size, 'notes']],
  ['type FOLDER', { type: 'FOLDER' }, folders],
  ['kinds', { kinds: ['SPREADSHEET', 'IMAGE'] }, [...csv, scan]],
  ['no kind at all', { kinds: [] }, []],
  ['kinds of folders: they have none', { kinds: ['IMAGE'], type: 'FOLDER' }, []],
  ['mediaTypes', { mediaTypes: ['TEXT/CSV', 'image/png'] }, [...csv, scan]],
  ['mediaTypes by family', { mediaTypes: ['Image/*', 'text/plain'] }, [scan, size, 'notes']],
  ['mediaTypes taken literally', { mediaTypes: ['text/%', 'text/cs_', '%/*'] }, []],
  ['nameContains', { nameContains: 'PLATE' }, csv],
  ['nameContains with _', { nameContains: 'plate_' }, [csv[1] as string, csv[3] as string]],
  ['nameContains with %', { nameContains: '%' }, [csv[0] as string]],
  ['nameContains with a backslash', { nameContains: ' \\.' }, [size]],
  ['nameContains in another form', { nameContains: 'GRO\u0308SSE' }, [size]],
  ['nameContains of a path', { nameContains: 'results/' }, []],
  ['nameContains longer than any name', { nameContains: 'x'.repeat(10_000) }, []],
  [
    'pathPrefix',
    { pathPrefix: 'results/' },
    everything.filter((path) => path.startsWith('results/')),
  ],
  [
    'pathPrefix without a slash',
    { pathPrefix: 'results' },
    everything.filter((path) => path.startsWith('results')),
  ],
  ['pathPrefix in other case', { pathPrefix: 'RESULTS/Deep/e' }, ['results/deep/er', scan]],
  ['pathPrefix taken literally', { pathPrefix: 'results/plate_' }, ['results/plate_1.csv']],
  ['pathPrefix with %', { pathPrefix: 'results/plate%' }, ['results/plate%1.csv']],
  ['pathPrefix of everything', { pathPrefix: '' }, everything],
  ['pathPrefix with a slash at its head', { pathPrefix: '/results' }, []],
  ['pathPrefix that ends in a name', { pathPrefix: 'results/deep/er/scan.png' }, [scan]],
  [
    'tags anyOf',
    { tags: { anyOf: ['checked', 'IMAGE', 'none'] } },
    [csv[1] as string, csv[2] as string, scan],
  ],
  ['tags allOf', { tags: { allOf: ['raw', 'Checked'] } }, [csv[1] as string]],
  [
    'tags noneOf',
    { tags: { noneOf: ['raw', 'checked'] }, type: 'FILE' },
    [csv[3] as string, size, 'notes'],
  ],
  [
    'tags of all three',
    { tags: { anyOf: ['raw'], allOf: [' raw '], noneOf: ['checked'] } },
    ['empty', csv[0] as string, scan],
  ],
  ['tags anyOf nothing', { tags: { anyOf: [] } }, []],
  ['tags allOf nothing', { tags: { allOf: [], noneOf: [] } }, everything],
  ['size from', { size: { gte: 33 }, type: 'FILE' }, [scan, size]],
  [
    'size to',
    { size: { lte: 4 } },
    ['empty', 'results/plate_1.csv', 'results/platex1.csv', 'results2/plate_1.csv'],
  ],
  ['size exactly', { size: { gte: 6, lte: 6 } }, ['results/plate%1.csv']],
  ['size of folders, with all they hold', { size: { gte: 5004, lte: 5004 } }, ['results2']],
  [
    'createdAt',
    { createdAt: { gte: minute(2), lt: minute(4) } },
    ['results/plate%1.csv', 'results/platex1.csv'],
  ],
  ['createdAt in another zone', { createdAt: { gte: '2025-06-01T11:08:00+02:00' } }, ['empty']],
  ['contentModifiedAt from', { contentModifiedAt: { gte: minute(-60) } }, [csv[1] as string, scan]],
  ['contentModifiedAt before', { contentModifiedAt: { lt: minute(-30) } }, [csv[1] as string]],
  ['contentModifiedAt without bounds', { contentModifiedAt: {} }, everything],
  ['contentModifiedAt of folders', { contentModifiedAt: { gte: minute(-60) }, type: 'FOLDER' }, []],
  ['updatedAt', { updatedAt: { gte: minute(9) } }, ['results/platex1.csv']],
  [
    'sha256',
    { sha256: sha256('a,b\n').toUpperCase() },
    ['results/plate_1.csv', 'results2/plate_1.csv'],
  ],
  [
    'many things at once',
    {
      type: 'FILE',
      pathPrefix: 'results/',
      tags: { anyOf: ['raw'] },
      kinds: ['SPREADSHEET'],
      size: { lte: 4 },
    },
    ['results/plate_1.csv'],
  ],
]

test.each(cases)('%s', async (_, filter, paths) => {
  expect(await found(filter)).toEqual([...paths].sort())
  // A folder's direct children are filtered by the same rules.
  const [inRoot, inResults] = [await foundIn('', filter), await foundIn('results', filter)]
  expect(inRoot).toEqual(paths.filter((path) => !path.includes('/')).sort())
  expect(inResults).toEqual(paths.filter((path) => /^results\/[^/]+$/.test(path)).sort())
})

test('createdBy', async () => {
  const theirs = ['empty', 'results/plate%1.csv', 'results2', 'results2/plate_1.csv']
  expect(await found({ createdBy: [editor.userId] })).toEqual(theirs)
  expect(await found({ createdBy: [editor.userId], type: 'FOLDER' })).toEqual(['empty', 'results2'])
  expect(await found({ createdBy: ['unknown'] })).toEqual([])
})

describe('within', () => {
  test('selects a subtree, without the folder itself', async () => {
    const within = await idOf('results')
    const below = everything.filter((path) => path.startsWith('results/')).sort()
    expect(await found({ within })).toEqual(below)
    expect(await found({ within, type: 'FOLDER' })).toEqual(['results/deep', 'results/deep/er'])
    expect(await found({ within: await idOf('') })).toEqual([...everything].sort())
    expect(await foundIn('results/deep', { within })).toEqual(['results/deep/er'])
    expect(await foundIn('results2', { within })).toEqual([])
  })

  test('takes a folder of this workspace', async () => {
    const other = await createWorkspace(holdall, { name: 'Other' })
    for (const within of [other.root.id, await idOf('notes'), `fld_${'0'.repeat(32)}`]) {
      const { errors } = await holdall.graphql(
        `query ($id: ID!, $within: ID) {
          workspace(by: { id: $id }) { entries(filter: { within: $within }) { nodes { id } } } }`,
        { id: workspaceId, within },
      )
      expect(errors?.[0]?.extensions).toMatchObject({
        code: 'NOT_FOUND',
        path: ['filter', 'within'],
      })
    }
  })
})

test('the entries of a tag are filtered by the same rules', async () => {
  const { workspace } = await holdall.ask(
    `query ($id: ID!) { workspace(by: { id: $id }) { tags(nameContains: "RAW") { nodes { name
      entries(filter: { type: FILE, pathPrefix: "results/", size: { gte: 5 } }) { nodes { path } totalCount } } } } }`,
    { id: workspaceId },
  )
  const [tag] = workspace.tags.nodes
  expect([tag.name, pathsOf(tag.entries.nodes)]).toEqual([
    'Raw',
    [scan, 'results/plate%1.csv'].sort(),
  ])
  expect(tag.entries.totalCount).toBe(2)
})

test('S18: the trash is filtered by original paths, literally and ignoring case', async () => {
  const other = await createWorkspace(holdall, { name: 'Trashing' })
  const box = await createFolder(holdall, { workspaceId: other.id, name: 'Data' })
  const inside = { workspaceId: other.id, folderId: box.id }
  await trashEntries(holdall, await uploadFile(holdall, { ...inside, name: 'Raw.csv', bytes: 'x' }))
  const trashed = async (filter: object) => {
    const { workspace } = await holdall.ask(
      `query ($id: ID!, $filter: EntryFilter) {
        workspace(by: { id: $id }) { trash(filter: $filter) { nodes { name } } } }`,
      { id: other.id, filter },
    )
    return workspace.trash.nodes.map(({ name }: { name: string }) => name)
  }
  for (const pathPrefix of ['Data/Raw', 'data/R', 'DATA/RAW.CSV'])
    expect([pathPrefix, await trashed({ pathPrefix })]).toEqual([pathPrefix, ['Raw.csv']])
  for (const pathPrefix of ['data_r', 'data/%', 'ata/', 'Data\\'])
    expect([pathPrefix, await trashed({ pathPrefix })]).toEqual([pathPrefix, []])
  expect(await trashed({ mediaTypes: ['TEXT/*'], nameContains: 'RAW' })).toEqual(['Raw.csv'])
})

test.each<[string[], object]>([
  [['mediaTypes'], { mediaTypes: Array.from({ length: 101 }, () => 'a/b') }],
  [['createdBy'], { createdBy: Array.from({ length: 101 }, () => 'usr') }],
  [['tags', 'allOf'], { tags: { allOf: Array.from({ length: 101 }, (_, i) => `${i}`) } }],
  [['nameContains'], { nameContains: 'x'.repeat(20_001) }],
  [['pathPrefix'], { pathPrefix: 'ä'.repeat(10_001) }],
])('rejects too many %j', async (path, filter) => {
  const { errors, data } = await holdall.graphql(
    `query ($id: ID!, $filter: EntryFilter) { workspace(by: { id: $id }) {
      entries(filter: $filter) { totalCount } trash(filter: $filter) { totalCount } } }`,
    { id: workspaceId, filter },
  )
  const problem = { extensions: { code: 'INVALID_INPUT', path: ['filter', ...path] } }
  expect(data.workspace).toBe(null)
  expect(errors?.[0]).toMatchObject(problem)
})

test('S18: a NUL in a filter finds nothing or is rejected, and is never an internal error', async () => {
  const query = `query ($id: ID!, $text: String!) { workspace(by: { id: $id }) {
    search(query: $text, first: 1) { totalCount } entries(filter: { nameContains: $text }, first: 1) { totalCount } } }`
  const { status, data, errors } = await holdall.graphql(query, { id: workspaceId, text: 'a\0b' })
  expect(status).toBeLessThan(500)
  expect(errors?.map(({ extensions }) => extensions?.code) ?? []).not.toContain(
    'INTERNAL_SERVER_ERROR',
  )
  expect(data?.workspace?.entries.totalCount ?? 0).toBe(0)
})
