import { StartupError } from './config.ts'

/** Opens what lies at `path`; throws StartupError for an error of the system, which has a code. One without is a bug of ours. */
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
    throw new StartupError(`${path} cannot be opened (${code}); ${variable} names another.`)
  }
}

/** Whether an error with this code says that the disk is full. */
export const isFull = (code: string | undefined) => code === 'SQLITE_FULL' || code === 'ENOSPC'
