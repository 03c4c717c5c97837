/*
 * What a database says that is nobody's mistake, by its SQLSTATE (PostgreSQL, appendix A) or the socket's code.
 */

/** Others were in the way, or were quicker: told again, the story sees what they did. */
const inTheWay = new Set(['40001', '40P01', '23505', '23503'])
/** Connections that broke, or could not be had. */
const lost = /^(08...|57P0[123]|53300|ECONN\w+|EPIPE|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH)$/
const lostWords =
  /^(Connection terminated|timeout exceeded when trying to connect|Client has encountered a connection error)/

/** The connection is gone, or there is none to be had. */
export function isLost(error: unknown): boolean {
  const { code, message } = error as { code?: unknown; message?: unknown }
  return error instanceof Error && (lost.test(String(code)) || lostWords.test(String(message)))
}

/** May be tried again as it is, where nothing of it was committed. */
export const isPassing = (error: unknown): boolean =>
  isLost(error) || inTheWay.has(String((error as { code?: unknown }).code))

/** The database can't be asked now: it is gone, or took longer than a statement may (57014). */
export const isUnavailable = (error: unknown): boolean =>
  error instanceof CommitUnknown ||
  isLost(error) ||
  ['57014', '55P03', '25P03', '40001', '40P01'].includes(String((error as { code?: unknown }).code))

/** The connection broke while a transaction was being committed: whether it was is not known. */
export class CommitUnknown extends Error {
  constructor(cause: unknown) {
    super('the connection broke while the transaction was being committed', { cause })
  }
}
