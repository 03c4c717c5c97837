import { setImmediate as breathe } from 'node:timers/promises'
import { sql, type UpdateObject } from 'kysely'
import type { TxContext } from '../../context.ts'
import type { Tables } from '../../database/tables.ts'
import { InvalidInput } from '../../errors.ts'
import { byteLength } from '../../names.ts'
import { type EntryRow, subtreeOf } from './reads.ts'
import {
  checkPathLength,
  childPath,
  childPathKey,
  DEEPEST,
  depthOf,
  type EntryName,
} from './rules.ts'

/**
 * Gives a folder and all folders below it the paths of their new place. Files have no path of their own, so the work grows
 * with the folders. Answers with the folder's own new path.
 */
export async function updateSubtreePaths(
  s: TxContext,
  folder: EntryRow,
  parent: EntryRow,
  name: EntryName,
): Promise<{ path: string; pathKey: string }> {
  const path = childPath(parent, name.name)
  const pathKey = childPathKey(parent, name.nameKey)
  await refuseTooLong(s, folder, byteLength(pathKey) - byteLength(folder.pathKey ?? ''))
  await changeFolders(s, folder, {
    path: sql<string>`${path} || substr("path", length(${folder.path}) + 1)`,
    pathKey: sql<string>`${pathKey} || substr("pathKey", length(${folder.pathKey}) + 1)`,
    trashRootId: null,
  })
  return { path, pathKey }
}

/** So many rows are changed in one go; others are answered before the next ones. */
const AT_ONCE = 500

/**
 * Changes the rows of a folder and of all folders below it, in the order of their pathKeys. None is met twice: no folder is moved
 * below itself, so that a pathKey which is changed leaves the subtree.
 */
export async function changeFolders(
  { tx }: TxContext,
  folder: EntryRow,
  change: UpdateObject<Tables, 'entries'>,
): Promise<void> {
  for (let from = folder.pathKey ?? undefined; from !== undefined; ) {
    const next = await tx
      .selectFrom('entries')
      .select('pathKey')
      .where(subtreeOf(folder, { from }))
      .orderBy('pathKey')
      .offset(AT_ONCE)
      .limit(1)
      .executeTakeFirst()
    const to = next?.pathKey ?? undefined
    await tx.updateTable('entries').set(change).where(subtreeOf(folder, { from, to })).execute()
    if (to !== undefined) await breathe()
    from = to
  }
}

/** Throws InvalidInput where so many bytes more would make the path of a folder below too long. */
async function refuseTooLong({ tx }: TxContext, folder: EntryRow, more: number) {
  if (more <= 0) return
  const { longest } = await tx
    .selectFrom('entries')
    .select(sql<number>`max(octet_length("pathKey"))`.as('longest'))
    .where(subtreeOf(folder))
    .executeTakeFirstOrThrow()
  checkPathLength(longest + more)
}

/** Throws InvalidInput where a folder with all that it holds would come to lie too deep in `parent`. */
export async function requireMaxDepth(
  { tx }: TxContext,
  folder: EntryRow,
  parent: EntryRow,
  path = ['destination'],
): Promise<void> {
  const { deepest } = await tx
    .selectFrom('entries')
    .select(sql<number>`max(length("pathKey") - length(replace("pathKey", '/', '')))`.as('deepest'))
    .where(subtreeOf(folder))
    .executeTakeFirstOrThrow()
  checkDepth(depthOf(parent) + 1 + Number(deepest) - depthOf(folder), path)
}

/** Throws InvalidInput where a folder would be too deep. */
export function checkDepth(depth: number, path: string[]) {
  if (depth <= DEEPEST) return
  const message = `folders are at most ${DEEPEST} deep; this would be ${depth}`
  throw new InvalidInput({ path, message })
}
