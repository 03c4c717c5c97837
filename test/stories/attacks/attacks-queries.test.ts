import { beforeAll, describe, expect, test } from 'vitest'
import { statementsOf } from '../../guards/schema/plan-steps.ts'
import { act, attempt, createFolder, createWorkspace, uploadFile } from '../../support/client.ts'
import { metadata, tusOf } from '../../support/network/tus.ts'
import { expectWithin } from '../../support/retry-timing.ts'
import { startTestServer, type TestServer } from '../../support/servers/test-server.ts'

let holdall: TestServer
let workspaceId: string
let rootId: string
beforeAll(async () => {
  holdall = await startTestServer()
  const workspace = await createWorkspace(holdall)
  workspaceId = workspace.id
  rootId = workspace.root.id
  for (const name of ['report.txt', 'NEAR and far.txt', '100%_done\\.txt', "it's.txt", 'a"b.txt'])
    await uploadFile(holdall, {
      workspaceId,
      name,
      bytes: name,
      tags: ['plate'],
      description: 'first',
    })
  return () => holdall[Symbol.asyncDispose]()
})

const codeOf = async (query: string, variables: object = {}) => {
  const { data, errors, status } = await holdall.graphql(query, { ...variables })
  return { status, data, code: errors?.[0]?.extensions?.code }
}

describe('S15: requests above the limits are refused before any lookup', () => {
  const nested = (depth: number, inside: string) =>
    `${'parent { ... on Folder { '.repeat(depth)}${inside}${' } }'.repeat(depth)}`

  test.each([
    ['children(first: 1000000000)', 'BAD_PAGE_SIZE|QUERY_TOO_COMPLEX'],
    ['children(first: 2147483647)', 'BAD_PAGE_SIZE|QUERY_TOO_COMPLEX'],
    ['children(first: 2147483648)', 'GRAPHQL_VALIDATION_FAILED|BAD_REQUEST'],
    ['children(first: 101)', 'BAD_PAGE_SIZE'],
    ['children(first: -1)', 'BAD_PAGE_SIZE'],
    ['children(last: 1000000000)', 'BAD_PAGE_SIZE|QUERY_TOO_COMPLEX'],
  ])('%s', async (list, codes) => {
    const query = `query ($id: ID!) { node(id: $id) { ... on Folder { ${list} { nodes { id } } } } }`
    expect((await codeOf(query, { id: rootId })).code).toMatch(new RegExp(`^(${codes})$`))
  })

  const named = (n: number) => Array.from({ length: n }, (_, i) => `n${i}`)
  test.each<[string, object]>([
    ['kinds', { kinds: Array(50_000).fill('IMAGE') }],
    ['mediaTypes', { mediaTypes: named(20_000) }],
    ['createdBy', { createdBy: named(20_000) }],
    ['tags', { tags: { allOf: named(20_000), anyOf: named(20_000) } }],
    ['nameContains', { nameContains: 'x'.repeat(900_000) }],
    ['pathPrefix', { pathPrefix: 'a/'.repeat(400_000) }],
    ['pathGlob', { pathGlob: '{a,b}'.repeat(100_000) }],
    ['pathRegex', { pathRegex: '(a|b)'.repeat(100_000) }],
  ])('a huge filter: %s', async (_, filter) => {
    const query =
      'query ($id: ID!, $filter: EntryFilter) { workspace(by: { id: $id }) { entries(filter: $filter) { totalCount } } }'
    const ask = () => codeOf(query, { id: workspaceId, filter })
    const { status, code, data } = await expectWithin(holdall, ask)
    expect(status).toBeLessThan(500)
    // Fifty thousand equal kinds count as one.
    if (code === undefined) expect(data.workspace.entries.totalCount).toBe(0)
    else expect(code).toMatch(/INVALID_INPUT|QUERY_TOO_COMPLEX|BAD_REQUEST/)
  })

  test.each<[string, string, object]>([
    ['uploads(status: $all)', '$all: [UploadStatus!]', { all: Array(50_000).fill('CREATED') }],
    [
      'activity(filter: { actions: $all })',
      '$all: [ActivityAction!]',
      { all: Array(40_000).fill('FILE_CREATED') },
    ],
    ['activity(filter: { actorIds: $all })', '$all: [ID!]', { all: named(40_000) }],
  ])('a huge list: %s', async (list, declared, variables) => {
    const query = `query ($id: ID!, ${declared}) { workspace(by: { id: $id }) { list: ${list} { totalCount } } }`
    const { status, code } = await codeOf(query, { id: workspaceId, ...variables })
    expect([status < 500, code ?? 'fine']).toEqual([
      true,
      expect.stringMatching(/^(fine|INVALID_INPUT|QUERY_TOO_COMPLEX)$/),
    ])
  })

  test.each([
    [
      'moveEntries',
      { entries: Array(5000).fill({ entry: { id: 'file_x' } }), folder: { id: 'fld_x' } },
    ],
    ['createUploads', { uploads: Array(2000).fill({ workspaceId: 'ws_x', name: 'a' }) }],
    ['purgeEntries', { entries: Array(20_000).fill({ entry: { id: 'file_x' } }) }],
    ['tagEntries', { entries: [{ entry: { id: 'file_x' } }], add: named(20_000) }],
  ])('a huge batch: %s', async (name, input) => {
    const type = `${name[0]?.toUpperCase()}${name.slice(1)}Input`
    const query = `mutation ($input: ${type}!) { ${name}(input: $input) { ... on UserError { code } } }`
    const { data, code } = await codeOf(query, { input })
    expect(code ?? data?.[name]?.code).toMatch(/INVALID_INPUT|QUERY_TOO_COMPLEX|NOT_FOUND/)
  })

  test('a flood of refused requests leaves memory unchanged', async () => {
    const bombs = [
      `{ ${Array.from({ length: 10_000 }, (_, i) => `a${i}: __typename`).join(' ')} }`,
      `{ node(id: "x") { ... on Entry { ${nested(200, 'id')} } } }`,
      `{ __schema { types { fields { type { fields { type { name } } } } } } }`,
      `{ __typename ${'@skip(if: false) '.repeat(500)} }`,
    ]
    const flood = async (times: number) => {
      for (let i = 0; i < times; i++) await holdall.graphql(bombs[i % bombs.length] ?? '')
      globalThis.gc?.()
      return process.memoryUsage().rss
    }
    const before = await flood(40)
    expect((await flood(100)) - before).toBeLessThan(100 * 2 ** 20)
  })
})

describe('S16: nesting costs, and lookups for many objects are batched', () => {
  test('a cycle of folders and parents is refused by its cost or its depth', async () => {
    const circle = (levels: number) =>
      `query ($id: ID!) { node(id: $id) { ... on Folder { ${'children(first: 50) { nodes { parent { '.repeat(levels)}id${' } } }'.repeat(levels)} } } }`
    expect((await codeOf(circle(1), { id: rootId })).data.node.children.nodes).toHaveLength(5)
    for (const levels of [3, 5, 8]) {
      const { code, data } = await codeOf(circle(levels), { id: rootId })
      expect([levels, code, data ?? null]).toEqual([levels, 'QUERY_TOO_COMPLEX', null])
    }
  })

  const fields = `id name path revision description metadata createdAt updatedAt
    workspace { name } parent { name } ancestors { name } tags { name color } createdBy { name } updatedBy { name } trash { purgeAt }
    sharing { visibility links { id } }
    ... on File { size sha256 status version { number createdBy { name } } downloadUrl { url } }
    ... on Folder { totals { bytes } }`

  test('everything about an entry takes as many statements for thirty as for three', async () => {
    const { id } = await createFolder(holdall, { workspaceId, name: 'many', onConflict: 'RENAME' })
    const fill = async (from: number, to: number) => {
      for (let i = from; i < to; i++) {
        const tags = ['a', `t${i}`]
        await createFolder(holdall, { folder: { id }, name: `folder ${i}`, tags })
        await uploadFile(holdall, {
          workspaceId,
          folderId: id,
          name: `file ${i}`,
          bytes: `${i}`,
          tags,
        })
      }
    }
    const count = async () => {
      const query = `query ($id: ID!) { node(id: $id) { ... on Folder { children(first: 60) { nodes { ${fields} } } } } }`
      const statements = await statementsOf(holdall.app.db, async () => {
        expect((await holdall.graphql(query, { id })).errors).toBeUndefined()
      })
      // lastUsedAt of a token is written now and then.
      return statements.filter(({ sql }) => /^select/i.test(sql)).length
    }
    await fill(0, 2)
    const few = await count()
    await fill(2, 20)
    const many = await count()
    expect([few, many]).toEqual([few, few])
    expect(many).toBeLessThan(40)
  })
})

describe('S17: no pattern blocks the server', () => {
  const maliciousTexts = [
    '(a+)+$',
    '(a*)*b',
    '(a|aa)+$',
    '(.*)*x',
    '^(([a-z])+.)+[A-Z]([a-z])+$',
    '(a?){100}a{100}',
    '((a{1,100}){1,100}){1,100}',
    'a{1000000}',
    '(?=a)+',
    '(\\w+)\\1',
    '[',
    '(?<!x)',
    `${'('.repeat(5000)}a${')'.repeat(5000)}`,
  ]

  test.each([
    ...maliciousTexts,
    '**/'.repeat(3000),
    '{'.repeat(2000),
    '{a,{b,{c,'.repeat(300),
    '*a'.repeat(2000),
  ])('%j', async (pattern) => {
    const { id } = await createWorkspace(holdall)
    await uploadFile(holdall, {
      workspaceId: id,
      name: `${'a'.repeat(250)}!`,
      path: Array(8).fill('a'.repeat(250)).join('/'),
      bytes: 'x',
    })
    const query =
      'query ($id: ID!, $filter: EntryFilter) { workspace(by: { id: $id }) { entries(filter: $filter) { totalCount } } }'
    for (const field of ['pathRegex', 'pathGlob']) {
      const ask = () => codeOf(query, { id, filter: { [field]: pattern } })
      const { status, code } = await expectWithin(holdall, ask)
      expect([field, status < 500, code ?? 'INVALID_INPUT']).toEqual([field, true, 'INVALID_INPUT'])
    }
  })

  test('nor does a malicious name, media type, header, cursor or search', async () => {
    const long = 'a'.repeat(100_000)
    const names = [
      long,
      `${long}.`,
      `${'. '.repeat(50_000)}`,
      `${'('.repeat(50_000)}`,
      `${'.tar'.repeat(20_000)}.gz`,
      '\u0301'.repeat(100_000),
    ]
    const types = [
      `${long}/`,
      `a/${'b;'.repeat(50_000)}`,
      `a/b;${' '.repeat(100_000)}x`,
      `${'a/'.repeat(50_000)}`,
    ]
    const searches = ['"'.repeat(1000), '-"'.repeat(400), `${'a '.repeat(500)}`, '*'.repeat(1000)]
    const acts: [string, () => Promise<unknown>][] = [
      ...names.map((name): [string, () => Promise<unknown>] => [
        name,
        () => attempt(holdall, 'createUpload', { workspaceId, name, size: 1 }, '__typename'),
      ]),
      ...types.map((mediaType): [string, () => Promise<unknown>] => [
        mediaType,
        () =>
          attempt(
            holdall,
            'createUpload',
            { workspaceId, name: 'a', size: 1, mediaType },
            '__typename',
          ),
      ]),
      ...searches.map((text): [string, () => Promise<unknown>] => [
        text,
        () =>
          holdall.graphql(
            'query ($id: ID!, $q: String!) { workspace(by: { id: $id }) { search(query: $q) { totalCount } } }',
            { id: workspaceId, q: text },
          ),
      ]),
      [
        'cursor',
        () =>
          holdall.graphql(
            'query ($id: ID!, $c: String) { workspace(by: { id: $id }) { entries(after: $c) { totalCount } } }',
            { id: workspaceId, c: long },
          ),
      ],
      [
        'metadata',
        () =>
          tusOf(holdall).post({
            'Upload-Length': '1',
            'Upload-Metadata': `${metadata({ workspaceId, filename: 'a' })},${'x '.repeat(3000)}`,
          }),
      ],
      [
        'checksum',
        () =>
          tusOf(holdall).post({
            'Upload-Length': '1',
            'Upload-Checksum': `sha1 ${'='.repeat(8000)}`,
          }),
      ],
      [
        'range',
        () =>
          holdall.http('/download/file_x', { headers: { range: `bytes=${'0-1,'.repeat(2000)}` } }),
      ],
      ['concat', () => tusOf(holdall).post({ 'Upload-Concat': `final;${' '.repeat(8000)}x` })],
    ]
    for (const [, act] of acts) await expectWithin(holdall, act)
  })
})

describe('S18: text is literal in every argument', () => {
  const texts = [
    "'",
    "' OR '1'='1",
    "'; DROP TABLE entries; --",
    '%',
    '_',
    '\\',
    '%_\\',
    "\\'",
    '"NEAR(',
    'NEAR("a" "b", 5)',
    'name:report',
    '{name description}: report',
    'report AND (',
    'a* ^b -"c',
    '+',
    '*',
    'rowid:1',
    '$.a',
    "$['a']",
    '{}',
    '[]',
    'null',
    '\u0000',
    'a\u0000b',
    '#{7*7}',
    '$1',
    ':name',
    '?',
    "E'\\x00'",
    '/* */',
    "'||(SELECT 1)||'",
    '\ud83d\ude00',
    '\ufffd',
  ]
  const filters = (text: string) => [
    { nameContains: text },
    { pathPrefix: text },
    { pathGlob: text },
    { mediaTypes: [text] },
    { createdBy: [text] },
    { within: text },
    { sha256: text },
    { tags: { anyOf: [text], allOf: [text], noneOf: [text] } },
  ]

  test.each(texts)('%j', async (text) => {
    const before = await holdall.app.db.selectFrom('entries').select('id').execute()
    const entries =
      'query ($id: ID!, $filter: EntryFilter) { workspace(by: { id: $id }) { entries(filter: $filter) { totalCount } trash(filter: $filter) { totalCount } } }'
    for (const filter of filters(text)) {
      const { status, code } = await codeOf(entries, { id: workspaceId, filter })
      expect([filter, status < 500, code ?? 'fine']).toEqual([
        filter,
        true,
        expect.stringMatching(/^(fine|INVALID_INPUT|NOT_FOUND)$/),
      ])
    }
    const others = `query ($id: ID!, $text: String!, $any: ID!) {
      workspace(by: { id: $id }) { search(query: $text) { totalCount } tags(nameContains: $text) { totalCount } table(name: $text) { name } }
      node(id: $any) { id } nodes(ids: [$any]) { id } bySlug: workspace(by: { slug: $text }) { id } byId: workspace(by: { id: $any }) { id }
    }`
    const { status, code } = await codeOf(others, { id: workspaceId, text, any: text })
    expect([status < 500, code ?? 'fine']).toEqual([
      true,
      expect.stringMatching(/^(fine|INVALID_INPUT|NOT_FOUND)$/),
    ])
    const path =
      'query ($id: ID!, $text: String!) { workspace(by: { id: $id }) { entryByPath(path: $text) { id } } }'
    expect((await codeOf(path, { id: workspaceId, text })).status).toBeLessThan(500)
    expect(await holdall.app.db.selectFrom('entries').select('id').execute()).toEqual(before)
  })

  test('wildcards of other languages match themselves only', async () => {
    const query =
      'query ($id: ID!, $filter: EntryFilter) { workspace(by: { id: $id }) { entries(filter: $filter) { nodes { name } } } }'
    const names = async (filter: object) =>
      (
        await holdall.ask(query, { id: workspaceId, filter: { type: 'FILE', ...filter } })
      ).workspace.entries.nodes.map(({ name }: { name: string }) => name)
    for (const text of ['%', '_', '\\', '%_', '0%_d', 'e\\.']) {
      expect([text, await names({ nameContains: text })]).toEqual([text, ['100%_done\\.txt']])
    }
    expect(await names({ nameContains: '100__done' })).toEqual([])
    expect(await names({ pathPrefix: '1%' })).toEqual([])
    expect(await names({ pathPrefix: '100%_' })).toEqual(['100%_done\\.txt'])
    expect(await names({ nameContains: "'" })).toEqual(["it's.txt"])
  })

  test('also in cells and keys of a table', async () => {
    const columns = [
      { name: 'image', type: 'FILE_PATH' },
      { name: 'note', type: 'TEXT' },
      { name: 'more', type: 'JSON' },
    ]
    await act(holdall, 'createTable', { workspaceId, name: 'notes', columns }, '__typename')
    const file = await uploadFile(holdall, { workspaceId, name: 'linked.txt', bytes: 'x' })
    const rows =
      'query ($id: ID!, $where: JSONObject) { workspace(by: { id: $id }) { table(name: "notes") { rows(where: $where) { nodes { values } } } } }'
    for (const note of texts.filter((text) => !text.includes('\u0000'))) {
      const link = { table: 'notes', column: 'image', values: { note, more: { [note]: note } } }
      await act(holdall, 'linkRow', { fileId: file.id, link }, '__typename')
      const { workspace } = await holdall.ask(rows, { id: workspaceId, where: { note } })
      expect(workspace.table.rows.nodes).toEqual([
        { values: { image: 'linked.txt', note, more: { [note]: note } } },
      ])
      const { code } = await codeOf(rows, { id: workspaceId, where: { [note]: 1 } })
      expect(code ?? 'fine').toMatch(/^(fine|INVALID_INPUT)$/)
    }
  })
})
