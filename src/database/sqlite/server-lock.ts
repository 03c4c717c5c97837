import { existsSync, statSync } from 'node:fs'
import { readlink, realpath, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { StartupError } from '../../config.ts'
import type { Log } from '../../log.ts'
import { isFull } from '../../open-at.ts'
import { isOpenElsewhere, LockFile } from './lock-file.ts'

const RETRY_MS = 100
/** A lock file that was deleted is missed after this time at the latest. */
const WATCH_MS = 1000

type Options = {
  /** How long to wait for another server. */
  timeoutMs: number
  log: Log
}

/**
 * Takes the lock that makes one process the only server of a SQLite file; disposing releases it. Throws StartupError where another
 * server still has it after `timeoutMs`. The lock is a file beside the database, which itself stays open to fsck, backups and other
 * programs. A lock file that is deleted meanwhile is made anew; where another process was faster, this one is ended as by an
 * operator, with SIGTERM.
 */
export async function takeServerLock(path: string, options: Options): Promise<Disposable> {
  const file = await realPath(path)
  requireSingleName(file)
  const lockPath = lockPathOf(file)
  const held = await retry(() => tryLock(file, lockPath), options.timeoutMs)
  if (held) return watch(held, lockPath, options)
  throw new StartupError(
    `${path} is in use by another Holdall server: stop that one, or let DATABASE_URL name another database (PostgreSQL takes several servers). ${lockPath} does not have to be deleted, and must not be while a server runs.`,
  )
}

/**
 * Where the lock file was deleted beside a running server, only the open database tells of that server. None is created then: the
 * server makes it anew by itself.
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

/** What is wrong with the database is for those to say who open it next. */
function isInUse(path: string): boolean {
  try {
    return existsSync(path) && isOpenElsewhere(path)
  } catch {
    return false
  }
}

function watch(locked: LockFile, lockPath: string, { log }: Options): Disposable {
  let held = locked
  const lookAgain = () => {
    if (held.isAt(lockPath)) return
    const renewed = LockFile.tryLock(lockPath)
    if (renewed) {
      held[Symbol.dispose]()
      held = renewed
      log.warn({ lockPath }, 'the lock file was deleted while the server runs; it is made anew')
      return
    }
    clearInterval(timer)
    log.error({ lockPath }, 'the lock file was replaced, and another server has it: this one ends')
    process.kill(process.pid, 'SIGTERM')
  }
  const timer = setInterval(() => {
    try {
      lookAgain()
    } catch {
      // Who cannot open the file cannot lock it either; the next round looks again.
    }
  }, WATCH_MS).unref()
  return {
    [Symbol.dispose]() {
      clearInterval(timer)
      held[Symbol.dispose]()
    },
  }
}

/** SQLite names its log after the path: two servers that reach one file by two names would have a log each. */
function requireSingleName(path: string) {
  const found = statSync(path, { throwIfNoEntry: false })
  // A folder counts its subfolders there; it is refused when it is opened.
  const names = found?.isFile() ? found.nlink : 1
  if (names <= 1) return
  throw new StartupError(
    `${path} has ${names} names (hard links), and SQLite damages a database that is used by two of them: delete the others, or copy the file and let DATABASE_URL name the copy.`,
  )
}

/** holdall.db → holdall.lock, and holdall → holdall-lock: of two databases in one folder each has its own. */
const lockPathOf = (path: string) =>
  path.endsWith('.db') ? `${path.slice(0, -'.db'.length)}.lock` : `${path}-lock`

/** SQLite follows links, too. A link may lead to what does not exist yet; an empty file is a database without tables. */
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
