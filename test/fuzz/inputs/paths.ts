import type { FuzzServer } from '../fuzz-server.ts'
import { query } from '../gql.ts'

export type Folder = { id: string; path: string }
let folders = 0

/** Creates a folder for one case. */
export async function createEmptyFolder(
  server: FuzzServer,
  parentId = server.rootId,
): Promise<Folder> {
  const input = { folder: { id: parentId }, name: `place-${++folders}`, onConflict: 'RENAME' }
  const document = `mutation ($input: CreateFolderInput!) { createFolder(input: $input) { ... on CreateFolderPayload { folder { id path } } } }`
  const { data } = await query(server, document, { input })
  return data.createFolder.folder
}
