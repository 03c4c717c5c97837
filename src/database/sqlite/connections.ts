import SqliteFile from 'better-sqlite3'
import type { QueryResult } from 'kysely'
import { createMutex } from '../../concurrency/mutex.ts'
import { createRunner, type Run, type Statement } from './statement-cache.ts'
import { createWalSync } from './wal-sync.ts'

/** With `skipSync`, a write outside a transaction does not wait for the disk: a power failure may undo it. */
export type WriteOptions = { skipSync?: boolean }

/**
 * A SQLite file with one connection that writes and one that reads. Everything that makes SQLite fast here is
 * behind this interface; the rest of the application knows `prepared` (query/prepared.ts) and Kysely:
 *
 * - A select is one synchronous call. `selectSync` (dialect.ts) makes it without Kysely's promises, and
 *   `prepared` builds its SQL once: both take longer than SQLite runs most statements.
 * - Each connection keeps its prepared statements (statement-cache.ts), with plans that do not depend on the
 *   values (compiler.ts).
 * - Selects never wait for a transaction, and transactions that commit at the same time share one sync of the
 *   write-ahead log, which runs off the main thread (wal-sync.ts).
 */
export type SqliteConnections = {
  /** Runs a select outside a transaction, at once. */
  select: Run
  /** Runs one statement outside a transaction; resolves when it is durable. */
  write: <R>(query: Statement & WriteOptions) => Promise<QueryResult<R>>
  /** Begins a transaction when all earlier ones have ended. */
  begin: () => Promise<SqliteTransaction>
  close: () => Promise<void>
}

export type SqliteTransaction = {
  run: Run
  /**
   * Resolves when the transaction is durable. The next one starts before that. If COMMIT fails, the
   * transaction is still open: call rollback.
   */
  commit: () => Promise<void>
  /** Does nothing if the transaction has ended. */
  rollback: () => void
}

/** Opens the connections of the database file at `path`, which is created if it does not exist. */
export function openConnections(path: string): SqliteConnections {
  const writer = open(path)
  writer.pragma('journal_mode = WAL')
  // SQLite syncs the log at checkpoints, and wal-sync.ts syncs it for each commit.
  writer.pragma('synchronous = NORMAL')
  writer.pragma('wal_autocheckpoint = 4000')
  writer.pragma('foreign_keys = ON')
  const reader = open(path, { readonly: true })
  const [runOnWriter, runOnReader] = [createRunner(writer), createRunner(reader)]
  const [mutex, log] = [createMutex(), createWalSync(writer)]

  function transaction(): SqliteTransaction {
    let isOpen = true
    const release = () => {
      isOpen = false
      mutex.release()
    }
    return {
      run: runOnWriter,
      async commit() {
        runOnWriter(statement('commit'))
        release()
        await log.sync()
      },
      rollback() {
        if (!isOpen) return
        try {
          // On a full or broken disk SQLite has rolled back: a second rollback would hide the cause.
          if (writer.inTransaction) runOnWriter(statement('rollback'))
        } finally {
          release()
        }
      },
    }
  }

  return {
    // The reader's page cache is invalid after each write, so the writer reads too while it is free.
    select: (query) => (mutex.isFree() ? runOnWriter(query) : runOnReader(query)),
    async write<R>(query: Statement & WriteOptions) {
      await mutex.acquire()
      const result = mutex.releaseAfter(() => runOnWriter<R>(query))
      if (!query.skipSync) await log.sync()
      return result
    },
    async begin() {
      await mutex.acquire()
      try {
        // Acquires the write lock at once and waits for other processes. A deferred transaction that reads
        // before another process writes would fail with SQLITE_BUSY without waiting.
        runOnWriter(statement('begin immediate'))
      } catch (error) {
        mutex.release()
        throw error
      }
      return transaction()
    },
    async close() {
      await log.close()
      reader.close()
      writer.close()
    },
  }
}

function open(path: string, options: SqliteFile.Options = {}) {
  const file = new SqliteFile(path, options)
  file.pragma('busy_timeout = 5000')
  file.pragma('cache_size = -65536')
  file.pragma('mmap_size = 1073741824')
  return file
}

const statement = (sql: 'begin immediate' | 'commit' | 'rollback') => ({ sql, parameters: [] })
