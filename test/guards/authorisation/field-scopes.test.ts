import { getNamedType, isObjectType, isScalarType } from 'graphql'
import { beforeAll, describe, expect, test } from 'vitest'
import { type ApiScope, apiScopes } from '../../../src/context.ts'
import { scopeOf } from '../../../src/graphql/field-scopes.ts'
import { schema } from '../../../src/schema.ts'
import {
  act,
  attempt,
  createWorkspace,
  type FileHandle,
  sendBytes,
  uploadFile,
} from '../../support/client.ts'
import { createToken } from '../../support/data/people.ts'
import { postForm } from '../../support/network/forms.ts'
import { startTestServer, type TestServer } from '../../support/servers/test-server.ts'

type Contract = { scope: ApiScope; open: string; closed: string }
const contract = (open: string, closed: string, scope: ApiScope = 'FILES_READ'): Contract => ({
  scope,
  open,
  closed,
})

const entry =
  'workspace nameWarnings description metadata tags revision createdAt createdBy updatedAt updatedBy trash sharing parent ancestors'

/**
 * Types that show the content of a workspace: fields that are visible without the scope, and fields that
 * require it.
 */
const content: Record<string, Contract> = {
  File: contract(
    'id name path size status',
    `${entry} mediaType kind sha256 contentModifiedAt failures version versions downloadUrl`,
  ),
  Folder: contract('id name path', `${entry} totals children archiveUrl`),
  FolderTotals: contract('', 'bytes fileCount folderCount'),
  FileVersion: contract(
    'id size',
    'file number mediaType sha256 contentModifiedAt failures comment createdAt createdBy isCurrent downloadUrl',
  ),
  FileFailure: contract('', 'code message at'),
  SignedUrl: contract('', 'url expiresAt'),
  TrashInfo: contract('', 'trashedAt trashedBy originalPath purgeAt'),
  Sharing: contract('', 'visibility links'),
  Tag: contract('id name', 'color entryCount entries'),
  Upload: contract(
    'id name path size status offset transport url headers parts expiresAt',
    'workspace createdAt createdBy file version failures',
  ),
  UploadFailure: contract('', 'code message retryable at'),
  Table: contract('id name sqlName columns', 'rows'),
  TableRow: contract('id', 'values files'),
  LinkedFile: contract('', 'column file'),
  ShareLink: contract(
    'id hasPassword expiresAt maxDownloads downloadCount createdAt createdBy',
    'entry url token',
  ),
  DuplicateGroup: contract('', 'sha256 size wastedBytes files'),
  Usage: contract(
    'id',
    'currentBytes olderVersionBytes trashedBytes reservedBytes storedBytes quotaBytes remainingBytes fileCount folderCount byKind',
  ),
  KindUsage: contract('', 'kind bytes fileCount'),
  SearchHighlight: contract('', 'field text'),
  EntryUpserted: contract('', 'entry action'),
  EntryRemoved: contract('', 'entryId lastPath action'),
  UploadChanged: contract('', 'upload'),
  ChangeBatch: contract('', 'changes cursor hasMore'),
  ActivityEvent: contract('', 'id action actor token entryId path at details', 'ACTIVITY_READ'),
}

/**
 * Types without content: people, tokens, settings; roots and Workspace check access themselves (see
 * authorisation).
 */
const plain = [
  ...['Query', 'Mutation', 'Subscription', 'Workspace', 'Viewer', 'User', 'ApiToken', 'Member'],
  ...['ServerInfo', 'RateLimit', 'SharedEntry', 'TableColumn', 'HttpHeader', 'UploadPart'],
  ...['PageInfo', 'BatchResult', 'UploadBatchResult', 'InputIssue', 'ServerEvent'],
]
const frames = /(Payload|Connection|Edge|Error)$/

/** Fields of payloads, pages and errors themselves: text and numbers about the request. */
const frameScalars = new Set(
  [
    'code message path retryable id missingScopes requiredRole suggestedName expected actual state entryCount',
    'neededBytes retryAfterSeconds maxBytes allowed missingBytes expiredAt table column reason failedIndex',
    'succeeded failed syncCursor cursor totalCount score freedBytes purgedCount rowsUnlinked rowsRelinked',
    'secret versionId tagId shareLinkId userId workspaceId revokedCount',
  ].flatMap((line) => line.split(' ')),
)

const objectTypes = Object.values(schema.getTypeMap()).filter(
  (type) => isObjectType(type) && !type.name.startsWith('__'),
)
const words = (line: string) => line.split(' ').filter(Boolean)

describe('every field of the schema that shows content', () => {
  test('belongs to a type that is listed here', () => {
    const names = objectTypes.map(({ name }) => name)
    expect(
      names.filter((name) => !(name in content || plain.includes(name) || frames.test(name))),
    ).toEqual([])
    expect(Object.keys(content).filter((name) => !names.includes(name))).toEqual([])
  })

  test.each(Object.entries(content))(
    'of %s is listed, and requires its scope',
    (name, { scope, open, closed }) => {
      const type = schema.getType(name)
      const fields = isObjectType(type) ? Object.keys(type.getFields()) : []
      expect(fields.toSorted()).toEqual([...words(open), ...words(closed)].toSorted())
      for (const field of words(closed))
        expect([field, scopeOf(name, field)]).toEqual([field, scope])
      for (const field of words(open)) expect([field, scopeOf(name, field)]).toEqual([field, null])
    },
  )

  test('does not occur in a payload, a page or an error', () => {
    const unknown = objectTypes.flatMap((type) => {
      if (!isObjectType(type) || !frames.test(type.name)) return []
      return Object.values(type.getFields())
        .filter((field) => isScalarType(getNamedType(field.type)) && !frameScalars.has(field.name))
        .map((field) => `${type.name}.${field.name}`)
    })
    expect(unknown).toEqual([])
  })
})

describe('a token without FILES_READ', () => {
  let holdall: TestServer
  let workspaceId: string
  let token: string
  let file: FileHandle
  let rows: Record<string, { mutation: string; input: object; path: string }>

  beforeAll(async () => {
    holdall = await startTestServer()
    const { id } = await createWorkspace(holdall)
    workspaceId = id
    const scopes = apiScopes.filter((scope) => scope !== 'FILES_READ')
    token = (await createToken(holdall, { scopes })).secret
    file = await uploadFile(holdall, {
      workspaceId,
      name: 'kept.txt',
      bytes: 'kept',
      tags: ['red'],
    })
    const other = await uploadFile(holdall, {
      workspaceId,
      versionOf: file.id,
      name: 'x',
      bytes: 'newer',
    })
    const tags = '... on File { tags { id } versions { nodes { id } } }'
    const query = `query ($id: ID!) { node(id: $id) { ${tags} } }`
    const { node } = await holdall.ask(query, { id: other.id })
    const columns = [{ name: 'image', type: 'FILE_PATH' }]
    await act(holdall, 'createTable', { workspaceId, name: 'plates', columns }, '__typename')
    const named = { entry: { id: file.id } }
    rows = {
      File: { mutation: 'updateEntry', input: named, path: 'entry { ... on File {' },
      Folder: {
        mutation: 'createFolder',
        input: { workspaceId, name: 'made', onConflict: 'RENAME' },
        path: 'folder {',
      },
      FileVersion: {
        mutation: 'restoreVersion',
        input: { versionId: node.versions.nodes[1].id },
        path: 'version {',
      },
      Tag: {
        mutation: 'updateTag',
        input: { tagId: node.tags[0].id, color: '#ff0000' },
        path: 'tag {',
      },
      Upload: {
        mutation: 'createUpload',
        input: { workspaceId, name: 'new', size: 4, onConflict: 'RENAME' },
        path: 'upload {',
      },
      TableRow: {
        mutation: 'linkRow',
        input: { fileId: file.id, link: { table: 'plates', column: 'image' } },
        path: 'row {',
      },
    }
    return () => holdall[Symbol.asyncDispose]()
  })

  const ask = (query: string, variables: object = {}) =>
    holdall.graphql(query, variables as Record<string, unknown>, { token })

  /** Returns a field with the selection that it needs. */
  function selected(type: string, field: string) {
    const of = schema.getType(type)
    const below = isObjectType(of) ? getNamedType(of.getFields()[field]?.type as never) : null
    const isLeaf = below === null || !('getFields' in (below as unknown as object))
    return isLeaf ? field : `${field} { __typename }`
  }

  test.each(['File', 'Folder', 'FileVersion', 'Tag', 'Upload', 'TableRow'])(
    'sees the visible fields of the %s that it has written, and Forbidden for the rest',
    async (type) => {
      const { mutation, input, path } = rows[type] as (typeof rows)[string]
      const name = `${mutation[0]?.toUpperCase()}${mutation.slice(1)}`
      const run = (field: string) =>
        ask(
          `mutation ($input: ${name}Input!) { answer: ${mutation}(input: $input) {
            __typename ... on ${name}Payload { ${path} ${selected(type, field)} ${'}'.repeat(path.split('{').length - 1)} }
          } }`,
          { input },
        )
      const { open, closed } = content[type] as Contract
      for (const field of words(open))
        expect([field, (await run(field)).errors]).toEqual([field, undefined])
      for (const field of words(closed)) {
        const { errors } = await run(field)
        expect([field, errors?.[0]?.extensions]).toEqual([
          field,
          { code: 'FORBIDDEN', missingScopes: ['FILES_READ'] },
        ])
      }
    },
  )

  test('does not see the entry that conflicts by name or revision', async () => {
    const conflict = `mutation ($input: CreateFolderInput!) { createFolder(input: $input) {
      ... on NameConflictError { suggestedName existing { name } } } }`
    const taken = await ask(conflict, { input: { workspaceId, name: 'kept.txt' } })
    expect(taken.data.createFolder).toEqual({ suggestedName: expect.any(String), existing: null })
    const stale = `mutation ($input: UpdateEntryInput!) { updateEntry(input: $input) {
      ... on StaleRevisionError { actual entry { name } } } }`
    const input = { entry: { id: file.id }, expectedRevision: 99 }
    expect((await ask(stale, { input })).data.updateEntry.entry).toBe(null)
  })

  test('reads nothing of a workspace, neither directly nor through a payload', async () => {
    const fields = [
      'root { id }',
      'entries { totalCount }',
      'tags { totalCount }',
      'usage { fileCount }',
    ]
      .concat('trash { totalCount }', 'uploads { totalCount }', 'members { totalCount }')
      .concat(
        'tables { name }',
        'duplicates { totalCount }',
        'search(query: "kept") { totalCount }',
      )
      .concat('changes { __typename }', 'entryByPath(path: "kept.txt") { id }')
    for (const field of fields) {
      const { errors } = await ask(`{ viewer { workspaces { nodes { ${field} } } } }`)
      expect([field, errors?.[0]?.extensions?.code]).toEqual([field, 'FORBIDDEN'])
    }
    for (const id of [file.id, file.version.id, workspaceId])
      expect((await ask('query ($id: ID!) { node(id: $id) { id } }', { id })).data.node).toBe(null)
    expect((await holdall.http(`/download/${file.id}`, { token })).status).toBe(403)
  })

  test('cannot share an entry or publish a workspace', async () => {
    const as = { token }
    const forbidden = { code: 'FORBIDDEN' }
    expect(
      await attempt(holdall, 'createShareLink', { entry: { id: file.id } }, '__typename', as),
    ).toMatchObject(forbidden)
    const published = { workspaceId, visibility: 'PUBLIC' }
    expect(await attempt(holdall, 'updateWorkspace', published, '__typename', as)).toMatchObject(
      forbidden,
    )
    const made = { name: 'open', visibility: 'PUBLIC' }
    expect(await attempt(holdall, 'createWorkspace', made, '__typename', as)).toMatchObject(
      forbidden,
    )
    const same = { workspaceId, visibility: 'PRIVATE', name: 'Renamed' }
    expect(await attempt(holdall, 'updateWorkspace', same, 'workspace { name }', as)).toMatchObject(
      {
        workspace: { name: 'Renamed' },
      },
    )
  })

  test('lists share links to revoke them, without their targets', async () => {
    await act(holdall, 'createShareLink', { entry: { id: file.id } }, '__typename')
    const links = (field: string) =>
      ask(`{ viewer { workspaces { nodes { shareLinks { nodes { ${field} } } } } } }`)
    expect((await links('id hasPassword downloadCount')).errors).toBeUndefined()
    for (const field of ['url', 'token', 'entry { id }'])
      expect([field, (await links(field)).errors?.[0]?.extensions?.code]).toEqual([
        field,
        'FORBIDDEN',
      ])
  })

  test('uploads and confirms, by GraphQL and by form, and reads id, name, path and size', async () => {
    const input = { workspaceId, name: 'sent.txt', size: 4 }
    const { upload } = await act(
      holdall,
      'createUpload',
      input,
      'upload { id url headers { name value } }',
      {
        token,
      },
    )
    await sendBytes(holdall, upload, 'sent', 0, { token })
    const fields = 'file { id name path size status } upload { status }'
    const made = await act(holdall, 'confirmUpload', { uploadId: upload.id }, fields, { token })
    expect(made).toMatchObject({ file: { path: 'sent.txt', size: 4, status: 'COMPLETE' } })
    const form = await postForm(
      holdall,
      { workspaceId, file: { name: 'form.txt', bytes: 'form' } },
      { token },
    )
    expect(form).toMatchObject({ status: 201 })
    expect(Object.keys(form.body).toSorted()).toEqual(['id', 'key', 'name', 'path', 'size'])
  })

  test('opens a share like any other token', async () => {
    const { shareLink } = await act(
      holdall,
      'createShareLink',
      { entry: { id: file.id } },
      'shareLink { token }',
    )
    const query =
      'query ($t: String!) { shared(token: $t) { entry { description ... on File { sha256 } } } }'
    const { data, errors } = await ask(query, { t: shareLink.token })
    expect([errors, data.shared.entry.sha256]).toEqual([undefined, expect.any(String)])
  })
})
