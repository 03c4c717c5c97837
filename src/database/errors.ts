/*
 * What a database says that is nobody's mistake: by its SQLSTATE (PostgreSQL, appendix A), the socket's code or the driver's words.
 */

/** No connection could be had, though it was waited for. */
export class NoConnection extends Error {
  constructor(cause: unknown) {
    super(`no connection to the database: ${wordsOf(cause)}`, { cause })
  }
}

/** The connection broke under a statement: whether it was carried out is not known, unless it was part of a transaction. */
export class ConnectionLost extends Error {
  constructor(cause: unknown) {
    super(`the connection to the database was lost: ${wordsOf(cause)}`, { cause })
  }
}

/** The connection broke while a transaction was being committed: whether it was is not known. */
export class CommitUnknown extends Error {
  constructor(cause: unknown) {
    super('the connection broke while the transaction was being committed', { cause })
  }
}

/** It was committed, and may be gone after a loss of power: the disk did not do its part. In SQLite's words. */
export class NotDurable extends Error {
  readonly code: 'SQLITE_FULL' | 'SQLITE_IOERR_FSYNC'
  constructor(cause: unknown) {
    super(`the log of the database could not be synced: ${wordsOf(cause)}`, { cause })
    this.code = facts(cause).code === 'ENOSPC' ? 'SQLITE_FULL' : 'SQLITE_IOERR_FSYNC'
  }
}

/** Others were in the way, or were quicker: told again, the story sees what they did. */
const inTheWay = /^(40001|40P01|55P03|23505|23503)$/
/** A statement took longer than it may, a lock was not to be had, the server takes no writes or has no room. */
const unableNow = /^(57014|55P03|25006|53[^1]..|40001|40P01|SQLITE_BUSY.*)$/
/** The disk under the database is full, broken, or takes no writes. */
const diskFault = /^(53100|58...|SQLITE_(FULL|IOERR|READONLY|CANTOPEN|CORRUPT|NOTADB).*)$/
const lost =
  /^(08...|57P0[1235]|25P0[34]|26000|42P05|53300|ECONN\w+|EPIPE|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH)$/
/** The last: a table has other columns than when this connection planned the statement, for which it is of no more use. */
const lostWords =
  /^(Connection terminated|Client has encountered a connection error|cached plan must not change)/
/** There was no answer, and time enough to wait for it. */
const silentWords =
  /^(timeout exceeded when trying to connect|timeout expired|Connection terminated due to connection timeout|Query read timeout)$/

/** A statement that was given to the connection by a name is not there: whoever is behind it has changed, as a pooler does it. */
export const isNameUnknown = (error: unknown): boolean => /^(26000|42P05)$/.test(facts(error).code)

/** Of what the driver says: the connection is gone or silent, or there is none to be had. */
export function isLost(error: unknown): boolean {
  const { code, message } = facts(error)
  return lost.test(code) || lostWords.test(message) || silentWords.test(message)
}

/** The same, and another connection may serve at once; who has waited in vain does not wait again. */
export const isReplaceable = (error: unknown): boolean =>
  isLost(error) && !silentWords.test(facts(error).message)

/** A story may be told again as it is, where nothing of it was committed. */
export const isRetryable = (error: unknown): boolean =>
  error instanceof ConnectionLost ? isReplaceable(error.cause) : inTheWay.test(facts(error).code)

/** The server had ended the session before it heard of a COMMIT, or was never told: nothing was committed. */
export const isBeforeCommit = ({ cause }: ConnectionLost): boolean =>
  /^25P0[34]$/.test(facts(cause).code) ||
  facts(cause).message.startsWith('Client has encountered a connection error')

/** The database cannot be asked now, or whether it did what it was asked is not known: nobody's fault, and over some time. */
export const isUnavailable = (error: unknown): boolean =>
  error instanceof CommitUnknown ||
  error instanceof ConnectionLost ||
  error instanceof NoConnection ||
  unableNow.test(facts(error).code)

/** What the database was asked could not be read or written: a matter of its disk, which somebody has to look at. */
export const isDiskFault = (error: unknown): boolean => diskFault.test(facts(error).code)

function facts(error: unknown) {
  if (!(error instanceof Error)) return { code: '', message: '' }
  const code = 'code' in error ? String(error.code) : ''
  return { code, message: error.message }
}

/** A host with several addresses says nothing but its code. */
function wordsOf(cause: unknown): string {
  const { code, message } = facts(cause)
  return message || code
}
