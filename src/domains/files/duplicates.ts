import type { Db } from '../../database/database.ts'
import { fileKind } from '../../database/query/entry-kinds.ts'
import type { List } from '../../database/query/keyset.ts'

/** A group of live files with the same content. */
export type DuplicateGroup = {
  workspaceId: string
  sha256: string
  size: number
  /** Quota used by all copies but one, in bytes. The bytes themselves are stored once. */
  wastedBytes: number
}

/**
 * Returns the list of duplicate contents, sorted by wasted bytes in descending order. Considers only blobs
 * with more than one reference.
 */
export function duplicatesList(db: Db, workspaceId: string): List<DuplicateGroup> {
  const shared = db
    .selectFrom('blobs as b')
    .select(['b.workspaceId', 'b.sha256', 'b.size'])
    .select((eb) =>
      eb
        .selectFrom('entries as e')
        .innerJoin('entries as p', 'p.id', 'e.parentId')
        .select((count) => count.fn.countAll<number>().as('files'))
        .whereRef('e.workspaceId', '=', 'b.workspaceId')
        .whereRef('e.sha256', '=', 'b.sha256')
        .where('e.kind', '=', fileKind)
        .where('p.trashRootId', 'is', null)
        .as('files'),
    )
    .where('b.workspaceId', '=', workspaceId)
    .where('b.refs', '>', 1)
    .where('b.unreferencedAt', 'is', null)
  const groups = db
    .selectFrom(shared.as('s'))
    .select(['workspaceId', 'sha256', 'size'])
    .select((eb) => eb(eb.parens('files', '-', 1), '*', eb.ref('size')).as('wastedBytes'))
    .where('files', '>', 1)
  return {
    ordering: 'duplicates',
    keys: [
      { column: 'd.wastedBytes', as: 'wastedBytes', direction: 'desc', numeric: true },
      { column: 'd.sha256', as: 'sha256', direction: 'desc' },
    ],
    segments: [db.selectFrom(groups.as('d')).selectAll('d').$castTo<DuplicateGroup>()],
  }
}
