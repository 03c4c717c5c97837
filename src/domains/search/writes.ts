import { setImmediate as breathe } from 'node:timers/promises'
import type { Db } from '../../database/database.ts'
import { prepared } from '../../database/query/prepared.ts'
import { dropDocuments, putDocuments } from '../../database/search/search-index.ts'
import type { Tx } from '../../database/transaction.ts'
import type { ActivityAction } from '../activity/rules.ts'
import { recorded } from '../activity/writes.ts'
import { entryById, subtreeOf } from '../entries/reads.ts'
import { entriesForgotten } from '../entries/trash.ts'
import { type TagRow, tagsOfEntries } from '../tags/reads.ts'
import { tagDeleted, tagUpdated } from '../tags/writes.ts'
import { entryDocument, tagDocument } from './documents.ts'

const AT_ONCE = 500

/** After these an entry may say something else, or be elsewhere. */
const telling: readonly ActivityAction[] = [
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
  if (entryId === null || !telling.includes(action as ActivityAction)) return
  await indexEntries(tx, [entryId])
  if (action === 'ENTRY_COPIED') await indexBelow(tx, entryId)
})
entriesForgotten.listen((tx, { ids }) => dropDocuments(tx, ids))
tagUpdated.listen((tx, { tag }) => putDocuments(tx, [tagDocument(tag)]))
tagDeleted.listen((tx, { tag }) => dropDocuments(tx, [tag.id]))

/** Indexes everything that lives; what was in the index before is replaced. */
export async function indexAll(db: Db): Promise<void> {
  for (let ids = await idsAfter(db, ''); ids.length > 0; ids = await idsAfter(db, ids.at(-1) ?? ''))
    await indexEntries(db, ids)
}

async function idsAfter(db: Db, id: string): Promise<string[]> {
  const rows = await db
    .selectFrom('entries')
    .select('id')
    .where('id', '>', id)
    .orderBy('id')
    .limit(AT_ONCE)
    .execute()
  return rows.map((row) => row.id)
}

/** What lies below a folder, some hundred rows at a time; others breathe in between. */
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
    for (let at = 0; at < ids.length; at += AT_ONCE) {
      await indexEntries(tx, ids.slice(at, at + AT_ONCE))
      await breathe()
    }
  }
}

/** Brings the documents of entries in line with their rows. Roots have none, nor has what was itself put in the trash. */
export async function indexEntries(db: Db | Tx, ids: string[]): Promise<void> {
  const rows = await placedEntries(db, ids)
  const placed = new Set(rows.map(({ id }) => id))
  const tags = placed.size === 0 ? [] : await tagsOfEntries(db, [...placed])
  const documents = rows.map((row, i) => entryDocument(row, tags[i] ?? []))
  await putDocuments(db, documents)
  await indexNewTags(db, tags.flat())
  await dropDocuments(
    db,
    ids.filter((id) => !placed.has(id)),
  )
}

/** Those that lie in a folder, with what their documents are made of. */
export const placedEntries = prepared((db, ids: readonly string[]) =>
  db
    .selectFrom('entries')
    .select(['id', 'workspaceId', 'kind', 'parentId', 'name', 'description', 'metadata'])
    .where('id', 'in', ids)
    .where('parentId', 'is not', null),
)

/** Brings the documents of tags in line with their rows. */
export async function indexTags(db: Db | Tx, ids: string[]): Promise<void> {
  const tags = await db.selectFrom('tags').selectAll().where('id', 'in', ids).execute()
  await putDocuments(db, tags.map(tagDocument))
}

/** A tag is told of by what carries it; from then on only another name changes what it says. */
async function indexNewTags(db: Db | Tx, tags: readonly TagRow[]) {
  const byId = new Map(tags.map((tag) => [tag.id, tag]))
  if (byId.size === 0) return
  const known = await db
    .selectFrom('searchDocuments')
    .select('id')
    .where('id', 'in', [...byId.keys()])
    .execute()
  for (const { id } of known) byId.delete(id)
  await putDocuments(db, [...byId.values()].map(tagDocument))
}
