import { setImmediate as breathe } from 'node:timers/promises'
import type { Db } from '../../database/database.ts'
import { fileKind, folderKind } from '../../database/query/entry-kinds.ts'
import { prefixUpperBound } from '../../names.ts'
import type { EntryRow } from '../entries/reads.ts'
import type { VersionRow } from '../files/reads.ts'
import { tagsOfEntries } from '../tags/reads.ts'

/** One entry below a folder, with what an archive tells of it. */
export type TreeItem = {
  entry: EntryRow
  /** From the folder, no leading slash. */
  path: string
  tags: string[]
  /** Oldest first; none of a folder. */
  versions: VersionRow[]
}

const AT_ONCE = 500

/** All that lives below `root`: each folder, then its files, by name. Some hundred rows at a time, and others breathe in between. */
export async function* treeBelow(db: Db, root: EntryRow): AsyncGenerator<TreeItem> {
  const pathBelow = (path: string) => path.slice(root.path ? root.path.length + 1 : 0)
  for await (const folders of foldersFrom(db, root)) {
    const tags = await tagNames(db, folders)
    for (const [i, folder] of folders.entries()) {
      const path = pathBelow(folder.path ?? '')
      if (folder.id !== root.id) yield { entry: folder, path, tags: tags[i] ?? [], versions: [] }
      yield* filesIn(db, folder, path)
    }
  }
}

async function* filesIn(db: Db, folder: EntryRow, folderPath: string): AsyncGenerator<TreeItem> {
  for await (const files of fileRows(db, folder)) {
    const tags = await tagNames(db, files)
    const versions = await versionsOf(db, files)
    for (const [i, entry] of files.entries()) {
      const path = folderPath === '' ? entry.name : `${folderPath}/${entry.name}`
      yield { entry, path, tags: tags[i] ?? [], versions: versions.get(entry.id) ?? [] }
    }
  }
}

async function* foldersFrom(db: Db, { workspaceId, pathKey }: EntryRow) {
  const start = pathKey ?? ''
  let after: string | null = null
  while (true) {
    const rows: EntryRow[] = await db
      .selectFrom('entries')
      .selectAll()
      .where('workspaceId', '=', workspaceId)
      .where('kind', '=', folderKind)
      .where('pathKey', after === null ? '>=' : '>', after ?? start)
      .where('pathKey', '<', prefixUpperBound(start))
      .where('trashRootId', 'is', null)
      .orderBy('pathKey')
      .limit(AT_ONCE)
      .execute()
    if (rows.length > 0) yield rows
    await breathe()
    if (rows.length < AT_ONCE) return
    after = rows.at(-1)?.pathKey ?? null
  }
}

async function* fileRows(db: Db, folder: EntryRow) {
  let after = ''
  while (true) {
    const rows: EntryRow[] = await db
      .selectFrom('entries')
      .selectAll()
      .where('parentId', '=', folder.id)
      .where('kind', '=', fileKind)
      .where('nameKey', '>', after)
      .orderBy('nameKey')
      .limit(AT_ONCE)
      .execute()
    if (rows.length > 0) yield rows
    await breathe()
    if (rows.length < AT_ONCE) return
    after = rows.at(-1)?.nameKey ?? ''
  }
}

async function tagNames(db: Db, entries: EntryRow[]): Promise<string[][]> {
  const tags = await tagsOfEntries(
    db,
    entries.map(({ id }) => id),
  )
  return tags.map((of) => of.map(({ name }) => name))
}

async function versionsOf(db: Db, files: EntryRow[]): Promise<Map<string, VersionRow[]>> {
  const ids = files.map(({ id }) => id)
  const rows = await db
    .selectFrom('versions')
    .selectAll()
    .where('fileId', 'in', ids)
    .orderBy('fileId')
    .orderBy('number')
    .execute()
  return Map.groupBy(rows, ({ fileId }) => fileId)
}
