import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { up } from '../../../migrations/0002-search.ts'
import { RANKS, rankOf, textsOf } from '../../../src/domains/search/match.ts'
import { parseQuery } from '../../../src/domains/search/query.ts'
import { searchLimits } from '../../../src/domains/search/scan.ts'
import {
  act,
  attempt,
  batchDone,
  createFolder,
  createWorkspace,
  items,
  trashEntries,
  uploadFile,
  type WorkspaceHandle,
} from '../../support/client.ts'
import { invite } from '../../support/data/people.ts'
import { startTestServer, type TestServer } from '../../support/servers/test-server.ts'

let holdall: TestServer
let lab: WorkspaceHandle
beforeEach(async () => {
  holdall = await startTestServer()
  lab = await createWorkspace(holdall)
})
afterEach(async () => {
  Object.assign(searchLimits, wellKnown)
  await holdall?.[Symbol.asyncDispose]()
})
const wellKnown = { ...searchLimits }

type Edge = {
  cursor: string
  score: number
  highlights: { field: string; text: string }[]
  node: { id: string; name: string; path: string }
}
type More = {
  filter?: object
  first?: number
  after?: string | null
  last?: number
  before?: string | null
  in?: string
  token?: string | null
}

async function search(query: string, { in: workspaceId = lab.id, token, ...more }: More = {}) {
  const document = `query ($id: ID!, $query: String!, $filter: EntryFilter, $first: Int, $after: String, $last: Int, $before: String) {
    workspace(by: { id: $id }) { search(query: $query, filter: $filter, first: $first, after: $after, last: $last, before: $before) {
      totalCount pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
      edges { cursor score highlights { field text } node { __typename id name path } }
    } }
  }`
  const variables = { id: workspaceId, query, ...more }
  const { workspace } = await holdall.ask(document, variables, token === undefined ? {} : { token })
  return workspace.search as {
    totalCount: number
    edges: Edge[]
    pageInfo: {
      hasNextPage: boolean
      hasPreviousPage: boolean
      startCursor: string | null
      endCursor: string | null
    }
  }
}

/** Returns the names of the results, best first. */
const found = async (query: string, more: More = {}) =>
  (await search(query, { first: 100, ...more })).edges.map(({ node }) => node.name)

const file = (name: string, more: object = {}) =>
  uploadFile(holdall, { workspaceId: lab.id, name, bytes: name, ...more })
const folder = (name: string, more: object = {}) =>
  createFolder(holdall, { workspaceId: lab.id, name, createParents: true, ...more })
const update = (entry: { id: string }, change: object) =>
  act(holdall, 'updateEntry', { entry: { id: entry.id }, ...change }, '__typename')

describe('what is found', () => {
  test('seed C2: a name by each of its words, by words side by side, and by what the last one begins with', async () => {
    await file('plateScan_2025-01.csv')
    await file('other.txt')
    const queries = ['plate', 'scan', '2025', '01', 'csv', 'plateScan', 'plate_scan', 'plate scan']
    const more = [
      'PLATESCAN',
      'platesc',
      'scan pl',
      '2025-01',
      '"scan 2025"',
      'plateScan_2025-01.csv',
    ]
    for (const query of [...queries, ...more])
      expect([query, await found(query)]).toEqual([query, ['plateScan_2025-01.csv']])
    for (const query of ['lates', 'pla scan', '"plate 2025"', 'plate missing'])
      expect([query, await found(query)]).toEqual([query, []])
  })

  test('seed C2: descriptions, tags, keys and values of metadata, and the folders above', async () => {
    const data = await folder('Plate Reader/Raw')
    const a = await file('a.bin', { folderId: data.id, tags: ['high priority'] })
    await update(a, {
      description: 'Fluorescence at 485 nm',
      metadata: { instrument: { maker: 'Tecan' }, wells: [96, true] },
    })
    await file('b.bin')
    for (const query of [
      'fluorescence',
      '485',
      'priority',
      'maker',
      'tecan',
      '96',
      'reader',
      'raw a',
    ])
      expect([query, await found(query, { filter: { type: 'FILE' } })]).toEqual([query, ['a.bin']])
    expect(await found('"plate reader" tecan priority 485')).toEqual(['a.bin'])
    expect(await found('"reader raw"')).toEqual([])
  })

  test('seed C2: all words, "phrases", and not what is excluded', async () => {
    await file('red apple.txt')
    await file('apple red.txt')
    await file('apple.txt', { tags: ['red'] })
    await file('green apple.txt')
    expect((await found('red apple')).sort()).toEqual([
      'apple red.txt',
      'apple.txt',
      'red apple.txt',
    ])
    expect(await found('"red apple"')).toEqual(['red apple.txt'])
    expect(await found('apple -red')).toEqual(['green apple.txt'])
    expect((await found('apple -"red apple"')).sort()).toEqual([
      'apple red.txt',
      'apple.txt',
      'green apple.txt',
    ])
    expect(await found('-red')).toEqual(['green apple.txt'])
    expect(await found('')).toEqual([])
  })

  test('seed C2: without regard to case, diacritics and forms of writing, in any script', async () => {
    const names = [
      'Übersicht Straße.txt',
      'résumé.pdf',
      'Łódź.txt',
      '実験データ.csv',
      'отчёт ИЮНЬ.txt',
    ]
    for (const name of [...names, 'ΣΊΣΥΦΟΣ.txt', 'ｆｕｌｌ１.txt', '📊 chart.png']) await file(name)
    const queries: Record<string, string> = {
      ...{ ubersicht: names[0] ?? '', STRASSE: names[0] ?? '', 're\u0301sume\u0301': 'résumé.pdf' },
      ...{
        lodz: 'Łódź.txt',
        データ: '実験データ.csv',
        отчет: 'отчёт ИЮНЬ.txt',
        июнь: 'отчёт ИЮНЬ.txt',
      },
      ...{ σισυφος: 'ΣΊΣΥΦΟΣ.txt', full1: 'ｆｕｌｌ１.txt', '📊': '📊 chart.png' },
    }
    for (const [query, name] of Object.entries(queries))
      expect([query, await found(query)]).toEqual([query, [name]])
  })

  test('names rank above tags, tags above descriptions, those above metadata, and metadata above folders', async () => {
    const inside = await folder('Zebra')
    await file('in a folder.txt', { folderId: inside.id })
    await update(await file('metadata.txt'), { metadata: { animal: 'zebra' } })
    await update(await file('description.txt'), { description: 'a zebra' })
    await file('tag.txt', { tags: ['zebra'] })
    await file('zebrafish.txt')
    await file('zebra.txt')
    const { edges } = await search('zebra', { filter: { type: 'FILE' } })
    const names = ['zebra', 'zebrafish', 'tag', 'description', 'metadata', 'in a folder']
    expect(edges.map(({ node }) => node.name)).toEqual(names.map((name) => `${name}.txt`))
    const scores = edges.map(({ score }) => score)
    expect(scores).toEqual([...new Set(scores)].sort((a, b) => b - a))
    expect(scores[0]).toBe(1)
  })

  test('one of two words in the name is better than none', async () => {
    await update(await file('x.txt'), { description: 'oak leaf' })
    await update(await file('oak.txt'), { description: 'a leaf' })
    await update(await file('y.txt'), { description: 'oak leaf' })
    expect(await found('oak leaf')).toEqual(['oak.txt', 'y.txt', 'x.txt'])
  })

  test('highlights are HTML that can be shown unchanged', async () => {
    const inside = await folder('plate <runs>')
    const a = await file('Plate "A" & <b>.csv', { folderId: inside.id, tags: ['Plates'] })
    const long = `${'intro '.repeat(60)}the PLÀTE was <read> twice. ${'end '.repeat(60)}`
    await update(a, { description: long, metadata: { plate_id: 7 } })
    const { edges } = await search('plate')
    const highlights = edges.find(({ node }) => node.id === a.id)?.highlights ?? []
    expect(highlights.map(({ field }) => field)).toEqual([
      'name',
      'tags',
      'description',
      'metadata',
      'path',
    ])
    const [name, tag, description, metadata, path] = highlights.map(({ text }) => text)
    expect(name).toBe('<mark>Plate</mark> &quot;A&quot; &amp; &lt;b&gt;.csv')
    expect([tag, metadata]).toEqual(['<mark>Plates</mark>', '<mark>plate</mark>_id'])
    expect(path).toBe('<mark>plate</mark> &lt;runs&gt;')
    expect(description).toContain('the <mark>PLÀTE</mark> was &lt;read&gt; twice.')
    expect(description?.length).toBeLessThan(300)
    expect([description?.[0], description?.at(-1)]).toEqual(['…', '…'])
  })
})

describe('the index follows', () => {
  test('changes of name, description, metadata, tags and place', async () => {
    const [one, two] = [await folder('Alpha'), await folder('Beta')]
    const a = await file('first.txt', { folderId: one.id, tags: ['draft'] })
    await update(a, { name: 'second.txt', description: 'blue', metadata: { k: 'v1' } })
    expect(await found('first')).toEqual([])
    expect(await found('second blue v1 draft alpha')).toEqual(['second.txt'])
    await update(a, { description: null, metadata: { k: null }, tags: ['done'] })
    for (const gone of ['blue', 'v1', 'draft']) expect(await found(gone)).toEqual([])
    await batchDone(holdall, 'moveEntries', { entries: items(a), folder: { id: two.id } })
    expect(await found('second done beta')).toEqual(['second.txt'])
    expect(await found('second alpha')).toEqual([])
    await batchDone(holdall, 'tagEntries', { entries: items(a), add: ['extra'], remove: ['done'] })
    expect(await found('extra')).toEqual(['second.txt'])
    expect(await found('done')).toEqual([])
  })

  test('a renamed or moved folder, without writing the documents below it', async () => {
    const deep = await folder('Projects/Mars/Samples')
    const a = await file('a.txt', { folderId: deep.id })
    const numbers = () => holdall.app.db.selectFrom('searchDocuments').selectAll().execute()
    const before = await numbers()
    const mars = { path: { workspaceId: lab.id, path: 'Projects/Mars' } }
    await act(holdall, 'updateEntry', { entry: mars, name: 'Venus' }, '__typename')
    expect(await found('a venus')).toEqual(['a.txt'])
    expect(await found('a mars')).toEqual([])
    const other = await folder('Archive')
    const venus = { entry: { path: { workspaceId: lab.id, path: 'Projects/Venus' } } }
    await batchDone(holdall, 'moveEntries', { entries: [venus], folder: { id: other.id } })
    expect(await found('txt archive samples')).toEqual(['a.txt'])
    expect(await found('txt projects')).toEqual([])
    expect((await numbers()).filter(({ id }) => id === a.id)).toEqual(
      before.filter(({ id }) => id === a.id),
    )
  })

  test('a renamed or deleted tag', async () => {
    await file('a.txt', { tags: ['old name'] })
    const { workspace } = await holdall.ask(
      'query ($id: ID!) { workspace(by: { id: $id }) { tags { nodes { id } } } }',
      { id: lab.id },
    )
    const tagId = workspace.tags.nodes[0].id
    await act(holdall, 'updateTag', { tagId, name: 'new name' }, '__typename')
    expect([await found('old'), await found('new')]).toEqual([[], ['a.txt']])
    await act(holdall, 'deleteTag', { tagId }, 'tagId')
    expect(await found('new')).toEqual([])
    const left = await holdall.app.db.selectFrom('searchDocuments').select('id').execute()
    expect(left.map(({ id }) => id)).not.toContain(tagId)
  })

  test('entries into the trash, out of it, and purged', async () => {
    const box = await folder('Box')
    const inner = await file('inner pearl.txt', { folderId: box.id })
    const loose = await file('loose pearl.txt')
    await trashEntries(holdall, box, loose)
    expect(await found('pearl')).toEqual([])
    expect(await found('box')).toEqual([])
    await batchDone(holdall, 'restoreEntries', {
      entries: [{ entry: { id: box.id } }, { entry: { id: loose.id } }],
    })
    expect((await found('pearl')).sort()).toEqual(['inner pearl.txt', 'loose pearl.txt'])
    await trashEntries(holdall, box, loose)
    await batchDone(holdall, 'purgeEntries', {
      entries: [{ entry: { id: box.id } }, { entry: { id: loose.id } }],
    })
    const left = await holdall.app.db.selectFrom('searchDocuments').select('id').execute()
    expect(left.filter(({ id }) => [box.id, inner.id, loose.id].includes(id))).toEqual([])
  })

  test('copies of whole trees, with their tags', async () => {
    const from = await folder('Source/Deep')
    await file('gem.txt', { folderId: from.id, tags: ['shiny'] })
    const to = await folder('Target')
    const source = { entry: { path: { workspaceId: lab.id, path: 'Source' } } }
    await batchDone(holdall, 'copyEntries', { entries: [source], folder: { id: to.id } })
    const { edges } = await search('gem shiny deep target')
    expect(edges.map(({ node }) => node.path)).toEqual(['Target/Source/Deep/gem.txt'])
    expect(await found('gem')).toEqual(['gem.txt', 'gem.txt'])
  })

  test('no transaction that fails', async () => {
    const a = await file('kept.txt')
    const entries = [
      { entry: { id: a.id } },
      { entry: { id: 'file_00000000000000000000000000000000' } },
    ]
    const input = { entries, add: ['ghost'] }
    expect((await attempt(holdall, 'tagEntries', input, 'failed')).code).toBe('NOT_FOUND')
    expect(await found('ghost')).toEqual([])
  })

  test('rows that were there before the index', async () => {
    const box = await folder('Box', { tags: ['wooden'] })
    await file('in box.txt', { folderId: box.id })
    const gone = await file('gone.txt')
    await trashEntries(holdall, gone)
    await up(holdall.app.db as never)
    expect(await found('wooden')).toEqual(['Box'])
    expect(await found('txt box')).toEqual(['in box.txt'])
    expect(await found('gone')).toEqual([])
  })
})

describe('narrowed by a filter', () => {
  test('seed C50: a word, with type, kind, tags, size, dates and author', async () => {
    const inside = await folder('report box')
    const plan = await file('report plan.csv', {
      folderId: inside.id,
      tags: ['final'],
      bytes: 'x'.repeat(50),
    })
    await file('report photo.png')
    const { createdAt, createdBy } = (
      await holdall.ask(
        'query ($id: ID!) { node(id: $id) { ... on File { createdAt createdBy { id } } } }',
        {
          id: plan.id,
        },
      )
    ).node
    const only = ['report plan.csv']
    const filters: [object, string[]][] = [
      [{ type: 'FOLDER' }, ['report box']],
      [{ kinds: ['SPREADSHEET', 'DATA'] }, only],
      [{ mediaTypes: ['text/*'] }, only],
      [{ tags: { anyOf: ['final'] } }, only],
      [{ type: 'FILE', tags: { noneOf: ['final'] } }, ['report photo.png']],
      [{ size: { gte: 50 }, type: 'FILE' }, only],
      [{ nameContains: 'plan' }, only],
      [{ pathPrefix: 'report box/' }, only],
      [{ pathGlob: '*/*.csv' }, only],
      [{ pathRegex: '^report box/' }, only],
      [{ within: inside.id }, only],
      [{ createdAt: { lt: createdAt } }, ['report box']],
      [{ createdBy: [createdBy.id], kinds: ['IMAGE'] }, ['report photo.png']],
      [{ createdBy: ['usr_00000000000000000000000000000000'] }, []],
      [{ pathPrefix: 'nowhere/' }, []],
    ]
    for (const [filter, names] of filters) {
      expect([filter, await found('report', { filter })]).toEqual([filter, names])
      expect((await search('report', { filter })).totalCount).toBe(names.length)
    }
  })

  test('a filter that excludes nearly all results ends a page early, and the next pages find the rest', async () => {
    await file('needle one.txt', { tags: ['rare'] })
    for (let i = 0; i < 20; i++) await file(`needle ${i}.txt`)
    Object.assign(searchLimits, { smallCount: 0, evaluatedCount: 4 })
    const filter = { tags: { anyOf: ['rare'] } }
    const first = await search('needle', { filter, first: 2 })
    expect([first.edges.length, first.pageInfo.hasNextPage]).toEqual([0, true])
    const names: string[] = []
    let after = first.pageInfo.endCursor
    for (let pages = 0; after !== null && pages < 20; pages++) {
      const { edges, pageInfo } = await search('needle', { filter, first: 2, after })
      names.push(...edges.map(({ node }) => node.name))
      after = pageInfo.hasNextPage ? pageInfo.endCursor : null
    }
    expect(names).toEqual(['needle one.txt'])
  })
})

describe('pages', () => {
  test.each([0, 50])(
    'seed C6: contain each entry once, over all ranks, during inserts (%s)',
    async (few) => {
      searchLimits.smallCount = few
      const box = await folder('amber')
      const wanted = new Set<string>([box.id])
      for (let i = 0; i < 12; i++) {
        const inName = i % 3 === 0
        const more = i % 3 === 1 ? { tags: ['amber'] } : i % 3 === 2 ? { folderId: box.id } : {}
        wanted.add((await file(`${inName ? 'amber' : 'stone'} ${i}.txt`, more)).id)
      }
      const seen: string[] = []
      let after: string | null = null
      do {
        const page = await search('amber', { first: 4, after })
        expect(page.totalCount).toBeGreaterThanOrEqual(wanted.size)
        seen.push(...page.edges.map(({ node }) => node.id))
        after = page.pageInfo.hasNextPage ? page.pageInfo.endCursor : null
        await file(`amber late ${seen.length}.txt`)
      } while (after)
      expect(seen).toHaveLength(wanted.size)
      expect(new Set(seen)).toEqual(wanted)
    },
  )

  test.each([0, 50])('last and before read them backwards, over all ranks (%s)', async (few) => {
    searchLimits.smallCount = few
    for (let i = 0; i < 9; i++)
      await file(`${i % 2 ? 'coral' : 'shell'} ${i}.txt`, { tags: i % 2 ? [] : ['coral'] })
    const all = (await search('coral', { first: 100 })).edges.map(({ cursor }) => cursor)
    expect(all).toHaveLength(9)
    const seen: string[] = []
    let before: string | null = null
    do {
      const { edges, pageInfo } = await search('coral', { last: 2, before })
      seen.unshift(...edges.map(({ cursor }) => cursor))
      expect(pageInfo).toMatchObject({
        hasNextPage: before !== null,
        hasPreviousPage: seen.length < all.length,
        startCursor: edges[0]?.cursor,
        endCursor: edges.at(-1)?.cursor,
      })
      before = pageInfo.hasPreviousPage ? pageInfo.startCursor : null
    } while (before)
    expect(seen).toEqual(all)
    const between = await search('coral', { first: 9, after: all[1] ?? '', before: all[6] ?? '' })
    expect(between.edges.map(({ cursor }) => cursor)).toEqual(all.slice(2, 6))
    const lastBetween = await search('coral', {
      last: 2,
      after: all[1] ?? '',
      before: all[6] ?? '',
    })
    expect(lastBetween.edges.map(({ cursor }) => cursor)).toEqual(all.slice(4, 6))
    await expect(search('coral', { first: 1, last: 1 })).rejects.toThrow('cannot be combined')
    await expect(search('coral', { last: 101 })).rejects.toThrow('from 1 to 100')
  })

  test('last ends early at the limits of a request, and reading continues from its end cursor', async () => {
    for (let i = 0; i < 12; i++) await file(`needle ${i}.txt`)
    const all = (await search('needle', { first: 100 })).edges.map(({ cursor }) => cursor)
    Object.assign(searchLimits, { smallCount: 0, evaluatedCount: 4 })
    const { edges, pageInfo } = await search('needle', { last: 3 })
    expect(pageInfo.hasNextPage).toBe(true)
    expect(edges.at(-1)?.cursor).toBe(pageInfo.endCursor)
    expect(all).toContain(pageInfo.endCursor)
  })

  test('seed C5: have 20 results by default, 100 at most, and reject cursors of another search', async () => {
    for (let i = 0; i < 21; i++) await folder(`pebble ${i}`)
    const page = await search('pebble')
    expect([page.edges.length, page.totalCount, page.pageInfo.hasNextPage]).toEqual([20, 21, true])
    await expect(search('pebble', { first: 101 })).rejects.toThrow('from 1 to 100')
    await expect(search('pebble', { first: 0 })).rejects.toThrow('from 1 to 100')
    const after = page.pageInfo.endCursor
    await expect(search('pebble 1', { after })).rejects.toThrow('cursor')
    await expect(search('pebble', { after: 'nonsense' })).rejects.toThrow('cursor')
  })
})

test('seed C1: other workspaces find none of its entries, and their words do not slow it down', async () => {
  await file('secret plan.txt', { tags: ['classified'] })
  const other = await createWorkspace(holdall, { name: 'Other' })
  const stranger = await invite(holdall, other.id)
  expect(await found('secret', { in: other.id })).toEqual([])
  expect(await found('classified', { in: other.id, token: stranger.token })).toEqual([])
  const query = `query ($id: ID!) { workspace(by: { id: $id }) { search(query: "secret") { totalCount } } }`
  for (const token of [stranger.token, null]) {
    const { workspace } = await holdall.ask(query, { id: lab.id }, { token })
    expect(workspace).toBeNull()
  }
  const reader = await invite(holdall, lab.id, 'VIEWER')
  expect(await found('secret', { token: reader.token })).toEqual(['secret plan.txt'])
  const blind = await invite(holdall, lab.id, 'EDITOR', ['FILES_WRITE'])
  await expect(found('secret', { token: blind.token })).rejects.toThrow('FILES_READ')
})

test('words of very many tags and folders are found like any other', async () => {
  const tags = (from: number) => Array.from({ length: 50 }, (_, i) => `sample ${from + i}`)
  for (let i = 0; i < 300; i += 50) await file(`tagged ${i}.txt`, { tags: tags(i) })
  for (let i = 0; i < 270; i++) await folder(`Series ${i}`)
  const box = { path: { workspaceId: lab.id, path: 'Series 7' } }
  const inner = await createFolder(holdall, { folder: box, name: 'inner' })
  await file('plain.txt', { folderId: inner.id, tags: ['sample 7'] })
  expect(await found('sample plain')).toEqual(['plain.txt'])
  expect(await found('series plain')).toEqual(['plain.txt'])
  expect(await found('series sample plain inner')).toEqual(['plain.txt'])
  expect(await found('"series 7" plain')).toEqual(['plain.txt'])
  expect((await search('sample')).totalCount).toBe(7)
  expect(await found('txt -sample')).toEqual([])
  expect(await found('txt -series')).toHaveLength(6)
  expect((await search('series')).totalCount).toBe(272)
})

test('S18: seed C2: no input is an error, nor interpreted as the syntax of a database', async () => {
  await file('NEAR and far.txt')
  const odd = [
    '"',
    '""',
    '-',
    '*',
    '^',
    'a*',
    '^a',
    'name:near',
    '{name}:a',
    'NEAR(a b, 2)',
    'a AND',
    'OR',
  ]
  const more = [
    'NOT NOT a',
    "'; DROP TABLE entries; --",
    '\\',
    '%',
    '_',
    '(',
    ')',
    '+a',
    'a\0b',
    '\ud800',
    '💥',
  ]
  const wild = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 60 }),
    fc
      .array(fc.constantFrom(...odd, ...more, ' ', 'near', 'far'), { maxLength: 12 })
      .map((all) => all.join('')),
  )
  for (const query of [...odd, ...more]) await search(query)
  expect(await found('NEAR and far')).toEqual(['NEAR and far.txt'])
  expect(await found('AND')).toEqual(['NEAR and far.txt'])
  await fc.assert(
    fc.asyncProperty(wild, async (query) => {
      await search(query)
    }),
    { numRuns: 300 },
  )
  await search('a'.repeat(1000))
  await search('語'.repeat(1000))
  const document =
    'query ($id: ID!, $query: String!) { workspace(by: { id: $id }) { search(query: $query) { totalCount } } }'
  for (const query of ['a'.repeat(1001), 'a '.repeat(33)]) {
    const { errors } = await holdall.graphql(document, { id: lab.id, query })
    expect(errors?.[0]).toMatchObject({ extensions: { code: 'INVALID_INPUT' } })
    expect(errors?.[0]?.message).toMatch(/limit (1000|32)/)
  }
})

test('the index finds and ranks as the reference implementation does', async () => {
  const words = ['ash', 'ashen', 'oak', 'oakLeaf', 'fir 9', 'Fir9', 'elm-tree', 'ásh']
  const random = (seed: number) =>
    fc.sample(fc.integer({ min: 0, max: words.length - 1 }), { seed, numRuns: 12 })
  const boxes = [
    lab.root,
    await folder('oak ash'),
    await folder('oak ash/elm'),
    await folder('fir'),
  ]
  for (let i = 0; i < 24; i++) {
    const [a, b, c, d, e, f, g] = random(i).map((n, at) => (at % 3 === i % 3 ? words[n] : ''))
    const made = await file(`${a} ${b}${i}.txt`, {
      folderId: boxes[i % 4]?.id,
      tags: [c, d].filter((tag) => tag),
    })
    await update(made, { description: e ?? '', metadata: { [f || 'x']: g ?? '' } })
  }
  const all = await holdall.ask(
    `query ($id: ID!) { workspace(by: { id: $id }) { entries(first: 100) {
      nodes { id name path description metadata tags { name } parent { path } }
    } } }`,
    { id: lab.id },
  )
  const term = fc.tuple(
    fc.constantFrom('', '', '', '-'),
    fc.constantFrom(...words, 'as', 'tree', '"oak ash"', 'le'),
  )
  const queries = fc
    .array(term, { minLength: 1, maxLength: 4 })
    .map((terms) => terms.map((t) => t.join('')).join(' '))
  await fc.assert(
    fc.asyncProperty(queries, async (text) => {
      const query = parseQuery(text)
      const ranked = all.workspace.entries.nodes.flatMap((node: any) => {
        const tags = node.tags.map(({ name }: { name: string }) => name)
        const texts = { ...node, metadata: JSON.stringify(node.metadata) }
        const rank = rankOf(query, textsOf(texts, { tags, folderPath: node.parent.path }))
        return rank === null ? [] : [[node.id, (RANKS - rank) / RANKS]]
      })
      // Few results are ranked one by one, many by the index: the order is the same.
      searchLimits.smallCount = 0
      const asMany = await search(text, { first: 100 })
      searchLimits.smallCount = 50
      const { edges, totalCount } = await search(text, { first: 100 })
      expect(asMany.edges).toEqual(edges)
      const got = edges.map(({ node, score }) => [node.id, score] as const)
      expect(got.map(([, score]) => score)).toEqual(
        got.map(([, score]) => score).sort((x, y) => y - x),
      )
      expect(Object.fromEntries(got)).toEqual(Object.fromEntries(ranked))
      expect(totalCount).toBe(ranked.length)
    }),
    { numRuns: 150 },
  )
})
