import { close, open, read } from 'node:fs'

/** The time that an unused file stays open, and the maximum number of cached files. */
const IDLE_MS = 1_000
const MAX_FILES = 64

type File = { path: string; fd: number; readers: number; idle?: NodeJS.Timeout }
type Done = (error: NodeJS.ErrnoException | null, fd?: number) => void

/**
 * Creates an `fs` for createReadStream that keeps files open for the next range request, because opening and
 * closing a file takes longer than a small read. Use it only for files that never change.
 */
export function createFdCache() {
  const byPath = new Map<string, File>()
  const byFd = new Map<number, File>()

  function evict(path: string) {
    const file = byPath.get(path)
    byPath.delete(path)
    if (file?.readers === 0) closeFile(file, () => {})
  }

  function closeFile({ fd, idle }: File, done: Done) {
    clearTimeout(idle)
    byFd.delete(fd)
    close(fd, done)
  }

  return {
    read,
    open(path: string, flags: string, mode: number, done: Done) {
      const file = byPath.get(path)
      if (file) {
        clearTimeout(file.idle)
        file.readers += 1
        return process.nextTick(done, null, file.fd)
      }
      open(path, flags, mode, (error, fd) => {
        if (error) return done(error)
        const opened = { path, fd, readers: 1 }
        byFd.set(fd, opened)
        if (byPath.size < MAX_FILES && !byPath.has(path)) byPath.set(path, opened)
        done(null, fd)
      })
    },
    close(fd: number, done: Done) {
      const file = byFd.get(fd) as File
      file.readers -= 1
      if (file.readers === 0) {
        if (byPath.get(file.path) !== file) return closeFile(file, done)
        file.idle = setTimeout(() => evict(file.path), IDLE_MS).unref()
      }
      process.nextTick(done, null)
    },
    /** Evicts a file: open readers can finish, and no new reader gets it. */
    evict,
  }
}
