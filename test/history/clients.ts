import { createHash, randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Dice } from '../support/data/seeded-random.ts'
import { metadata, OFFSET_TYPE } from '../support/network/tus.ts'
import type { TestServer } from '../support/servers/test-server.ts'
import { execute, request, untilAnswered } from './asking.ts'
import type { Journal, Sent } from './journal.ts'

export type Client = {
  holdall: TestServer
  journal: Journal
  workspaceIds: [string, ...string[]]
  dice: Dice
  name: string
  isOver: () => boolean
}
const KIB = 1024
const errorFields = '... on UserError { code message retryable }'

/**
 * Runs one client: uploads with and without a confirm, folders, and now and then a file moved to the trash.
 */
export async function work(client: Client) {
  const { dice, journal, workspaceIds } = client
  const own: Sent[] = []
  for (let n = 0; !client.isOver(); n += 1) {
    const workspaceId = dice.pick(workspaceIds)
    const name = `${client.name}-${n}`
    const draw = dice.below(100)
    try {
      if (draw < 45) own.push(await uploadAndConfirm(client, workspaceId, `${name}.bin`))
      else if (draw < 70) await uploadThatConfirmsItself(client, workspaceId, `${name}.auto`)
      else if (draw < 90) await makeFolder(client, workspaceId, name)
      else await trashOne(client, own)
    } catch (error) {
      journal.violation(`${name}: ${(error as Error).message}`)
    }
  }
}

function begin(
  { journal, dice }: Client,
  of: { workspaceId: string; name: string; auto: boolean },
) {
  const bytes = randomBytes(1 + dice.below(dice.chance(10) ? 6_000 * KIB : 120 * KIB))
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  const upload: Sent = {
    ...{ ...of, size: bytes.length, sha256 },
    ...{ acknowledged: false, fileId: null, trashed: 'no' },
  }
  journal.sent.push(upload)
  return { upload, bytes }
}

async function uploadAndConfirm(client: Client, workspaceId: string, name: string) {
  const { upload, bytes } = begin(client, { workspaceId, name, auto: false })
  const input = {
    ...{ workspaceId, name, size: bytes.length, idempotencyKey: name },
    // A second upload would get another name.
    onConflict: 'RENAME',
  }
  const create = `mutation ($input: CreateUploadInput!) { createUpload(input: $input) {
    ... on CreateUploadPayload { upload { id url } } ${errorFields} } }`
  const { id, url } = await untilDone(
    client,
    create,
    input,
    ({ createUpload }) => createUpload.upload,
  )
  client.journal.wrote(workspaceId)
  await send(client, url, bytes, upload)
  const confirm = `mutation ($input: ConfirmUploadInput!) { confirmUpload(input: $input) {
    ... on ConfirmUploadPayload { file { id name size sha256 } } ${errorFields} } }`
  const file = await untilDone(
    client,
    confirm,
    { uploadId: id },
    ({ confirmUpload }) => confirmUpload.file,
  )
  if (file.name !== name || file.sha256 !== upload.sha256 || file.size !== upload.size)
    client.journal.violation(`${name} was confirmed as ${JSON.stringify(file)}`)
  client.journal.wrote(workspaceId)
  client.journal.count('confirms')
  return Object.assign(upload, { acknowledged: true, fileId: file.id })
}

async function uploadThatConfirmsItself(client: Client, workspaceId: string, name: string) {
  const { upload, bytes } = begin(client, { workspaceId, name, auto: true })
  const url = await untilAnswered(`POST of ${name}`, async () => {
    const answer = await request(client, 'POST', '/uploads', {
      method: 'POST',
      headers: {
        ...{ 'Tus-Resumable': '1.0.0', 'Upload-Length': `${bytes.length}` },
        'Upload-Metadata': metadata({ workspaceId, filename: name, confirm: 'auto' }),
      },
    })
    return answer?.status === 201 ? answer.headers.get('location') : null
  })
  client.journal.wrote(workspaceId)
  await send(client, url, bytes, upload)
  client.journal.wrote(workspaceId)
  client.journal.count('confirms of themselves')
  upload.acknowledged = true
}

/** Sends the bytes as a tus client does: from the server's offset until all are stored. */
async function send(client: Client, url: string, bytes: Buffer, upload: Sent) {
  const headers = { 'Tus-Resumable': '1.0.0' }
  let at: number | null = 0
  await untilAnswered(`the bytes of ${upload.name}`, async () => {
    if (at === null) {
      const head = await request(client, 'HEAD', url, { method: 'HEAD', headers })
      if (head?.status === 410) throw new Error(`HEAD of ${upload.name} is 410`)
      if (head?.status !== 200) return null
      at = Number(head.headers.get('upload-offset'))
      if (at === bytes.length) return true
    }
    const to = client.dice.chance(50) ? bytes.length : at + Math.ceil((bytes.length - at) / 2)
    const patch = await request(client, 'PATCH', url, {
      method: 'PATCH',
      headers: { ...headers, 'Upload-Offset': `${at}`, 'Content-Type': OFFSET_TYPE },
      body: bytes.subarray(at, to) as BodyInit,
    })
    at = patch?.status === 204 ? Number(patch.headers.get('upload-offset')) : null
    if (at !== null) client.journal.wrote(upload.workspaceId)
    return at === bytes.length || null
  })
}

async function makeFolder(client: Client, workspaceId: string, name: string) {
  const folder = { workspaceId, name, acknowledged: false }
  client.journal.made.push(folder)
  const query = `mutation ($input: CreateFolderInput!) { createFolder(input: $input) {
    ... on CreateFolderPayload { folder { id } } ${errorFields} } }`
  await untilDone(client, query, { workspaceId, name }, ({ createFolder }) =>
    // The folder was created, but the response was lost.
    createFolder.code === 'NAME_CONFLICT' ? true : createFolder.folder,
  )
  folder.acknowledged = true
  client.journal.wrote(workspaceId)
  client.journal.count('folders')
}

async function trashOne(client: Client, own: Sent[]) {
  const file = own.pop()
  if (!file) return
  file.trashed = 'perhaps'
  const query = `mutation ($input: TrashEntriesInput!) { trashEntries(input: $input) {
    ... on TrashEntriesPayload { succeeded } ${errorFields} } }`
  const entries = [{ entry: { id: file.fileId } }]
  const data = await execute(client, query, { input: { entries } })
  if (data?.trashEntries?.succeeded !== 1) return
  file.trashed = 'yes'
  client.journal.wrote(file.workspaceId)
  client.journal.count('files trashed')
}

/** Repeats a mutation until it succeeds. Throws if a valid mutation is rejected permanently. */
async function untilDone(
  client: Client,
  query: string,
  input: object,
  done: (data: any) => any,
): Promise<any> {
  return untilAnswered(JSON.stringify(input), async () => {
    const data = await execute(client, query, { input })
    if (!data) return null
    const result = done(data)
    if (result) return result
    const [rejection] = Object.values(data) as any[]
    if (!rejection.retryable) throw new Error(`rejected permanently: ${JSON.stringify(rejection)}`)
    await sleep(100)
    return null
  })
}
