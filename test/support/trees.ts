import type { Db } from '../../src/database/database.ts'
import type { EntryRow } from '../../src/domains/entries/reads.ts'
import type { Tree } from './mirror.ts'

/** All entries of a workspace, the living ones among them, and what was itself put in the trash; each in the order of ids. */
export async function entriesOf(db: Db, workspaceId: string) {
  const all = await db
    .selectFrom('entries')
    .selectAll()
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

/** The tree as the rows have it. */
export async function treeOf(db: Db, workspaceId: string): Promise<Tree> {
  const { living } = await entriesOf(db, workspaceId)
  return new Map(living.map(({ id, name, parentId }) => [id, { name, parentId }]))
}
