import type { Ground } from './fuzz-server.ts'
import { query } from './gql.ts'

export type Place = { id: string; path: string }
let folders = 0

/** A new folder, for one case alone. */
export async function emptyFolder(ground: Ground, parentId = ground.rootId): Promise<Place> {
  const input = { parent: { id: parentId }, name: `place-${++folders}`, onConflict: 'RENAME' }
  const document = `mutation ($input: CreateFolderInput!) { createFolder(input: $input) { ... on CreateFolderPayload { folder { id path } } } }`
  const { data } = await query(ground, document, { input })
  return data.createFolder.folder
}
