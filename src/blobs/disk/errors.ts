import { stat } from 'node:fs/promises'
import { StorageError } from '../../errors.ts'

/** For `.catch(wrapIoError('…'))`: words a fault of the disk and keeps it, with its errno, as the cause. Others pass. */
export const wrapIoError = (what: string) => (cause: unknown) => {
  if (!(cause instanceof Error && 'errno' in cause)) throw cause
  throw new StorageError(what, { cause })
}

export const isMissing = (cause: unknown) =>
  cause instanceof Error && 'code' in cause && cause.code === 'ENOENT'

/** For `.catch(nullIfMissing)`: null where the file is not there. */
export const nullIfMissing = (cause: unknown) => {
  if (!isMissing(cause)) throw cause
  return null
}

export const exists = async (path: string) => (await stat(path).catch(nullIfMissing)) !== null
