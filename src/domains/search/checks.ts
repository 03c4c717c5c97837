import { inLockedTransaction } from '../../context.ts'
import { type Document, dropDocuments } from '../../database/search/search-index.ts'
import { missingDocuments, staleDocuments } from '../../database/search/verify-index.ts'
import { type Check, type CheckContext, idsOf } from '../../fsck/check.ts'
import { tagsOfEntries } from '../tags/reads.ts'
import { entryDocument, tagDocument } from './documents.ts'
import { indexableEntries, indexEntries, indexTags } from './writes.ts'

/**
 * Returns the ids of the documents that are missing from the index and, with --deep, of those that differ
 * from the index.
 */
const findStale = ({ db, deep }: CheckContext, documents: readonly Document[]) =>
  deep
    ? staleDocuments(db, documents)
    : missingDocuments(
        db,
        documents.map(({ id }) => id),
      )

/** Checks that every entry with a parent folder is indexed correctly. */
export const entryIndexCheck: Check = {
  scan: ({ db }) => idsOf(db, 'entries'),
  async evaluate(c, ids) {
    const rows = await indexableEntries(c.db, ids)
    const tags =
      rows.length > 0
        ? await tagsOfEntries(
            c.db,
            rows.map(({ id }) => id),
          )
        : []
    const documents = rows.map((row, i) => entryDocument(row, tags[i] ?? []))
    const stale = new Set(await findStale(c, documents))
    return rows
      .filter(({ id }) => stale.has(id))
      .map(({ id, workspaceId }) => ({
        code: 'SEARCH_ENTRY',
        subject: id,
        says: 'its document in the search index is missing or outdated',
        repair: () => reindex(c, workspaceId, id),
      }))
  },
}

const reindex = (c: CheckContext, workspaceId: string, id: string) =>
  inLockedTransaction(c, [workspaceId], async ({ tx }) => {
    await indexEntries(tx, [id])
  })

/** Checks that every tag with an entry that has a parent folder is indexed correctly. */
export const tagIndexCheck: Check = {
  scan: ({ db }) => idsOf(db, 'tags'),
  async evaluate(c, ids) {
    const tags = await usedTags(c, ids)
    const stale = new Set(await findStale(c, tags.map(tagDocument)))
    return tags
      .filter(({ id }) => stale.has(id))
      .map((tag) => ({
        code: 'SEARCH_TAG',
        subject: tag.id,
        says: 'its document in the search index is missing or outdated',
        repair: () => indexTags(c.db, [tag.id]),
      }))
  },
}

const usedTags = ({ db }: CheckContext, ids: readonly string[]) =>
  db
    .selectFrom('tags as t')
    .selectAll('t')
    .where('t.id', 'in', ids)
    .where((eb) =>
      eb.exists(
        eb
          .selectFrom('entryTags as c')
          .innerJoin('entries as e', 'e.id', 'c.entryId')
          .select('e.id')
          .whereRef('c.tagId', '=', 't.id')
          .where('e.parentId', 'is not', null),
      ),
    )
    .execute()

/** Checks that every document in the index belongs to a tag, or to an entry with a parent folder. */
export const orphanDocumentsCheck: Check = {
  scan: ({ db }) => idsOf(db, 'searchDocuments'),
  async evaluate({ db }, ids) {
    const strays = await db
      .selectFrom('searchDocuments as d')
      .leftJoin('entries as e', 'e.id', 'd.id')
      .leftJoin('tags as t', 't.id', 'd.id')
      .select('d.id')
      .where('d.id', 'in', ids)
      .where('e.parentId', 'is', null)
      .where('t.id', 'is', null)
      .execute()
    return strays.map(({ id }) => ({
      code: 'SEARCH_STRAY',
      subject: id,
      says: 'it is in the search index but has no parent folder',
      repair: () => dropDocuments(db, [id]),
    }))
  },
}
