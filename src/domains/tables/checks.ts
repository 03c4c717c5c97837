import { type SqlBool, sql } from 'kysely'
import { inLockedTransaction } from '../../context.ts'
import { type Check, type CheckContext, chunked, type Finding } from '../../fsck/check.ts'
import { childPath } from '../entries/rules.ts'
import { deleteLink, type LinkKey } from './links.ts'
import { tablesOf } from './reads.ts'
import { pathColumns } from './rules.ts'
import { moveRows } from './sync-paths.ts'

/** Checks that linked cells contain the current paths of their files. Files in the trash are skipped. */
export const linksCheck: Check = {
  scan: (c) => chunked(subjects(c)),
  async evaluate(c, keys) {
    const found: Finding[] = []
    for (const link of await linksAt(c, keys.map(keyOf)))
      found.push(...(await findingsFor(c, link)))
    return found
  },
}

const subjectOf = ({ sqlName, rowKey, column }: LinkKey) =>
  JSON.stringify([sqlName, rowKey, column])

function keyOf(subject: string): LinkKey {
  const [sqlName, rowKey, column] = JSON.parse(subject)
  return { sqlName, rowKey, column }
}

const BATCH_SIZE = 500
const linkColumns = sql`("sqlName", "rowKey", "column")`
const linkValues = ({ sqlName, rowKey, column }: LinkKey) =>
  sql`(${sqlName}, cast(${rowKey} as bigint), ${column})`

async function* subjects({ db }: CheckContext): AsyncGenerator<string> {
  for (let after: LinkKey = { sqlName: '', rowKey: 0, column: '' }; ; ) {
    const links = await db
      .selectFrom('rowLinks')
      .select(['sqlName', 'rowKey', 'column'])
      .where(sql<SqlBool>`${linkColumns} > ${linkValues(after)}`)
      .orderBy('sqlName')
      .orderBy('rowKey')
      .orderBy('column')
      .limit(BATCH_SIZE)
      .execute()
    for (const link of links) yield subjectOf(link)
    const [last] = links.slice(-1)
    if (!last || links.length < BATCH_SIZE) return
    after = last
  }
}

type Link = Awaited<ReturnType<typeof linksAt>>[number]

const linksAt = ({ db }: CheckContext, keys: LinkKey[]) =>
  db
    .selectFrom('rowLinks as l')
    .leftJoin('entries as f', 'f.id', 'l.fileId')
    .leftJoin('entries as p', 'p.id', 'f.parentId')
    .select(['l.sqlName', 'l.rowKey', 'l.column', 'l.fileId', 'l.path', 'l.workspaceId'])
    .select(['f.name', 'f.workspaceId as fileWorkspaceId'])
    .select(['p.id as folderId', 'p.path as folderPath', 'p.trashRootId'])
    .where((eb) => eb.or(keys.map(isAt)))
    .execute()

const isAt = (key: LinkKey) =>
  sql<SqlBool>`(l."sqlName", l."rowKey", l."column") = ${linkValues(key)}`

async function findingsFor(c: CheckContext, link: Link): Promise<Finding[]> {
  const { fileId, name, path, workspaceId, folderId } = link
  const about = { subject: subjectOf(link) }
  if (name === null || link.fileWorkspaceId !== workspaceId) {
    const says = `it is linked to ${fileId}, which does not exist`
    return [{ ...about, code: 'LINK_FILE', says, repair: () => deleteLink(c.db, link) }]
  }
  if (folderId === null || link.trashRootId !== null) return []
  const to = childPath({ path: link.folderPath ?? '' }, name)
  if (to === path || !(await isFollowed(c, link))) return []
  const says = `it is linked to ${JSON.stringify(path)}, but ${fileId} is at ${JSON.stringify(to)}`
  const move = { workspaceId, entryId: fileId, from: path, to }
  return [{ ...about, code: 'LINK_PATH', says, repair: () => moveLinkedRows(c, move) }]
}

/**
 * Returns whether the path in the cell is updated when its file moves: the table must still be registered
 * with this column.
 */
async function isFollowed({ db }: CheckContext, { workspaceId, sqlName, column }: Link) {
  const table = (await tablesOf(db, workspaceId)).find((known) => known.sqlName === sqlName)
  return table !== undefined && pathColumns(table).includes(column)
}

const moveLinkedRows = (c: CheckContext, move: Parameters<typeof moveRows>[1]) =>
  inLockedTransaction(c, [move.workspaceId], (s) => moveRows(s, move))
