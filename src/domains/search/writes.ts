import { setImmediate as yieldToEventLoop } from 'node:timers/promises'
import type { Db } from '../../database/database.ts'
import { batchesBy } from '../../database/query/batches.ts'
import { prepared } from '../../database/query/prepared.ts'
import { dropDocuments, putDocuments } from '../../database/search/search-index.ts'
import type { Tx } from '../../database/transaction.ts'
import type { ActivityAction } from '../activity/rules.ts'
import { recorded } from '../activity/writes.ts'
import { subtreeOf } from '../entries/paths.ts'
import { entryById } from '../entries/reads.ts'
import { entriesDeleted } from '../entries/trash.ts'
import { type TagRow, tagsOfEntries } from '../tags/reads.ts'
import { tagDeleted, tagUpdated } from '../tags/writes.ts'
import { entryDocument, tagDocument } from './documents.ts'

const BATCH_SIZE = 500

/** Actions that may change the search document of an entry. */
const indexedActions: readonly ActivityAction[] = [
  'FOLDER_CREATED',
  'FILE_CREATED',
  'VERSION_ADDED',
  'ENTRY_UPDATED',
  'ENTRY_MOVED',
  'ENTRY_COPIED',
  'ENTRY_TRASHED',
  'ENTRY_RESTORED',
]

recorded.listen(async (tx, { event: { action, entryId } }) => {
  if (entryId === null || !indexedActions.includes(action as ActivityAction)) return
  await indexEntries(tx, [entryId])
  if (action === 'ENTRY_COPIED') await indexBelow(tx, entryId)
})
entriesDeleted.listen((tx, { ids }) => dropDocuments(tx, ids))
tagUpdated.listen((tx, { tag }) => putDocuments(tx, [tagDocument(tag)]))
tagDeleted.listen((tx, { tag }) => dropDocuments(tx, [tag.id]))

/** Indexes all entries of the database. Replaces existing documents. */
export async function indexAll(db: Db): Promise<void> {
  const ids = db.selectFrom('entries').select('id').orderBy('id').limit(BATCH_SIZE)
  const read = (after: string) => ids.where('id', '>', after).execute()
  for await (const rows of batchesBy('id', BATCH_SIZE, read))
    await indexEntries(
      db,
      rows.map(({ id }) => id),
    )
}

/** Indexes the entries below a folder in batches. Other requests run between two batches. */
async function indexBelow(tx: Tx, id: string): Promise<void> {
  const top = await entryById(tx, id)
  if (top?.kind !== 'folder') return
  const folders = await tx.selectFrom('entries').select('id').where(subtreeOf(top)).execute()
  for (const folder of folders) {
    const children = await tx
      .selectFrom('entries')
      .select('id')
      .where('parentId', '=', folder.id)
      .execute()
    const ids = children.map((child) => child.id)
    for (let at = 0; at < ids.length; at += BATCH_SIZE) {
      await indexEntries(tx, ids.slice(at, at + BATCH_SIZE))
      await yieldToEventLoop()
    }
  }
}

/** Updates the documents of entries. Roots and directly trashed entries have no document. */
export async function indexEntries(db: Db | Tx, ids: string[]): Promise<void> {
  const rows = await indexableEntries(db, ids)
  const indexedIds = new Set(rows.map(({ id }) => id))
  const tags = indexedIds.size === 0 ? [] : await tagsOfEntries(db, [...indexedIds])
  const documents = rows.map((row, i) => entryDocument(row, tags[i] ?? []))
  await putDocuments(db, documents)
  await indexNewTags(db, tags.flat())
  await dropDocuments(
    db,
    ids.filter((id) => !indexedIds.has(id)),
  )
}

/** Returns the columns to index of those entries among `ids` that have a parent folder. */
export const indexableEntries = prepared((db, ids: readonly string[]) =>
  db
    .selectFrom('entries')
    .select(['id', 'workspaceId', 'kind', 'parentId', 'name', 'description', 'metadata'])
    .where('id', 'in', ids)
    .where('parentId', 'is not', null)
    .$narrowType<{ parentId: string }>(),
)

/** Updates the documents of tags. */
export async function indexTags(db: Db | Tx, ids: string[]): Promise<void> {
  const tags = await db.selectFrom('tags').selectAll().where('id', 'in', ids).execute()
  await putDocuments(db, tags.map(tagDocument))
}

/** Indexes tags that are not indexed yet. Later their documents change only when they are renamed. */
async function indexNewTags(db: Db | Tx, tags: readonly TagRow[]) {
  const byId = new Map(tags.map((tag) => [tag.id, tag]))
  if (byId.size === 0) return
  const indexed = await db
    .selectFrom('searchDocuments')
    .select('id')
    .where('id', 'in', [...byId.keys()])
    .execute()
  for (const { id } of indexed) byId.delete(id)
  await putDocuments(db, [...byId.values()].map(tagDocument))
}
