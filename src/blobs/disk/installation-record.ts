import { randomUUID } from 'node:crypto'
import { link, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { fsyncDirectory } from '../../fsync.ts'
import type { StoreRecord, StoreRecordFile } from '../blob-store.ts'
import { formatRecord, parseRecord, RECORD_NAME } from '../installation-record.ts'
import { exists, nullIfMissing } from './errors.ts'

/**
 * Errors of link() on a file system without hard links. There, the last of several processes that start at
 * the same time wins.
 */
const linkErrors: (string | undefined)[] = ['EPERM', 'ENOSYS', 'ENOTSUP', 'EOPNOTSUPP', 'EMLINK']

/** A temporary file of this age is stale: the process that created it will not rename it any more. */
const MAX_TEMPORARY_AGE_MS = 3_600_000
const temporaryName = /^installation\.json\.[-0-9a-f]{36}$/

/** Reads and writes the record of a disk store: a file in its root. */
export function diskRecord(root: string): StoreRecordFile {
  const path = join(root, RECORD_NAME)

  async function read() {
    const text = await readFile(path, 'utf8').catch(nullIfMissing)
    return text === null ? null : { record: parseRecord(text, path), version: text }
  }

  /** Removes temporary files of processes that died before they renamed them. */
  async function removeStaleTemporaries() {
    for (const name of await readdir(root)) {
      if (!temporaryName.test(name)) continue
      const stale = join(root, name)
      const { mtimeMs } = (await stat(stale).catch(nullIfMissing)) ?? { mtimeMs: Infinity }
      if (mtimeMs < Date.now() - MAX_TEMPORARY_AGE_MS) await rm(stale, { force: true })
    }
  }

  /**
   * Calls `use` with the path of a complete and durable temporary file, which is removed afterwards unless
   * `use` renamed it.
   */
  async function withTemporary<T>(record: StoreRecord, use: (temporary: string) => Promise<T>) {
    await removeStaleTemporaries()
    const temporary = `${path}.${randomUUID()}`
    try {
      await write(temporary, record)
      return await use(temporary)
    } finally {
      await rm(temporary, { force: true })
    }
  }

  async function write(temporary: string, record: StoreRecord) {
    const file = await open(temporary, 'wx')
    try {
      const bytes = Buffer.from(formatRecord(record))
      await file.write(bytes, 0, bytes.length, 0)
      await file.sync()
    } finally {
      await file.close()
    }
  }

  /** Returns false if a record exists. */
  async function linkRecord(temporary: string) {
    try {
      await link(temporary, path)
    } catch (cause) {
      const { code } = cause as NodeJS.ErrnoException
      if (code === 'EEXIST') return false
      if (!linkErrors.includes(code)) throw cause
      if (await exists(path)) return false
      await rename(temporary, path)
    }
    return true
  }

  return {
    read,
    async create(record) {
      if (!(await withTemporary(record, linkRecord))) return false
      await fsyncDirectory(root)
      return true
    },
    async replace(record, version) {
      if ((await read())?.version !== version) return false
      await withTemporary(record, (temporary) => rename(temporary, path))
      await fsyncDirectory(root)
      return true
    },
  }
}
