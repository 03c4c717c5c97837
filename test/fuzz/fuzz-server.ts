import { Agent } from 'node:http'
import type { Env } from '../../src/config/env.ts'
import {
  act,
  createFolder,
  createUpload,
  createWorkspace,
  downloadUrl,
  sendBytes,
  trashEntries,
  uploadFile,
} from '../support/client.ts'
import { startTestServer, type TestServer } from '../support/servers/test-server.ts'

/** A file whose bytes depend on their position. */
export const BYTES = Buffer.from(
  Array.from({ length: 3000 }, (_, at) => (at * 31 + (at >> 8)) % 251),
)

/** Settings without the limits that would reject requests before other checks. */
export const unlimited: Env = { MAX_QUERY_COST: '2000000000', RATE_LIMIT: 'off' }

export type FuzzServer = Awaited<ReturnType<typeof startFuzzServer>>

/** Starts a server with one object of each kind that a request can name, and a keep-alive agent. */
export async function startFuzzServer(env: Env = unlimited) {
  await using stack = new AsyncDisposableStack()
  const holdall = stack.use(await startTestServer({ env }))
  const agent = stack.adopt(new Agent({ keepAlive: true, maxSockets: 16 }), (all) => all.destroy())
  const { id: workspaceId, root, slug } = await createWorkspace(holdall)
  const folder = await createFolder(holdall, { folder: { id: root.id }, name: 'Raw data' })
  const inside = { workspaceId, folderId: folder.id }
  const plate = {
    ...inside,
    name: 'plate.csv',
    tags: ['plate', 'Größe'],
    description: 'a first run',
  }
  await uploadFile(holdall, { ...plate, bytes: 'a,b\n1,2\n' })
  const file = await uploadFile(holdall, { ...plate, onConflict: 'NEW_VERSION', bytes: BYTES })
  const names = [
    'straße.txt',
    'Été (2).PNG',
    'x'.repeat(200),
    '研究データ.tar.gz',
    'a b_c-d.e',
    "o'%_\\",
  ]
  for (const name of names)
    await uploadFile(holdall, { ...inside, path: 'deep/er', name, bytes: name, metadata: { name } })
  const trashed = await createFolder(holdall, { folder: { id: root.id }, name: 'gone' })
  await trashEntries(holdall, trashed)
  const upload = await createUpload(holdall, { workspaceId, name: 'open.bin', size: 10 })
  await sendBytes(holdall, upload, '0123')
  const ids = { workspaceId, slug, rootId: root.id, folderId: folder.id, fileId: file.id }
  const otherIds = { goneId: trashed.id, uploadId: upload.id, versionId: file.version.id }
  const rest = { ...(await linksOf(holdall, ids)), ...(await tagAndTable(holdall, ids)) }
  const owned = stack.move()
  return {
    ...{
      holdall,
      agent,
      url: new URL(holdall.url),
      uploadUrl: upload.url,
      etag: `"${file.sha256}"`,
    },
    ...{ ...ids, ...otherIds, ...rest },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

type Ids = { workspaceId: string; folderId: string; fileId: string }

/** Creates one link of each kind that works without a token. */
async function linksOf(holdall: TestServer, { workspaceId, folderId, fileId }: Ids) {
  const entry = { id: folderId }
  const { shareLink } = await act(
    holdall,
    'createShareLink',
    { entry },
    'shareLink { id url token }',
  )
  const put = { workspaceId, name: 'put.bin', size: 4, transport: 'SIGNED_PUT' }
  const archive = 'query ($id: ID!) { node(id: $id) { ... on Folder { archiveUrl { url } } } }'
  const { node } = await holdall.ask(archive, { id: folderId })
  return {
    shareId: shareLink.id as string,
    links: {
      download: new URL(await downloadUrl(holdall, fileId)).pathname,
      archive: new URL(node.archiveUrl.url).pathname,
      share: new URL(shareLink.url).pathname,
      put: new URL((await createUpload(holdall, put)).url).pathname,
    },
  }
}

async function tagAndTable(holdall: TestServer, { workspaceId }: Ids) {
  const columns = [
    { name: 'image', type: 'FILE_PATH' },
    { name: 'count', type: 'INTEGER' },
    { name: 'note', type: 'TEXT' },
  ]
  await act(holdall, 'createTable', { workspaceId, name: 'plates', columns }, '__typename')
  const selection =
    'query ($id: ID!) { workspace(by: { id: $id }) { syncCursor tags { nodes { id } } } }'
  const { workspace } = await holdall.ask(selection, { id: workspaceId })
  return { tagId: workspace.tags.nodes[0].id as string, syncCursor: workspace.syncCursor as string }
}
