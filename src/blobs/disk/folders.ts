import { mkdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import { fsyncDirectory } from '../../fsync.ts'

/**
 * Makes folders below `root`, durably. Each is synced once in the life of the process, also where it exists already: who made
 * it may have died, or be still at it, before its parent was synced.
 */
export function durableFolders(root: string) {
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
