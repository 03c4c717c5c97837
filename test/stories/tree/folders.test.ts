import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import {
  act,
  batchDone,
  children,
  createFolder,
  createWorkspace,
  entryByPath,
  items,
  lookUp,
  totalsOf,
  trashEntries,
  uploadFile,
} from '../../support/client.ts'
import { errorOf, expectItemsRefused, expectRefused } from '../../support/data/refusals.ts'
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
  uploadFile(holdall, { workspaceId, name, bytes: name, ...more })
const deep = (levels: number) => Array.from({ length: levels }, (_, i) => `d${i + 1}`).join('/')
const namesIn = async ({ id }: { id: string }) =>
  (await children(holdall, id)).map(({ name }) => name)
const fieldOf = (path: string[], message = expect.any(String)) => ({
  code: 'INVALID_INPUT',
  path,
  issues: [{ path, message }],
})

describe('createFolder', () => {
  test('creates one in the root, in a folder by its id, and in a folder by its path', async () => {
    const data = await folder('Data')
    const raw = await createFolder(holdall, { folder: { id: data.id }, name: 'Raw' })
    const byPath = { path: { workspaceId, path: 'data/raw' } }
    const plates = await createFolder(holdall, { folder: byPath, name: 'Plates' })
    expect([data.path, raw.path, plates.path]).toEqual(['Data', 'Data/Raw', 'Data/Raw/Plates'])
    expect(await namesIn(root)).toEqual(['Data'])
    expect(await lookUp(holdall, plates, 'parent { id } ancestors { id } revision')).toMatchObject({
      parent: { id: raw.id },
      ancestors: [root, { id: data.id }, { id: raw.id }],
      revision: 1,
    })
  })

  test('takes description, tags and metadata, and records its creator', async () => {
    const input = {
      workspaceId,
      name: 'Plates',
      description: 'of 2025',
      tags: ['Red', ' blue ', 'red'],
      metadata: { run: 7, operator: { name: 'Ada' }, none: null },
    }
    const fields = `description tags { name } metadata createdAt updatedAt trash { trashedAt }
      createdBy { name } updatedBy { name } workspace { id } sharing { visibility }`
    const made = (await act(holdall, 'createFolder', input, `folder { ${fields} }`)).folder
    expect(made).toMatchObject({
      description: 'of 2025',
      tags: [{ name: 'blue' }, { name: 'Red' }],
      createdBy: made.updatedBy,
      createdAt: made.updatedAt,
      workspace: { id: workspaceId },
      sharing: { visibility: 'PRIVATE' },
      trash: null,
    })
    expect(made.metadata).toEqual({ run: 7, operator: { name: 'Ada' } })
  })

  test('creates missing parents with createParents', async () => {
    const raw = await folder('Data/Raw', { createParents: true })
    const plates = await folder('data/RAW/Plates/', { createParents: true })
    expect(plates.path).toBe('Data/Raw/Plates')
    expect(await lookUp(holdall, plates, 'parent { id }')).toMatchObject({ parent: { id: raw.id } })
    expect(await namesIn(root)).toEqual(['Data'])
  })

  test('rejects a name with a slash without createParents', async () => {
    expect(
      await expectRefused(holdall, 'createFolder', { workspaceId, name: 'Data/Raw' }),
    ).toMatchObject(fieldOf(['name'], 'name contains "/"'))
  })

  test.each(['/', '/Data', 'Data//Raw', 'Data/../Raw', '../Data', 'Data/.', 'Data/..\\Raw'])(
    'S1: rejects the path %j',
    async (name) => {
      const input = { workspaceId, name, createParents: true }
      expect(await expectRefused(holdall, 'createFolder', input)).toMatchObject(fieldOf(['name']))
    },
  )

  test('creates a tree in a dozen aliases of one request, and finds it the second time', async () => {
    const paths = `Protocols/Published Protocols/Drafts Data/Raw Data/Processed Images/Microscopy
      Images/Gels Documents/Papers Documents/Presentations`.split(/\s+/)
    const mutation = paths.map(
      (path, i) => `f${i}: createFolder(input: { workspaceId: "${workspaceId}", name: "${path}",
        createParents: true, onConflict: REUSE }) {
        ... on CreateFolderPayload { folder { id path ancestors { path } } } ... on UserError { message } }`,
    )
    const first = await holdall.ask(`mutation { ${mutation.join('\n')} }`)
    expect(Object.values<any>(first).map(({ folder }) => folder.path)).toEqual(paths)
    expect(first.f3.folder.ancestors).toEqual([{ path: '' }, { path: 'Data' }])
    expect(await holdall.ask(`mutation { ${mutation.join('\n')} }`)).toEqual(first)
    expect(await totalsOf(holdall, root)).toEqual({ bytes: 0, fileCount: 0, folderCount: 12 })
  })

  test('F14: twenty concurrent requests for one path create each folder once', async () => {
    const input = { createParents: true, onConflict: 'REUSE' }
    const made = await Promise.all(Array.from({ length: 20 }, () => folder('a/b/c', input)))
    expect(new Set(made.map(({ id }) => id)).size).toBe(1)
    expect(await totalsOf(holdall, root)).toMatchObject({ folderCount: 3 })
  })

  test('rejects an invalid folder', async () => {
    const input = { name: 'x' }
    const nowhere = await expectRefused(holdall, 'createFolder', input)
    expect(nowhere).toMatchObject(fieldOf(['workspaceId'], 'workspaceId or folder is required'))
    const { id } = await file('a.txt')
    const inFile = await expectRefused(holdall, 'createFolder', { ...input, folder: { id } })
    expect(inFile).toMatchObject({ code: 'INVALID_STATE', state: 'FILE', path: ['folder'] })
    const unknown = { path: { workspaceId, path: 'nowhere' } }
    const inNothing = await expectRefused(holdall, 'createFolder', { ...input, folder: unknown })
    expect(inNothing).toMatchObject({ code: 'NOT_FOUND', id: 'nowhere', path: ['folder'] })
    const gone = await folder('gone')
    await trashEntries(holdall, gone)
    const inTrash = await expectRefused(holdall, 'createFolder', {
      ...input,
      folder: { id: gone.id },
    })
    expect(inTrash).toMatchObject({ code: 'INVALID_STATE', state: 'TRASHED', path: ['folder'] })
    const onFile = { workspaceId, name: 'a.txt/b', createParents: true }
    expect(await expectRefused(holdall, 'createFolder', onFile)).toMatchObject({ state: 'FILE' })
  })

  test.each([
    ['description', { description: 'x'.repeat(10_001) }],
    ['tags', { tags: ['x'.repeat(65)] }],
    ['tags', { tags: Array.from({ length: 51 }, (_, i) => `tag ${i}`) }],
  ])('rejects a %s that is too long', async (field, more) => {
    const input = { workspaceId, name: 'x', ...more }
    expect(await expectRefused(holdall, 'createFolder', input)).toMatchObject(fieldOf([field]))
  })
})

describe('on a name conflict', () => {
  const again = (onConflict: string, name = 'PLATES') => ({ workspaceId, name, onConflict })
  let plates: { id: string }
  beforeEach(async () => {
    plates = await folder('plates')
    await folder('plates (2)')
  })

  test('FAIL reports the existing entry, and a free name', async () => {
    expect(await expectRefused(holdall, 'createFolder', again('FAIL'))).toMatchObject({
      code: 'NAME_CONFLICT',
      suggestedName: 'PLATES (3)',
      existing: { id: plates.id, name: 'plates' },
      path: ['name'],
    })
  })

  test('RENAME takes the free name', async () => {
    expect((await createFolder(holdall, again('RENAME'))).name).toBe('PLATES (3)')
    expect((await createFolder(holdall, again('RENAME'))).name).toBe('PLATES (4)')
  })

  test('REUSE returns the existing folder', async () => {
    const same = await createFolder(holdall, again('REUSE'))
    expect(same).toMatchObject({ id: plates.id, name: 'plates', revision: 1 })
  })

  test('REPLACE trashes the existing entry', async () => {
    const other = await createFolder(holdall, again('REPLACE'))
    expect(other).toMatchObject({ name: 'PLATES', path: 'PLATES' })
    expect(await namesIn(root)).toEqual(['PLATES', 'plates (2)'])
    expect(await lookUp(holdall, plates, 'trash { originalPath }')).toMatchObject({
      trash: { originalPath: 'plates' },
    })
  })

  test('with a file FAIL and REUSE fail, RENAME and REPLACE succeed', async () => {
    const data = await file('data')
    expect(await expectRefused(holdall, 'createFolder', again('FAIL', 'data'))).toMatchObject({
      existing: { id: data.id },
      suggestedName: 'data (2)',
    })
    const same = await expectRefused(holdall, 'createFolder', again('REUSE', 'data'))
    expect(same).toMatchObject({ code: 'INVALID_STATE', state: 'FILE' })
    expect((await createFolder(holdall, again('RENAME', 'data'))).name).toBe('data (2)')
    expect((await createFolder(holdall, again('REPLACE', 'data'))).name).toBe('data')
    expect(await lookUp(holdall, data, 'trash { originalPath }')).toMatchObject({
      trash: { originalPath: 'data' },
    })
  })
})

describe('S2: 2,400 bytes of path', () => {
  const long = (count: number) => Array.from({ length: count }, () => 'ä'.repeat(125)).join('/')
  const tooLong = { code: 'INVALID_INPUT', message: expect.stringContaining('(limit 2400)') }

  test('are the limit of a folder, for every operation', async () => {
    const nine = await folder(long(9), { createParents: true })
    const more = { folder: { id: nine.id }, name: 'x'.repeat(141) }
    expect(await expectRefused(holdall, 'createFolder', more)).toMatchObject(tooLong)
    const last = await folder('x'.repeat(140), { folder: { id: nine.id } })
    expect(await entryByPath(holdall, workspaceId, last.path)).toMatchObject({ id: last.id })
    const top = await entryByPath(holdall, workspaceId, 'ä'.repeat(125))
    const renamed = { entry: { id: top?.id }, name: 'ä'.repeat(126) }
    expect(await expectRefused(holdall, 'updateEntry', renamed)).toMatchObject(tooLong)
    const other = await folder('other')
    const input = { entries: [{ entry: { id: top?.id } }], folder: { id: other.id } }
    for (const name of ['moveEntries', 'copyEntries']) {
      const [problem] = await expectItemsRefused(holdall, name, { ...input, mode: 'BEST_EFFORT' })
      expect(problem).toMatchObject(tooLong)
    }
    // A file must have a path, too.
    expect(await file('y'.repeat(255), { folderId: last.id })).toMatchObject({
      name: 'y'.repeat(255),
    })
  })
})

describe('S2: 64 levels of folders', () => {
  test('are the limit; files may still be in the last folder', async () => {
    const deepest = await folder(deep(64), { createParents: true })
    const more = { workspaceId, name: deep(65), createParents: true }
    expect(await expectRefused(holdall, 'createFolder', more)).toMatchObject(
      fieldOf(['name'], expect.stringContaining('64')),
    )
    const below = { folder: { id: deepest.id }, name: 'x' }
    expect(await expectRefused(holdall, 'createFolder', below)).toMatchObject({
      code: 'INVALID_INPUT',
    })
    const made = await file('a.txt', { folderId: deepest.id })
    expect(made.path).toBe(`${deep(64)}/a.txt`)
    expect(await entryByPath(holdall, workspaceId, made.path)).toMatchObject({ id: made.id })
    const { ancestors } = await lookUp(holdall, made, 'ancestors { path }')
    expect(ancestors).toHaveLength(65)
    expect(ancestors.at(-1)).toEqual({ path: deep(64) })
  })

  test('are the limit for moved and copied trees', async () => {
    const deepest = await folder(deep(62), { createParents: true })
    const two = await folder('a/b', { createParents: true })
    const three = await folder('x/y/z', { createParents: true })
    const [a, x] = [
      await entryByPath(holdall, workspaceId, 'a'),
      await entryByPath(holdall, workspaceId, 'x'),
    ]
    const destination = { id: deepest.id }
    for (const name of ['moveEntries', 'copyEntries']) {
      const input = {
        entries: [{ entry: { id: x?.id } }],
        folder: destination,
        mode: 'BEST_EFFORT',
      }
      const { results } = await act(holdall, name, input, 'results { error { code path } }')
      expect([name, results]).toEqual([
        name,
        [{ error: { code: 'INVALID_INPUT', path: ['folder'] } }],
      ])
    }
    expect(await totalsOf(holdall, root)).toMatchObject({ folderCount: 62 + 2 + 3 })
    await batchDone(holdall, 'copyEntries', {
      entries: [{ entry: { id: a?.id } }],
      folder: destination,
    })
    await batchDone(holdall, 'moveEntries', {
      entries: [{ entry: { id: a?.id } }],
      folder: destination,
      onConflict: 'RENAME',
    })
    expect(await lookUp(holdall, two, 'path')).toMatchObject({ path: `${deep(62)}/a (2)/b` })
    expect(await lookUp(holdall, three, 'path')).toMatchObject({ path: 'x/y/z' })
  })
})

describe('entryByPath', () => {
  test('finds the root, folders and files, ignoring case and normalisation', async () => {
    const folderId = (await folder('Data/Größe', { createParents: true })).id
    const made = await file('Plate 1+#%2F?.csv', { folderId })
    const at = async (path: string) => (await entryByPath(holdall, workspaceId, path))?.id ?? null
    expect(await at('')).toBe(root.id)
    for (const path of ['Data/Größe', 'data/größe/', 'DATA/GRÖSSE', 'data/gro\u0308sse']) {
      expect([path, await at(path)]).toEqual([path, folderId])
    }
    expect(await at('data/größe/plate 1+#%2f?.csv')).toBe(made.id)
    for (const path of [
      'Date',
      'Data/x',
      'Data/Größe/x',
      `${made.path}/x`,
      'Data/Gr%C3%B6%C3%9Fe',
    ]) {
      expect([path, await at(path)]).toEqual([path, null])
    }
  })

  test.each(['/Data', 'Data//x', '../Data', 'a\0'])(
    'S1: reports what is wrong with %j',
    async (path) => {
      const query =
        'query ($id: ID!, $path: String!) { workspace(by: { id: $id }) { entryByPath(path: $path) { id } } }'
      const { errors } = await holdall.graphql(query, { id: workspaceId, path })
      expect(errors).toMatchObject([{ extensions: { code: 'INVALID_INPUT', path: ['path'] } }])
    },
  )
})

test('totals include all levels below, and follow every change', async () => {
  const a = await folder('a')
  const b = await folder('a/b', { createParents: true })
  const c = await folder('a/b/c', { createParents: true })
  await file('1.txt', { folderId: a.id, bytes: 'x'.repeat(100) })
  const two = await file('2.txt', { folderId: c.id, bytes: 'x'.repeat(20) })
  await file('3.txt', { folderId: c.id, bytes: '' })
  const totals = async () => [
    await totalsOf(holdall, a),
    await totalsOf(holdall, b),
    await totalsOf(holdall, c),
  ]
  expect(await totals()).toEqual([
    { bytes: 120, fileCount: 3, folderCount: 2 },
    { bytes: 20, fileCount: 2, folderCount: 1 },
    { bytes: 20, fileCount: 2, folderCount: 0 },
  ])
  await file('2.txt', { folderId: c.id, bytes: 'xyz', onConflict: 'NEW_VERSION' })
  await batchDone(holdall, 'moveEntries', { entries: items(c), folder: root })
  expect(await totals()).toEqual([
    { bytes: 100, fileCount: 1, folderCount: 1 },
    { bytes: 0, fileCount: 0, folderCount: 0 },
    { bytes: 3, fileCount: 2, folderCount: 0 },
  ])
  await trashEntries(holdall, two)
  expect(await totalsOf(holdall, root)).toEqual({ bytes: 100, fileCount: 2, folderCount: 3 })
})

describe('updateEntry', () => {
  const fields = 'entry { id name path description metadata tags { name } revision }'
  const update = async (input: object) =>
    (await act(holdall, 'updateEntry', { ...input }, fields)).entry

  test('changes the given fields, keeps absent ones, and clears by null', async () => {
    const { id } = await folder('a', { description: 'one', tags: ['red'], metadata: { run: 1 } })
    expect(await update({ entry: { id }, name: 'b' })).toEqual({
      id,
      name: 'b',
      path: 'b',
      description: 'one',
      metadata: { run: 1 },
      tags: [{ name: 'red' }],
      revision: 2,
    })
    const cleared = await update({ entry: { id }, description: null, tags: [] })
    expect(cleared).toMatchObject({
      description: null,
      tags: [],
      metadata: { run: 1 },
      revision: 3,
    })
    expect(await update({ entry: { id }, description: 'two' })).toMatchObject({
      description: 'two',
      name: 'b',
      revision: 4,
    })
  })

  test('S36: merges metadata shallowly, removes a key by null, up to 64 KiB in total', async () => {
    const entry = { path: { workspaceId, path: 'a' } }
    await folder('a', { metadata: { run: 1, who: { name: 'Ada', age: 36 }, note: 'x' } })
    const merged = await update({
      entry,
      metadata: { who: { name: 'Bob' }, note: null, list: [null] },
    })
    expect(merged.metadata).toEqual({ run: 1, who: { name: 'Bob' }, list: [null] })
    await update({ entry, metadata: { long: 'x'.repeat(60_000) } })
    const more = { entry, metadata: { more: 'x'.repeat(6000) } }
    expect(await expectRefused(holdall, 'updateEntry', more)).toMatchObject(fieldOf(['metadata']))
    expect((await update({ entry, metadata: { ...more.metadata, long: null } })).revision).toBe(4)
  })

  test('with an expectedRevision rejects a stale revision', async () => {
    const { id } = await folder('a')
    const stale = { entry: { id }, name: 'c', expectedRevision: 1 }
    expect((await update({ ...stale, name: 'b' })).revision).toBe(2)
    expect(await expectRefused(holdall, 'updateEntry', stale)).toMatchObject({
      code: 'STALE_REVISION',
      expectedRevision: 1,
      actualRevision: 2,
      entry: { id, name: 'b', revision: 2 },
    })
  })

  test('succeeds once for ten concurrent requests with one revision', async () => {
    const { id } = await folder('a')
    const tries = Array.from({ length: 10 }, (_, i) =>
      errorOf(holdall, 'updateEntry', { entry: { id }, name: `a${i}`, expectedRevision: 1 }),
    )
    const codes = (await Promise.all(tries)).map(({ code }) => code)
    expect(codes.filter((code) => code === 'STALE_REVISION')).toHaveLength(9)
    expect(await lookUp(holdall, { id }, 'revision')).toMatchObject({ revision: 2 })
  })

  test('renames a folder, and the paths below it change at once', async () => {
    const { id } = await folder('a/b', { createParents: true })
    const made = await file('1.txt', { folderId: id })
    await update({ entry: { path: { workspaceId, path: 'a' } }, name: 'Ä 100%' })
    expect(await lookUp(holdall, { id }, 'path')).toMatchObject({ path: 'Ä 100%/b' })
    expect(await lookUp(holdall, made, 'path')).toMatchObject({ path: 'Ä 100%/b/1.txt' })
    expect(await entryByPath(holdall, workspaceId, 'a/b/1.txt')).toBe(null)
    expect(await entryByPath(holdall, workspaceId, 'ä 100%/b/1.txt')).toMatchObject({ id: made.id })
  })

  test('several times in one request returns each intermediate state', async () => {
    const a = await folder('a')
    const made = await file('1.txt', { folderId: a.id })
    const rename = (name: string) =>
      `updateEntry(input: { entry: { id: "${a.id}" }, name: "${name}" }) { ...said }`
    const describe = `updateEntry(input: { entry: { id: "${made.id}" }, description: "x" }) { ...said }`
    const { two, four, six } = await holdall.ask(`mutation {
      one: ${rename('b')} two: ${describe} three: ${rename('c')} four: ${describe}
      five: moveEntries(input: { entries: [{ entry: { id: "${made.id}" } }], folder: { id: "${root.id}" } }) {
        ... on MoveEntriesPayload { succeeded } }
      six: ${rename('d')}
    }
    fragment said on UpdateEntryPayload {
      entry { path parent { name totals { fileCount } } ... on Folder { totals { fileCount } } } }`)
    expect(two.entry).toEqual({ path: 'b/1.txt', parent: { name: 'b', totals: { fileCount: 1 } } })
    expect(four.entry).toEqual({ path: 'c/1.txt', parent: { name: 'c', totals: { fileCount: 1 } } })
    expect(six.entry).toEqual({
      path: 'd',
      totals: { fileCount: 0 },
      parent: { name: '', totals: { fileCount: 1 } },
    })
  })

  test('rejects a name that is taken, and suggests one', async () => {
    await folder('a')
    const b = await folder('b')
    expect(
      await expectRefused(holdall, 'updateEntry', { entry: { id: b.id }, name: 'A' }),
    ).toMatchObject({
      code: 'NAME_CONFLICT',
      suggestedName: 'A (2)',
      path: ['name'],
    })
  })

  test('changes the description of the root, and not its name', async () => {
    expect(await update({ entry: root, description: 'all' })).toMatchObject({ description: 'all' })
    const renamed = await expectRefused(holdall, 'updateEntry', { entry: root, name: 'x' })
    expect(renamed).toMatchObject({ code: 'INVALID_STATE', state: 'ROOT' })
  })

  test.each([
    ['name', { name: '..' }],
    ['description', { description: 'x'.repeat(10_001) }],
    ['tags', { tags: ['a\nb'] }],
  ])('names the field of an invalid %s', async (field, more) => {
    const { id } = await folder('a')
    const input = { entry: { id }, ...more }
    expect(await expectRefused(holdall, 'updateEntry', input)).toMatchObject(fieldOf([field]))
  })
})
