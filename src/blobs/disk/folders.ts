import { mkdir, open } from 'node:fs/promises'
import { dirname } from 'node:path'

/** Makes a folder's entries survive a loss of power: a file that was made or renamed is there only when its folder is synced too. */
export async function syncFolder(path: string) {
  // Windows opens no folders; NTFS keeps a journal of their entries.
  if (process.platform === 'win32') return
  const folder = await open(path)
  await folder.sync().finally(() => folder.close())
}

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
    await syncFolder(parent)
    durable.add(path)
  }
}
