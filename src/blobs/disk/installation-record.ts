import { randomUUID } from 'node:crypto'
import { link, open, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { syncFolder } from '../../durable.ts'
import type { StoreRecord, StoreRecordFile } from '../blob-store.ts'
import { formatRecord, parseRecord, RECORD_NAME } from '../installation-record.ts'
import { exists, unlessMissing } from './faults.ts'

/** What a file system without hard links answers to link; of processes that start there together the last one wins. */
const withoutLinks = ['EPERM', 'ENOSYS', 'ENOTSUP', 'EOPNOTSUPP', 'EMLINK']

/** The record of a folder: a file in its root. */
export function diskRecord(root: string): StoreRecordFile {
  const path = join(root, RECORD_NAME)

  async function read() {
    const text = await readFile(path, 'utf8').catch(unlessMissing)
    return text === null ? null : { record: parseRecord(text, path), version: text }
  }

  /** A file of its own, complete and durable before it gets the name. */
  async function written(record: StoreRecord) {
    const temporary = `${path}.${randomUUID()}`
    const file = await open(temporary, 'wx')
    try {
      const bytes = Buffer.from(formatRecord(record))
      await file.write(bytes, 0, bytes.length, 0)
      await file.sync()
    } finally {
      await file.close()
    }
    return temporary
  }

  return {
    read,
    async create(record) {
      const temporary = await written(record)
      try {
        await link(temporary, path)
      } catch (cause) {
        const { code } = cause as NodeJS.ErrnoException
        if (code === 'EEXIST') return false
        if (!withoutLinks.includes(code ?? '')) throw cause
        if (await exists(path)) return false
        await rename(temporary, path)
      } finally {
        await rm(temporary, { force: true })
      }
      await syncFolder(root)
      return true
    },
    async replace(record, version) {
      if ((await read())?.version !== version) return false
      await rename(await written(record), path)
      await syncFolder(root)
      return true
    },
  }
}
