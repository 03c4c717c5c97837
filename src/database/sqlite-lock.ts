import { existsSync } from 'node:fs'
import { readlink, realpath, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import SqliteFile from 'better-sqlite3'
import { CannotStart } from '../config.ts'

const RETRY_MS = 100

/**
 * Takes the lock that makes one process the only server of a SQLite file; disposing releases it. Throws CannotStart where another
 * server still has it after `timeoutMs`. The lock is an exclusive transaction on an empty database beside the file, which the
 * operating system ends with the process: the file itself stays open to fsck, backups and other programs.
 */
export async function takeServerLock(path: string, timeoutMs: number): Promise<Disposable> {
  const lock = lockPath(await realPath(path))
  using stack = new DisposableStack()
  try {
    const file = stack.adopt(new SqliteFile(lock, { timeout: 0 }), (file) => file.close())
    if (await retry(() => isLocked(file), timeoutMs)) return stack.move()
  } catch (error) {
    throw new CannotStart(
      `${lock} cannot be locked (${(error as { code?: string }).code}); while no server runs, it can be deleted.`,
    )
  }
  throw new CannotStart(
    `${path} is in use by another Holdall server: stop that one, or let DATABASE_URL name another database (PostgreSQL takes several servers).`,
  )
}

/** holdall.db → holdall.lock: of two databases in one folder each has its own. */
const lockPath = (path: string) => join(dirname(path), `${basename(path, '.db')}.lock`)

/** SQLite follows links, too. A link may lead to what does not exist yet; an empty file is a database without tables. */
async function realPath(path: string): Promise<string> {
  if (existsSync(path)) return realpath(path)
  const isLink = await readlink(path).catch(() => null)
  if (isLink === null) return join(await realpath(dirname(path)), basename(path))
  await writeFile(path, '', { flag: 'a', mode: 0o600 })
  return realpath(path)
}

async function retry(attempt: () => boolean, timeoutMs: number): Promise<boolean> {
  const endsAt = performance.now() + timeoutMs
  while (!attempt()) {
    if (performance.now() >= endsAt) return false
    await sleep(RETRY_MS)
  }
  return true
}

/** Nothing is ever written in this transaction, so that neither a page nor a journal comes into being. */
function isLocked(file: SqliteFile.Database): boolean {
  try {
    file.exec('begin exclusive')
    return true
  } catch (error) {
    if ((error as { code?: string }).code === 'SQLITE_BUSY') return false
    throw error
  }
}
