import type { Db } from '../../database/database.ts'
import { folderKind } from '../../database/query/entry-kinds.ts'
import {
  type Expression,
  findDocuments,
  type TextField,
} from '../../database/search/search-index.ts'
import type { Row } from '../../database/tables.ts'
import { prefixUpperBound } from '../../names.ts'
import { keyOf, type Term } from './query.ts'

/** The keys of documents that have a term by a tag, or by a folder above them; 'many': too many to name. */
export type Reach = Record<'tags' | 'folders', readonly string[] | 'many'>
/** So many tags or folders are named in an expression. */
export const MOST_NAMED = 256

/** Looks up which tags and which folders of a workspace have a term. */
export async function reachOf(db: Db, workspaceId: string, term: Term): Promise<Reach> {
  const [tags, folders] = await Promise.all([
    tagsWith(db, workspaceId, term),
    foldersUnder(db, workspaceId, term),
  ])
  return { tags, folders }
}

export const inFields = ({ ways, prefix }: Term, fields: readonly TextField[]): Expression => ({
  any: ways.map((words) => ({ fields, words, prefix })),
})

async function tagsWith(db: Db, workspaceId: string, term: Term): Promise<Reach['tags']> {
  const limit = MOST_NAMED + 1
  const found = await findDocuments(db, workspaceId, inFields(term, ['tag']), { limit })
  if (found.length === 0) return []
  if (found.length > MOST_NAMED) return 'many'
  const ids = found.map(({ id }) => id)
  const tags = await db.selectFrom('tags').select('id').where('id', 'in', ids).execute()
  return tags.map(({ id }) => keyOf(id))
}

/** The folders whose path has the term: those that have it in their own names, and all below them. */
async function foldersUnder(db: Db, workspaceId: string, term: Term): Promise<Reach['folders']> {
  const limit = MOST_NAMED + 1
  const found = await findDocuments(db, workspaceId, inFields(term, ['folder']), { limit })
  if (found.length === 0) return []
  if (found.length > MOST_NAMED) return 'many'
  const tops = await topsOf(
    db,
    found.map(({ id }) => id),
  )
  const count = tops.reduce((sum, { folderCount }) => sum + folderCount + 1, 0)
  if (count > MOST_NAMED) return 'many'
  const below = await Promise.all(tops.map((top) => folderKeys(db, top)))
  return below.flat()
}

/** Those living folders among `ids` that lie in no other one of them. */
async function topsOf(db: Db, ids: readonly string[]): Promise<Top[]> {
  const folders = await db
    .selectFrom('entries')
    .select(['id', 'workspaceId', 'pathKey', 'folderCount'])
    .where('id', 'in', ids)
    .where('trashRootId', 'is', null)
    .execute()
  const tops: Top[] = []
  for (const folder of folders.sort(byPath)) {
    if (!folder.pathKey?.startsWith(tops.at(-1)?.pathKey ?? '/')) tops.push(folder)
  }
  return tops
}
type Top = Pick<Row<'entries'>, 'id' | 'workspaceId' | 'pathKey' | 'folderCount'>

const byPath = (one: Top, other: Top) => ((one.pathKey ?? '') < (other.pathKey ?? '') ? -1 : 1)

/** The keys of what lies in a living folder or in a folder below it. */
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
    .where('pathKey', '<', prefixUpperBound(pathKey ?? ''))
    .where('trashRootId', 'is', null)
    .execute()
  return folders.map((folder) => keyOf(folder.id))
}
