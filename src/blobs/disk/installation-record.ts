import { randomUUID } from 'node:crypto'
import { link, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { fsyncDirectory } from '../../fsync.ts'
import type { StoreRecord, StoreRecordFile } from '../blob-store.ts'
import { formatRecord, parseRecord, RECORD_NAME } from '../installation-record.ts'
import { exists, nullIfMissing } from './errors.ts'

/** What a file system without hard links answers to link; of processes that start there together the last one wins. */
const withoutLinks = ['EPERM', 'ENOSYS', 'ENOTSUP', 'EOPNOTSUPP', 'EMLINK']

/** So old a temporary file is no other process's that is about to rename it. */
const LEFT_MS = 3_600_000
const temporaryName = /^installation\.json\.[-0-9a-f]{36}$/

/** The record of a folder: a file in its root. */
export function diskRecord(root: string): StoreRecordFile {
  const path = join(root, RECORD_NAME)

  async function read() {
    const text = await readFile(path, 'utf8').catch(nullIfMissing)
    return text === null ? null : { record: parseRecord(text, path), version: text }
  }

  /** Removes what processes left that died before they could rename it. */
  async function removeLeft() {
    for (const name of await readdir(root)) {
      if (!temporaryName.test(name)) continue
      const left = join(root, name)
      const { mtimeMs } = (await stat(left).catch(nullIfMissing)) ?? { mtimeMs: Infinity }
      if (mtimeMs < Date.now() - LEFT_MS) await rm(left, { force: true })
    }
  }

  /** Gives `use` the path of a file of its own, complete and durable; what `use` did not rename is gone afterwards. */
  async function withWritten<T>(record: StoreRecord, use: (temporary: string) => Promise<T>) {
    await removeLeft()
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

  /** False where there is a record already. */
  async function name(temporary: string) {
    try {
      await link(temporary, path)
    } catch (cause) {
      const { code } = cause as NodeJS.ErrnoException
      if (code === 'EEXIST') return false
      if (!withoutLinks.includes(code ?? '')) throw cause
      if (await exists(path)) return false
      await rename(temporary, path)
    }
    return true
  }

  return {
    read,
    async create(record) {
      if (!(await withWritten(record, name))) return false
      await fsyncDirectory(root)
      return true
    },
    async replace(record, version) {
      if ((await read())?.version !== version) return false
      await withWritten(record, (temporary) => rename(temporary, path))
      await fsyncDirectory(root)
      return true
    },
  }
}
