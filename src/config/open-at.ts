import { StartupError } from './startup-error.ts'

/**
 * Runs `open` for the file at `path`. Throws StartupError for a system error, which has a code; other errors
 * are bugs.
 */
export async function openAt<T>(
  variable: string,
  path: string,
  open: () => T | Promise<T>,
): Promise<T> {
  try {
    return await open()
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (!code) throw error
    if (isFull(code))
      throw new StartupError(`${path} cannot be opened: its disk is full (${code}).`)
    throw new StartupError(`${path} cannot be opened (${code}); set ${variable} to another path.`)
  }
}

/** Whether an error code means that the disk is full. */
export const isFull = (code: string | undefined) => code === 'SQLITE_FULL' || code === 'ENOSPC'
