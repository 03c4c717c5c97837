import type { Db } from '../../database/database.ts'
import { uploadsById } from '../uploads/reads.ts'
import type { UploadRow } from '../uploads/rules.ts'
import { type Event, findSourceUpload, mayComeFromUpload, uploadIdOf } from './events.ts'

/** Maximum time between `confirmedAt` of an upload and the event of its confirm. */
const MAX_CONFIRM_AGE_MS = 60_000

type BySeq = [seq: number, upload: UploadRow][]

/**
 * Returns, by sequence number, the uploads of these events: uploads that were created, that failed, or that
 * became a file or a version.
 */
export async function uploadsBySeq(
  db: Db,
  events: readonly Event[],
): Promise<Map<number, UploadRow>> {
  return new Map([...(await uploadsInDetails(db, events)), ...(await confirmedUploads(db, events))])
}

async function uploadsInDetails(db: Db, events: readonly Event[]): Promise<BySeq> {
  const ids = new Map(
    events.flatMap((event) => {
      const id = uploadIdOf(event)
      return id === null ? [] : [[event.seq, id] as const]
    }),
  )
  if (ids.size === 0) return []
  const uploads = await uploadsById(db, [...ids.values()])
  return [...ids.keys()].flatMap((seq, index): BySeq => {
    const upload = uploads[index]
    return upload ? [[seq, upload]] : []
  })
}

/**
 * Returns the uploads that became files or versions. Their events contain only the id of the file, so the
 * uploads are found by file and time: one transaction sets `confirmedAt` and logs the event shortly
 * afterwards.
 */
async function confirmedUploads(db: Db, events: readonly Event[]): Promise<BySeq> {
  const fileEvents = events.filter(mayComeFromUpload)
  if (fileEvents.length === 0) return []
  const times = fileEvents.map(({ at }) => at)
  const uploads = await db
    .selectFrom('uploads')
    .selectAll()
    .where('fileId', 'in', [...new Set(fileEvents.map(({ entryId }) => entryId))])
    .where('confirmedAt', '>=', Math.min(...times) - MAX_CONFIRM_AGE_MS)
    .where('confirmedAt', '<=', Math.max(...times))
    .$narrowType<{ confirmedAt: number }>()
    .execute()
  const oldestFirst = uploads.sort((a, b) => a.confirmedAt - b.confirmedAt)
  const byFile = Map.groupBy(oldestFirst, ({ fileId }) => fileId)
  return fileEvents.flatMap((event): BySeq => {
    const upload = findSourceUpload(event, byFile.get(event.entryId) ?? [])
    return upload ? [[event.seq, upload]] : []
  })
}
