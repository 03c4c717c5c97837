import { inTransaction, type ServiceContext, type TxContext } from '../../../context.ts'
import {
  InvalidInput,
  InvalidState,
  NotFound,
  UploadExpired,
  UploadIncomplete,
} from '../../../errors.ts'
import { enqueue } from '../../../jobs/queue.ts'
import { toWrite } from '../../entries/writes.ts'
import { requireAccess } from '../../workspaces/reads.ts'
import { release } from '../../workspaces/writes.ts'
import { createUploadRow, type NewUpload } from '../create/upload-row.ts'
import { uploadById, uploadsById } from '../reads.ts'
import { checkSize, isPartial, missingBytes, statusAt, type UploadRow } from '../rules.ts'
import { insertUpload } from '../writes.ts'

export const CONCAT_PARTS = 'joinParts'

/** Beside what createUpload takes: the header as it came, and the uploads that it names, in their order. */
export type NewFinal = Omit<NewUpload, 'size'> & { concat: string; partIds: readonly string[] }

/**
 * tus, concatenation: an upload whose bytes are those of complete partial ones, joined by a job. Their room becomes its own, and
 * they are good for no other; asked for again with the same parts it is the same upload. Throws what createUpload throws, and
 * NotFound, UploadIncomplete, UploadExpired and InvalidState for its parts.
 */
export function createFinal(
  ctx: ServiceContext,
  { partIds, ...input }: NewFinal,
): Promise<UploadRow> {
  return inTransaction(ctx, async (s) => {
    const { autoFile } = await requireAccess(s.tx, s.viewer, input.workspaceId, toWrite)
    const parts = await requireParts(s, input.workspaceId, partIds)
    const earlier = await madeBefore(s, parts, input.concat)
    if (earlier) return earlier
    for (const part of parts) refuseUnjoinable(part, s.now())
    const size = parts.reduce((sum, part) => sum + part.offset, 0)
    checkSize(size, s.limits.maxUploadBytes)
    const draft = createUploadRow(s, { ...input, size }, autoFile === 1)
    await takeOver(s, parts, draft.id)
    await enqueue(s.tx, { kind: CONCAT_PARTS, payload: { uploadId: draft.id, partIds } })
    // Also where there is not a byte to join, the job has the parts to release.
    return insertUpload(s, { ...draft, status: 'CREATED' })
  })
}

async function requireParts(
  { tx, viewer }: TxContext,
  workspaceId: string,
  ids: readonly string[],
) {
  if (ids.length === 0 || new Set(ids).size < ids.length) {
    throw new InvalidInput({ path: ['Upload-Concat'], message: 'names each partial upload once' })
  }
  return (await uploadsById(tx, ids)).map((part, index) => {
    if (part?.createdBy === viewer?.userId && part?.workspaceId === workspaceId) return part
    throw new NotFound(ids[index] ?? '')
  })
}

/** The answer may have been lost on its way: then the client asks once more. */
async function madeBefore({ tx }: TxContext, parts: UploadRow[], concat: string) {
  const [{ joinedInto } = { joinedInto: null }] = parts
  if (!joinedInto || parts.some((part) => part.joinedInto !== joinedInto)) return null
  const final = await uploadById(tx, joinedInto)
  return final?.concat === concat ? final : null
}

function refuseUnjoinable(part: UploadRow, now: number) {
  const status = statusAt(part, now)
  if (!isPartial(part)) {
    throw new InvalidInput({ path: ['Upload-Concat'], message: `${part.id} is not partial` })
  }
  if (part.joinedInto) throw new InvalidState('JOINED', `${part.id} is part of an upload already`)
  if (status === 'EXPIRED') throw new UploadExpired(part.expiresAt)
  if (status === 'CREATED' || status === 'RECEIVING') {
    throw new UploadIncomplete({ uploadId: part.id, missingBytes: missingBytes(part) })
  }
  if (status !== 'RECEIVED') throw new InvalidState(status, `${part.id} is over`)
}

/** Their room is given back for the final one to reserve. */
async function takeOver(s: TxContext, parts: UploadRow[], finalId: string) {
  for (const { id, workspaceId, reservedBytes } of parts) {
    const expiresAt = s.now() + s.limits.uploadTtlMs
    await s.tx
      .updateTable('uploads')
      .set({ joinedInto: finalId, reservedBytes: 0, expiresAt })
      .where('id', '=', id)
      .execute()
    await release(s, workspaceId, reservedBytes)
  }
}
