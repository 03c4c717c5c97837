import { setImmediate as yieldToEventLoop } from 'node:timers/promises'
import type { Db } from '../../database/database.ts'
import { fileKind, folderKind } from '../../database/query/entry-kinds.ts'
import { prefixUpperBound } from '../../names.ts'
import type { EntryRow } from '../entries/reads.ts'
import type { VersionRow } from '../files/reads.ts'
import { tagsOfEntries } from '../tags/reads.ts'

/** One entry below a folder, with its tags and versions. */
export type TreeItem = {
  entry: EntryRow
  /** Path relative to the folder, without a leading slash. */
  path: string
  tags: string[]
  /** Oldest first; empty for folders. */
  versions: VersionRow[]
}

const BATCH_SIZE = 500

/**
 * Yields all live entries below `root`: each folder, followed by its files sorted by name. Yields to the
 * event loop between batches.
 */
export async function* treeBelow(db: Db, root: EntryRow): AsyncGenerator<TreeItem> {
  const pathBelow = (path: string) => path.slice(root.path ? root.path.length + 1 : 0)
  for await (const folders of folderBatches(db, root)) {
    const tags = await tagNames(db, folders)
    for (const [i, folder] of folders.entries()) {
      const path = pathBelow(folder.path ?? '')
      if (folder.id !== root.id) yield { entry: folder, path, tags: tags[i] ?? [], versions: [] }
      yield* filesIn(db, folder, path)
    }
  }
}

async function* filesIn(db: Db, folder: EntryRow, folderPath: string): AsyncGenerator<TreeItem> {
  for await (const files of fileBatches(db, folder)) {
    const tags = await tagNames(db, files)
    const versions = await versionsOf(db, files)
    for (const [i, entry] of files.entries()) {
      const path = folderPath === '' ? entry.name : `${folderPath}/${entry.name}`
      yield { entry, path, tags: tags[i] ?? [], versions: versions.get(entry.id) ?? [] }
    }
  }
}

async function* folderBatches(db: Db, { workspaceId, pathKey }: EntryRow) {
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
      .limit(BATCH_SIZE)
      .execute()
    if (rows.length > 0) yield rows
    await yieldToEventLoop()
    if (rows.length < BATCH_SIZE) return
    after = rows.at(-1)?.pathKey ?? null
  }
}

async function* fileBatches(db: Db, folder: EntryRow) {
  let after = ''
  while (true) {
    const rows: EntryRow[] = await db
      .selectFrom('entries')
      .selectAll()
      .where('parentId', '=', folder.id)
      .where('kind', '=', fileKind)
      .where('nameKey', '>', after)
      .orderBy('nameKey')
      .limit(BATCH_SIZE)
      .execute()
    if (rows.length > 0) yield rows
    await yieldToEventLoop()
    if (rows.length < BATCH_SIZE) return
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
