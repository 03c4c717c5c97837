import { inTransaction } from '../../context.ts'
import { type Document, dropDocuments } from '../../database/search/search-index.ts'
import { missingDocuments, staleDocuments } from '../../database/search/verify-index.ts'
import { lockWorkspace } from '../../database/transaction.ts'
import { type Check, type CheckContext, idsOf } from '../../fsck/check.ts'
import { tagsOfEntries } from '../tags/reads.ts'
import { entryDocument, tagDocument } from './documents.ts'
import { indexEntries, indexTags, placedEntries } from './writes.ts'

/** Those that the index does not have; looked at closely, also those that it has otherwise. */
const unlike = ({ db, deep }: CheckContext, documents: readonly Document[]) =>
  deep
    ? staleDocuments(db, documents)
    : missingDocuments(
        db,
        documents.map(({ id }) => id),
      )

/** What lies in a folder is found by what it says. */
export const entriesFoundCheck: Check = {
  scan: ({ db }) => idsOf(db, 'entries'),
  async evaluate(c, ids) {
    const rows = await placedEntries(c.db, ids)
    const tags =
      rows.length > 0
        ? await tagsOfEntries(
            c.db,
            rows.map(({ id }) => id),
          )
        : []
    const documents = rows.map((row, i) => entryDocument(row, tags[i] ?? []))
    const stale = new Set(await unlike(c, documents))
    return rows
      .filter(({ id }) => stale.has(id))
      .map(({ id, workspaceId }) => ({
        code: 'SEARCH_ENTRY',
        subject: id,
        says: 'search does not know it as it is',
        repair: () => reindex(c, workspaceId, id),
      }))
  },
}

const reindex = (c: CheckContext, workspaceId: string, id: string) =>
  inTransaction(c, async ({ tx }) => {
    lockWorkspace(tx, workspaceId)
    await indexEntries(tx, [id])
  })

/** So are tags that something in a folder carries. */
export const tagsFoundCheck: Check = {
  scan: ({ db }) => idsOf(db, 'tags'),
  async evaluate(c, ids) {
    const tags = await carriedTags(c, ids)
    const stale = new Set(await unlike(c, tags.map(tagDocument)))
    return tags
      .filter(({ id }) => stale.has(id))
      .map((tag) => ({
        code: 'SEARCH_TAG',
        subject: tag.id,
        says: 'search does not know it as it is',
        repair: () => indexTags(c.db, [tag.id]),
      }))
  },
}

const carriedTags = ({ db }: CheckContext, ids: readonly string[]) =>
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

/** Nothing else is found. */
export const straysFoundCheck: Check = {
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
      says: 'search knows it, and it is in no folder',
      repair: () => dropDocuments(db, [id]),
    }))
  },
}
