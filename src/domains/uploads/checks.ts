import type { Expression, ExpressionBuilder, SqlBool } from 'kysely'
import { checkSize } from '../../blobs/verify.ts'
import type { Tables } from '../../database/tables.ts'
import { type Check, type CheckContext, type Finding, paginateIds } from '../../fsck/check.ts'
import { expireUpload } from './jobs.ts'
import { isOverdue, uploadsById } from './reads.ts'
import { canExpire, isTerminal, type UploadRow, uploadStatuses } from './rules.ts'

const open = uploadStatuses.filter((status) => !isTerminal(status))
const terminal = uploadStatuses.filter(isTerminal)
/** Generous, because a running server ends overdue uploads within minutes. */
const OVERDUE_MS = 3_600_000

/** Checks that overdue uploads have ended. */
export const overdueCheck: Check = {
  scan: (c) => uploadsWhere(c, (eb) => isOverdue(eb, c.now() - OVERDUE_MS)),
  evaluate: async (c, ids) =>
    (await rowsOf(c, ids))
      .filter((upload) => canExpire(upload) && upload.expiresAt <= c.now() - OVERDUE_MS)
      .map((upload) => ({
        code: 'UPLOAD_OVERDUE',
        subject: upload.id,
        says: `it expired at ${new Date(upload.expiresAt).toISOString()} and has not ended`,
        repair: () => expireUpload(c, upload),
      })),
}

const uploadsWhere = ({ db }: CheckContext, where: (eb: Where) => Expression<SqlBool>) =>
  paginateIds((after, most) =>
    db
      .selectFrom('uploads')
      .select('id')
      .where('id', '>', after)
      .where(where)
      .orderBy('id')
      .limit(most)
      .execute(),
  )
type Where = ExpressionBuilder<Tables, 'uploads'>

const rowsOf = async ({ db }: CheckContext, ids: readonly string[]) =>
  (await uploadsById(db, ids)).filter((upload) => upload !== null)

/** Checks that ended uploads reserve no space. */
export const reservationsCheck: Check = {
  scan: (c) =>
    uploadsWhere(c, (eb) => eb.and([eb('status', 'in', terminal), eb('reservedBytes', '!=', 0)])),
  evaluate: async (c, ids) =>
    (await rowsOf(c, ids))
      .filter(({ status, reservedBytes }) => isTerminal(status) && reservedBytes !== 0)
      .map(({ id, status, reservedBytes }) => ({
        code: 'UPLOAD_ROOM',
        subject: id,
        says: `it is ${status} and still reserves ${reservedBytes} bytes`,
        repair: () => releaseReserved(c, id),
      })),
}

/** Clears the reservation of an upload. A later check recounts the reserved bytes of the workspace. */
const releaseReserved = ({ db }: CheckContext, id: string) =>
  db
    .updateTable('uploads')
    .set({ reservedBytes: 0 })
    .where('id', '=', id)
    .where('status', 'in', terminal)
    .execute()

/**
 * Checks that the recorded bytes of open uploads exist. The bytes are staged, or committed while a confirm or
 * concatenation runs.
 */
export const stagedCheck: Check = {
  async *scan(c) {
    const staged = await sizesOf(c)
    const kept = await c.kept()
    for await (const ids of openUploads(c)) {
      const suspicious = (await rowsOf(c, ids)).filter(
        ({ id, offset }) => offset > Math.max(staged.get(id) ?? 0, kept.get(id) ?? 0),
      )
      if (suspicious.length > 0) yield suspicious.map(({ id }) => id)
    }
  },
  async evaluate(c, ids) {
    const staged = await sizesOf(c)
    const found: Finding[] = []
    for (const upload of await rowsOf(c, ids)) {
      const bytes = staged.get(upload.id)
      const isComplete = isTerminal(upload.status) || upload.offset <= (bytes ?? 0)
      if (!isComplete && !(await isStoredElsewhere(c, upload)))
        found.push(missingBytes(upload, bytes))
    }
    return found
  },
}

const openUploads = (c: CheckContext) =>
  uploadsWhere(c, (eb) => eb.and([eb('status', 'in', open), eb('offset', '>', 0)]))

async function sizesOf({ blobs }: CheckContext): Promise<Map<string, number>> {
  const sizes = new Map<string, number>()
  for await (const { key, size } of blobs.list('staged')) sizes.set(key, size)
  return sizes
}

/** Returns whether the bytes are already committed, or were sent to the bucket with a presigned URL. */
async function isStoredElsewhere(
  { blobs }: CheckContext,
  { id, offset, size, transport }: UploadRow,
) {
  if ((await checkSize(blobs, id, offset)) === null) return true
  if (!blobs.presigned || transport !== 'SIGNED_PUT' || size === null) return false
  return (await blobs.presigned.uploadedSize(id, size)) >= offset
}

const missingBytes = ({ id, offset }: UploadRow, bytes: number | undefined): Finding => ({
  code: 'UPLOAD_BYTES',
  subject: id,
  says: `${offset} bytes are recorded, but ${bytes ?? 0} are staged`,
  left: 'the client has to upload the file again; cancelUpload or its expiry ends this upload',
})
