import { inTransaction, type ServiceContext, type TxContext, type Viewer } from '../../context.ts'
import { lockLate, type Tx } from '../../database/transaction.ts'
import { record } from '../activity/writes.ts'
import { entryById, loadPath } from '../entries/reads.ts'
import { versionsById } from './reads.ts'

/** A download that has started. */
export type Download = {
  versionId: string
  /** The owner of the token; null for a signed link and for a public file. */
  viewer: Viewer
  via: 'LINK' | 'TOKEN' | 'PUBLIC'
  /** The link, token or address. Further range requests of the same client have the same value. */
  credential: string
  /** Number of requested bytes. */
  bytes: number
  /** Whether the request is for the whole file, not for a range. */
  whole: boolean
}

export type DownloadLog = {
  /**
   * Queues the download for the log and returns immediately. A range request counts as part of the same
   * download if that started within the last hour.
   */
  note: (download: Download) => void
  /** Resolves when all queued downloads are written. */
  flush: () => Promise<void>
}

const DOWNLOAD_WINDOW_MS = 3_600_000
/**
 * Maximum number of downloads to remember. The oldest is dropped, and its next range request is logged again.
 */
const MAX_TRACKED_DOWNLOADS = 10_000
const FLUSH_DELAY_MS = 100
const BATCH_SIZE = 100

/**
 * Returns a log that writes FILE_DOWNLOADED events in batches in the background. `failed` receives write
 * errors.
 */
export function openDownloadLog(
  ctx: ServiceContext,
  failed: (error: unknown) => void,
): DownloadLog {
  const startTimes = new Map<string, number>()
  let waiting: Download[] = []
  let writing: Promise<unknown> = Promise.resolve()
  let timer: NodeJS.Timeout | undefined

  function isNew({ credential, versionId, whole }: Download): boolean {
    const key = `${versionId} ${credential}`
    const startedAt = startTimes.get(key) ?? Number.NEGATIVE_INFINITY
    if (!whole && ctx.now() - startedAt < DOWNLOAD_WINDOW_MS) return false
    startTimes.delete(key)
    startTimes.set(key, ctx.now())
    const [oldest] = startTimes.keys()
    if (startTimes.size > MAX_TRACKED_DOWNLOADS && oldest) startTimes.delete(oldest)
    return true
  }

  async function flush() {
    clearTimeout(timer)
    timer = undefined
    const batch = waiting
    waiting = []
    writing = writing.then(() => write(ctx, batch)).catch(failed)
    await writing
  }

  return {
    flush,
    note(download) {
      if (!isNew(download)) return
      waiting.push(download)
      timer ??= setTimeout(flush, FLUSH_DELAY_MS)
    },
  }
}

async function write(ctx: ServiceContext, downloads: Download[]) {
  for (let i = 0; i < downloads.length; i += BATCH_SIZE) {
    const batch = downloads.slice(i, i + BATCH_SIZE)
    await inTransaction(ctx, (s) => writeAll(s, batch))
  }
}

async function writeAll(s: TxContext, downloads: Download[]) {
  const files = await Promise.all(downloads.map(({ versionId }) => locate(s.tx, versionId)))
  await lockLate(
    s.tx,
    files.flatMap((file) => file?.workspaceId ?? []),
  )
  for (const [i, { viewer, versionId, via, bytes }] of downloads.entries()) {
    const details = { versionId, via, bytes }
    const file = files[i]
    if (file) await record({ ...s, viewer }, { ...file, action: 'FILE_DOWNLOADED', details })
  }
}

/** Returns the file of a version, or null if it was purged in the meantime. */
async function locate(tx: Tx, versionId: string) {
  const [version] = await versionsById(tx, [versionId])
  const file = version && (await entryById(tx, version.fileId))
  if (!file) return null
  return { workspaceId: file.workspaceId, entryId: file.id, path: await loadPath(tx, file) }
}
