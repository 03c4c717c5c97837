import { sql } from 'kysely'
import { InvalidInput } from '../../errors.ts'
import { byteLength } from '../../names.ts'
import type { TxScope } from '../../scope.ts'
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
export async function repath(
  s: TxScope,
  folder: EntryRow,
  parent: EntryRow,
  name: EntryName,
): Promise<{ path: string; pathKey: string }> {
  const path = childPath(parent, name.name)
  const pathKey = childPathKey(parent, name.nameKey)
  await refuseTooLong(s, folder, byteLength(pathKey) - byteLength(folder.pathKey ?? ''))
  await s.tx
    .updateTable('entries')
    .set({
      path: sql<string>`${path} || substr("path", length(${folder.path}) + 1)`,
      pathKey: sql<string>`${pathKey} || substr("pathKey", length(${folder.pathKey}) + 1)`,
    })
    .where(subtreeOf(folder))
    .execute()
  return { path, pathKey }
}

/** Throws InvalidInput where so many bytes more would make the path of a folder below too long. */
async function refuseTooLong({ tx }: TxScope, folder: EntryRow, more: number) {
  if (more <= 0) return
  const { longest } = await tx
    .selectFrom('entries')
    .select(sql<number>`max(octet_length("pathKey"))`.as('longest'))
    .where(subtreeOf(folder))
    .executeTakeFirstOrThrow()
  checkPathLength(longest + more)
}

/** Throws InvalidInput where a folder with all that it holds would come to lie too deep in `parent`. */
export async function refuseTooDeep(
  { tx }: TxScope,
  folder: EntryRow,
  parent: EntryRow,
  field = 'destination',
): Promise<void> {
  const { deepest } = await tx
    .selectFrom('entries')
    .select(sql<number>`max(length("pathKey") - length(replace("pathKey", '/', '')))`.as('deepest'))
    .where(subtreeOf(folder))
    .executeTakeFirstOrThrow()
  checkDepth(depthOf(parent) + 1 + Number(deepest) - depthOf(folder), field)
}

/** Throws InvalidInput where a folder would be too deep. */
export function checkDepth(depth: number, field: string) {
  if (depth <= DEEPEST) return
  const message = `folders are at most ${DEEPEST} deep; this would be ${depth}`
  throw new InvalidInput({ path: [field], message })
}
