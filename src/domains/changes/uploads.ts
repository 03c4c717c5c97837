import type { Db } from '../../database/database.ts'
import { uploadsById } from '../uploads/reads.ts'
import type { UploadRow } from '../uploads/rules.ts'
import { type Event, maybeByUpload, uploadBehind, uploadNamed } from './events.ts'

type BySeq = [seq: number, upload: UploadRow][]

/** The upload that each of these events concerns, by the event's number: made, failed, become a file or a version of one. */
export async function uploadsOf(db: Db, events: readonly Event[]): Promise<Map<number, UploadRow>> {
  return new Map([...(await named(db, events)), ...(await confirmed(db, events))])
}

async function named(db: Db, events: readonly Event[]): Promise<BySeq> {
  const naming = events.filter((event) => uploadNamed(event) !== null)
  if (naming.length === 0) return []
  const uploads = await uploadsById(
    db,
    naming.map((event) => uploadNamed(event) ?? ''),
  )
  return naming.flatMap(({ seq }, index): BySeq => {
    const upload = uploads[index]
    return upload ? [[seq, upload]] : []
  })
}

/** The log names the file alone. A confirm is of the same transaction as its event, and a moment older. */
async function confirmed(db: Db, events: readonly Event[]): Promise<BySeq> {
  const filing = events.filter(maybeByUpload)
  if (filing.length === 0) return []
  const moments = filing.map(({ at }) => at)
  const uploads = await db
    .selectFrom('uploads')
    .selectAll()
    .where('fileId', 'in', [...new Set(filing.map(({ entryId }) => entryId))])
    .where('confirmedAt', '>=', Math.min(...moments) - 60_000)
    .where('confirmedAt', '<=', Math.max(...moments))
    .execute()
  const oldestFirst = uploads.sort((a, b) => (a.confirmedAt ?? 0) - (b.confirmedAt ?? 0))
  const byFile = Map.groupBy(oldestFirst, ({ fileId }) => fileId)
  return filing.flatMap((event): BySeq => {
    const upload = uploadBehind(event, byFile.get(event.entryId) ?? [])
    return upload ? [[event.seq, upload]] : []
  })
}
