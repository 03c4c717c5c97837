import { createHash } from 'node:crypto'
import { act, createFolder, createUpload, entryByPath, items, trashEntries } from '../client.ts'
import type { House } from '../test-server.ts'
import { tusOf } from '../tus.ts'
import { zipOf } from '../zips.ts'
import { type Answer, mutate, outcomes, postFile, send, sendAndWait } from './clients.ts'
import { bytesOf } from './content.ts'

/** What is done by whom to what: ids, and the URL of an upload with its bytes. */
type Subject = { workspaceId: string; id: string; more: any }

/** Something that a client does, and does again until it hears that it is done. */
export type Operation = {
  name: string
  /** What must be there before, in a workspace of its own. */
  prepare: (house: House, workspaceId: string) => Promise<{ id: string; more?: unknown }>
  act: (house: House, subject: Subject) => Promise<Answer>
  /** What a client is told who does it once more. */
  already: string | null
  /** The paths there when it is done. */
  paths: string[]
  /** What is there of it before it is done is seen. */
  grows?: boolean
  /** It reserves room for its bytes, which is given back when it is cancelled or expires. */
  reserves?: boolean
  /** What is done afterwards without being asked counts, too. */
  everywhere?: boolean
  /** What a client goes on with, to see that it was worth it. */
  finish?: (house: House, subject: Subject) => Promise<Answer>
}

const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')

/** docs/sub/b.txt; the id of docs. */
async function tree(house: House, workspaceId: string) {
  await postFile(house, { workspaceId, path: 'docs/sub', name: 'b.txt' }, bytesOf('b'))
  const docs = await entryByPath(house, workspaceId, 'docs')
  return { id: docs?.id ?? '' }
}

/** The same, and a folder for it to go to. */
async function treeAndTarget(house: House, workspaceId: string) {
  const docs = await tree(house, workspaceId)
  return { ...docs, more: (await createFolder(house, { workspaceId, name: 'to' })).id }
}

async function upload(house: House, input: { workspaceId: string } & Record<string, unknown>) {
  const bytes = bytesOf('upload')
  const wanted = { name: 'new.bin', size: bytes.length, sha256: sha256(bytes), ...input }
  const { id, url } = await createUpload(house, wanted)
  return { id, more: { url, bytes } }
}

async function received(house: House, input: { workspaceId: string } & Record<string, unknown>) {
  const made = await upload(house, input)
  const { bytes, url } = made.more
  const { status } = await tusOf(house).patch(url, 0, bytes)
  if (status !== 204) throw new Error(`PATCH: ${status}`)
  return made
}

const confirm = (house: House, { id }: Subject) =>
  mutate(house, 'confirmUpload', { uploadId: id }, 'file { id }')
const treePaths = ['docs', 'docs/sub', 'docs/sub/b.txt']
const onFolder = (id: string) => ({ entries: items({ id }) })

/** An upload whose last byte makes the file. */
export const selfConfirming: Operation = {
  name: 'PATCH (confirm: auto)',
  async prepare(house, workspaceId) {
    const bytes = bytesOf('upload')
    const said = { workspaceId, filename: 'new.bin', confirm: 'auto', sha256: sha256(bytes) }
    const url = await tusOf(house).create(said, { 'Upload-Length': `${bytes.length}` })
    return { id: workspaceId, more: { url, bytes } }
  },
  act: (house, { more }) => sendAndWait(house, more),
  already: null,
  paths: ['new.bin'],
  grows: true,
}

export const operations: Operation[] = [
  {
    name: 'createUpload',
    prepare: async (_, workspaceId) => ({ id: workspaceId }),
    act: (house, { workspaceId }) => {
      const bytes = bytesOf('upload')
      const what = { name: 'new.bin', size: bytes.length, sha256: sha256(bytes) }
      return mutate(
        house,
        'createUpload',
        { workspaceId, ...what, idempotencyKey: 'once' },
        'upload { id url }',
      )
    },
    already: null,
    paths: [],
    finish: async (house, { workspaceId }) => {
      const { id, more } = await received(house, { workspaceId, idempotencyKey: 'once' })
      return confirm(house, { workspaceId, id, more })
    },
  },
  {
    name: 'PATCH',
    prepare: (house, workspaceId) => upload(house, { workspaceId }),
    act: (house, { more }) => send(house, more),
    already: null,
    paths: [],
    grows: true,
    finish: confirm,
  },
  {
    name: 'confirmUpload (a file)',
    prepare: (house, workspaceId) => received(house, { workspaceId, path: 'in/new', tags: ['t'] }),
    act: confirm,
    already: null,
    paths: ['in', 'in/new', 'in/new/new.bin'],
  },
  {
    name: 'confirmUpload (a version)',
    prepare: async (house, workspaceId) => {
      const { id } = await postFile(house, { workspaceId, name: 'a.txt' }, bytesOf('a'))
      return received(house, { workspaceId, versionOf: id })
    },
    act: confirm,
    already: null,
    paths: ['a.txt'],
  },
  {
    name: 'trashEntries',
    prepare: tree,
    act: (house, { id }) =>
      mutate(house, 'trashEntries', { ...onFolder(id), recursive: true }, outcomes),
    already: 'INVALID_STATE',
    paths: [],
  },
  {
    name: 'restoreEntries',
    prepare: async (house, workspaceId) => {
      const docs = await tree(house, workspaceId)
      await trashEntries(house, docs)
      return docs
    },
    act: (house, { id }) => mutate(house, 'restoreEntries', { entryIds: [id] }, outcomes),
    already: 'INVALID_STATE',
    paths: treePaths,
  },
  {
    name: 'purgeEntries',
    prepare: async (house, workspaceId) => {
      const docs = await tree(house, workspaceId)
      await trashEntries(house, docs)
      return docs
    },
    act: (house, { id }) => mutate(house, 'purgeEntries', { entryIds: [id] }, outcomes),
    already: 'NOT_FOUND',
    paths: [],
    everywhere: true,
  },
  {
    name: 'moveEntries',
    prepare: treeAndTarget,
    act: (house, { id, more }) =>
      mutate(house, 'moveEntries', { ...onFolder(id), destination: { id: more } }, outcomes),
    already: null,
    paths: ['to', ...treePaths.map((path) => `to/${path}`)],
  },
  {
    name: 'copyEntries',
    prepare: treeAndTarget,
    act: (house, { id, more }) => {
      const once = { destination: { id: more }, onConflict: 'FAIL' }
      return mutate(house, 'copyEntries', { ...onFolder(id), ...once }, outcomes)
    },
    already: 'NAME_CONFLICT',
    paths: [...treePaths, 'to', ...treePaths.map((path) => `to/${path}`)],
  },
  {
    name: 'importArchive',
    prepare: async (house, workspaceId) => {
      const bytes = zipOf([{ name: 'docs/a.txt', bytes: bytesOf('a') }, { name: 'docs/sub/' }])
      const made = await createUpload(house, { workspaceId, name: 'z.zip', size: bytes.length })
      await tusOf(house).patch(made.url, 0, bytes)
      await act(house, 'confirmUpload', { uploadId: made.id }, 'file { id }')
      return { id: made.id, more: (await createFolder(house, { workspaceId, name: 'to' })).id }
    },
    act: (house, { id, more }) =>
      mutate(house, 'importArchive', { uploadId: id, destination: { id: more } }, 'entryCount'),
    already: 'NAME_CONFLICT',
    reserves: true,
    paths: ['to', 'to/docs', 'to/docs/a.txt', 'to/docs/sub', 'z.zip'],
  },
]
