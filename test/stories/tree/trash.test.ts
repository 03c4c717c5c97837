import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { inTransaction } from '../../../src/context.ts'
import { selectEntries } from '../../../src/domains/entries/reads.ts'
import { purge as purgeRow } from '../../../src/domains/trash/purge.ts'
import { InvalidState } from '../../../src/errors/entries.ts'
import {
  act,
  batch,
  batchDone,
  children,
  confirmUpload,
  createFolder,
  createUpload,
  createWorkspace,
  download,
  downloadUrl,
  entryByPath,
  items,
  lookUp,
  totalsOf,
  trashEntries,
  uploadFile,
  usageOf,
} from '../../support/client.ts'
import { errorOf, expectItemsRefused, expectRefused } from '../../support/data/refusals.ts'
import { startTestServer, type TestServer } from '../../support/servers/test-server.ts'

const START = Date.parse('2025-06-01T09:00:00.000Z')
let holdall: TestServer
let workspaceId: string
let root: { id: string }
let now: number

beforeEach(async () => {
  now = START
  holdall = await startTestServer({ now: () => now })
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
const at = async (path: string) => {
  const found = await entryByPath(holdall, workspaceId, path)
  if (!found) throw new Error(`nothing is at ${path}`)
  return found
}
const restoring = (entries: Id[], more = {}) => ({ entries: items(...entries), ...more })
const restore = async (entry: Id, more = {}) => {
  const [restored] = await batchDone(holdall, 'restoreEntries', restoring([entry], more))
  return restored?.path
}
const purge = (...entries: Id[]) =>
  batch<{ freedBytes: number }>(holdall, 'purgeEntries', restoring(entries), 'freedBytes')
const move = (entry: Id, { id }: Id) =>
  batchDone(holdall, 'moveEntries', { entries: items(entry), folder: { id } })
const rename = ({ id }: Id, name: string) =>
  act(holdall, 'updateEntry', { entry: { id }, name }, 'entry { id }')
const pathOf = async (entry: Id) => (await lookUp(holdall, entry, 'path')).path
async function trash(args = ''): Promise<any[]> {
  const query = `query ($id: ID!) { workspace(by: { id: $id }) { trash${args} { nodes {
    id name path trash { originalPath trashedAt purgeAt trashedBy { name } } } } } }`
  return (await holdall.ask(query, { id: workspaceId })).workspace.trash.nodes
}
const inTrash = async (args = '') => (await trash(args)).map((entry) => entry.trash.originalPath)
async function entriesOf(filter = '{}'): Promise<string[]> {
  const query = `query ($id: ID!) { workspace(by: { id: $id }) {
    entries(filter: ${filter}) { nodes { path } totalCount } } }`
  const { entries } = (await holdall.ask(query, { id: workspaceId })).workspace
  expect(entries.totalCount).toBe(entries.nodes.length)
  return entries.nodes.map(({ path }: { path: string }) => path)
}
const keptKeys = async () => (await Array.fromAsync(holdall.app.blobs.list('kept'))).length
const rowsOf = async (table: 'entries' | 'versions' | 'blobs' | 'folderKinds' | 'entryTags') =>
  (await holdall.app.db.selectFrom(table).selectAll().execute()).length

describe('trashEntries', () => {
  test('hides a folder with its content, in one step', async () => {
    const one = await file('a/b/1.txt', 'one', { tags: ['red'] })
    const [a, b] = [await at('a'), await at('a/b')]
    await file('2.txt', 'two', { tags: ['red'] })
    const link = await downloadUrl(holdall, one.id)
    await trashEntries(holdall, a)
    expect((await children(holdall, root.id)).map(({ path }) => path)).toEqual(['2.txt'])
    expect(await entriesOf()).toEqual(['2.txt'])
    expect(await entriesOf('{ pathPrefix: "a/" }')).toEqual([])
    expect(await entriesOf('{ tags: { anyOf: ["red"] } }')).toEqual(['2.txt'])
    expect(await entriesOf(`{ within: "${a.id}" }`)).toEqual([])
    for (const path of ['a', 'a/b', 'a/b/1.txt']) {
      expect(await entryByPath(holdall, workspaceId, path)).toBe(null)
    }
    expect(await totalsOf(holdall, root)).toEqual({ bytes: 3, fileCount: 1, folderCount: 0 })
    expect((await holdall.http(link, { token: null })).status).toBe(404)
    expect((await holdall.http(`/download/${one.id}`)).status).toBe(404)
    const says = { originalPath: 'a', trashedAt: new Date(START).toISOString() }
    const fields = 'path trash { originalPath trashedAt }'
    expect(await lookUp(holdall, a, fields)).toMatchObject({ path: 'a', trash: says })
    expect(await lookUp(holdall, b, fields)).toMatchObject({ path: 'a/b', trash: says })
    expect(await lookUp(holdall, one, fields)).toMatchObject({ path: 'a/b/1.txt', trash: says })
  })

  test('lists entries that were trashed themselves, with their old path and their expiry', async () => {
    const one = await file('a/b/1.txt')
    const a = await at('a')
    await trashEntries(holdall, one)
    now += 1000
    await trashEntries(holdall, a)
    const day = 86_400_000
    expect(await trash()).toEqual([
      {
        id: a.id,
        name: 'a',
        path: 'a',
        trash: {
          originalPath: 'a',
          trashedAt: new Date(START + 1000).toISOString(),
          purgeAt: new Date(START + 1000 + 30 * day).toISOString(),
          trashedBy: { name: expect.any(String) },
        },
      },
      expect.objectContaining({ id: one.id, path: 'a/b/1.txt' }),
    ])
  })

  test('without recursive rejects a folder with content, and reports how much', async () => {
    await file('a/b/1.txt')
    await file('a/2.txt')
    const entries = items(await at('a'), await folder('empty'), await file('3.txt'))
    expect(await expectRefused(holdall, 'trashEntries', { entries })).toMatchObject({
      code: 'NOT_EMPTY',
      entryCount: 3,
      path: ['entries', '0'],
    })
    const input = { entries, mode: 'BEST_EFFORT' }
    const { succeeded, failed } = await batch(holdall, 'trashEntries', input)
    expect([succeeded, failed]).toEqual([2, 1])
    expect((await inTrash()).sort()).toEqual(['3.txt', 'empty'])
  })

  test('frees the name', async () => {
    await trashEntries(holdall, await file('a.txt', 'first'))
    await trashEntries(holdall, await file('A.txt', 'second'))
    await file('a.txt', 'third')
    expect(await inTrash()).toHaveLength(2)
  })

  test('makes its entries read-only', async () => {
    const one = await file('a/1.txt')
    const a = await at('a')
    const to = await folder('to')
    await trashEntries(holdall, a)
    const destination = { id: to.id }
    const trashed = { code: 'INVALID_STATE', state: 'TRASHED' }
    for (const entry of [a, one]) {
      const entries = items(entry)
      for (const [name, input] of [
        ['moveEntries', { entries, folder: destination }],
        ['copyEntries', { entries, folder: destination }],
        ['tagEntries', { entries, add: ['x'] }],
        ['trashEntries', { entries, recursive: true }],
      ] as const) {
        expect([name, await expectRefused(holdall, name, input)]).toMatchObject([name, trashed])
      }
      const change = { entry: { id: entry.id }, description: 'x' }
      expect(await expectRefused(holdall, 'updateEntry', change)).toMatchObject(trashed)
    }
    const inside = { folder: { id: a.id }, name: 'x' }
    expect(await expectRefused(holdall, 'createFolder', inside)).toMatchObject(trashed)
    const upload = { workspaceId, folderId: a.id, name: 'x', size: 1 }
    expect(await expectRefused(holdall, 'createUpload', upload)).toMatchObject(trashed)
  })

  test('does not take the root', async () => {
    const input = { entries: items(root), recursive: true }
    expect(await expectRefused(holdall, 'trashEntries', input)).toMatchObject({ state: 'ROOT' })
  })

  test('with an expectedRevision rejects a stale revision', async () => {
    const { id } = await folder('a')
    const input = { entries: [{ entry: { id }, expectedRevision: 3 }] }
    expect(await expectRefused(holdall, 'trashEntries', input)).toMatchObject({
      code: 'STALE_REVISION',
      expectedRevision: 3,
      actualRevision: 1,
    })
  })

  test('counts its entries as trashed, older versions too', async () => {
    await file('a/1.txt', '123')
    await file('a/1.txt', '12345', { onConflict: 'NEW_VERSION' })
    await trashEntries(holdall, await at('a'))
    expect(await usageOf(holdall, workspaceId)).toMatchObject({
      currentBytes: 0,
      olderVersionBytes: 0,
      trashedBytes: 8,
      storedBytes: 8,
      fileCount: 0,
      folderCount: 0,
      byKind: [],
    })
  })
})

describe('the trash', () => {
  const orders = ['TRASHED_AT', 'NAME', 'SIZE'].flatMap((field) =>
    ['ASC', 'DESC'].map((direction) => ({ field, direction })),
  )

  test.each(orders)('comes in pages by %j, forward and back', async (order) => {
    const made: { id: string; key: string | number }[] = []
    for (let i = 0; i < 17; i++) {
      const name = `${['b', 'A', 'ä'][i % 3]}${i >> 2}`
      const { id } = await file(`${i}/${name}`, 'x'.repeat(i % 4))
      if (i % 5 === 0) now += 1000
      await trashEntries(holdall, { id })
      const keys = { NAME: name.toLowerCase(), SIZE: i % 4, TRASHED_AT: now }
      made.push({ id, key: keys[order.field as keyof typeof keys] })
    }
    const way = order.direction === 'ASC' ? 1 : -1
    const compare = (a: string | number, b: string | number) =>
      typeof a === 'number' ? a - Number(b) : Buffer.compare(Buffer.from(a), Buffer.from(String(b)))
    const sorted = made.toSorted((a, b) => way * (compare(a.key, b.key) || compare(a.id, b.id)))
    const page = async (args: object) => {
      const { workspace } = await holdall.ask(
        `query ($id: ID!, $order: TrashOrder, $first: Int, $after: String, $last: Int, $before: String) {
          workspace(by: { id: $id }) { trash(orderBy: $order, first: $first, after: $after, last: $last,
            before: $before) { nodes { id } totalCount pageInfo { startCursor endCursor } } } }`,
        { id: workspaceId, order, ...args },
      )
      expect(workspace.trash.totalCount).toBe(17)
      return workspace.trash
    }
    for (const size of [1, 5, 17]) {
      const [forward, back]: [string[], string[]] = [[], []]
      for (let after: string | undefined; forward.length < 17; ) {
        const { nodes, pageInfo } = await page({ first: size, after })
        forward.push(...nodes.map(({ id }: Id) => id))
        after = pageInfo.endCursor
      }
      for (let before: string | undefined; back.length < 17; ) {
        const { nodes, pageInfo } = await page({ last: size, before })
        back.unshift(...nodes.map(({ id }: Id) => id))
        before = pageInfo.startCursor
      }
      expect(forward).toEqual(sorted.map(({ id }) => id))
      expect(back).toEqual(forward)
    }
  })

  test('is filtered by properties of its entries, and by their old paths', async () => {
    await file('results/1.csv', 'x')
    await file('results2/2.csv', '')
    await file('results/sub/3.txt', '', { tags: ['red'] })
    const sub = await at('results/sub')
    for (const path of ['results/1.csv', 'results2/2.csv', 'results/sub']) {
      await trashEntries(holdall, await at(path))
    }
    const byName = async (filter: string) =>
      await inTrash(`(filter: ${filter}, orderBy: { field: NAME, direction: ASC })`)
    expect(await byName('{}')).toEqual(['results/1.csv', 'results2/2.csv', 'results/sub'])
    expect(await byName('{ type: FOLDER }')).toEqual(['results/sub'])
    expect(await byName('{ kinds: [SPREADSHEET] }')).toEqual(['results/1.csv', 'results2/2.csv'])
    expect(await byName('{ nameContains: "UB" }')).toEqual(['results/sub'])
    expect(await byName('{ size: { gte: 1 } }')).toEqual(['results/1.csv'])
    expect(await byName('{ pathPrefix: "results/" }')).toEqual(['results/1.csv', 'results/sub'])
    expect(await byName(`{ within: "${(await at('results2')).id}" }`)).toEqual(['results2/2.csv'])
    expect(await byName('{ tags: { anyOf: ["red"] } }')).toEqual([])
    expect((await children(holdall, sub.id)).map(({ name }) => name)).toEqual(['3.txt'])
  })

  test('is separate from a new folder at an old path', async () => {
    const old = await folder('a')
    await trashEntries(holdall, old)
    await file('a/new.txt')
    expect(await entriesOf(`{ within: "${old.id}" }`)).toEqual([])
    expect(await entriesOf(`{ within: "${(await at('a')).id}" }`)).toEqual(['a/new.txt'])
  })
})

describe('restoreEntries', () => {
  test('restores an entry to its place, with everything that belongs to it', async () => {
    const about = { tags: ['red'], description: 'of 2025', metadata: { n: 1 } }
    const one = await file('a/b/1.txt', 'old', about)
    await file('a/b/1.txt', 'new', { onConflict: 'NEW_VERSION' })
    const fields = `id name path description metadata tags { name } updatedAt trash { purgeAt }
      parent { id } ... on File { size sha256 versions { nodes { id number } } }`
    const before = await lookUp(holdall, one, fields)
    now += 5000
    await trashEntries(holdall, one)
    expect(await restore(one)).toBe('a/b/1.txt')
    expect(await lookUp(holdall, one, fields)).toEqual(before)
    expect(await lookUp(holdall, one, 'revision')).toMatchObject({ revision: 4 })
    expect((await download(holdall, one.id)).toString()).toBe('new')
    expect(await trash()).toEqual([])
    await trashEntries(holdall, await at('a'))
    expect(await restore({ id: before.parent.id }).catch((error) => error.message)).toContain(
      'INVALID_STATE',
    )
    expect(await restore((await trash())[0])).toBe('a')
    expect(await lookUp(holdall, one, fields)).toEqual(before)
    expect(await totalsOf(holdall, root)).toEqual({ bytes: 3, fileCount: 1, folderCount: 2 })
  })

  test('follows its old folder if that was renamed and moved', async () => {
    const one = await file('a/b/1.txt')
    const deep = await file('a/b/c/d/2.txt')
    const [b, c] = [await at('a/b'), await at('a/b/c')]
    await trashEntries(holdall, one, c)
    await rename(b, 'B 2')
    await move(b, await folder('to'))
    expect(await inTrash('(orderBy: { field: NAME, direction: ASC })')).toEqual([
      'a/b/1.txt',
      'a/b/c',
    ])
    expect(await restore(one)).toBe('to/B 2/1.txt')
    expect(await restore(c)).toBe('to/B 2/c')
    expect(await pathOf(deep)).toBe('to/B 2/c/d/2.txt')
    expect(await at('to/b 2/C/D/2.txt')).toMatchObject({ id: deep.id })
    expect(await totalsOf(holdall, await at('a'))).toEqual({
      bytes: 0,
      fileCount: 0,
      folderCount: 0,
    })
  })

  describe('if the name is taken meanwhile', () => {
    let old: Id
    let there: Id
    beforeEach(async () => {
      old = await file('a/data.csv', 'old')
      await trashEntries(holdall, old)
      there = await file('a/DATA.csv', 'there')
    })

    test('RENAME, the default, takes a free one', async () => {
      expect(await restore(old)).toBe('a/data (2).csv')
    })

    test('FAIL reports the existing entry', async () => {
      const input = restoring([old], { onConflict: 'FAIL' })
      expect(await expectRefused(holdall, 'restoreEntries', input)).toMatchObject({
        code: 'NAME_CONFLICT',
        existing: { id: there.id },
        suggestedName: 'data (2).csv',
      })
    })

    test('REPLACE exchanges the two', async () => {
      expect(await restore(old, { onConflict: 'REPLACE' })).toBe('a/data.csv')
      expect((await trash()).map(({ id }) => id)).toEqual([there.id])
      expect(await totalsOf(holdall, root)).toEqual({ bytes: 3, fileCount: 1, folderCount: 1 })
    })

    test('NEW_VERSION is rejected: a restore creates no versions', async () => {
      const input = restoring([old], { onConflict: 'NEW_VERSION' })
      expect(await expectRefused(holdall, 'restoreEntries', input)).toMatchObject({
        code: 'INVALID_INPUT',
        path: ['onConflict'],
      })
    })

    test('for a folder, the paths below it use the new name', async () => {
      const below = await file('x/y/1.txt')
      const x = await at('x')
      await trashEntries(holdall, x)
      await folder('X')
      expect(await restore(x)).toBe('x (2)')
      expect(await pathOf(below)).toBe('x (2)/y/1.txt')
    })
  })

  describe('if the folder does not exist', () => {
    const inside = async () => {
      const one = await file('a/b/1.txt')
      await trashEntries(holdall, one)
      const a = await at('a')
      await trashEntries(holdall, a)
      return { one, a }
    }

    test('creates the folders of the old path again', async () => {
      const { one, a } = await inside()
      await purge(a)
      expect(await restore(one)).toBe('a/b/1.txt')
      expect(await pathOf(await at('a/b'))).toBe('a/b')
      expect((await download(holdall, one.id)).toString()).toBe('a/b/1.txt')
      expect(await totalsOf(holdall, root)).toEqual({ bytes: 9, fileCount: 1, folderCount: 2 })
    })

    test('creates them beside a folder that is still trashed, and that one is restored under another name', async () => {
      const { one, a } = await inside()
      expect(await restore(one)).toBe('a/b/1.txt')
      expect(await restore(a)).toBe('a (2)')
      expect((await entriesOf()).sort()).toEqual(['a', 'a (2)', 'a (2)/b', 'a/b', 'a/b/1.txt'])
    })

    test('uses existing folders of the old path', async () => {
      const { one } = await inside()
      const b = await folder('A/B')
      expect(await restore(one)).toBe('A/B/1.txt')
      expect((await children(holdall, b.id)).map(({ id }) => id)).toEqual([one.id])
    })

    test('and fallbackFolder is given, restores into it', async () => {
      const { one, a } = await inside()
      const to = await folder('to')
      const fallbackFolder = { path: { workspaceId, path: 'to' } }
      expect(await restore(one, { fallbackFolder })).toBe('to/1.txt')
      expect(await restore(a, { fallbackFolder })).toBe('a')
      expect((await children(holdall, to.id)).map(({ id }) => id)).toEqual([one.id])
    })

    test('fallbackFolder must be a live folder of this workspace', async () => {
      const { one } = await inside()
      const other = await createWorkspace(holdall, { name: 'Other' })
      const two = await file('2.txt')
      for (const [id, problem] of [
        [other.root.id, { code: 'INVALID_INPUT', path: ['fallbackFolder'] }],
        [two.id, { state: 'FILE', path: ['fallbackFolder'] }],
        [(await trash())[0].id, { state: 'TRASHED', path: ['fallbackFolder'] }],
        ['fld_x', { code: 'NOT_FOUND', path: ['fallbackFolder'] }],
      ] as const) {
        const input = restoring([one], { fallbackFolder: { id } })
        expect(await expectRefused(holdall, 'restoreEntries', input)).toMatchObject(problem)
      }
    })

    test('reports a file that has the name of one of the old folders', async () => {
      const { one, a } = await inside()
      await purge(a)
      await file('a')
      expect(await expectRefused(holdall, 'restoreEntries', restoring([one]))).toMatchObject({
        code: 'INVALID_STATE',
        state: 'FILE',
      })
    })
  })

  test('restores separately what was trashed alone and then with its folder', async () => {
    const one = await file('a/1.txt')
    await file('a/2.txt')
    const a = await at('a')
    await trashEntries(holdall, one)
    await trashEntries(holdall, a)
    expect(await restore(a)).toBe('a')
    expect((await children(holdall, a.id)).map(({ name }) => name)).toEqual(['2.txt'])
    expect((await trash()).map(({ id }) => id)).toEqual([one.id])
    expect(await restore(one)).toBe('a/1.txt')
    expect(await totalsOf(holdall, a)).toEqual({ bytes: 14, fileCount: 2, folderCount: 0 })
    expect(await lookUp(holdall, one, 'parent { id }')).toMatchObject({ parent: { id: a.id } })
  })

  test('restores nested trashed folders with the right paths, in any order', async () => {
    const one = await file('a/b/c/1.txt')
    const [a, b] = [await at('a'), await at('a/b')]
    await trashEntries(holdall, b)
    await trashEntries(holdall, a)
    expect(await restore(a)).toBe('a')
    expect((await entriesOf()).sort()).toEqual(['a'])
    await rename(a, 'z')
    expect(await restore(b)).toBe('z/b')
    expect(await pathOf(one)).toBe('z/b/c/1.txt')
    expect((await entriesOf()).sort()).toEqual(['z', 'z/b', 'z/b/c', 'z/b/c/1.txt'])
  })

  test('of many entries, ALL_OR_NOTHING restores none if one fails, BEST_EFFORT the valid ones', async () => {
    const [one, two, three] = [await file('1.txt'), await file('2.txt'), await folder('a')]
    await trashEntries(holdall, one, three)
    const input = restoring([one, two, three])
    expect(await expectRefused(holdall, 'restoreEntries', input)).toMatchObject({
      code: 'INVALID_STATE',
      state: 'NOT_TRASHED',
      path: ['entries', '1'],
    })
    const answer = await batch(holdall, 'restoreEntries', { ...input, mode: 'BEST_EFFORT' })
    expect([answer.succeeded, answer.failed]).toEqual([2, 1])
    const none = await expectRefused(holdall, 'restoreEntries', restoring([]))
    expect(none).toMatchObject({ code: 'INVALID_INPUT', path: ['entries'] })
  })

  test.each(['restoreEntries', 'purgeEntries'])(
    '%s takes entries by id, and compares their revision',
    async (mutation) => {
      const [one, two] = [await file('1.txt'), await file('2.txt')]
      await trashEntries(holdall, one, two)
      const { revision } = await lookUp(holdall, one, 'revision')
      const item = (entry: object, expectedRevision?: number) => ({ entry, expectedRevision })
      const byPath = item({ path: { workspaceId, path: '1.txt' } })
      const stale = item({ id: two.id }, 99)
      const input = (...entries: object[]) => ({ entries, mode: 'ALL_OR_NOTHING' })
      expect(await expectRefused(holdall, mutation, input(byPath))).toMatchObject({
        code: 'INVALID_INPUT',
        path: ['entries', '0', 'entry', 'path'],
      })
      const both = input(item({ id: one.id }, revision), stale)
      expect(await expectRefused(holdall, mutation, both)).toMatchObject({
        code: 'STALE_REVISION',
        path: ['entries', '1'],
      })
      expect(await trash()).toHaveLength(2)
      const answer = await batch(holdall, mutation, { ...both, mode: 'BEST_EFFORT' })
      expect(answer.results.map(({ error }: any) => error?.code ?? null)).toEqual([
        null,
        'STALE_REVISION',
      ])
    },
  )

  test('rejects a place that has become too deep', async () => {
    const deep = (levels: number) => Array.from({ length: levels }, (_, i) => `d${i}`).join('/')
    await folder('a/b/c/d')
    const c = await at('a/b/c')
    await trashEntries(holdall, c)
    await move(await at('a/b'), await folder(deep(62)))
    expect(await expectRefused(holdall, 'restoreEntries', restoring([c]))).toMatchObject({
      code: 'INVALID_INPUT',
      path: ['entries', '0'],
    })
  })
})

describe('purgeEntries', () => {
  test('frees rows at once and bytes within three seconds', async () => {
    const one = await file('a/b/1.txt', 'one', { tags: ['red'] })
    await file('a/b/1.txt', 'two!', { onConflict: 'NEW_VERSION' })
    const a = await at('a')
    const link = await downloadUrl(holdall, one.id)
    await trashEntries(holdall, a)
    expect(await keptKeys()).toBe(2)
    const { results, freedBytes } = await purge(a)
    expect([results[0]?.entryId, freedBytes]).toEqual([a.id, 7])
    for (const entry of [a, one]) expect(await lookUp(holdall, entry, 'id')).toBe(null)
    expect(await trash()).toEqual([])
    expect((await holdall.http(link, { token: null })).status).toBe(404)
    expect(await usageOf(holdall, workspaceId)).toMatchObject({ trashedBytes: 0, storedBytes: 0 })
    expect([await rowsOf('entries'), await rowsOf('versions'), await rowsOf('entryTags')]).toEqual([
      1, 0, 0,
    ])
    await expect.poll(keptKeys, { timeout: 3000, interval: 50 }).toBe(0)
    await expect.poll(() => rowsOf('blobs'), { timeout: 1000 }).toBe(0)
    const notFound = await expectRefused(holdall, 'restoreEntries', restoring([a]))
    expect(notFound).toMatchObject({ code: 'NOT_FOUND', id: a.id })
  })

  test('of an empty file leaves no empty blob behind', async () => {
    const one = await file('1.txt', '')
    await trashEntries(holdall, one)
    expect(await keptKeys()).toBe(1)
    await purge(one)
    await expect.poll(keptKeys, { timeout: 3000, interval: 50 }).toBe(0)
  })

  test('keeps shared bytes until their last reference is deleted', async () => {
    const [one, two] = [await file('1.txt', 'same'), await file('2.txt', 'same')]
    const other = await createWorkspace(holdall, { name: 'Other' })
    const theirs = await uploadFile(holdall, {
      workspaceId: other.id,
      name: '3.txt',
      bytes: 'same',
    })
    expect(await keptKeys()).toBe(2)
    await trashEntries(holdall, one, two)
    await purge(one)
    await holdall.app.jobs.runDue()
    expect(await keptKeys()).toBe(2)
    expect(await usageOf(holdall, workspaceId)).toMatchObject({ trashedBytes: 4, storedBytes: 4 })
    await restore(two)
    expect((await download(holdall, two.id)).toString()).toBe('same')
    await trashEntries(holdall, two)
    await purge(two)
    await expect.poll(keptKeys, { timeout: 3000, interval: 50 }).toBe(1)
    expect((await download(holdall, theirs.id)).toString()).toBe('same')
    expect(await uploadFile(holdall, { workspaceId, name: '1.txt', bytes: 'same' })).toMatchObject({
      size: 4,
    })
  })

  test('keeps entries that were trashed separately', async () => {
    const [one, sub] = [await file('a/1.txt'), await file('a/sub/2.txt')]
    const [a, folderOfTwo] = [await at('a'), await at('a/sub')]
    await trashEntries(holdall, one, folderOfTwo)
    await trashEntries(holdall, a)
    expect((await purge(a)).freedBytes).toBe(0)
    expect((await inTrash()).sort()).toEqual(['a/1.txt', 'a/sub'])
    expect(await restore(folderOfTwo)).toBe('a/sub')
    expect(await restore(one)).toBe('a/1.txt')
    expect((await download(holdall, sub.id)).toString()).toBe('a/sub/2.txt')
  })

  test('requires entries that were trashed themselves', async () => {
    const one = await file('a/1.txt')
    const two = await file('2.txt')
    await trashEntries(holdall, await at('a'))
    const input = restoring([one, two, { id: 'file_x' }], { mode: 'BEST_EFFORT' })
    expect(await expectItemsRefused(holdall, 'purgeEntries', input)).toMatchObject([
      { state: 'NOT_TRASHED' },
      { state: 'NOT_TRASHED' },
      { code: 'NOT_FOUND' },
    ])
  })

  test('hides everything below at once, however long deleting the rows takes', async () => {
    const one = await file('a/b/c/1.txt')
    const [a, c] = [await at('a'), await at('a/b/c')]
    await trashEntries(holdall, a)
    // The state in between: the folder is marked, the rows still exist.
    const marked = { purgingAt: now }
    await holdall.app.db.updateTable('entries').set(marked).where('id', '=', a.id).execute()
    for (const entry of [a, c, one]) expect(await lookUp(holdall, entry, 'id')).toBe(null)
    const ids = [one.version.id]
    const { nodes } = await holdall.ask('query ($ids: [ID!]!) { nodes(ids: $ids) { id } }', { ids })
    expect(nodes).toEqual([null])
    expect((await holdall.http(`/download/${one.id}`)).status).toBe(404)
    expect(await trash()).toEqual([])
    const change = { entry: { id: c.id }, description: 'x' }
    expect(await expectRefused(holdall, 'updateEntry', change)).toMatchObject({ code: 'NOT_FOUND' })
  })

  test('too late for a restored entry does no harm', async () => {
    const one = await file('1.txt', 'alive')
    await trashEntries(holdall, one)
    const rounds = Array.from({ length: 20 }, (_, i) =>
      i % 2 ? purge(one) : restore(one).catch(() => null),
    )
    await Promise.all(rounds)
    const alive = await lookUp(holdall, one, 'id trash { purgeAt }')
    const { currentBytes, trashedBytes, storedBytes } = await usageOf(holdall, workspaceId)
    const bytes = alive ? [5, 0, 5] : [0, 0, 0]
    expect([currentBytes, trashedBytes, storedBytes]).toEqual(bytes)
    if (alive) expect((await download(holdall, one.id)).toString()).toBe('alive')
  })

  test('by a job that read the trash before a restore does no harm', async () => {
    const one = await file('1.txt', 'alive')
    await trashEntries(holdall, one)
    const seen = await selectEntries(holdall.app.db)
      .where('id', '=', one.id)
      .executeTakeFirstOrThrow()
    const late = () =>
      inTransaction({ ...holdall.app, viewer: null, publicUrl: '' }, (s) => purgeRow(s, seen))
    await restore(one)
    await expect(late()).rejects.toThrow(InvalidState)
    await trashEntries(holdall, one)
    await expect(late()).rejects.toThrow(InvalidState)
    await restore(one)
    expect((await download(holdall, one.id)).toString()).toBe('alive')
  })
})

describe('emptyTrash', () => {
  const empty = (more = {}) =>
    act(holdall, 'emptyTrash', { workspaceId, ...more }, 'purgedCount freedBytes')

  test('purges everything, or what was trashed before a given time', async () => {
    await file('a/1.txt', '123')
    await trashEntries(holdall, await at('a'), await file('2.txt', '12'))
    now += 60_000
    await trashEntries(holdall, await file('3.txt', '1'))
    await file('4.txt', '1234')
    const other = await createWorkspace(holdall, { name: 'Other' })
    const theirs = await createFolder(holdall, { workspaceId: other.id, name: 'theirs' })
    await trashEntries(holdall, theirs)
    const trashedBefore = new Date(now).toISOString()
    expect(await empty({ trashedBefore })).toMatchObject({ purgedCount: 2, freedBytes: 5 })
    expect(await inTrash()).toEqual(['3.txt'])
    expect(await empty()).toMatchObject({ purgedCount: 1, freedBytes: 1 })
    expect(await empty()).toMatchObject({ purgedCount: 0, freedBytes: 0 })
    expect(await usageOf(holdall, workspaceId)).toMatchObject({
      currentBytes: 4,
      trashedBytes: 0,
      storedBytes: 4,
    })
    expect(await restore(theirs)).toBe('theirs')
    await expect.poll(keptKeys, { timeout: 3000, interval: 50 }).toBe(1)
  })
})

describe('entries beyond the retention period', () => {
  const DAY = 86_400_000
  const LOOK_AGAIN = 600_000
  /** After so long the jobs check twice, as they do when a clock has leapt. */
  const runRetentionJobs = async (days: number) => {
    for (const ms of [days * DAY - LOOK_AGAIN, LOOK_AGAIN]) {
      now += ms
      await holdall.app.jobs.runDue()
    }
  }
  const retain = (trashRetentionDays: number) =>
    act(holdall, 'updateWorkspace', { workspaceId, trashRetentionDays }, 'workspace { id }')

  test('are purged automatically, with their bytes', async () => {
    await trashEntries(holdall, await file('1.txt', 'one'))
    await runRetentionJobs(20)
    await trashEntries(holdall, await file('a/2.txt', 'two'), await at('a'))
    expect((await inTrash()).sort()).toEqual(['1.txt', 'a', 'a/2.txt'])
    await runRetentionJobs(9.99)
    expect(await inTrash()).toHaveLength(3)
    await runRetentionJobs(0.01)
    expect((await inTrash()).sort()).toEqual(['a', 'a/2.txt'])
    await runRetentionJobs(20)
    expect(await inTrash()).toEqual([])
    await expect.poll(keptKeys, { timeout: 3000, interval: 50 }).toBe(0)
    expect(await rowsOf('entries')).toBe(1)
  })

  test('follow the retention of their workspace, and stay permanently if it is 0', async () => {
    await retain(0)
    await trashEntries(holdall, await file('1.txt'))
    expect((await trash())[0].trash.purgeAt).toBe(null)
    await runRetentionJobs(3000)
    expect(await inTrash()).toEqual(['1.txt'])
    await retain(3001)
    expect((await trash())[0].trash.purgeAt).toBe(new Date(START + 3001 * DAY).toISOString())
    await runRetentionJobs(0.5)
    expect(await inTrash()).toEqual(['1.txt'])
    await retain(7)
    await runRetentionJobs(1)
    expect(await inTrash()).toEqual([])
  })

  test('exclude entries restored in time', async () => {
    const one = await file('1.txt', 'alive')
    await trashEntries(holdall, one)
    await runRetentionJobs(29)
    await restore(one)
    await runRetentionJobs(30)
    expect((await download(holdall, one.id)).toString()).toBe('alive')
  })
})

test('a folder of 3,000 files in 200 folders is trashed and restored without writing its files', async () => {
  const seed = await file('all/0/1.csv', 'a,b,c\n')
  const copies = (entry: Id, count: number, to: Id) =>
    batchDone(holdall, 'copyEntries', {
      entries: items(...Array.from({ length: count }, () => entry)),
      folder: { id: to.id },
    })
  const [all, zero] = [await at('all'), await at('all/0')]
  await copies(seed, 14, zero)
  await copies(zero, 100, all)
  await copies(zero, 99, all)
  const totals = { bytes: 18_000, fileCount: 3000, folderCount: 200 }
  expect(await totalsOf(holdall, all)).toEqual(totals)
  const files = () =>
    holdall.app.db
      .selectFrom('entries')
      .selectAll()
      .where('kind', '=', 'file')
      .orderBy('id')
      .execute()
  const before = await files()
  now += 60_000
  await trashEntries(holdall, all)
  expect(await entriesOf()).toEqual([])
  expect(await files()).toEqual(before)
  expect(await inTrash()).toEqual(['all'])
  await restore(all)
  expect(await files()).toEqual(before)
  expect(await totalsOf(holdall, root)).toEqual({ ...totals, folderCount: 201 })
  const one = await at('all/0 (200)/1 (15).csv')
  expect(await lookUp(holdall, one, 'revision updatedAt trash { purgeAt }')).toMatchObject({
    revision: 1,
    updatedAt: new Date(START).toISOString(),
    trash: null,
  })
  await trashEntries(holdall, all)
  await purge(all)
  expect([await rowsOf('entries'), await rowsOf('versions'), await rowsOf('folderKinds')]).toEqual([
    1, 0, 0,
  ])
  await expect.poll(keptKeys, { timeout: 3000, interval: 50 }).toBe(0)
}, 90_000)

test('an upload whose folder is trashed waits until it is restored', async () => {
  const a = await folder('a')
  const upload = await createUpload(holdall, { workspaceId, folderId: a.id, name: 'x', size: 0 })
  await trashEntries(holdall, a)
  const problem = await errorOf(holdall, 'confirmUpload', { uploadId: upload.id })
  expect(problem).toMatchObject({ code: 'INVALID_STATE', state: 'TRASHED' })
  expect(await children(holdall, a.id)).toEqual([])
  await restore(a)
  expect(await confirmUpload(holdall, { uploadId: upload.id })).toMatchObject({ path: 'a/x' })
})
