import type { Db } from '../../database/database.ts'
import { folderKind } from '../../database/query/entry-kinds.ts'
import {
  type Expression,
  findDocuments,
  type TextField,
} from '../../database/search/search-index.ts'
import { prefixUpperBound } from '../../names.ts'
import type { FolderRow } from '../entries/reads.ts'
import { keyOf, type Term } from './query.ts'

/** The keys of the tags and folders that match a term, or 'many' for more than MAX_KEY_COUNT. */
export type TermKeys = Record<'tags' | 'folders', readonly string[] | 'many'>
/** Maximum number of tag or folder keys in an index expression. */
export const MAX_KEY_COUNT = 256

/** Returns the keys of the tags and folders of a workspace that match a term. */
export async function expandTerm(db: Db, workspaceId: string, term: Term): Promise<TermKeys> {
  const [tags, folders] = await Promise.all([
    tagsWith(db, workspaceId, term),
    foldersUnder(db, workspaceId, term),
  ])
  return { tags, folders }
}

/** Returns the index expression for a term in any of these fields. */
export const inFields = ({ ways, prefix }: Term, fields: readonly TextField[]): Expression => ({
  any: ways.map((words) => ({ fields, words, prefix })),
})

async function tagsWith(db: Db, workspaceId: string, term: Term): Promise<TermKeys['tags']> {
  const limit = MAX_KEY_COUNT + 1
  const found = await findDocuments(db, workspaceId, inFields(term, ['tag']), { limit })
  if (found.length === 0) return []
  if (found.length > MAX_KEY_COUNT) return 'many'
  const ids = found.map(({ id }) => id)
  const tags = await db.selectFrom('tags').select('id').where('id', 'in', ids).execute()
  return tags.map(({ id }) => keyOf(id))
}

/**
 * Returns the keys of the folders whose path matches the term: those with a matching name, and all folders
 * below them.
 */
async function foldersUnder(db: Db, workspaceId: string, term: Term): Promise<TermKeys['folders']> {
  const limit = MAX_KEY_COUNT + 1
  const found = await findDocuments(db, workspaceId, inFields(term, ['folder']), { limit })
  if (found.length === 0) return []
  if (found.length > MAX_KEY_COUNT) return 'many'
  const tops = await topsOf(
    db,
    found.map(({ id }) => id),
  )
  const count = tops.reduce((sum, { folderCount }) => sum + folderCount + 1, 0)
  if (count > MAX_KEY_COUNT) return 'many'
  const below = await Promise.all(tops.map((top) => folderKeys(db, top)))
  return below.flat()
}

/** Returns the live folders among `ids` that are not below another one of them. */
async function topsOf(db: Db, ids: readonly string[]): Promise<Top[]> {
  const folders = await db
    .selectFrom('entries')
    .select(['id', 'workspaceId', 'pathKey', 'folderCount'])
    .where('id', 'in', ids)
    .where('trashRootId', 'is', null)
    .$narrowType<{ pathKey: string }>()
    .execute()
  const tops: Top[] = []
  for (const folder of folders.sort(byPath)) {
    if (!folder.pathKey.startsWith(tops.at(-1)?.pathKey ?? '/')) tops.push(folder)
  }
  return tops
}
type Top = Pick<FolderRow, 'id' | 'workspaceId' | 'pathKey' | 'folderCount'>

const byPath = (one: Top, other: Top) => (one.pathKey < other.pathKey ? -1 : 1)

/** Returns the keys of a live folder and of all folders below it. */
export async function folderKeys(
  db: Db,
  { id, workspaceId, pathKey, folderCount }: Top,
): Promise<string[]> {
  if (folderCount === 0) return [keyOf(id)]
  const folders = await db
    .selectFrom('entries')
    .select('id')
    .where('workspaceId', '=', workspaceId)
    .where('kind', '=', folderKind)
    .where('pathKey', '>=', pathKey)
    .where('pathKey', '<', prefixUpperBound(pathKey))
    .where('trashRootId', 'is', null)
    .execute()
  return folders.map((folder) => keyOf(folder.id))
}
