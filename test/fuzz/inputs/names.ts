import fc from 'fast-check'
import { foldName } from '../../../src/names.ts'
import type { FuzzServer } from '../fuzz-server.ts'
import { query } from '../gql.ts'
import type { Subject } from '../runs.ts'
import { assertInvariant } from '../verify-answer.ts'
import { createEmptyFolder, type Folder } from './paths.ts'
import { mutated, text } from './texts.ts'

const common = fc.constantFrom(
  'report.pdf',
  'Größe (2).tar.gz',
  'a/b/c',
  'raw data',
  '研究',
  'é',
  'straße',
  'ΟΔΟΣ',
  'x'.repeat(250),
)
const unusual = fc.string({
  unit: fc.constantFrom(...'ßẞﬁſİıiIIéÉσςΣͅᾳᾼǰŉΐʼnΩKÅåǅǆꮿᏯŁ./\\ \u0301\u0308\u200d\ufe0f'),
  maxLength: 12,
})
const long = fc
  .tuple(fc.constantFrom('x', 'é', 'e\u0301', '研', '💩', 'İ'), fc.integer({ min: 60, max: 260 }))
  .map(([unit, times]) => unit.repeat(times))
const deep = fc.integer({ min: 60, max: 68 }).map((depth) => Array(depth).fill('d').join('/'))
const names = fc.oneof(common, mutated(common), unusual, long, deep, text)

const equivalents: ((name: string) => string)[] = [
  (name) => name.normalize('NFC'),
  (name) => name.normalize('NFD'),
  (name) => name.toLowerCase(),
  (name) => name.toUpperCase(),
  foldName,
]

type NameCase = {
  name: string
  equivalent: number
  method: 'folder' | 'parents' | 'upload' | 'rename'
  description: string
}
const fields = 'id name path description'
const payloadFields = `... on CreateFolderPayload { folder { ${fields} } } ... on UserError { code message }`

/**
 * Names and paths: an accepted name reads back unchanged, is found by its path, and rejects equivalent
 * names.
 */
export const entryNames: Subject<NameCase> = {
  name: 'names',
  rows: 'S1, S2, S3, S4',
  cases: () =>
    fc.record({
      ...{ name: names, equivalent: fc.nat(equivalents.length - 1), description: text },
      method: fc.constantFrom('folder', 'folder', 'parents', 'upload', 'rename'),
    }),
  async check(server, { name, equivalent, method, description }) {
    const folder = await createEmptyFolder(server)
    const otherName = (equivalents[equivalent] ?? foldName)(name)
    const entry = await methods[method](server, folder, { name, description })
    if (!entry) return false
    await checkReadBack(server, entry, { name, description, folder, method })
    if (method !== 'parents' && otherName !== '')
      await assertCollides(server, folder, { name, otherName })
    return true
  },
}

type Entry = { id: string; name: string; path: string; description: string | null }
type NameFields = { name: string; description: string }

const methods: Record<
  NameCase['method'],
  (server: FuzzServer, folder: Folder, input: NameFields) => Promise<Entry | null>
> = {
  folder: (server, folder, input) => create(server, folder, input, false),
  parents: (server, folder, input) => create(server, folder, input, true),
  async upload(server, folder, { name, description }) {
    const input = {
      workspaceId: server.workspaceId,
      folderId: folder.id,
      name,
      size: 0,
      description,
    }
    const document =
      'mutation ($input: CreateUploadInput!) { createUpload(input: $input) { ... on CreateUploadPayload { upload { id } } ... on UserError { code } } }'
    const { data } = await query(server, document, { input })
    const uploadId = data?.createUpload.upload?.id
    if (!uploadId) return null
    const confirm = `mutation ($input: ConfirmUploadInput!) { confirmUpload(input: $input) { ... on ConfirmUploadPayload { file { ${fields} } } ... on UserError { code message } } }`
    const confirmed = await query(server, confirm, { input: { uploadId } })
    assertInvariant(
      confirmed.data?.confirmUpload.file,
      `confirming rejected a name that createUpload accepted: ${JSON.stringify(confirmed.data)}`,
    )
    return confirmed.data.confirmUpload.file
  },
  async rename(server, folder, { name, description }) {
    const first = await create(server, folder, { name: 'first', description: '' }, false)
    const input = { entry: { id: first?.id }, name, description }
    const document = `mutation ($input: UpdateEntryInput!) { updateEntry(input: $input) { ... on UpdateEntryPayload { entry { ${fields} } } ... on UserError { code } } }`
    return (await query(server, document, { input })).data?.updateEntry.entry ?? null
  },
}

async function create(
  server: FuzzServer,
  folder: Folder,
  input: NameFields,
  createParents: boolean,
): Promise<Entry | null> {
  const variables = { input: { folder: { id: folder.id }, ...input, createParents } }
  const document = `mutation ($input: CreateFolderInput!) { createFolder(input: $input) { ${payloadFields} } }`
  return (await query(server, document, variables)).data?.createFolder.folder ?? null
}

async function checkReadBack(
  server: FuzzServer,
  entry: Entry,
  { name, description, folder, method }: NameFields & { folder: Folder; method: string },
) {
  const document = `query ($id: ID!, $ws: ID!, $path: String!) {
    node(id: $id) { ... on Entry { ${fields} } } workspace(by: { id: $ws }) { entryByPath(path: $path) { id } } }`
  const { data } = await query(server, document, {
    id: entry.id,
    ws: server.workspaceId,
    path: entry.path,
  })
  const last = method === 'parents' ? (name.replace(/\/$/, '').split('/').at(-1) ?? '') : name
  assertInvariant(
    data.node.name === last,
    `${JSON.stringify(name)} reads back as ${JSON.stringify(data.node.name)}`,
  )
  assertInvariant(
    data.node.path.startsWith(`${folder.path}/`) && data.node.path.endsWith(last),
    `wrong path ${data.node.path}`,
  )
  assertInvariant(
    (data.node.description ?? '') === description,
    `the description reads back as ${JSON.stringify(data.node.description)}`,
  )
  assertInvariant(
    data.workspace.entryByPath?.id === entry.id,
    'entryByPath does not return the entry',
  )
}

async function assertCollides(
  server: FuzzServer,
  folder: Folder,
  { name, otherName }: { name: string; otherName: string },
) {
  const input = { folder: { id: folder.id }, name: otherName }
  const document = `mutation ($input: CreateFolderInput!) { createFolder(input: $input) { ${payloadFields} } }`
  const { data } = await query(server, document, { input })
  const { code, folder: created } = data?.createFolder ?? {}
  if (foldName(name) !== foldName(otherName)) return
  assertInvariant(
    !created,
    `${JSON.stringify(otherName)} was created beside ${JSON.stringify(name)}`,
  )
  // An equivalent name may exceed the length limit before it is normalised.
  assertInvariant(
    code === 'NAME_CONFLICT' || code === 'INVALID_INPUT',
    `the equivalent name ${JSON.stringify(otherName)}: ${code}`,
  )
}
