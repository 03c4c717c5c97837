import {
  act,
  createFolder,
  createUpload,
  createWorkspace,
  sendBytes,
  uploadFile,
} from '../../support/client.ts'
import { firstToken, invite, unbindToken } from '../../support/data/people.ts'
import type { TestServer } from '../../support/servers/test-server.ts'

/** A workspace with one object of each type that has an id. Every name in it contains the mark. */
export type Place = Awaited<ReturnType<typeof createTenant>>

/** All scopes; a test of a token without one of them omits it. */
export const allScopes = [
  'FILES_READ',
  'FILES_WRITE',
  'TRASH_PURGE',
  'SHARES_WRITE',
  'MEMBERS_WRITE',
  'TOKENS_WRITE',
  'ACTIVITY_READ',
  'TABLES_WRITE',
  'WORKSPACES_WRITE',
]

export async function createTenant(holdall: TestServer, mark: string, token = holdall.token) {
  const as = { token }
  const { id: workspaceId, slug, root } = await createWorkspace(holdall, { name: mark }, as)
  const file = (name: string, more = {}) =>
    uploadFile(
      holdall,
      { workspaceId, name: `${mark} ${name}`, bytes: `${mark} ${name}`, ...more },
      as,
    )

  const userId = await addMember(holdall, { workspaceId, role: 'EDITOR' }, as)
  const given = await firstToken(holdall, { workspaceId, userId })
  const service = { workspaceId, name: `${mark} robot` }
  const { member: robot } = await act(
    holdall,
    'createServiceAccount',
    service,
    'member { user { id } }',
    as,
  )
  const box = { workspaceId, name: `${mark} box` }
  const folder = await createFolder(holdall, box, { token: given.secret })
  const first = await file('data.txt', { tags: [`${mark} red`] })
  const second = await file('data.txt', { onConflict: 'NEW_VERSION', bytes: `${mark} more` })
  const trashed = await createTrashedFileInTrashedFolder(holdall, { workspaceId, mark, as })
  const open = { workspaceId, size: 4 }
  const upload = await createUpload(holdall, { ...open, name: `${mark} open.txt` }, as)
  const received = await createUpload(holdall, { ...open, name: `${mark} here.txt` }, as)
  await sendBytes(holdall, received, 'here', 0, as)
  const archiveUploadId = await archiveUpload(holdall, workspaceId, as)
  const shared = { entry: { id: folder.id } }
  const { shareLink } = await act(holdall, 'createShareLink', shared, 'shareLink { id }', as)
  const columns = [{ name: 'image', type: 'FILE_PATH' }]
  const table = { workspaceId, name: 'plates', columns }
  const made = await act(holdall, 'createTable', table, 'table { id }', as)
  const link = { fileId: second.id, link: { table: table.name, column: 'image' } }
  const { row } = await act(holdall, 'linkRow', link, 'row { id }', as)
  const found = await lookUp(holdall, workspaceId, as)

  return {
    mark,
    workspaceId,
    slug,
    rootId: root.id,
    folderId: folder.id,
    folderPath: folder.path,
    fileId: second.id,
    filePath: second.path,
    olderVersionId: first.version.id,
    versionId: second.version.id,
    trashedId: trashed.id,
    ...found,
    tableId: made.table.id as string,
    rowId: row.id as string,
    uploadId: upload.id,
    uploadUrl: upload.url,
    receivedId: received.id,
    archiveUploadId,
    userId,
    tokenId: given.id,
    serviceId: robot.user.id as string,
    shareLinkId: shareLink.id,
    tableName: table.name,
  }
}

type As = { token: string }

/** Returns the upload of an empty archive, which is not confirmed. */
export async function archiveUpload(holdall: TestServer, workspaceId: string, as: As) {
  const bytes = Buffer.alloc(22)
  bytes.write('PK\x05\x06', 'latin1')
  const name = 'empty.zip'
  const input = { workspaceId, name, size: bytes.length, onConflict: 'RENAME' }
  const upload = await createUpload(holdall, input, as)
  await sendBytes(holdall, upload, bytes, 0, as)
  return upload.id
}

/** Creates a trashed file in a trashed folder, so that it can only be restored to another folder. */
async function createTrashedFileInTrashedFolder(
  holdall: TestServer,
  { workspaceId, mark, as }: { workspaceId: string; mark: string; as: As },
) {
  const gone = await createFolder(holdall, { workspaceId, name: `${mark} gone` }, as)
  const name = `${mark} old.txt`
  const file = await uploadFile(holdall, { workspaceId, folderId: gone.id, name, bytes: mark }, as)
  for (const { id } of [file, gone]) {
    const entries = [{ entry: { id } }]
    const answer = await act(holdall, 'trashEntries', { entries, recursive: true }, 'succeeded', as)
    if (answer.succeeded !== 1) throw new Error(`${id} is not in the trash`)
  }
  return file
}

let people = 0

/** Adds a new user. Returns its id. */
export async function addMember(
  holdall: TestServer,
  { workspaceId, role }: { workspaceId: string; role: string },
  as: As = holdall,
): Promise<string> {
  const email = `colleague-${++people}@example.org`
  const selection = 'member { user { id } }'
  const { member } = await act(holdall, 'addMember', { workspaceId, email, role }, selection, as)
  return member.user.id
}

/** Creates a token with all scopes by default. */
export function giveToken(holdall: TestServer, input: Record<string, unknown>, as: As = holdall) {
  const token = { name: 'a token', scopes: allScopes, ...input }
  return act(holdall, 'createApiToken', token, 'secret token { id }', as)
}

async function lookUp(holdall: TestServer, workspaceId: string, as: As) {
  const { workspace } = await holdall.ask(
    `query ($id: ID!) { workspace(by: { id: $id }) {
      tags(first: 1) { nodes { id } }
      activity(first: 1) { nodes { id } }
      usage { id }
      members(first: 1) { nodes { id } }
    } }`,
    { id: workspaceId },
    as,
  )
  return {
    tagId: workspace.tags.nodes[0].id as string,
    eventId: workspace.activity.nodes[0].id as string,
    usageId: workspace.usage.id as string,
    memberId: workspace.members.nodes[0].id as string,
  }
}

/** Returns an unbound token of the owner of another workspace. */
export async function strangersToken(holdall: TestServer): Promise<string> {
  const elsewhere = await createTenant(holdall, 'elsewhere')
  const { token, tokenId } = await invite(holdall, elsewhere.workspaceId, 'OWNER')
  await unbindToken(holdall, tokenId)
  return token
}
