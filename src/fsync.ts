import { open } from 'node:fs/promises'

/**
 * Makes the entries of a directory durable: a created or renamed file survives a power failure only after
 * this.
 */
export async function fsyncDirectory(path: string): Promise<void> {
  // Windows cannot open directories; NTFS journals their entries.
  if (process.platform === 'win32') return
  const folder = await open(path)
  await folder.sync().finally(() => folder.close())
}

/** Makes the bytes of a file durable that another process or library has written. */
export async function syncFile(path: string): Promise<void> {
  const file = await open(path, 'r+')
  await file.sync().finally(() => file.close())
}

/**
 * Returns a function that runs `fn`, such as an fsync, once for several concurrent callers. A call during a
 * run waits for the next run, which it shares with all calls made before that run starts. Rejects with the
 * error of its run.
 */
export function coalesce(fn: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> = Promise.resolve()
  let next: Promise<void> | undefined
  return () => {
    next ??= running
      .catch(() => {})
      .then(() => {
        next = undefined
        running = fn()
        return running
      })
    return next
  }
}
