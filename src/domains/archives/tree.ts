import { setImmediate as yieldToEventLoop } from 'node:timers/promises'
import type { Db } from '../../database/database.ts'
import { batchesBy } from '../../database/query/batches.ts'
import { fileKind, folderKind } from '../../database/query/entry-kinds.ts'
import { prefixUpperBound } from '../../names.ts'
import { type EntryRow, type FolderRow, selectEntries } from '../entries/reads.ts'
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
export async function* treeBelow(db: Db, root: FolderRow): AsyncGenerator<TreeItem> {
  const pathBelow = (path: string) => path.slice(root.path === '' ? 0 : root.path.length + 1)
  for await (const folders of folderBatches(db, root)) {
    const tags = await tagNames(db, folders)
    for (const [i, folder] of folders.entries()) {
      const path = pathBelow(folder.path)
      if (folder.id !== root.id) yield { entry: folder, path, tags: tags[i] ?? [], versions: [] }
      yield* filesIn(db, folder, path)
    }
  }
}

async function* filesIn(db: Db, folder: FolderRow, folderPath: string): AsyncGenerator<TreeItem> {
  for await (const files of fileBatches(db, folder)) {
    const tags = await tagNames(db, files)
    const versions = await versionsOf(db, files)
    for (const [i, entry] of files.entries()) {
      const path = folderPath === '' ? entry.name : `${folderPath}/${entry.name}`
      yield { entry, path, tags: tags[i] ?? [], versions: versions.get(entry.id) ?? [] }
    }
    await yieldToEventLoop()
  }
}

function folderBatches(db: Db, { workspaceId, pathKey }: FolderRow) {
  const live = selectEntries(db)
    .where('workspaceId', '=', workspaceId)
    .where('kind', '=', folderKind)
    .where('pathKey', '<', prefixUpperBound(pathKey))
    .where('trashRootId', 'is', null)
    .$castTo<FolderRow>()
  return batchesBy('pathKey', BATCH_SIZE, (after) =>
    live
      .where('pathKey', after === '' ? '>=' : '>', after || pathKey)
      .orderBy('pathKey')
      .limit(BATCH_SIZE)
      .execute(),
  )
}

const fileBatches = (db: Db, folder: FolderRow) =>
  batchesBy('nameKey', BATCH_SIZE, (after) =>
    selectEntries(db)
      .where('parentId', '=', folder.id)
      .where('kind', '=', fileKind)
      .where('nameKey', '>', after)
      .orderBy('nameKey')
      .limit(BATCH_SIZE)
      .execute(),
  )

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
