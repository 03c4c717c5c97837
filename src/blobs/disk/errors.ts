import { stat } from 'node:fs/promises'
import { StorageError } from '../../errors/availability.ts'

/**
 * For `.catch(wrapIoError('…'))`: throws a system error as a StorageError with the message `what` and the
 * original error as the cause. Other errors are rethrown.
 */
export const wrapIoError = (what: string) => (cause: unknown) => {
  if (!(cause instanceof Error && 'errno' in cause)) throw cause
  throw new StorageError(what, { cause })
}

/** Whether an error means that a file or directory does not exist. */
export const isMissing = (cause: unknown) =>
  cause instanceof Error && 'code' in cause && cause.code === 'ENOENT'

/** For `.catch(nullIfMissing)`: returns null if the file does not exist. */
export const nullIfMissing = (cause: unknown) => {
  if (!isMissing(cause)) throw cause
  return null
}

export const exists = async (path: string) => (await stat(path).catch(nullIfMissing)) !== null
