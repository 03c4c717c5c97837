import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import {
  act,
  attempt,
  batch,
  batchDone,
  children,
  createFolder,
  createWorkspace,
  download,
  entryByPath,
  items,
  lookUp,
  totalsOf,
  trashEntries,
  uploadFile,
} from '../../support/client.ts'
import { expectRefused } from '../../support/data/refusals.ts'
import { mapConcurrently } from '../../support/servers/pooled.ts'
import { startTestServer, type TestServer } from '../../support/servers/test-server.ts'

let holdall: TestServer
let workspaceId: string
let root: { id: string }

beforeEach(async () => {
  holdall = await startTestServer()
  onTestFinished(() => holdall[Symbol.asyncDispose]())
  ;({ id: workspaceId, root } = await createWorkspace(holdall))
})

type Id = { id: string }
const folder = (name: string) => createFolder(holdall, { workspaceId, name, createParents: true })
const file = (path: string, bytes = path) => {
  const [name = '', ...folders] = path.split('/').reverse()
  return uploadFile(holdall, { workspaceId, path: folders.reverse().join('/'), name, bytes })
}
const at = async (path: string) => {
  const found = await entryByPath(holdall, workspaceId, path)
  if (!found) throw new Error(`nothing is at ${path}`)
  return found
}
const move = (entries: Id[], { id }: Id, more = {}) =>
  batchDone(holdall, 'moveEntries', { entries: items(...entries), folder: { id }, ...more })
const moving = (entries: Id[], { id }: Id, more = {}) => ({
  entries: items(...entries),
  folder: { id },
  ...more,
})
const pathOf = async (entry: Id) => (await lookUp(holdall, entry, 'path')).path
/** Returns all paths below the root. */
async function tree(): Promise<string[]> {
  const query = `query ($id: ID!) {
    workspace(by: { id: $id }) { entries(orderBy: { foldersFirst: false }) { nodes { path } } }
  }`
  const { workspace } = await holdall.ask(query, { id: workspaceId })
  return workspace.entries.nodes.map(({ path }: { path: string }) => path).sort()
}

test('a folder moves with its content, and every path changes at once', async () => {
  const a = await folder('a')
  const made = [await folder('a/b/c'), await file('a/b/c/1.txt'), await file('a/2.txt')]
  await folder('a b')
  const to = await folder('Ziel/é')
  const [moved] = await move([a], to)
  expect(moved).toEqual({
    __typename: 'Folder',
    id: a.id,
    name: 'a',
    path: 'Ziel/é/a',
    revision: 2,
  })
  expect(await Promise.all(made.map(pathOf))).toEqual([
    'Ziel/é/a/b/c',
    'Ziel/é/a/b/c/1.txt',
    'Ziel/é/a/2.txt',
  ])
  expect(await tree()).toEqual(
    [
      'Ziel',
      'Ziel/é',
      'Ziel/é/a',
      'Ziel/é/a/2.txt',
      'Ziel/é/a/b',
      'Ziel/é/a/b/c',
      'Ziel/é/a/b/c/1.txt',
      'a b',
    ].sort(),
  )
  expect(await entryByPath(holdall, workspaceId, 'a/2.txt')).toBe(null)
  expect(await at('ziel/É/a/b/c/1.TXT')).toMatchObject({ id: made[1]?.id })
  expect((await download(holdall, made[1]?.id ?? '')).toString()).toBe('a/b/c/1.txt')
})

test('the content of a moved folder is not modified', async () => {
  const [a, b, c] = [await folder('a'), await folder('a/b'), await folder('c')]
  const one = await file('a/1.txt')
  const fields = 'revision updatedAt parent { id }'
  const before = [await lookUp(holdall, b, fields), await lookUp(holdall, one, fields)]
  await move([a], c)
  expect([await lookUp(holdall, b, fields), await lookUp(holdall, one, fields)]).toEqual(before)
})

test('the totals of both sides are exact', async () => {
  const [from, to] = [await folder('x/from'), await folder('y/to')]
  await file('x/from/a/1.bin', '1234')
  await file('x/from/a/2.bin', '12')
  await file('y/to/3.bin', '1')
  await move([await at('x/from/a')], to)
  expect(await totalsOf(holdall, from)).toEqual({ bytes: 0, fileCount: 0, folderCount: 0 })
  expect(await totalsOf(holdall, await at('x'))).toEqual({ bytes: 0, fileCount: 0, folderCount: 1 })
  expect(await totalsOf(holdall, to)).toEqual({ bytes: 7, fileCount: 3, folderCount: 1 })
  expect(await totalsOf(holdall, await at('y'))).toEqual({ bytes: 7, fileCount: 3, folderCount: 2 })
  expect(await totalsOf(holdall, root)).toEqual({ bytes: 7, fileCount: 3, folderCount: 5 })
})

test('files and folders move together, by id and by path, into the root by its empty path', async () => {
  const [a, one] = [await folder('x/a'), await file('x/1.txt')]
  const entries = [{ entry: { id: a.id } }, { entry: { path: { workspaceId, path: 'X/1.TXT' } } }]
  const destination = { path: { workspaceId, path: '' } }
  const answer = await batch(holdall, 'moveEntries', { entries, folder: destination }, 'syncCursor')
  expect(answer).toMatchObject({ succeeded: 2, failed: 0, syncCursor: expect.any(String) })
  expect(answer.results.map(({ index, entryId }) => [index, entryId])).toEqual([
    [0, a.id],
    [1, one.id],
  ])
  expect(await tree()).toEqual(['1.txt', 'a', 'x'])
})

describe('a folder cannot be moved', () => {
  test('into itself or below itself', async () => {
    const a = await folder('a')
    const below = await folder('a/b/c')
    for (const to of [a, below]) {
      const problem = await expectRefused(holdall, 'moveEntries', moving([a], to))
      expect(problem).toMatchObject({ __typename: 'CycleError', code: 'CYCLE' })
    }
  })

  test('unless the target only has a similar name', async () => {
    const [a, ab] = [await folder('a'), await folder('ab')]
    await move([a], ab)
    expect(await pathOf(a)).toBe('ab/a')
  })

  test('F14: below a folder that is concurrently moved below it', async () => {
    const [a, b] = [await folder('a'), await folder('b')]
    const rounds = Array.from({ length: 10 }, (_, i) => (i % 2 ? moving([a], b) : moving([b], a)))
    await Promise.all(rounds.map((input) => attempt(holdall, 'moveEntries', input, '__typename')))
    expect([
      ['a', 'a/b'],
      ['b', 'b/a'],
    ]).toContainEqual(await tree())
  })

  test('into another workspace, a file, the trash, or a folder that does not exist', async () => {
    const [a, one, gone] = [await folder('a'), await file('1.txt'), await folder('gone')]
    await trashEntries(holdall, gone)
    const other = await createWorkspace(holdall, { name: 'Other' })
    const away = await expectRefused(holdall, 'moveEntries', moving([a], other.root))
    expect(away).toMatchObject({ code: 'INVALID_INPUT', path: ['folder'] })
    const to = async (destination: Id) =>
      expectRefused(holdall, 'moveEntries', moving([a], destination))
    expect(await to(one)).toMatchObject({ state: 'FILE', path: ['folder'] })
    expect(await to(gone)).toMatchObject({ state: 'TRASHED', path: ['folder'] })
    const id = `fld_${'0'.repeat(32)}`
    expect(await to({ id })).toMatchObject({ code: 'NOT_FOUND', id, path: ['folder'] })
  })

  test('if it is the root', async () => {
    const a = await folder('a')
    const problem = await expectRefused(holdall, 'moveEntries', moving([root], a))
    expect(problem).toMatchObject({ code: 'INVALID_STATE', state: 'ROOT' })
  })
})

test.each([
  ['both ways to name it', (id: string) => ({ id, path: { workspaceId, path: '' } })],
  ['no way', () => ({})],
  ['null', () => ({ id: null })],
])('a folder that is given by %s is refused before anything is read', async (_, folder) => {
  const a = await file('a.txt')
  const input = { entries: items(a), folder: folder(a.id) }
  const query = 'mutation ($input: MoveEntriesInput!) { moveEntries(input: $input) { __typename } }'
  const { status, errors } = await holdall.graphql(query, { input })
  expect([status, errors?.[0]?.message]).toEqual([400, expect.stringContaining('FolderRef')])
})

test('a bad path of the folder is reported with its field', async () => {
  const a = await folder('a')
  const destination = { path: { workspaceId, path: '../x' } }
  const problem = await expectRefused(holdall, 'moveEntries', {
    entries: items(a),
    folder: destination,
  })
  expect(problem).toMatchObject({
    code: 'INVALID_INPUT',
    path: ['folder', 'path'],
    issues: [{ path: ['folder', 'path'] }],
  })
})

test('a move into its own folder changes nothing', async () => {
  const [a, one] = [await folder('x/a'), await file('x/1.txt')]
  await move([a, one], await at('x'))
  expect(await lookUp(holdall, a, 'revision path')).toMatchObject({ revision: 1, path: 'x/a' })
  expect(await lookUp(holdall, one, 'revision path')).toMatchObject({
    revision: 1,
    path: 'x/1.txt',
  })
})

describe('on a name conflict', () => {
  let [there, one]: Id[] = []
  let to: Id
  beforeEach(async () => {
    to = await folder('to')
    there = await file('to/Data.csv', 'there')
    one = await file('data.CSV', 'one')
  })

  test('FAIL reports the existing entry, and a free name', async () => {
    const problem = await expectRefused(holdall, 'moveEntries', moving([one as Id], to))
    expect(problem).toMatchObject({
      code: 'NAME_CONFLICT',
      existing: { id: there?.id, name: 'Data.csv' },
      suggestedName: 'data (2).CSV',
      path: ['entries', '0'],
    })
  })

  test('RENAME takes the free name', async () => {
    const [moved] = await move([one as Id], to, { onConflict: 'RENAME' })
    expect(moved).toMatchObject({ name: 'data (2).CSV', path: 'to/data (2).CSV' })
  })

  test('RENAME of a folder changes the paths below it', async () => {
    const below = await file('a/b/1.txt')
    await folder('to/A')
    await move([await at('a')], to, { onConflict: 'RENAME' })
    expect(await pathOf(below)).toBe('to/a (2)/b/1.txt')
  })

  test('REPLACE trashes the existing entry', async () => {
    await move([one as Id], to, { onConflict: 'REPLACE' })
    expect((await children(holdall, to.id)).map(({ id }) => id)).toEqual([one?.id])
    expect(await lookUp(holdall, there as Id, 'trash { originalPath }')).toMatchObject({
      trash: { originalPath: 'to/Data.csv' },
    })
    expect(await totalsOf(holdall, root)).toEqual({ bytes: 3, fileCount: 1, folderCount: 1 })
  })

  test('REPLACE does not trash the folder that the entry comes from', async () => {
    const inner = await folder('to/x/x')
    const x = await at('to/x')
    const input = moving([inner], to, { onConflict: 'REPLACE' })
    const problem = await expectRefused(holdall, 'moveEntries', input)
    expect(problem).toMatchObject({ code: 'CYCLE' })
    expect(await pathOf(x)).toBe('to/x')
  })

  test('NEW_VERSION is rejected: a move creates no versions', async () => {
    const input = moving([one as Id], to, { onConflict: 'NEW_VERSION' })
    expect(await expectRefused(holdall, 'moveEntries', input)).toMatchObject({
      code: 'INVALID_INPUT',
      path: ['onConflict'],
    })
  })
})

describe('of many entries', () => {
  test('ALL_OR_NOTHING moves none if one fails, and reports which', async () => {
    const to = await folder('to')
    const entries = [await folder('a'), await file('1.txt'), await folder('b'), await file('2.txt')]
    await file('to/B')
    const before = await tree()
    expect(await expectRefused(holdall, 'moveEntries', moving(entries, to))).toMatchObject({
      code: 'NAME_CONFLICT',
      suggestedName: 'b (2)',
      path: ['entries', '2'],
    })
    expect(await tree()).toEqual(before)
  })

  test('BEST_EFFORT moves the valid ones', async () => {
    const to = await folder('to')
    const entries = [await folder('a'), await file('1.txt'), await folder('b'), { id: 'fld_x' }]
    await file('to/B')
    const input = moving(entries, to, { mode: 'BEST_EFFORT' })
    const { results, succeeded, failed } = await batch(holdall, 'moveEntries', input)
    expect(results.map(({ error }) => error?.code)).toEqual([
      undefined,
      undefined,
      'NAME_CONFLICT',
      'NOT_FOUND',
    ])
    expect([succeeded, failed]).toEqual([2, 2])
    expect(await tree()).toEqual(['b', 'to', 'to/1.txt', 'to/B', 'to/a'])
  })

  test('each has its own expectedRevision', async () => {
    const [to, a, b] = [await folder('to'), await folder('a'), await folder('b')]
    const input = {
      entries: [
        { entry: { id: a.id }, expectedRevision: 1 },
        { entry: { id: b.id }, expectedRevision: 7 },
      ],
      folder: { id: to.id },
    }
    expect(await expectRefused(holdall, 'moveEntries', input)).toMatchObject({
      ...{ code: 'STALE_REVISION', expectedRevision: 7, actualRevision: 1, entry: { id: b.id } },
      path: ['entries', '1'],
    })
  })

  test('1 to 100 are accepted at once', async () => {
    const [to, a] = [await folder('to'), await folder('a')]
    for (const entries of [[], Array.from({ length: 101 }, () => a)]) {
      const problem = await expectRefused(holdall, 'moveEntries', moving(entries, to))
      expect(problem).toMatchObject({ code: 'INVALID_INPUT', path: ['entries'] })
    }
    await move(
      Array.from({ length: 100 }, () => a),
      to,
    )
    expect(await tree()).toEqual(['to', 'to/a'])
  })
})

test('a thousand folders move as one', async () => {
  const a = await folder('a')
  const names = Array.from({ length: 100 }, (_, i) => `x${i}/y/z/${'deep'.repeat(5)}`)
  await mapConcurrently(100, 10, (n) => folder(`a/${names[n]}`))
  await mapConcurrently(100, 10, (n) => folder(`a/${names[n]}/1/2/3/4/5/6`))
  expect(await totalsOf(holdall, a)).toMatchObject({ folderCount: 1000 })
  const to = await folder('to')
  await move([a], to)
  expect(await at(`to/a/x99/y/z/${'deep'.repeat(5)}/1/2/3/4/5/6`)).toBeTruthy()
  const query = `query ($id: ID!) { workspace(by: { id: $id }) {
    old: entries(filter: { pathPrefix: "a/" }) { totalCount }
    new: entries(filter: { pathPrefix: "to/a/" }) { totalCount }
  } }`
  const { workspace } = await holdall.ask(query, { id: workspaceId })
  expect(workspace).toEqual({ old: { totalCount: 0 }, new: { totalCount: 1000 } })
})

test('a move is logged with its old path', async () => {
  const [one, to] = [await file('1.txt'), await folder('to')]
  await move([one], to)
  const query = `query ($id: ID!) { workspace(by: { id: $id }) {
    activity(filter: { actions: [ENTRY_MOVED] }) { nodes { entryId path details } }
  } }`
  const { workspace } = await holdall.ask(query, { id: workspaceId })
  expect(workspace.activity.nodes).toEqual([
    { entryId: one.id, path: 'to/1.txt', details: { from: '1.txt' } },
  ])
  expect(
    await act(holdall, 'createFolder', { workspaceId, name: '1.txt' }, 'folder { path }'),
  ).toMatchObject({
    folder: { path: '1.txt' },
  })
})
