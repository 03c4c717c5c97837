import { inTransaction, type ServiceContext } from '../../context.ts'
import type { Db } from '../../database/database.ts'
import { folderKind } from '../../database/query/entry-kinds.ts'
import { lockWorkspace, type Tx } from '../../database/transaction.ts'
import type { EntryRow } from './reads.ts'
import { childPath, childPathKey } from './rules.ts'

type Named = Pick<EntryRow, 'id' | 'workspaceId'>

/** Whether the folders above an entry lead back to one of them. */
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
 * Gives a folder, and all folders below it, the path and the mark of the trash that follow from the folder above it. Of a loop, and
 * of what has no folder above, nothing follows: nothing is done.
 */
export function repairPath(ctx: ServiceContext, { id, workspaceId }: Named): Promise<void> {
  return inTransaction(ctx, async ({ tx }) => {
    lockWorkspace(tx, workspaceId)
    if (await hasCycle(tx, id)) return
    const folder = await rawEntry(tx, id)
    const parent = await rawEntry(tx, folder?.parentId ?? '')
    if (folder && parent) await placeAll(tx, folder, parent)
  })
}

/** Also what is being purged. */
const rawEntry = (tx: Tx, id: string) =>
  tx.selectFrom('entries').selectAll().where('id', '=', id).executeTakeFirst()

async function placeAll(tx: Tx, folder: EntryRow, parent: EntryRow) {
  const places = [{ folder, parent }]
  for (let place = places.shift(); place; place = places.shift()) {
    const placed = await placeOne(tx, place.folder, place.parent)
    const below = await tx
      .selectFrom('entries')
      .selectAll()
      .where('parentId', '=', placed.id)
      .where('kind', '=', folderKind)
      .execute()
    places.push(...below.map((folder) => ({ folder, parent: placed })))
  }
}

const placeOne = (tx: Tx, { id, name, nameKey }: EntryRow, parent: EntryRow) =>
  tx
    .updateTable('entries')
    .set({
      path: childPath(parent, name),
      pathKey: childPathKey(parent, nameKey),
      trashRootId: parent.trashRootId,
    })
    .where('id', '=', id)
    .returningAll()
    .executeTakeFirstOrThrow()
