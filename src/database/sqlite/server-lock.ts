import { existsSync, statSync } from 'node:fs'
import { readlink, realpath, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { isFull } from '../../config/open-at.ts'
import { StartupError } from '../../config/startup-error.ts'
import type { Log } from '../../log.ts'
import { isOpenElsewhere, LockFile } from './lock-file.ts'

const RETRY_MS = 100
/** Interval at which the server checks that the lock file still exists. */
const WATCH_INTERVAL_MS = 1000

type Options = {
  /** How long to wait for another server. */
  timeoutMs: number
  log: Log
}

/**
 * Acquires the lock that makes this process the only server of a SQLite file; disposing releases it. Throws
 * StartupError if another server still holds it after `timeoutMs`. The lock is a separate file next to the
 * database, so that fsck, backups and other programs can open the database itself. If the lock file is
 * deleted, it is created again; if another server then holds it, this process stops itself with SIGTERM.
 */
export async function takeServerLock(path: string, options: Options): Promise<Disposable> {
  const file = await realPath(path)
  requireSingleName(file)
  const lockPath = lockPathOf(file)
  const held = await retry(() => tryLock(file, lockPath), options.timeoutMs)
  if (held) return watch(held, lockPath, options)
  throw new StartupError(
    `${path} is in use by another Holdall server: stop that server, or set DATABASE_URL to another database (PostgreSQL supports several servers). You do not need to delete ${lockPath}; never delete it while a server runs.`,
  )
}

/**
 * Returns null if another server holds the lock. If the lock file does not exist but the database is open,
 * its server is running and will create the lock file again: this process must not create it.
 */
function tryLock(path: string, lockPath: string): LockFile | null {
  try {
    if (!existsSync(lockPath) && isInUse(path)) return null
    return LockFile.tryLock(lockPath)
  } catch (error) {
    const { code } = error as { code?: string }
    if (isFull(code))
      throw new StartupError(`${lockPath} cannot be locked: the disk is full (${code}).`)
    throw new StartupError(
      `${lockPath} cannot be locked (${code}); while no server runs, it can be deleted.`,
    )
  }
}

/** Whether another program has the database open. Ignores errors: opening the database later reports them. */
function isInUse(path: string): boolean {
  try {
    return existsSync(path) && isOpenElsewhere(path)
  } catch {
    return false
  }
}

function watch(locked: LockFile, lockPath: string, { log }: Options): Disposable {
  let held = locked
  const checkLockFile = () => {
    if (held.isAt(lockPath)) return
    const renewed = LockFile.tryLock(lockPath)
    if (renewed) {
      held[Symbol.dispose]()
      held = renewed
      log.warn(
        { lockPath },
        'the lock file was deleted while the server is running; created it again',
      )
      return
    }
    clearInterval(timer)
    log.error(
      { lockPath },
      'the lock file was replaced and another server holds it: this server stops',
    )
    process.kill(process.pid, 'SIGTERM')
  }
  const timer = setInterval(() => {
    try {
      checkLockFile()
    } catch {
      // A file that cannot be opened cannot be locked by others either; the next check tries again.
    }
  }, WATCH_INTERVAL_MS).unref()
  return {
    [Symbol.dispose]() {
      clearInterval(timer)
      held[Symbol.dispose]()
    },
  }
}

/**
 * Throws StartupError if the file has a second hard link. SQLite derives the path of the WAL from the path of
 * the database, so that each link would have its own WAL.
 */
function requireSingleName(path: string) {
  const found = statSync(path, { throwIfNoEntry: false })
  // For a directory, nlink counts subdirectories; opening it fails later.
  const names = found?.isFile() ? found.nlink : 1
  if (names <= 1) return
  throw new StartupError(
    `${path} has ${names} hard links, and using a SQLite database by two of them damages it: delete the other links, or copy the file and set DATABASE_URL to the copy.`,
  )
}

/**
 * Returns the path of the lock file: holdall.db → holdall.lock, and holdall → holdall-lock, so that two
 * databases in one folder have different lock files.
 */
const lockPathOf = (path: string) =>
  path.endsWith('.db') ? `${path.slice(0, -'.db'.length)}.lock` : `${path}-lock`

/**
 * Resolves symbolic links, as SQLite does. Creates the target of a dangling link: an empty file is a valid
 * database.
 */
async function realPath(path: string): Promise<string> {
  if (existsSync(path)) return realpath(path)
  const isLink = await readlink(path).catch(() => null)
  if (isLink === null) return join(await realpath(dirname(path)), basename(path))
  await writeFile(path, '', { flag: 'a', mode: 0o600 })
  return realpath(path)
}

async function retry<T>(attempt: () => T | null, timeoutMs: number): Promise<T | null> {
  const endsAt = performance.now() + timeoutMs
  for (;;) {
    const result = attempt()
    if (result !== null || performance.now() >= endsAt) return result
    await sleep(RETRY_MS)
  }
}
