import { type FileHandle, open, realpath } from 'node:fs/promises'
import { dirname } from 'node:path'
import type SqliteFile from 'better-sqlite3'
import { coalesce, fsyncDirectory } from '../../fsync.ts'
import { NotDurable } from '../errors.ts'

export type WalSync = {
  /** Resolves when all earlier commits are durable; throws NotDurable if that is not certain. */
  sync: () => Promise<void>
  close: () => Promise<void>
}

/**
 * Syncs the write-ahead log, which makes commits durable (https://sqlite.org/wal.html), without blocking the
 * main thread: callers that wait during one sync share the next. At a checkpoint, SQLite itself syncs the log
 * and the database.
 */
export function createWalSync(writer: SqliteFile.Database): WalSync {
  let file: FileHandle | undefined
  let isUncertain = false

  /**
   * Syncs the log. After a failed fsync, later ones do not report the lost pages; a checkpoint then writes
   * all pages to the database and resets the log.
   */
  async function syncLog() {
    if (isUncertain) checkpoint(writer)
    isUncertain = true
    // SQLite resolves symbolic links and creates the log next to their target.
    file ??= await openLog(`${await realpath(writer.name)}-wal`)
    await file.datasync()
    isUncertain = false
  }

  const sync = coalesce(() =>
    syncLog().catch((cause) => {
      throw new NotDurable(cause)
    }),
  )
  return {
    sync,
    async close() {
      await sync().catch(() => {})
      await file?.close()
    },
  }
}

/** Opens the log and makes its directory entry durable. */
async function openLog(path: string): Promise<FileHandle> {
  await fsyncDirectory(dirname(path))
  return open(path, 'r+')
}

function checkpoint(writer: SqliteFile.Database) {
  const [outcome] = writer.pragma('wal_checkpoint(TRUNCATE)') as [{ busy: number }]
  if (outcome.busy) throw new Error('the checkpoint failed: the database log is in use')
}
