/*
 * Classifies database errors that are not bugs, by SQLSTATE (PostgreSQL documentation, appendix A), socket
 * error code or the driver's message.
 */

/** No connection became available within the timeout. */
export class NoConnection extends Error {
  constructor(cause: unknown) {
    super(`no connection to the database: ${messageOf(cause)}`, { cause })
  }
}

/**
 * The connection broke during a statement. Outside a transaction, it is unknown whether the statement ran.
 */
export class ConnectionLost extends Error {
  constructor(cause: unknown) {
    super(`the connection to the database was lost: ${messageOf(cause)}`, { cause })
  }
}

/** The connection broke during COMMIT: it is unknown whether the transaction was committed. */
export class CommitUnknown extends Error {
  constructor(cause: unknown) {
    super('the connection broke while the transaction was being committed', { cause })
  }
}

/**
 * The transaction is committed, but a power failure may undo it because the fsync failed. Uses SQLite's
 * codes.
 */
export class NotDurable extends Error {
  readonly code: 'SQLITE_FULL' | 'SQLITE_IOERR_FSYNC'
  constructor(cause: unknown) {
    super(`the database log could not be synced: ${messageOf(cause)}`, { cause })
    this.code = codeAndMessage(cause).code === 'ENOSPC' ? 'SQLITE_FULL' : 'SQLITE_IOERR_FSYNC'
  }
}

/** A conflict with a concurrent transaction: a retry sees what the other one wrote. */
const CONFLICT = /^(40001|40P01|55P03|23505|23503)$/
/** A statement or lock timeout, a read-only server, or a server without resources. */
const UNAVAILABLE = /^(57014|55P03|25006|53[^1]..|40001|40P01|SQLITE_BUSY.*)$/
/** The database's disk is full, broken or read-only. */
const DISK_FAULT = /^(53100|58...|SQLITE_(FULL|IOERR|READONLY|CANTOPEN|CORRUPT|NOTADB).*)$/
/** The connection is lost, or its prepared statements are (26000, 42P05). */
const LOST =
  /^(08...|57P0[1235]|25P0[34]|26000|42P05|53300|ECONN\w+|EPIPE|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH)$/
/** The last alternative: a table changed its columns after this connection planned the statement. */
const LOST_MESSAGE =
  /^(Connection terminated|Client has encountered a connection error|cached plan must not change)/
/** The server did not answer within the timeout. */
const SILENT_MESSAGE =
  /^(timeout exceeded when trying to connect|timeout expired|Connection terminated due to connection timeout|Query read timeout)$/

/**
 * Whether a prepared statement is unknown to the server, as behind a pooler that switches server connections.
 */
export const isNameUnknown = (error: unknown): boolean =>
  /^(26000|42P05)$/.test(codeAndMessage(error).code)

/** Whether a driver error means that the connection is lost, silent or could not be opened. */
export function isLost(error: unknown): boolean {
  const { code, message } = codeAndMessage(error)
  return LOST.test(code) || LOST_MESSAGE.test(message) || SILENT_MESSAGE.test(message)
}

/**
 * Whether the connection is lost and another one may work at once; false after a timeout, which is not
 * repeated.
 */
export const isReplaceable = (error: unknown): boolean =>
  isLost(error) && !SILENT_MESSAGE.test(codeAndMessage(error).message)

/** Whether a transaction that was not committed can be retried unchanged. */
export const isRetryable = (error: unknown): boolean =>
  error instanceof ConnectionLost
    ? isReplaceable(error.cause)
    : CONFLICT.test(codeAndMessage(error).code)

/** Whether the session ended before the server received COMMIT: nothing was committed. */
export const isBeforeCommit = ({ cause }: ConnectionLost): boolean =>
  /^25P0[34]$/.test(codeAndMessage(cause).code) ||
  codeAndMessage(cause).message.startsWith('Client has encountered a connection error')

/** Whether the database is temporarily unavailable, or the outcome of a statement is unknown. */
export const isUnavailable = (error: unknown): boolean =>
  error instanceof CommitUnknown ||
  error instanceof ConnectionLost ||
  error instanceof NoConnection ||
  UNAVAILABLE.test(codeAndMessage(error).code)

/** Whether the database's disk failed to read or write, which needs an operator. */
export const isDiskFault = (error: unknown): boolean => DISK_FAULT.test(codeAndMessage(error).code)

function codeAndMessage(error: unknown) {
  if (!(error instanceof Error)) return { code: '', message: '' }
  const code = 'code' in error ? String(error.code) : ''
  return { code, message: error.message }
}

/**
 * Returns the message of an error, or its code: an AggregateError (of a host with several addresses) has no
 * message.
 */
function messageOf(cause: unknown): string {
  const { code, message } = codeAndMessage(cause)
  return message || code
}
