import { type FileHandle, open, realpath } from 'node:fs/promises'
import { dirname } from 'node:path'
import type SqliteFile from 'better-sqlite3'
import { coalesce, fsyncDirectory } from '../../fsync.ts'
import { NotDurable } from '../errors.ts'

export type SqliteLog = {
  /** Resolves when all that was committed before is on the disk; throws NotDurable where it is not known to be. */
  durable: () => Promise<void>
  close: () => Promise<void>
}

/**
 * The sync of the write-ahead log, by which a commit is durable (https://sqlite.org/wal.html), away from the thread that answers: those who
 * wait while one sync runs share the next. Where SQLite itself writes the log back into the database, it syncs both.
 */
export function sqliteLog(writer: SqliteFile.Database): SqliteLog {
  let file: FileHandle | undefined
  let isDoubtful = false

  /** What a sync that failed has left on the disk nobody knows, and later ones do not say: then all goes into the database, and the log begins anew. */
  async function sync() {
    if (isDoubtful) writeBack(writer)
    isDoubtful = true
    // SQLite follows a link, and lays the log beside the file itself.
    file ??= await openLog(`${await realpath(writer.name)}-wal`)
    await file.datasync()
    isDoubtful = false
  }

  const durable = coalesce(() =>
    sync().catch((cause) => {
      throw new NotDurable(cause)
    }),
  )
  return {
    durable,
    async close() {
      await durable().catch(() => {})
      await file?.close()
    },
  }
}

/** Its name in the folder is to be durable, too. */
async function openLog(path: string): Promise<FileHandle> {
  await fsyncDirectory(dirname(path))
  return open(path, 'r+')
}

function writeBack(writer: SqliteFile.Database) {
  const [outcome] = writer.pragma('wal_checkpoint(TRUNCATE)') as [{ busy: number }]
  if (outcome.busy) throw new Error('the log of the database is in use')
}
