import { type BigIntStats, statSync } from 'node:fs'
import SqliteFile from 'better-sqlite3'

/**
 * A file locked by this process with an exclusive transaction on an empty SQLite database. The operating
 * system releases the lock with the process. Nothing is written, and the journal is in memory, so that it
 * works on a full disk.
 */
export class LockFile implements Disposable {
  readonly #file: SqliteFile.Database
  readonly #inode: string | null

  private constructor(file: SqliteFile.Database, inode: string | null) {
    this.#file = file
    this.#inode = inode
  }

  /**
   * Locks the file at `path` and creates it if it does not exist; returns null if another process has locked
   * it.
   */
  static tryLock(path: string): LockFile | null {
    using stack = new DisposableStack()
    const file = stack.adopt(new SqliteFile(path, { timeout: 0 }), (file) => file.close())
    const inode = inodeOf(path)
    if (!succeeds(() => lock(file)) || inode === null || inodeOf(path) !== inode) return null
    stack.move()
    return new LockFile(file, inode)
  }

  /** Whether `path` still refers to this file, so that other processes find it locked. */
  isAt(path: string): boolean {
    return inodeOf(path) === this.#inode
  }

  [Symbol.dispose]() {
    this.#file.close()
  }
}

/** Whether another program has the database at `path` open in WAL mode, as servers do. */
export function isOpenElsewhere(path: string): boolean {
  using stack = new DisposableStack()
  return !succeeds(() => {
    const file = stack.adopt(new SqliteFile(path, { timeout: 0 }), (file) => file.close())
    file.pragma('locking_mode = exclusive')
    file.prepare('select count(*) from sqlite_schema').get()
  })
}

function lock(file: SqliteFile.Database) {
  file.pragma('journal_mode = memory')
  file.exec('begin exclusive')
}

/** Returns false if SQLite reports that another process has the file locked. */
function succeeds(attempt: () => void): boolean {
  try {
    attempt()
    return true
  } catch (error) {
    if ((error as { code?: string }).code?.startsWith('SQLITE_BUSY')) return false
    throw error
  }
}

function inodeOf(path: string): string | null {
  const stats: BigIntStats | undefined = statSync(path, { bigint: true, throwIfNoEntry: false })
  return stats ? `${stats.dev} ${stats.ino}` : null
}
