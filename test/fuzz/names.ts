import fc from 'fast-check'
import { foldName } from '../../src/names.ts'
import type { Ground } from './fuzz-server.ts'
import { query } from './gql.ts'
import { emptyFolder, type Place } from './paths.ts'
import type { Subject } from './runs.ts'
import { near, text } from './texts.ts'
import { insist } from './verify-answer.ts'

const usual = fc.constantFrom(
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
const odd = fc.string({
  unit: fc.constantFrom(...'ßẞﬁſİıiIIéÉσςΣͅᾳᾼǰŉΐʼnΩKÅåǅǆꮿᏯŁ./\\ \u0301\u0308\u200d\ufe0f'),
  maxLength: 12,
})
const long = fc
  .tuple(fc.constantFrom('x', 'é', 'e\u0301', '研', '💩', 'İ'), fc.integer({ min: 60, max: 260 }))
  .map(([unit, times]) => unit.repeat(times))
const deep = fc.integer({ min: 60, max: 68 }).map((depth) => Array(depth).fill('d').join('/'))
const names = fc.oneof(usual, near(usual), odd, long, deep, text)

const twins: ((name: string) => string)[] = [
  (name) => name.normalize('NFC'),
  (name) => name.normalize('NFD'),
  (name) => name.toLowerCase(),
  (name) => name.toUpperCase(),
  foldName,
]

type Named = {
  name: string
  twin: number
  way: 'folder' | 'parents' | 'upload' | 'rename'
  description: string
}
const fields = 'id name path description'
const made = `... on CreateFolderPayload { folder { ${fields} } } ... on UserError { code message }`

/** Names and paths: one that is taken reads back as it was given, is found by its path, and leaves no room for its twins. */
export const entryNames: Subject<Named> = {
  name: 'names',
  rows: 'S1, S2, S3, S4',
  cases: () =>
    fc.record({
      ...{ name: names, twin: fc.nat(twins.length - 1), description: text },
      way: fc.constantFrom('folder', 'folder', 'parents', 'upload', 'rename'),
    }),
  async check(ground, { name, twin, way, description }) {
    const place = await emptyFolder(ground)
    const other = (twins[twin] ?? foldName)(name)
    const entry = await ways[way](ground, place, { name, description })
    if (!entry) return false
    await readsBack(ground, entry, { name, description, place, way })
    if (way !== 'parents' && other !== '') await collides(ground, place, { name, other })
    return true
  },
}

type Entry = { id: string; name: string; path: string; description: string | null }
type Said = { name: string; description: string }

const ways: Record<
  Named['way'],
  (ground: Ground, place: Place, said: Said) => Promise<Entry | null>
> = {
  folder: (ground, place, said) => create(ground, place, said, false),
  parents: (ground, place, said) => create(ground, place, said, true),
  async upload(ground, place, { name, description }) {
    const input = {
      workspaceId: ground.workspaceId,
      folderId: place.id,
      name,
      size: 0,
      description,
    }
    const document =
      'mutation ($input: CreateUploadInput!) { createUpload(input: $input) { ... on CreateUploadPayload { upload { id } } ... on UserError { code } } }'
    const { data } = await query(ground, document, { input })
    const uploadId = data?.createUpload.upload?.id
    if (!uploadId) return null
    const confirm = `mutation ($input: ConfirmUploadInput!) { confirmUpload(input: $input) { ... on ConfirmUploadPayload { file { ${fields} } } ... on UserError { code message } } }`
    const confirmed = await query(ground, confirm, { input: { uploadId } })
    insist(
      confirmed.data?.confirmUpload.file,
      `a name that was good is refused: ${JSON.stringify(confirmed.data)}`,
    )
    return confirmed.data.confirmUpload.file
  },
  async rename(ground, place, { name, description }) {
    const first = await create(ground, place, { name: 'first', description: '' }, false)
    const input = { entry: { id: first?.id }, name, description }
    const document = `mutation ($input: UpdateEntryInput!) { updateEntry(input: $input) { ... on UpdateEntryPayload { entry { ${fields} } } ... on UserError { code } } }`
    return (await query(ground, document, { input })).data?.updateEntry.entry ?? null
  },
}

async function create(
  ground: Ground,
  place: Place,
  said: Said,
  createParents: boolean,
): Promise<Entry | null> {
  const input = { parent: { id: place.id }, ...said, createParents }
  const document = `mutation ($input: CreateFolderInput!) { createFolder(input: $input) { ${made} } }`
  return (await query(ground, document, { input })).data?.createFolder.folder ?? null
}

async function readsBack(
  ground: Ground,
  entry: Entry,
  { name, description, place, way }: Said & { place: Place; way: string },
) {
  const document = `query ($id: ID!, $ws: ID!, $path: String!) {
    node(id: $id) { ... on Entry { ${fields} } } workspace(by: { id: $ws }) { entryByPath(path: $path) { id } } }`
  const { data } = await query(ground, document, {
    id: entry.id,
    ws: ground.workspaceId,
    path: entry.path,
  })
  const last = way === 'parents' ? (name.replace(/\/$/, '').split('/').at(-1) ?? '') : name
  insist(
    data.node.name === last,
    `${JSON.stringify(name)} reads back as ${JSON.stringify(data.node.name)}`,
  )
  insist(
    data.node.path.startsWith(`${place.path}/`) && data.node.path.endsWith(last),
    `its path is ${data.node.path}`,
  )
  insist(
    (data.node.description ?? '') === description,
    `the description reads back as ${JSON.stringify(data.node.description)}`,
  )
  insist(data.workspace.entryByPath?.id === entry.id, 'it is not found at its path')
}

async function collides(
  ground: Ground,
  place: Place,
  { name, other }: { name: string; other: string },
) {
  const input = { parent: { id: place.id }, name: other }
  const document = `mutation ($input: CreateFolderInput!) { createFolder(input: $input) { ${made} } }`
  const { data } = await query(ground, document, { input })
  const { code, folder } = data?.createFolder ?? {}
  if (foldName(name) !== foldName(other)) return
  insist(!folder, `${JSON.stringify(other)} lies beside ${JSON.stringify(name)}`)
  // A twin may be longer than a name can be, as NFD of many marks before it is normalised.
  insist(
    code === 'NAME_CONFLICT' || code === 'INVALID_INPUT',
    `the twin ${JSON.stringify(other)}: ${code}`,
  )
}
