import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import {
  act,
  batch,
  batchDone,
  createFolder,
  createWorkspace,
  items,
  lookUp,
  trashEntries,
  uploadFile,
} from '../../support/client.ts'
import { expectRefused } from '../../support/data/refusals.ts'
import { startTestServer, type TestServer } from '../../support/servers/test-server.ts'

let holdall: TestServer
let workspaceId: string

beforeEach(async () => {
  holdall = await startTestServer()
  onTestFinished(() => holdall[Symbol.asyncDispose]())
  workspaceId = (await createWorkspace(holdall)).id
})

type Id = { id: string }
type Tag = { id: string; name: string; color: string | null; entryCount: number }
const folder = (name: string, tags: string[] = []) =>
  createFolder(holdall, { workspaceId, name, tags })
const file = (name: string, tags: string[] = []) =>
  uploadFile(holdall, { workspaceId, name, tags, bytes: name })
const tagging = (entries: Id[], add: string[], remove: string[] = [], more = {}) => ({
  entries: items(...entries),
  add,
  remove,
  ...more,
})
const tag = (entries: Id[], add: string[], remove: string[] = []) =>
  batchDone(holdall, 'tagEntries', tagging(entries, add, remove))
const tagsOf = async (entry: Id): Promise<string[]> =>
  (await lookUp(holdall, entry, 'tags { name }')).tags.map(({ name }: Tag) => name)
async function allTags(args = 'first: 100'): Promise<Tag[]> {
  const query = `query ($id: ID!) { workspace(by: { id: $id }) {
    tags(${args}) { nodes { id name color entryCount } } } }`
  return (await holdall.ask(query, { id: workspaceId })).workspace.tags.nodes
}
const counts = async () =>
  Object.fromEntries((await allTags()).map(({ name, entryCount }) => [name, entryCount]))
const tagNamed = async (name: string): Promise<Tag> => {
  const found = (await allTags()).find((known) => known.name === name)
  if (!found) throw new Error(`no tag is called ${name}`)
  return found
}
const numberedTags = (count: number, start = 0) =>
  Array.from({ length: count }, (_, i) => `tag ${start + i}`)
const wrong = (...path: string[]) => ({ code: 'INVALID_INPUT', path, issues: [{ path }] })

test('a tag is created by its first use, once per workspace', async () => {
  const [one, two] = [await file('1.txt', ['Raw', ' checked ']), await folder('a', ['RAW'])]
  await tag([one], ['cafe\u0301'])
  await tag([two], ['Caf\u00e9', 'new'])
  expect(await tagsOf(one)).toEqual(['café', 'checked', 'Raw'])
  expect(await tagsOf(two)).toEqual(['café', 'new', 'Raw'])
  expect(await counts()).toEqual({ café: 2, checked: 1, new: 1, Raw: 2 })
  const other = await createWorkspace(holdall, { name: 'Other' })
  const theirs = await createFolder(holdall, { workspaceId: other.id, name: 'x', tags: ['raw'] })
  expect(await tagsOf(theirs)).toEqual(['raw'])
  expect(await counts()).toMatchObject({ Raw: 2 })
})

test('tags are listed by name, in pages, and by a part of their name', async () => {
  await folder('a', ['b', 'A', 'c', '100%', 'under_score', 'ä'])
  const names = async (args: string) => (await allTags(args)).map(({ name }) => name)
  expect(await names('first: 100')).toEqual(['100%', 'A', 'b', 'c', 'under_score', 'ä'])
  expect(await names('last: 2')).toEqual(['under_score', 'ä'])
  expect(await names('nameContains: "Ä"')).toEqual(['ä'])
  expect(await names('nameContains: "%"')).toEqual(['100%'])
  expect(await names('nameContains: "_"')).toEqual(['under_score'])
})

describe('tagEntries', () => {
  test('adds and removes, and keeps the other tags', async () => {
    const [one, two] = [await file('1.txt', ['red', 'keep']), await folder('a')]
    const done = await tag([one, two], ['blue', 'BLUE', ' '], ['Red', 'unheard of'])
    expect(done.map(({ id }) => id)).toEqual([one.id, two.id])
    expect(await tagsOf(one)).toEqual(['blue', 'keep'])
    expect(await tagsOf(two)).toEqual(['blue'])
    expect(await lookUp(holdall, one, 'revision')).toMatchObject({ revision: 2 })
  })

  test('fifty concurrent requests all succeed', async () => {
    const one = await file('1.txt', numberedTags(25))
    const rounds = Array.from({ length: 25 }, (_, i) => [
      tag([one], [`tag ${i + 25}`]),
      tag([one], [], [`TAG ${i}`]),
    ])
    await Promise.all(rounds.flat())
    expect((await tagsOf(one)).sort()).toEqual(numberedTags(25, 25).sort())
    expect(await lookUp(holdall, one, 'revision')).toMatchObject({ revision: 51 })
  })

  test('a new tag on fifty entries concurrently is one tag', async () => {
    const folders = await Promise.all(numberedTags(50).map((name) => folder(name)))
    await Promise.all(folders.map((made, i) => tag([made], [i % 2 ? 'New' : 'nEW'])))
    const [only, ...others] = await allTags()
    expect([only?.entryCount, others]).toEqual([50, []])
  })

  test('of many entries, ALL_OR_NOTHING tags none if one fails, and BEST_EFFORT the valid ones', async () => {
    const [one, gone, two] = [await file('1.txt'), await file('2.txt'), await folder('a')]
    await trashEntries(holdall, gone)
    const input = tagging([one, gone, two], ['red'])
    expect(await expectRefused(holdall, 'tagEntries', input)).toMatchObject({
      code: 'INVALID_STATE',
      state: 'TRASHED',
      path: ['entries', '1'],
    })
    const answer = await batch(holdall, 'tagEntries', { ...input, mode: 'BEST_EFFORT' })
    expect([answer.succeeded, answer.failed]).toEqual([2, 1])
    expect(await counts()).toEqual({ red: 2 })
  })

  test('with an expectedRevision rejects a stale revision', async () => {
    const { id } = await folder('a')
    const entries = [{ entry: { id }, expectedRevision: 2 }]
    expect(await expectRefused(holdall, 'tagEntries', { entries, add: ['x'] })).toMatchObject({
      code: 'STALE_REVISION',
      expectedRevision: 2,
      actualRevision: 1,
    })
  })
})

describe('an entry has at most 50 tags of 64 characters', () => {
  const long = '🧬'.repeat(64)

  test('when it is created', async () => {
    expect(await tagsOf(await folder('a', [...numberedTags(49), long]))).toHaveLength(50)
    const made = { workspaceId, name: 'b', tags: numberedTags(51) }
    expect(await expectRefused(holdall, 'createFolder', made)).toMatchObject(wrong('tags'))
    const upload = { ...made, size: 1, tags: [`${long}x`] }
    expect(await expectRefused(holdall, 'createUpload', upload)).toMatchObject(wrong('tags'))
  })

  test('when it is changed', async () => {
    const { id } = await folder('a', numberedTags(50))
    const entry = { entry: { id } }
    for (const tags of [numberedTags(51), ['a\nb']]) {
      expect(await expectRefused(holdall, 'updateEntry', { ...entry, tags })).toMatchObject(
        wrong('tags'),
      )
    }
    await act(holdall, 'updateEntry', { ...entry, tags: numberedTags(50, 50) }, 'entry { id }')
    expect((await tagsOf({ id })).sort()).toEqual(numberedTags(50, 50).sort())
  })

  test('when tags are added', async () => {
    const full = await folder('a', numberedTags(50))
    const input = tagging([full], ['one more'])
    expect(await expectRefused(holdall, 'tagEntries', input)).toMatchObject(wrong('add'))
    await tag([full], ['one more', 'TAG 7'], ['tag 0'])
    expect(await tagsOf(full)).toHaveLength(50)
    for (const [field, value] of [
      ['add', numberedTags(51)],
      ['remove', [`${long}x`]],
    ] as const) {
      const bad = { entries: items(full), [field]: value }
      expect(await expectRefused(holdall, 'tagEntries', bad)).toMatchObject(wrong(field))
    }
  })

  test('when a new version adds tags', async () => {
    const made = await file('1.txt', numberedTags(50))
    const again = { workspaceId, name: '1.txt', bytes: 'new', onConflict: 'NEW_VERSION' }
    await expect(uploadFile(holdall, { ...again, tags: ['one more'] })).rejects.toThrow(/50 tags/)
    await uploadFile(holdall, { ...again, tags: ['tag 1'] })
    expect(await tagsOf(made)).toHaveLength(50)
  })
})

describe('updateTag', () => {
  const update = async (tagId: string, more: object) =>
    (await act(holdall, 'updateTag', { tagId, ...more }, 'tag { id name color }')).tag

  test('renames and colors a tag everywhere', async () => {
    const one = await file('1.txt', ['red', 'b'])
    const { id } = await tagNamed('red')
    expect(await update(id, { name: ' Rouge ' })).toEqual({ id, name: 'Rouge', color: null })
    expect(await update(id, { color: '#FF0000' })).toEqual({ id, name: 'Rouge', color: '#FF0000' })
    expect(await tagsOf(one)).toEqual(['b', 'Rouge'])
    await tag([await folder('a')], ['rouge'])
    expect(await counts()).toEqual({ b: 1, Rouge: 2 })
    expect(await update(id, { name: 'ROUGE', color: null })).toMatchObject({
      name: 'ROUGE',
      color: null,
    })
  })

  test('rejects a taken name, an invalid name and an invalid color', async () => {
    await folder('a', ['red', 'Blue'])
    const { id: tagId } = await tagNamed('red')
    for (const name of ['BLUE', ' blue', '', '  ', 'x'.repeat(65), 'a\u202eb']) {
      expect(await expectRefused(holdall, 'updateTag', { tagId, name })).toMatchObject(
        wrong('name'),
      )
    }
    for (const color of ['red', '#fff', '#12345g', '']) {
      expect(await expectRefused(holdall, 'updateTag', { tagId, color })).toMatchObject(
        wrong('color'),
      )
    }
    const unknown = `tag_${'0'.repeat(32)}`
    expect(await expectRefused(holdall, 'updateTag', { tagId: unknown, name: 'x' })).toMatchObject({
      code: 'NOT_FOUND',
      id: unknown,
    })
  })
})

test('deleteTag removes a tag from everything; its name can be used again', async () => {
  const one = await file('1.txt', ['red', 'blue'])
  const { id: tagId } = await tagNamed('red')
  await act(holdall, 'deleteTag', { tagId }, 'tagId')
  expect(await tagsOf(one)).toEqual(['blue'])
  expect(await holdall.ask('query ($id: ID!) { node(id: $id) { id } }', { id: tagId })).toEqual({
    node: null,
  })
  expect(await expectRefused(holdall, 'deleteTag', { tagId })).toMatchObject({ code: 'NOT_FOUND' })
  await tag([one], ['RED'])
  expect(await tagsOf(one)).toEqual(['blue', 'RED'])
  expect((await tagNamed('RED')).id).not.toBe(tagId)
})

describe('the entries of a tag', () => {
  const entriesOf = async (name: string, args = '') => {
    const { id } = await tagNamed(name)
    const query = `query ($id: ID!) { node(id: $id) { ... on Tag {
      entryCount entries${args} { nodes { path } totalCount } } } }`
    const { entryCount, entries } = (await holdall.ask(query, { id })).node
    return {
      entryCount,
      total: entries.totalCount,
      paths: entries.nodes.map(({ path }: any) => path),
    }
  }

  test('are counted and listed, folders first, by name', async () => {
    await Promise.all([file('b.txt', ['red']), file('a.txt', ['RED']), folder('z', ['red'])])
    await file('none.txt')
    expect(await entriesOf('red')).toEqual({
      entryCount: 3,
      total: 3,
      paths: ['z', 'a.txt', 'b.txt'],
    })
    const args = '(orderBy: { field: NAME, direction: DESC, foldersFirst: false }, first: 2)'
    expect((await entriesOf('red', args)).paths).toEqual(['z', 'b.txt'])
  })

  test('exclude trashed entries, and those below a trashed folder', async () => {
    const a = await folder('a', ['red'])
    await createFolder(holdall, { folder: { id: a.id }, name: 'sub', tags: ['red'] })
    await uploadFile(holdall, {
      workspaceId,
      folderId: a.id,
      name: '1.txt',
      bytes: '',
      tags: ['red'],
    })
    const two = await file('2.txt', ['red'])
    await file('3.txt', ['red'])
    await trashEntries(holdall, a, two)
    expect(await entriesOf('red')).toEqual({ entryCount: 1, total: 1, paths: ['3.txt'] })
    await batchDone(holdall, 'restoreEntries', { entries: [{ entry: { id: a.id } }] })
    expect((await entriesOf('red')).paths).toEqual(['a', 'a/sub', 'a/1.txt', '3.txt'])
    await batch(holdall, 'purgeEntries', { entries: [{ entry: { id: two.id } }] })
    expect((await entriesOf('red')).entryCount).toBe(4)
  })
})
