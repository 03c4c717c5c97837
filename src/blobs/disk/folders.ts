import { mkdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import { fsyncDirectory } from '../../fsync.ts'

/**
 * Returns a function that creates directories below `root`, durably. Each parent is synced once per process
 * even if the directory exists: the process that created it may have died before its sync.
 */
export function createDirectoryMaker(root: string) {
  const durable = new Set([root])
  return async function make(path: string): Promise<void> {
    if (durable.has(path)) return
    const parent = dirname(path)
    await make(parent)
    await mkdir(path, { recursive: true })
    await fsyncDirectory(parent)
    durable.add(path)
  }
}
