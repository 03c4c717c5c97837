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
  usageOf,
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

type Id = { id: string }
const folder = (name: string, more = {}) =>
  createFolder(holdall, { workspaceId, name, createParents: true, ...more })
const file = (path: string, bytes = path, more = {}) => {
  const [name = '', ...folders] = path.split('/').reverse()
  return uploadFile(holdall, {
    workspaceId,
    path: folders.reverse().join('/'),
    name,
    bytes,
    ...more,
  })
}
const copying = (entries: Id[], { id }: Id, more = {}) => ({
  entries: items(...entries),
  folder: { id },
  ...more,
})
const copy = async (entry: Id, to: Id, more = {}) => {
  const [made] = await batchDone(holdall, 'copyEntries', copying([entry], to, more))
  if (!made) throw new Error('nothing was copied')
  return made
}
const at = async (path: string) => {
  const found = await entryByPath(holdall, workspaceId, path)
  if (!found) throw new Error(`nothing is at ${path}`)
  return found
}
const used = async () => {
  const { currentBytes, storedBytes } = await usageOf(holdall, workspaceId)
  return { currentBytes, storedBytes }
}

test('a file is copied with its properties; its bytes are shared', async () => {
  const about = { description: 'of 2025', tags: ['red', 'blue'], metadata: { run: { n: 7 } } }
  const one = await file('1.txt', 'first', about)
  await file('1.txt', 'second', { onConflict: 'NEW_VERSION' })
  const before = await used()
  expect(before).toEqual({ currentBytes: 6, storedBytes: 11 })
  const made = await copy(one, await folder('to'))
  expect(made).toMatchObject({ name: '1.txt', path: 'to/1.txt', revision: 1 })
  expect(made.id).not.toBe(one.id)
  const fields = `description tags { name } metadata createdBy { name } ... on File {
    size sha256 mediaType kind status version { number size comment } versions { totalCount } }`
  expect(await lookUp(holdall, made, fields)).toMatchObject({
    description: 'of 2025',
    tags: [{ name: 'blue' }, { name: 'red' }],
    metadata: { run: { n: 7 } },
    size: 6,
    mediaType: 'text/plain',
    kind: 'DOCUMENT',
    version: { number: 1, size: 6, comment: null },
    versions: { totalCount: 1 },
  })
  expect((await download(holdall, made.id)).toString()).toBe('second')
  expect(await used()).toEqual({ currentBytes: 12, storedBytes: 11 })
})

test('a folder is copied with its content', async () => {
  const a = await folder('a', { description: 'all', tags: ['red'], metadata: { n: 1 } })
  await file('a/1.txt', 'one', { tags: ['red'] })
  await file('a/b/c/2.csv', 'a,b', { description: 'deep' })
  await folder('a/b/empty')
  const gone = await file('a/b/gone.txt')
  await trashEntries(holdall, gone)
  const made = await copy(a, await folder('to'))
  const below = `path description tags { name } metadata`
  const fields = `${below} ... on Folder { totals { bytes fileCount folderCount }
    children(first: 3) { nodes { ${below} ... on Folder { children(first: 3) { nodes { ${below}
      ... on Folder { children(first: 3) { nodes { ${below} } } } } } } } } }`
  const nothing = { description: null, tags: [], metadata: {} }
  expect(await lookUp(holdall, made, fields)).toEqual({
    __typename: 'Folder',
    path: 'to/a',
    description: 'all',
    tags: [{ name: 'red' }],
    metadata: { n: 1 },
    totals: { bytes: 6, fileCount: 2, folderCount: 3 },
    children: {
      nodes: [
        {
          ...nothing,
          path: 'to/a/b',
          children: {
            nodes: [
              {
                ...nothing,
                path: 'to/a/b/c',
                children: { nodes: [{ ...nothing, path: 'to/a/b/c/2.csv', description: 'deep' }] },
              },
              { ...nothing, path: 'to/a/b/empty', children: { nodes: [] } },
            ],
          },
        },
        { ...nothing, path: 'to/a/1.txt', tags: [{ name: 'red' }] },
      ],
    },
  })
  expect((await download(holdall, (await at('to/a/b/c/2.csv')).id)).toString()).toBe('a,b')
  expect(await totalsOf(holdall, root)).toEqual({ bytes: 12, fileCount: 4, folderCount: 9 })
  const { byKind } = await usageOf(holdall, workspaceId)
  expect(byKind).toEqual([
    { kind: 'DOCUMENT', bytes: 6, fileCount: 2 },
    { kind: 'SPREADSHEET', bytes: 6, fileCount: 2 },
  ])
})

test('a copy is independent of its original', async () => {
  const one = await file('a/1.txt', 'one', { tags: ['red'] })
  const made = await copy(await at('a'), root)
  expect(made.name).toBe('a (2)')
  await file('a (2)/1.txt', 'changed', { onConflict: 'NEW_VERSION' })
  const entry = { id: (await at('a (2)/1.txt')).id }
  await act(holdall, 'updateEntry', { entry, name: 'new.txt', tags: [] }, 'entry { id }')
  expect(await lookUp(holdall, one, 'name tags { name }')).toMatchObject({
    name: '1.txt',
    tags: [{ name: 'red' }],
  })
  expect((await download(holdall, one.id)).toString()).toBe('one')
  expect((await download(holdall, entry.id)).toString()).toBe('changed')
})

test('a copy stays readable after the original is purged', async () => {
  const one = await file('a/1.bin', 'shared bytes')
  const made = await copy(one, root)
  await trashEntries(holdall, await at('a'))
  const [trashed] = await trashedIds()
  const { freedBytes } = await batch<{ freedBytes: number }>(
    holdall,
    'purgeEntries',
    { entries: [{ entry: { id: trashed } }] },
    'freedBytes',
  )
  expect(freedBytes).toBe(12)
  expect(await lookUp(holdall, one, 'id')).toBe(null)
  expect((await download(holdall, made.id)).toString()).toBe('shared bytes')
  expect(await used()).toEqual({ currentBytes: 12, storedBytes: 12 })
})

async function trashedIds(): Promise<string[]> {
  const query = 'query ($id: ID!) { workspace(by: { id: $id }) { trash { nodes { id } } } }'
  const { workspace } = await holdall.ask(query, { id: workspaceId })
  return workspace.trash.nodes.map(({ id }: Id) => id)
}

describe('the quota', () => {
  const quota = (quotaBytes: number) =>
    act(holdall, 'updateWorkspace', { workspaceId, quotaBytes }, 'workspace { id }')

  test('counts a copy in full, and refuses it without room', async () => {
    const a = (await file('a/1.bin', '1234567890')) && (await at('a'))
    await quota(29)
    await copy(a, root)
    expect(await expectRefused(holdall, 'copyEntries', copying([a], root))).toMatchObject({
      code: 'QUOTA_EXCEEDED',
      neededBytes: 10,
      usage: { remainingBytes: 9 },
    })
    await quota(30)
    await copy(a, root)
  })

  test('F12: admits as many of twenty concurrent copies as fit', async () => {
    const one = await file('1.bin', '1234567890')
    await quota(75)
    const input = copying([one], root)
    const tries = Array.from({ length: 20 }, () => attempt(holdall, 'copyEntries', input, 'failed'))
    const done = (await Promise.all(tries)).filter(({ failed }) => failed === 0)
    expect(done).toHaveLength(6)
    expect(await used()).toEqual({ currentBytes: 70, storedBytes: 10 })
  })
})

describe('on a name conflict', () => {
  test('RENAME is the default, also beside the original', async () => {
    const one = await file('data.tar.gz')
    const names = [await copy(one, root), await copy(one, root)].map(({ name }) => name)
    expect(names).toEqual(['data (2).tar.gz', 'data (3).tar.gz'])
  })

  test('FAIL reports the existing entry, and a free name', async () => {
    const one = await file('a/1.txt')
    const there = await file('1.TXT')
    const input = copying([one], root, { onConflict: 'FAIL' })
    expect(await expectRefused(holdall, 'copyEntries', input)).toMatchObject({
      code: 'NAME_CONFLICT',
      existing: { id: there.id },
      suggestedName: '1 (2).txt',
    })
  })

  test('REPLACE trashes the existing entry, a folder with its content', async () => {
    await file('1/below.txt')
    const there = await at('1')
    const one = await file('a/1')
    const made = await copy(one, root, { onConflict: 'REPLACE' })
    expect(made).toMatchObject({ __typename: 'File', path: '1' })
    expect(await trashedIds()).toEqual([there.id])
    expect(await totalsOf(holdall, root)).toEqual({ bytes: 6, fileCount: 2, folderCount: 1 })
  })

  test('REPLACE does not trash the copied entry itself', async () => {
    const one = await file('a/1.txt')
    const input = copying([one], await at('a'), { onConflict: 'REPLACE' })
    expect(await expectRefused(holdall, 'copyEntries', input)).toMatchObject({
      code: 'NAME_CONFLICT',
      existing: { id: one.id },
    })
    const inner = await file('x/x/2.txt')
    const above = copying([await at('x/x')], root, { onConflict: 'REPLACE' })
    expect(await expectRefused(holdall, 'copyEntries', above)).toMatchObject({ code: 'CYCLE' })
    expect(await lookUp(holdall, inner, 'path')).toMatchObject({ path: 'x/x/2.txt' })
  })

  test('NEW_VERSION adds the bytes as the next version of the existing file', async () => {
    const one = await file('a/1.csv', 'new,bytes')
    const there = await file('1.csv', 'old')
    const over = await copy(one, root, { onConflict: 'NEW_VERSION' })
    expect(over).toMatchObject({ id: there.id, path: '1.csv', revision: 2 })
    const fields = '... on File { size version { number } versions { nodes { number size } } }'
    expect(await lookUp(holdall, there, fields)).toMatchObject({
      size: 9,
      version: { number: 2 },
      versions: {
        nodes: [
          { number: 2, size: 9 },
          { number: 1, size: 3 },
        ],
      },
    })
    expect((await download(holdall, there.id)).toString()).toBe('new,bytes')
    const { currentBytes, olderVersionBytes, storedBytes } = await usageOf(holdall, workspaceId)
    expect([currentBytes, olderVersionBytes, storedBytes]).toEqual([18, 3, 12])
  })

  test('NEW_VERSION requires two files', async () => {
    await file('a/x/1.txt')
    await folder('x')
    const [x, one] = [await at('a/x'), await at('a/x/1.txt')]
    await folder('1.txt')
    for (const [entry, taken] of [
      [x, 'x'],
      [one, '1.txt'],
    ] as const) {
      const input = copying([entry], root, { onConflict: 'NEW_VERSION' })
      expect(await expectRefused(holdall, 'copyEntries', input)).toMatchObject({
        code: 'NAME_CONFLICT',
        existing: { name: taken },
        suggestedName: expect.stringContaining(' (2)'),
      })
    }
  })
})

test('a folder is not copied into itself, below itself, or into another workspace', async () => {
  const a = await folder('a')
  const other = await createWorkspace(holdall, { name: 'Other' })
  for (const [to, problem] of [
    [a, { code: 'CYCLE' }],
    [await folder('a/b'), { code: 'CYCLE' }],
    [other.root, { code: 'INVALID_INPUT', path: ['folder'] }],
  ] as const) {
    expect(await expectRefused(holdall, 'copyEntries', copying([a], to))).toMatchObject(problem)
  }
  expect(await expectRefused(holdall, 'copyEntries', copying([root], a))).toMatchObject({
    code: 'INVALID_STATE',
    state: 'ROOT',
  })
  const one = await file('1.txt')
  expect(await expectRefused(holdall, 'copyEntries', copying([a], one))).toMatchObject({
    state: 'FILE',
    path: ['folder'],
  })
})

test('of many entries, ALL_OR_NOTHING copies none if one fails, and BEST_EFFORT the valid ones', async () => {
  const [one, two, to] = [await file('1.txt'), await folder('a'), await folder('to')]
  const input = copying([one, { id: `file_${'0'.repeat(32)}` }, two], to)
  expect(await expectRefused(holdall, 'copyEntries', input)).toMatchObject({
    code: 'NOT_FOUND',
    path: ['entries', '1'],
  })
  const answer = await batch(holdall, 'copyEntries', { ...input, mode: 'BEST_EFFORT' })
  expect(answer.results.map(({ error }) => error?.code)).toEqual([
    undefined,
    'NOT_FOUND',
    undefined,
  ])
  expect((await children(holdall, to.id)).map(({ path }) => path)).toEqual(['to/a', 'to/1.txt'])
})

test('a tree of 1,500 files is copied in one step, with exact totals', async () => {
  const seed = await file('all/0/0/1.csv', 'a,b,c\n')
  for (let i = 2; i <= 10; i++) await copy(seed, await at('all/0/0'))
  const fill = async (path: string, copies: number) => {
    const [source, to] = [await at(path), await at(path.replace(/\/[^/]+$/, ''))]
    await batchDone(
      holdall,
      'copyEntries',
      copying(
        Array.from({ length: copies }, () => source),
        to,
      ),
    )
  }
  await fill('all/0/0', 14)
  await fill('all/0', 9)
  const totals = { bytes: 9000, fileCount: 1500, folderCount: 160 }
  expect(await totalsOf(holdall, await at('all'))).toEqual(totals)
  const made = await copy(await at('all'), root)
  expect(await totalsOf(holdall, made)).toEqual(totals)
  expect(await usageOf(holdall, workspaceId)).toMatchObject({
    currentBytes: 18_000,
    storedBytes: 6,
    fileCount: 3000,
    folderCount: 322,
    byKind: [{ kind: 'SPREADSHEET', bytes: 18_000, fileCount: 3000 }],
  })
  expect(
    (await download(holdall, (await at('all (2)/0 (10)/0 (15)/1 (10).csv')).id)).toString(),
  ).toBe('a,b,c\n')
}, 120_000)
