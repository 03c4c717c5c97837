import { open } from 'node:fs/promises'

/** Makes a folder's entries survive a loss of power: a file that was made or renamed is there only when its folder is synced too. */
export async function fsyncDirectory(path: string): Promise<void> {
  // Windows opens no folders; NTFS keeps a journal of their entries.
  if (process.platform === 'win32') return
  const folder = await open(path)
  await folder.sync().finally(() => folder.close())
}

/** Makes the bytes of a file durable that others have written. */
export async function syncFile(path: string): Promise<void> {
  const file = await open(path, 'r+')
  await file.sync().finally(() => file.close())
}

/**
 * `work` for many who want it at the same moment, such as a sync. Whoever asks while it is being done, and perhaps too late for it, waits
 * for the next round, which all who asked by then share. Rejects with what went wrong in that round.
 */
export function coalesce(work: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> = Promise.resolve()
  let next: Promise<void> | undefined
  return () => {
    next ??= running
      .catch(() => {})
      .then(() => {
        next = undefined
        running = work()
        return running
      })
    return next
  }
}
