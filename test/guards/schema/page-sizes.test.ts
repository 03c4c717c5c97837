import { isInterfaceType, isObjectType } from 'graphql'
import { beforeAll, expect, test } from 'vitest'
import { defaultPageSize } from '../../../src/graphql/limits/costs.ts'
import { schema } from '../../../src/schema.ts'
import { act, createWorkspace, items, trashEntries, uploadFile } from '../../support/client.ts'
import { startTestServer, type TestServer } from '../../support/servers/test-server.ts'

/** Numbers of items: more than a page of 20 in each list, and more than a page of 100 in the whole tree. */
const SECOND_PAGE_SIZE = 22
const MANY = 104

let holdall: TestServer
let ids: { workspace: string; folder: string; file: string; tag: string }

/** Runs a mutation many times in one request. Returns the payloads. */
async function repeat(n: number, name: string, inputOf: (i: number) => object, selection: string) {
  const type = `${name[0]?.toUpperCase()}${name.slice(1)}`
  const all = Array.from({ length: n }, (_, i) => i)
  const fields = all.map(
    (i) =>
      `m${i}: ${name}(input: $i${i}) { ... on ${type}Payload { ${selection} } ... on UserError { code message } }`,
  )
  const declared = all.map((i) => `$i${i}: ${type}Input!`).join(', ')
  const inputs = Object.fromEntries(all.map((i) => [`i${i}`, inputOf(i)]))
  const data = await holdall.ask(`mutation (${declared}) { ${fields.join('\n')} }`, inputs)
  for (const payload of Object.values<any>(data)) expect(payload.code).toBeUndefined()
  return Object.values<any>(data)
}

beforeAll(async () => {
  holdall = await startTestServer()
  const { id: workspaceId, root } = await createWorkspace(holdall)
  const folders = await repeat(
    MANY - SECOND_PAGE_SIZE,
    'createFolder',
    (i) => ({
      workspaceId,
      name: `folder ${i}`,
      tags:
        i === 0
          ? ['common', ...Array.from({ length: SECOND_PAGE_SIZE }, (_, n) => `tag ${n}`)]
          : ['common'],
    }),
    'folder { id tags { id name } }',
  )
  const first = folders[0].folder
  const files = []
  for (let i = 0; i < SECOND_PAGE_SIZE; i++)
    files.push(await uploadFile(holdall, { workspaceId, name: `file ${i}`, bytes: `bytes ${i}` }))
  const [file] = files as [(typeof files)[0]]
  const copies = { folder: { id: first.id }, entries: items(...files) }
  await act(holdall, 'copyEntries', copies, 'succeeded')
  await repeat(
    SECOND_PAGE_SIZE,
    'copyEntries',
    (i) => ({ folder: { id: folders[i + 1].folder.id }, entries: items(file) }),
    'succeeded',
  )
  await repeat(
    SECOND_PAGE_SIZE,
    'restoreVersion',
    () => ({ versionId: file.version.id }),
    'version { id }',
  )
  const going = await repeat(
    SECOND_PAGE_SIZE,
    'createFolder',
    (i) => ({ workspaceId, name: `going ${i}` }),
    'folder { id }',
  )
  await trashEntries(holdall, ...going.map(({ folder }) => folder))
  const uploads = Array.from({ length: SECOND_PAGE_SIZE }, (_, i) => ({
    workspaceId,
    name: `u${i}`,
    size: 1,
  }))
  await act(holdall, 'createUploads', { uploads }, 'succeeded')
  await repeat(
    SECOND_PAGE_SIZE,
    'addMember',
    (i) => ({ workspaceId, email: `m${i}@example.org` }),
    'member { role }',
  )
  await repeat(
    SECOND_PAGE_SIZE,
    'createApiToken',
    (i) => ({ workspaceId, name: `token ${i}`, scopes: ['FILES_READ'] }),
    'token { id }',
  )
  await repeat(
    SECOND_PAGE_SIZE,
    'createShareLink',
    () => ({ entry: { id: first.id } }),
    'shareLink { id }',
  )
  await repeat(
    SECOND_PAGE_SIZE,
    'createWorkspace',
    (i) => ({ name: `Workspace ${i}` }),
    'workspace { id }',
  )
  const columns = [{ name: 'image', type: 'FILE_PATH' }]
  await act(holdall, 'createTable', { workspaceId, name: 'plates', columns }, 'table { name }')
  const link = { table: 'plates', column: 'image' }
  await repeat(SECOND_PAGE_SIZE, 'linkRow', () => ({ fileId: file.id, link }), 'row { id }')
  const tag = first.tags.find(({ name }: { name: string }) => name === 'common')
  ids = { workspace: workspaceId, folder: root.id, file: file.id, tag: tag.id }
  return () => holdall[Symbol.asyncDispose]()
})

type Page = { nodes?: unknown[]; edges?: unknown[]; changes?: unknown[] }
const page = 'nodes { __typename }'
const inWorkspace = async (field: string) =>
  (
    await holdall.ask(`query ($id: ID!) { workspace(by: { id: $id }) { page: ${field} } }`, {
      id: ids.workspace,
    })
  ).workspace.page
const inNode = async (id: string, type: string, field: string) =>
  (
    await holdall.ask(`query ($id: ID!) { node(id: $id) { ... on ${type} { page: ${field} } } }`, {
      id,
    })
  ).node.page

/** A query of a page without `first`, for each field of the schema that accepts it. */
const probes: Record<string, () => Promise<Page>> = {
  'DuplicateGroup.files': async () =>
    (await inWorkspace(`duplicates(first: 1) { nodes { files { ${page} } } }`)).nodes[0].files,
  'File.versions': () => inNode(ids.file, 'File', `versions { ${page} }`),
  'Folder.children': () => inNode(ids.folder, 'Folder', `children { ${page} }`),
  'Table.rows': async () => (await inWorkspace(`table(name: "plates") { rows { ${page} } }`)).rows,
  'Tag.entries': () => inNode(ids.tag, 'Tag', `entries { ${page} }`),
  'Viewer.apiTokens': async () =>
    (await holdall.ask(`{ viewer { apiTokens { ${page} } } }`)).viewer.apiTokens,
  'Viewer.workspaces': async () =>
    (await holdall.ask(`{ viewer { workspaces { ${page} } } }`)).viewer.workspaces,
  'Query.serverActivity': async () =>
    (await holdall.ask(`{ serverActivity { ${page} } }`)).serverActivity,
  'Workspace.activity': () => inWorkspace(`activity { ${page} }`),
  'Workspace.apiTokens': () => inWorkspace(`apiTokens { ${page} }`),
  'Workspace.changes': () =>
    inWorkspace('changes { ... on ChangeBatch { changes { __typename } } }'),
  'Workspace.duplicates': () => inWorkspace(`duplicates { ${page} }`),
  'Workspace.entries': () => inWorkspace(`entries { ${page} }`),
  'Workspace.members': () => inWorkspace(`members { ${page} }`),
  'Workspace.search': () => inWorkspace(`search(query: "folder") { ${page} }`),
  'Workspace.shareLinks': () => inWorkspace(`shareLinks { ${page} }`),
  'Workspace.tags': () => inWorkspace(`tags { ${page} }`),
  'Workspace.trash': () => inWorkspace(`trash { ${page} }`),
  'Workspace.uploads': () => inWorkspace(`uploads { ${page} }`),
}

/** Lists without a second page in the fixture: parts exist on S3 only, and server-wide events are few. */
const onePageOnly = ['Upload.parts', 'Query.serverActivity']

const paged = Object.values(schema.getTypeMap())
  .filter((type) => isObjectType(type) || isInterfaceType(type))
  .flatMap((type) =>
    Object.values(type.getFields()).map((field) => ({ name: `${type.name}.${field.name}`, field })),
  )
  .filter(({ field }) => field.args.some(({ name }) => name === 'first'))

/** Returns the page size that the field documents, in its description or as the default of its argument. */
const described = ({ description, args }: (typeof paged)[number]['field']) => {
  const inWords = /(\d+) \w+ unless first or last is given/.exec(description ?? '')?.[1]
  const first = args.find(({ name }) => name === 'first')
  return Number(inWords ?? first?.default?.value ?? first?.defaultValue ?? defaultPageSize)
}

test('the guard finds paginated fields', () => expect(paged.length).toBeGreaterThan(15))

test.each(paged)(
  '$name returns pages of the documented default size, 20 unless stated otherwise',
  async ({ name, field }) => {
    const expected = name === 'Workspace.entries' ? 100 : defaultPageSize
    expect(described(field)).toBe(expected)
    if (onePageOnly.includes(name)) return
    const { nodes, edges, changes } = (await probes[name]?.()) ?? {}
    expect((nodes ?? edges ?? changes)?.length).toBe(expected)
  },
)
