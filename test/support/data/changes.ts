import type { TestServer } from '../servers/test-server.ts'
import type { MirrorChange } from './mirror.ts'

type As = { token?: string | null }
export type Change = {
  __typename: 'EntryUpserted' | 'EntryRemoved' | 'UploadChanged'
  action: string
  entry: { id: string; name: string; path: string; parent: { id: string } | null; revision: number }
  entryId: string
  lastPath: string
  upload: { id: string; status: string }
}
export type Batch = { __typename: string; changes: Change[]; cursor: string; hasMore: boolean }

/** Selection of every field of a ChangesResult. */
export const changesResult = `__typename
  ... on ChangeBatch { cursor hasMore changes { __typename
    ... on EntryUpserted { action entry { id name path revision parent { id } } }
    ... on EntryRemoved { action entryId lastPath }
    ... on UploadChanged { upload { id status } }
  } }
  ... on UserError { code message retryable }`

/** Returns one batch of Workspace.changes. */
export async function changesOf(
  holdall: TestServer,
  workspaceId: string,
  { since, first }: { since?: string | undefined; first?: number } = {},
  as: As = {},
): Promise<Batch> {
  const query = `query ($id: ID!, $since: SyncCursor, $first: Int = 100) {
    workspace(by: { id: $id }) { changes(since: $since, first: $first) { ${changesResult} } }
  }`
  const { workspace } = await holdall.ask(query, { id: workspaceId, since, first }, as)
  return workspace.changes
}

/** Reads batches until hasMore is false. */
export async function allChanges(
  holdall: TestServer,
  workspaceId: string,
  { since, first = 100 }: { since?: string; first?: number } = {},
  as: As = {},
): Promise<{ changes: Change[]; cursor: string; sizes: number[] }> {
  const changes: Change[] = []
  const sizes: number[] = []
  for (let cursor = since; ; ) {
    const batch = await changesOf(holdall, workspaceId, { since: cursor, first }, as)
    if (!batch.changes) throw new Error(JSON.stringify(batch))
    changes.push(...batch.changes)
    sizes.push(batch.changes.length)
    cursor = batch.cursor
    if (!batch.hasMore) return { changes, cursor, sizes }
  }
}

/** Converts changes to those that a mirror applies; changes of uploads are left out. */
export const toMirrorChanges = (changes: readonly Change[]): MirrorChange[] =>
  changes.flatMap(({ __typename, entry, entryId: id }): MirrorChange[] => {
    if (__typename === 'EntryRemoved') return [{ kind: 'removed', id }]
    if (__typename !== 'EntryUpserted') return []
    const { name, parent } = entry
    return [{ kind: 'upserted', id: entry.id, name, parentId: parent?.id ?? null }]
  })

export const syncCursorOf = async (holdall: TestServer, workspaceId: string, as: As = {}) =>
  (
    await holdall.ask(
      'query ($id: ID!) { workspace(by: { id: $id }) { syncCursor } }',
      { id: workspaceId },
      as,
    )
  ).workspace.syncCursor as string

/** Describes each change in one word: its action, or the status of an upload. */
export const summarizeChanges = (changes: readonly Change[]) =>
  changes.map(({ action, entry, lastPath, upload }) =>
    upload ? `upload ${upload.status}` : `${action} ${entry ? entry.path : `(${lastPath})`}`,
  )
