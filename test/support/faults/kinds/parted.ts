import { createHash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { batchDone, createUpload, entryByPath, trashEntries, usageOf } from '../../client.ts'
import { tusOf } from '../../network/tus.ts'
import { createSigned } from '../../servers/s3-server.ts'
import type { TestServer } from '../../servers/test-server.ts'
import { type Answer, done, errorAnswerOf, mutate, noAnswer, send } from '../clients.ts'
import type { Operation } from '../operations.ts'

const PART = 8 * 1024 ** 2
const SIZE = 2 * PART + 8
/** Three parts that differ. */
const bytes = Buffer.alloc(SIZE, `${createHash('sha256').update('parts').digest('hex')},`)
const sha256 = createHash('sha256').update(bytes).digest('hex')

type Subject = { workspaceId: string; id: string; more: any }

const wanted = { name: 'new.bin', size: SIZE, sha256 }

async function upload(holdall: TestServer, workspaceId: string) {
  const { id, url } = await createUpload(holdall, { workspaceId, ...wanted })
  return { id, more: { url, bytes } }
}

async function begun(holdall: TestServer, workspaceId: string) {
  const made = await upload(holdall, workspaceId)
  const { status } = await tusOf(holdall).patch(made.more.url, 0, bytes.subarray(0, PART + 4))
  if (status !== 204) throw new Error(`PATCH: ${status}`)
  return made
}

async function received(holdall: TestServer, workspaceId: string) {
  const made = await upload(holdall, workspaceId)
  requireDone(await send(holdall, made.more))
  return made
}

/** Uploads by presigned URLs; the server must read the bytes back. */
async function put(holdall: TestServer, workspaceId: string) {
  const { id, parts } = await createSigned(holdall, { workspaceId, ...wanted })
  for (const { url, offset, size } of parts ?? []) {
    const { status } = await fetch(url, {
      method: 'PUT',
      body: bytes.subarray(offset, offset + size),
    })
    if (status !== 200) throw new Error(`PUT: ${status}`)
  }
  return { id }
}

async function confirmed(holdall: TestServer, workspaceId: string) {
  const { id } = await received(holdall, workspaceId)
  requireDone(await confirm(holdall, { id }))
  return { id }
}

const confirm = (holdall: TestServer, { id }: { id: string }) =>
  mutate(holdall, 'confirmUpload', { uploadId: id }, 'file { id }')

async function download(holdall: TestServer, { workspaceId }: Subject): Promise<Answer> {
  const file = await entryByPath(holdall, workspaceId, wanted.name)
  const response = await holdall.http(`/download/${file?.id}`)
  if (response.status !== 200) return errorAnswerOf(response)
  const came = await response.arrayBuffer().then(Buffer.from, () => null)
  if (!came) return { code: 'CUT', status: 200, text: '' }
  return came.equals(bytes) ? done : noAnswer('the downloaded bytes differ')
}

/** Checks that the file has its bytes, and that a purge leaves none of them. */
async function readAndPurge(holdall: TestServer, subject: Subject): Promise<Answer> {
  requireDone(await download(holdall, subject))
  const { workspaceId } = subject
  const file = await entryByPath(holdall, workspaceId, wanted.name)
  if (!file) return noAnswer('the file does not exist')
  await trashEntries(holdall, file)
  await batchDone(holdall, 'purgeEntries', { entries: [{ entry: { id: file.id } }] })
  for (const until = Date.now() + 10_000; Date.now() < until; await sleep(20)) {
    if ((await usageOf(holdall, workspaceId)).storedBytes === 0) return done
  }
  return noAnswer('the blob was not deleted')
}

function requireDone({ code, text }: Answer) {
  if (code !== null) throw new Error(`${code}: ${text}`)
}

/** The operations on a file that is sent to the bucket in three parts. */
export const inParts: Operation[] = [
  {
    name: 'PATCH (three parts)',
    prepare: upload,
    act: (holdall, { more }) => send(holdall, more),
    already: null,
    paths: [],
    grows: true,
    finish: async (holdall, subject) => {
      requireDone(await confirm(holdall, subject))
      return readAndPurge(holdall, subject)
    },
  },
  {
    name: 'confirmUpload (three parts)',
    prepare: received,
    act: confirm,
    already: null,
    paths: [wanted.name],
    finish: readAndPurge,
  },
  {
    name: 'confirmUpload (three parts, put to the bucket)',
    prepare: put,
    act: confirm,
    already: null,
    paths: [wanted.name],
    // The received bytes are visible before the file exists.
    grows: true,
    finish: readAndPurge,
  },
  {
    name: 'cancelUpload (a part and a tail)',
    prepare: begun,
    act: (holdall, { id }) => mutate(holdall, 'cancelUpload', { uploadId: id }, 'upload { id }'),
    already: 'INVALID_STATE',
    paths: [],
  },
  {
    name: 'download (three parts)',
    prepare: confirmed,
    act: download,
    already: null,
    paths: [wanted.name],
    finish: readAndPurge,
  },
]
