import { createHash } from 'node:crypto'
import { createFolder, createUpload, entryByPath, items, trashEntries } from '../client.ts'
import { zipOf } from '../data/zips.ts'
import { tusOf } from '../network/tus.ts'
import type { TestServer } from '../servers/test-server.ts'
import { type Answer, done, mutate, outcomes, postFile, send, sendAndWait } from './clients.ts'
import { bytesOf } from './kinds/content.ts'

/** The workspace and the ids of an operation; `more` holds, for example, an upload's URL and bytes. */
type Subject = { workspaceId: string; id: string; more: any }

/** A client's operation, repeated until it is confirmed. */
export type Operation = {
  name: string
  /** Creates what the operation needs, in a workspace of its own. */
  prepare: (holdall: TestServer, workspaceId: string) => Promise<{ id: string; more?: unknown }>
  act: (holdall: TestServer, subject: Subject) => Promise<Answer>
  /** Error code of the operation if it is repeated after success. */
  already: string | null
  /** The paths in the workspace after the operation. */
  paths: string[]
  /** Whether intermediate states are visible before it is complete. */
  grows?: boolean
  /** Whether it reserves space for its bytes, which is released when it is cancelled or expires. */
  reserves?: boolean
  /** Whether steps of background jobs count, too. */
  everywhere?: boolean
  /** The next action of the client, which must succeed. */
  finish?: (holdall: TestServer, subject: Subject) => Promise<Answer>
}

const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')

/** Creates docs/sub/b.txt. Returns the id of docs. */
async function tree(holdall: TestServer, workspaceId: string) {
  await postFile(holdall, { workspaceId, path: 'docs/sub', name: 'b.txt' }, bytesOf('b'))
  const docs = await entryByPath(holdall, workspaceId, 'docs')
  return { id: docs?.id ?? '' }
}

/** Creates docs/sub/b.txt and a folder to move it to. */
async function treeAndTarget(holdall: TestServer, workspaceId: string) {
  const docs = await tree(holdall, workspaceId)
  return { ...docs, more: (await createFolder(holdall, { workspaceId, name: 'to' })).id }
}

async function upload(
  holdall: TestServer,
  input: { workspaceId: string } & Record<string, unknown>,
) {
  const bytes = bytesOf('upload')
  const wanted = { name: 'new.bin', size: bytes.length, sha256: sha256(bytes), ...input }
  const { id, url } = await createUpload(holdall, wanted)
  return { id, more: { url, bytes } }
}

async function received(
  holdall: TestServer,
  input: { workspaceId: string } & Record<string, unknown>,
) {
  const made = await upload(holdall, input)
  const { bytes, url } = made.more
  const { status } = await tusOf(holdall).patch(url, 0, bytes)
  if (status !== 204) throw new Error(`PATCH: ${status}`)
  return made
}

const confirm = (holdall: TestServer, { id }: Subject) =>
  mutate(holdall, 'confirmUpload', { uploadId: id }, 'file { id }')
const treePaths = ['docs', 'docs/sub', 'docs/sub/b.txt']
const onFolder = (id: string) => ({ entries: items({ id }) })

async function selfConfirmingUpload(holdall: TestServer, workspaceId: string) {
  const bytes = bytesOf('upload')
  const declared = { workspaceId, filename: 'new.bin', confirm: 'auto', sha256: sha256(bytes) }
  const url = await tusOf(holdall).create(declared, { 'Upload-Length': `${bytes.length}` })
  return { id: workspaceId, more: { url, bytes } }
}

/** An upload whose last byte creates the file. */
export const selfConfirming: Operation = {
  name: 'PATCH (confirm: auto)',
  prepare: selfConfirmingUpload,
  act: (holdall, { more }) => sendAndWait(holdall, more),
  already: null,
  paths: ['new.bin'],
  grows: true,
}

/** Such an upload whose name another file has taken meanwhile: 422 for its last byte, and 410 for HEAD. */
export const selfRefused: Operation = {
  name: 'PATCH (confirm: auto), refused',
  async prepare(holdall, workspaceId) {
    const made = await selfConfirmingUpload(holdall, workspaceId)
    await postFile(holdall, { workspaceId, name: 'new.bin' }, bytesOf('other'))
    return made
  },
  async act(holdall, { more }) {
    const answer = await sendAndWait(holdall, more)
    const isRefused =
      answer.status === 410 || `${answer.status} ${answer.code}` === '422 NAME_CONFLICT'
    if (isRefused) return done
    return answer.code === null ? { ...answer, code: 'TAKEN_FOR_SUCCESS' } : answer
  },
  already: null,
  paths: ['new.bin'],
  grows: true,
}

export const operations: Operation[] = [
  {
    name: 'createUpload',
    prepare: async (_, workspaceId) => ({ id: workspaceId }),
    act: (holdall, { workspaceId }) => {
      const bytes = bytesOf('upload')
      const what = { name: 'new.bin', size: bytes.length, sha256: sha256(bytes) }
      return mutate(
        holdall,
        'createUpload',
        { workspaceId, ...what, idempotencyKey: 'once' },
        'upload { id url }',
      )
    },
    already: null,
    paths: [],
    finish: async (holdall, { workspaceId }) => {
      const { id, more } = await received(holdall, { workspaceId, idempotencyKey: 'once' })
      return confirm(holdall, { workspaceId, id, more })
    },
  },
  {
    name: 'PATCH',
    prepare: (holdall, workspaceId) => upload(holdall, { workspaceId }),
    act: (holdall, { more }) => send(holdall, more),
    already: null,
    paths: [],
    grows: true,
    finish: confirm,
  },
  {
    name: 'confirmUpload (a file)',
    prepare: (holdall, workspaceId) =>
      received(holdall, { workspaceId, path: 'in/new', tags: ['t'] }),
    act: confirm,
    already: null,
    paths: ['in', 'in/new', 'in/new/new.bin'],
  },
  {
    name: 'confirmUpload (a version)',
    prepare: async (holdall, workspaceId) => {
      const { id } = await postFile(holdall, { workspaceId, name: 'a.txt' }, bytesOf('a'))
      return received(holdall, { workspaceId, versionOf: id })
    },
    act: confirm,
    already: null,
    paths: ['a.txt'],
  },
  {
    name: 'trashEntries',
    prepare: tree,
    act: (holdall, { id }) =>
      mutate(holdall, 'trashEntries', { ...onFolder(id), recursive: true }, outcomes),
    already: 'INVALID_STATE',
    paths: [],
  },
  {
    name: 'restoreEntries',
    prepare: async (holdall, workspaceId) => {
      const docs = await tree(holdall, workspaceId)
      await trashEntries(holdall, docs)
      return docs
    },
    act: (holdall, { id }) =>
      mutate(holdall, 'restoreEntries', { entries: [{ entry: { id: id } }] }, outcomes),
    already: 'INVALID_STATE',
    paths: treePaths,
  },
  {
    name: 'purgeEntries',
    prepare: async (holdall, workspaceId) => {
      const docs = await tree(holdall, workspaceId)
      await trashEntries(holdall, docs)
      return docs
    },
    act: (holdall, { id }) =>
      mutate(holdall, 'purgeEntries', { entries: [{ entry: { id: id } }] }, outcomes),
    already: 'NOT_FOUND',
    paths: [],
    everywhere: true,
  },
  {
    name: 'moveEntries',
    prepare: treeAndTarget,
    act: (holdall, { id, more }) =>
      mutate(holdall, 'moveEntries', { ...onFolder(id), folder: { id: more } }, outcomes),
    already: null,
    paths: ['to', ...treePaths.map((path) => `to/${path}`)],
  },
  {
    name: 'copyEntries',
    prepare: treeAndTarget,
    act: (holdall, { id, more }) => {
      const once = { folder: { id: more }, onConflict: 'FAIL' }
      return mutate(holdall, 'copyEntries', { ...onFolder(id), ...once }, outcomes)
    },
    already: 'NAME_CONFLICT',
    paths: [...treePaths, 'to', ...treePaths.map((path) => `to/${path}`)],
  },
  {
    name: 'importArchive',
    prepare: async (holdall, workspaceId) => {
      const bytes = zipOf([{ name: 'docs/a.txt', bytes: bytesOf('a') }, { name: 'docs/sub/' }])
      const made = await createUpload(holdall, { workspaceId, name: 'z.zip', size: bytes.length })
      await tusOf(holdall).patch(made.url, 0, bytes)
      return { id: made.id, more: (await createFolder(holdall, { workspaceId, name: 'to' })).id }
    },
    act: (holdall, { id, more }) =>
      mutate(holdall, 'importArchive', { uploadId: id, folder: { id: more } }, 'entryCount'),
    already: 'INVALID_STATE',
    reserves: true,
    paths: ['to', 'to/docs', 'to/docs/a.txt', 'to/docs/sub'],
  },
]
