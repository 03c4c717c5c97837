import { inLockedTransaction, type ServiceContext } from '../../../context.ts'
import type { Db } from '../../../database/database.ts'
import { folderKind } from '../../../database/query/entry-kinds.ts'
import type { Tx } from '../../../database/transaction.ts'
import { type EntryRow, type FolderRow, selectEntries } from '../reads.ts'
import { childPath, childPathKey } from '../rules.ts'

type EntryKey = Pick<EntryRow, 'id' | 'workspaceId'>

/** Returns whether the ancestors of an entry form a cycle. */
export async function hasCycle(db: Db | Tx, id: string): Promise<boolean> {
  const seen = new Set<string>()
  for (let at: string | null = id; at !== null; at = await parentOf(db, at)) {
    if (seen.has(at)) return true
    seen.add(at)
  }
  return false
}

async function parentOf(db: Db | Tx, id: string): Promise<string | null> {
  const query = db.selectFrom('entries').select('parentId').where('id', '=', id)
  return (await query.executeTakeFirst())?.parentId ?? null
}

/**
 * Recomputes the path and the trash root of a folder, and of all folders below it, from its parent. Does
 * nothing for a folder in a cycle or without a parent that has a path.
 */
export function repairPath(ctx: ServiceContext, { id, workspaceId }: EntryKey): Promise<void> {
  return inLockedTransaction(ctx, [workspaceId], async ({ tx }) => {
    if (await hasCycle(tx, id)) return
    const folder = await rawFolder(tx, id)
    const parent = folder?.parentId && (await rawFolder(tx, folder.parentId))
    if (folder && parent && parent.pathKey !== null) await repairSubtree(tx, folder, parent)
  })
}

/** Returns the row of a folder. Unlike folderById, also finds folders that are being purged. */
const rawFolder = (tx: Tx, id: string) =>
  selectEntries(tx).where('id', '=', id).$castTo<FolderRow>().executeTakeFirst()

async function repairSubtree(tx: Tx, folder: FolderRow, parent: FolderRow) {
  const queue = [{ folder, parent }]
  for (let next = queue.shift(); next; next = queue.shift()) {
    const repaired = await repairOne(tx, next.folder, next.parent)
    const below = await selectEntries(tx)
      .where('parentId', '=', repaired.id)
      .where('kind', '=', folderKind)
      .$castTo<FolderRow>()
      .execute()
    queue.push(...below.map((folder) => ({ folder, parent: repaired })))
  }
}

const repairOne = (tx: Tx, { id, name, nameKey }: FolderRow, parent: FolderRow) =>
  tx
    .updateTable('entries')
    .set({
      path: childPath(parent, name),
      pathKey: childPathKey(parent, nameKey),
      trashRootId: parent.trashRootId,
    })
    .where('id', '=', id)
    .returningAll()
    .$castTo<FolderRow>()
    .executeTakeFirstOrThrow()
