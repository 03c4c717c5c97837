import { inTransaction, type ServiceContext, type TxContext, type Viewer } from '../../context.ts'
import type { Tx } from '../../database/transaction.ts'
import { record } from '../activity/writes.ts'
import { entryById, pathOf } from '../entries/reads.ts'
import { versionsById } from './reads.ts'

/** A download that has begun. */
export type Download = {
  versionId: string
  /** Whose token it came with; null by a signed link, and for who needs none. */
  viewer: Viewer
  via: 'LINK' | 'TOKEN' | 'PUBLIC'
  /** The link, token or address: what asks for further parts shows the same. */
  shown: string
  /** So many bytes were asked for. */
  bytes: number
  /** All of the file and not a part of it. */
  whole: boolean
}

export type DownloadLog = {
  /** Remembers it for the log, and returns at once; parts of what was begun in the last hour are the same download. */
  note: (download: Download) => void
  /** Resolves when all that was noted is written. */
  flush: () => Promise<void>
}

const SERIES_MS = 3_600_000
/** What is not remembered is a download more in the log. */
const MOST_SERIES = 10_000
const GATHER_MS = 100
const AT_ONCE = 100

/** Writes FILE_DOWNLOADED events behind the backs of the downloads, some at a time. What cannot be written is told to `failed`. */
export function openDownloadLog(
  ctx: ServiceContext,
  failed: (error: unknown) => void,
): DownloadLog {
  const series = new Map<string, number>()
  let waiting: Download[] = []
  let writing: Promise<unknown> = Promise.resolve()
  let timer: NodeJS.Timeout | undefined

  function isNew({ shown, versionId, whole }: Download): boolean {
    const key = `${versionId} ${shown}`
    const begunAt = series.get(key) ?? Number.NEGATIVE_INFINITY
    if (!whole && ctx.now() - begunAt < SERIES_MS) return false
    series.delete(key)
    series.set(key, ctx.now())
    const [oldest] = series.keys()
    if (series.size > MOST_SERIES && oldest) series.delete(oldest)
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
      timer ??= setTimeout(flush, GATHER_MS)
    },
  }
}

async function write(ctx: ServiceContext, downloads: Download[]) {
  for (let i = 0; i < downloads.length; i += AT_ONCE) {
    const some = downloads.slice(i, i + AT_ONCE)
    await inTransaction(ctx, async (s) => {
      for (const download of some) await writeOne({ ...s, viewer: download.viewer }, download)
    })
  }
}

async function writeOne(s: TxContext, { versionId, via, bytes }: Download) {
  const found = await whereIs(s.tx, versionId)
  if (!found) return
  const details = { versionId, via, bytes }
  await record(s, { ...found, action: 'FILE_DOWNLOADED', details })
}

/** Null for what was purged in the meantime. */
async function whereIs(tx: Tx, versionId: string) {
  const [version] = await versionsById(tx, [versionId])
  const file = version && (await entryById(tx, version.fileId))
  if (!file) return null
  const parent = file.parentId ? await entryById(tx, file.parentId) : null
  return { workspaceId: file.workspaceId, entryId: file.id, path: pathOf(file, parent) }
}
