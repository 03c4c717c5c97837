import type { Db } from '../../../src/database/database.ts'
import { type EntryRow, selectEntries } from '../../../src/domains/entries/reads.ts'
import type { Tree } from './mirror.ts'

/** Returns the live entries of a workspace, and those that were trashed themselves, ordered by id. */
export async function entriesOf(db: Db, workspaceId: string) {
  const all = await selectEntries(db)
    .where('workspaceId', '=', workspaceId)
    .where('purgingAt', 'is', null)
    .orderBy('id')
    .execute()
  const byId = new Map(all.map((entry) => [entry.id, entry]))
  const folderOf = (entry: EntryRow) =>
    entry.kind === 'folder' ? entry : byId.get(entry.parentId ?? '')
  const living = all.filter((entry) => folderOf(entry)?.trashRootId === null)
  return { living, trashed: all.filter(({ trashedAt }) => trashedAt !== null) }
}

/** Returns the tree of the live rows. */
export async function treeOf(db: Db, workspaceId: string): Promise<Tree> {
  const { living } = await entriesOf(db, workspaceId)
  return new Map(living.map(({ id, name, parentId }) => [id, { name, parentId }]))
}
