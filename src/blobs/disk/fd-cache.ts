import { close, open, read } from 'node:fs'

/** So long a file stays open that nobody reads, and so many are kept open at most. */
const IDLE_MS = 1_000
const MOST = 64

type File = { path: string; fd: number; readers: number; idle?: NodeJS.Timeout }
type Done = (error: NodeJS.ErrnoException | null, fd?: number) => void

/**
 * What createReadStream takes for its `fs`. Whoever reads the next range of a file a moment later finds it open: to open and to close
 * one costs more than to read a little of it. Only for files that never change.
 */
export function createFdCache() {
  const byPath = new Map<string, File>()
  const byFd = new Map<number, File>()

  function forget(path: string) {
    const file = byPath.get(path)
    byPath.delete(path)
    if (file?.readers === 0) giveUp(file, () => {})
  }

  function giveUp({ fd, idle }: File, done: Done) {
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
        if (byPath.size < MOST && !byPath.has(path)) byPath.set(path, opened)
        done(null, fd)
      })
    },
    close(fd: number, done: Done) {
      const file = byFd.get(fd) as File
      file.readers -= 1
      if (file.readers === 0) {
        if (byPath.get(file.path) !== file) return giveUp(file, done)
        file.idle = setTimeout(() => forget(file.path), IDLE_MS).unref()
      }
      process.nextTick(done, null)
    },
    /** Whoever reads it reads to the end; nobody else finds it. */
    forget,
  }
}
