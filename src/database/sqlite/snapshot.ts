import { copyFile, rename, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import SqliteFile from 'better-sqlite3'
import { StartupError } from '../../config/startup-error.ts'
import { fsyncDirectory, syncFile } from '../../fsync.ts'
import { type BlobEntry, blobsAfter, type Snapshot } from '../snapshot/contents.ts'

/**
 * Opens a snapshot of the database at `path`: its read transaction stays open while servers go on writing.
 */
export async function sqliteSnapshot(path: string): Promise<Snapshot> {
  const file = new SqliteFile(path, { fileMustExist: true, timeout: 5_000 })
  file.exec('begin')
  file.prepare('select count(*) from sqlite_schema').get()
  return {
    async dump(target) {
      await file.backup(target)
      await syncFile(target)
    },
    async *blobs() {
      const page = file.prepare<[string], BlobEntry>(blobsAfter('?'))
      for (let after = ''; ; ) {
        const rows = page.all(after)
        const last = rows.at(-1)
        if (!last) return
        yield* rows
        after = last.id
      }
    },
    [Symbol.asyncDispose]: async () => void file.close(),
  }
}

/** Throws StartupError if a database or its WAL exists at `path`; an empty file does not count. */
export async function requireNoSqlite(path: string): Promise<void> {
  for (const name of [path, `${path}-wal`]) {
    const found = await stat(name).catch(() => null)
    if (found && found.size > 0)
      throw new StartupError(
        `${name} already exists; set DATABASE_URL or DATA_DIR to an empty location.`,
      )
  }
}

/**
 * Restores the dump to `path` atomically, after `prepare` has changed a copy of it. Returns the result of
 * `prepare`.
 */
export async function restoreSqlite<T>(
  dump: string,
  path: string,
  prepare: (path: string) => Promise<T>,
): Promise<T> {
  const partial = `${path}.restoring`
  await copyFile(dump, partial)
  const prepared = await prepare(partial)
  await syncFile(partial)
  await rename(partial, path)
  await fsyncDirectory(dirname(path))
  return prepared
}
