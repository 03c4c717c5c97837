import { type BigIntStats, statSync } from 'node:fs'
import SqliteFile from 'better-sqlite3'

/**
 * A file that this process has locked, by an exclusive transaction on an empty database, which the operating system ends with the
 * process. Nothing is ever written in it: with a journal in memory not even a full disk stands in the way.
 */
export class LockFile implements Disposable {
  readonly #file: SqliteFile.Database
  readonly #inode: string | null

  private constructor(file: SqliteFile.Database, inode: string | null) {
    this.#file = file
    this.#inode = inode
  }

  /** Locks the file at `path`, which is created where it does not exist; null where somebody else has it locked. */
  static tryLock(path: string): LockFile | null {
    using stack = new DisposableStack()
    const file = stack.adopt(new SqliteFile(path, { timeout: 0 }), (file) => file.close())
    const inode = inodeOf(path)
    if (!succeeds(() => lock(file)) || inode === null || inodeOf(path) !== inode) return null
    stack.move()
    return new LockFile(file, inode)
  }

  /** Whether `path` still leads to this file, so that another process finds it locked. */
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

/** False where SQLite waits for somebody else. */
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
