import type { Db } from '../../database/database.ts'
import type { List } from '../../database/query/keyset.ts'
import { contains } from '../../database/query/like.ts'
import { rowsById } from '../../database/query/load-by-id.ts'
import { prepared } from '../../database/query/prepared.ts'
import type { Row } from '../../database/tables.ts'
import { foldName } from '../../names.ts'

export type TagRow = Row<'tags'>

/**
 * Returns the list of tags of a workspace, sorted by name. With `nameContains`, only those whose name
 * contains this text.
 */
export function tagsList(
  db: Db,
  workspaceId: string,
  { nameContains }: { nameContains?: string | null | undefined },
): List<TagRow> {
  const tags = db.selectFrom('tags').selectAll().where('workspaceId', '=', workspaceId)
  return {
    ordering: `tags:${workspaceId}`,
    keys: [
      { column: 'tags.nameKey', as: 'nameKey', direction: 'asc' },
      { column: 'tags.id', as: 'id', direction: 'asc' },
    ],
    segments: [
      nameContains == null ? tags : tags.where(contains('nameKey', foldName(nameContains))),
    ],
  }
}

/** Loads tags by id, with null for each that does not exist. */
export const tagsById = rowsById('tags')

/** Returns the tags of each of these entries, sorted by name. */
export async function tagsOfEntries(db: Db, entryIds: readonly string[]): Promise<TagRow[][]> {
  const rows = await tagRowsOf(db, entryIds)
  const byEntry = Map.groupBy(rows, ({ entryId }) => entryId)
  return entryIds.map((id) =>
    (byEntry.get(id) ?? []).sort((a, b) => (a.nameKey < b.nameKey ? -1 : 1)),
  )
}

const tagRowsOf = prepared((db, entryIds: readonly string[]) =>
  db
    .selectFrom('entryTags')
    .innerJoin('tags', 'tags.id', 'entryTags.tagId')
    .selectAll('tags')
    .select('entryTags.entryId')
    .where('entryTags.entryId', 'in', entryIds),
)
