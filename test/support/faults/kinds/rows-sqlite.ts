import Database from 'better-sqlite3'
import { type Fault, step } from './kinds.ts'
import { runStepSync } from './points.ts'

type Statement = Database.Statement & { database: Database.Database }
type Call = (this: Statement, ...args: any[]) => any

const codes: Partial<Record<Fault, [code: string, words: string]>> = {
  ENOSPC: ['SQLITE_FULL', 'database or disk is full'],
  EIO: ['SQLITE_IOERR', 'disk I/O error'],
  EIO_ON_THE_WAY: ['SQLITE_IOERR', 'disk I/O error'],
  EIO_READING: ['SQLITE_IOERR_READ', 'disk I/O error'],
  EROFS: ['SQLITE_READONLY', 'attempt to write a readonly database'],
  BUSY: ['SQLITE_BUSY', 'database is locked'],
  LOST: ['SQLITE_IOERR_FSYNC', 'disk I/O error'],
}
/**
 * The errors of which https://sqlite.org/lang_transaction.html says "If the transaction is rolled back
 * automatically".
 */
const rollsBack: Fault[] = ['ENOSPC', 'EIO', 'EIO_ON_THE_WAY', 'EIO_READING']

/** Routes every statement of SQLite through the fault points. */
export function patchSqlite(): void {
  const memory = new Database(':memory:')
  const statements = Object.getPrototypeOf(memory.prepare('select 1')) as Record<string, Call>
  memory.close()
  for (const name of ['run', 'get', 'all']) {
    const original = statements[name] as Call
    statements[name] = function (...args) {
      const error = (fault: Fault) => sqliteError(fault, this)
      return runStepSync(stepOf(this), { act: () => original.apply(this, args), error })
    }
  }
}

/** Describes a statement as a step. Commits, and changes outside of transactions, last and allocate space. */
function stepOf({ source, readonly, database }: Statement) {
  const isCommit = /^\s*commit/i.test(source)
  const writes = isCommit || !(readonly || /^\s*(begin|rollback|pragma)/i.test(source))
  const lasts = isCommit || (writes && !database.inTransaction)
  const name = source.replaceAll(/\s+/g, ' ').slice(0, 60)
  return step('sqlite', name, { writes, lasts, wantsRoom: lasts })
}

/** Returns an error of SQLite. In half of the cases SQLite has already rolled back. */
function sqliteError(fault: Fault, { database, source }: Statement) {
  const [code, words] = codes[fault] ?? ['SQLITE_ERROR', fault]
  const isRollback = /^\s*rollback/i.test(source)
  if (
    isRollback ||
    (database.inTransaction && rollsBack.includes(fault) && source.length % 2 === 0)
  )
    database.exec('rollback')
  return new Database.SqliteError(words, code)
}
