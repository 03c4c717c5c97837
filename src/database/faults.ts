/*
 * What a database says that is nobody's mistake, by its SQLSTATE (PostgreSQL, appendix A), the socket's code or the driver's words.
 */

/** Others were in the way, or were quicker: told again, the story sees what they did. */
const inTheWay = ['40001', '40P01', '23505', '23503']
/** Connections that broke, or could not be had. */
const lost = /^(08...|57P0[1235]|25P0[34]|53300|ECONN\w+|EPIPE|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH)$/
const lostWords = /^(Connection terminated|Client has encountered a connection error)/
/** There was no answer, and time enough to wait for it. */
const silentWords =
  /^(timeout exceeded when trying to connect|timeout expired|Connection terminated due to connection timeout|Query read timeout)$/
/** A statement took longer than it may, a lock was not to be had, the server takes no writes or has no room. */
const unableNow = ['57014', '55P03', '25006', '53000', '53100', '53200', '40001', '40P01']

/** No connection could be had, though it was waited for. */
export class NoConnection extends Error {
  constructor(cause: unknown) {
    super(`no connection: ${wordsOf(cause)}`, { cause })
  }
}

/** The connection broke while a transaction was being committed: whether it was is not known. */
export class CommitUnknown extends Error {
  constructor(cause: unknown) {
    super('the connection broke while the transaction was being committed', { cause })
  }
}

/** The connection is gone or silent, or there is none to be had: nothing more is to be heard over it. */
export function isLost(error: unknown): boolean {
  const { code, message } = facts(error)
  return lost.test(code) || lostWords.test(message) || silentWords.test(message)
}

/** Another connection may serve at once; who has waited in vain does not wait again. */
export const isReplaceable = (error: unknown): boolean =>
  isLost(error) && !silentWords.test(facts(error).message)

/** May be told again as it is, where nothing of it was committed. */
export const isPassing = (error: unknown): boolean =>
  isReplaceable(error) || inTheWay.includes(facts(error).code)

/** The database cannot be asked now, or whether it did what it was asked is not known: nobody's fault, and over some time. */
export const isUnavailable = (error: unknown): boolean =>
  error instanceof CommitUnknown ||
  error instanceof NoConnection ||
  isLost(error) ||
  unableNow.includes(facts(error).code)

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
