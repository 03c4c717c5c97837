import { setImmediate as yieldToEventLoop } from 'node:timers/promises'
import { type ExpressionBuilder, sql, type UpdateObject } from 'kysely'
import type { TxContext } from '../../context.ts'
import { folderKind } from '../../database/query/entry-kinds.ts'
import type { Tables } from '../../database/tables.ts'
import { InvalidInput } from '../../errors/input.ts'
import { byteLength, prefixUpperBound } from '../../names.ts'
import type { FolderRow } from './reads.ts'
import {
  checkPathLength,
  childPath,
  childPathKey,
  depthOf,
  type EntryName,
  MAX_FOLDER_DEPTH,
} from './rules.ts'

/**
 * Updates the paths of a folder and of all folders below it for a new parent and name, and returns the new
 * path of the folder. Files store no path, so the cost depends only on the number of folders. Throws
 * InvalidInput for a path that is too long.
 */
export async function updateSubtreePaths(
  ctx: TxContext,
  folder: FolderRow,
  parent: FolderRow,
  name: EntryName,
): Promise<{ path: string; pathKey: string }> {
  const path = childPath(parent, name.name)
  const pathKey = childPathKey(parent, name.nameKey)
  await assertPathsFit(ctx, folder, byteLength(pathKey) - byteLength(folder.pathKey))
  await updateSubtree(ctx, folder, {
    path: sql<string>`${path} || substr("path", length(${folder.path}) + 1)`,
    pathKey: sql<string>`${pathKey} || substr("pathKey", length(${folder.pathKey}) + 1)`,
    trashRootId: null,
  })
  return { path, pathKey }
}

/** Number of rows that one UPDATE changes. Other requests run between two batches. */
const BATCH_SIZE = 500

/**
 * Applies `change` to a folder and to all folders below it, in batches ordered by pathKey. No row is updated
 * twice: a folder cannot move below itself, so a changed pathKey is outside the subtree.
 */
export async function updateSubtree(
  { tx }: TxContext,
  folder: FolderRow,
  change: UpdateObject<Tables, 'entries'>,
): Promise<void> {
  for (let from: string | undefined = folder.pathKey; from !== undefined; ) {
    const next = await tx
      .selectFrom('entries')
      .select('pathKey')
      .where(subtreeOf(folder, { from }))
      .orderBy('pathKey')
      .offset(BATCH_SIZE)
      .limit(1)
      .executeTakeFirst()
    const to: string | undefined = next?.pathKey ?? undefined
    await tx.updateTable('entries').set(change).where(subtreeOf(folder, { from, to })).execute()
    if (to !== undefined) await yieldToEventLoop()
    from = to
  }
}

/** Throws InvalidInput if a path of the subtree would be too long after it grows by `addedBytes`. */
async function assertPathsFit({ tx }: TxContext, folder: FolderRow, addedBytes: number) {
  if (addedBytes <= 0) return
  const { longest } = await tx
    .selectFrom('entries')
    .select(sql<number>`max(octet_length("pathKey"))`.as('longest'))
    .where(subtreeOf(folder))
    .executeTakeFirstOrThrow()
  checkPathLength(longest + addedBytes)
}

/** Throws InvalidInput if moving a folder into `parent` would put it, or a folder below it, too deep. */
export async function requireMaxDepth(
  { tx }: TxContext,
  folder: FolderRow,
  parent: FolderRow,
  path = ['folder'],
): Promise<void> {
  const { deepest } = await tx
    .selectFrom('entries')
    .select(sql<number>`max(length("pathKey") - length(replace("pathKey", '/', '')))`.as('deepest'))
    .where(subtreeOf(folder))
    .executeTakeFirstOrThrow()
  checkDepth(depthOf(parent) + 1 + Number(deepest) - depthOf(folder), path)
}

/** Throws InvalidInput if a folder depth exceeds the limit. */
export function checkDepth(depth: number, path: string[]) {
  if (depth <= MAX_FOLDER_DEPTH) return
  const message = `folder depth would be ${depth} (limit ${MAX_FOLDER_DEPTH})`
  throw new InvalidInput({ path, message })
}

/**
 * Returns the condition that selects a folder and all folders below it: the live ones for a live folder, or
 * those that were trashed together with a trashed folder. `from` (inclusive) and `to` (exclusive) restrict
 * the range of pathKeys.
 */
export function subtreeOf(
  { workspaceId, trashRootId, pathKey }: FolderRow,
  { from = pathKey, to = prefixUpperBound(pathKey) }: PathKeyRange = {},
) {
  return (eb: ExpressionBuilder<Tables, 'entries'>) =>
    eb.and([
      ...(trashRootId
        ? [eb('trashRootId', '=', trashRootId)]
        : [
            eb('workspaceId', '=', workspaceId),
            eb('kind', '=', folderKind),
            eb('trashRootId', 'is', null),
          ]),
      eb('pathKey', '>=', from),
      eb('pathKey', '<', to),
    ])
}
type PathKeyRange = { from?: string | undefined; to?: string | undefined }
