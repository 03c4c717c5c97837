import type { ServiceContext, TxContext } from '../../../context.ts'
import { NotFound } from '../../../errors/access.ts'
import { InvalidState } from '../../../errors/entries.ts'
import { InvalidInput } from '../../../errors/input.ts'
import { UploadExpired, UploadIncomplete } from '../../../errors/uploads.ts'
import { toWrite } from '../../entries/writes.ts'
import { requireAccess } from '../../workspaces/reads.ts'
import { inWorkspaceTransaction } from '../../workspaces/transaction.ts'
import { release } from '../../workspaces/writes.ts'
import { createUploadRow, type NewUpload } from '../create/upload-row.ts'
import { uploadById, uploadsById } from '../reads.ts'
import { checkSize, isPartial, isTerminal, statusAt, type UploadRow } from '../rules.ts'
import { insertUpload } from '../writes.ts'
import { enqueueConcat } from './concat-parts-job.ts'

/**
 * The input of createUpload plus the Upload-Concat header and the ids of the partial uploads that it names,
 * in order.
 */
export type NewFinal = Omit<NewUpload, 'size'> & { concat: string; partIds: readonly string[] }

/**
 * Creates the final upload of the tus concatenation extension. A job then concatenates the bytes of the
 * partial uploads, which may still be arriving; their lengths must be known. The reserved space of the parts
 * moves to the final upload, and no other final upload can use them. A repeated request with the same parts
 * returns the same upload. Throws the errors of createUpload, and NotFound, UploadIncomplete, UploadExpired
 * and InvalidState for the parts.
 */
export function createFinal(
  ctx: ServiceContext,
  { partIds, ...input }: NewFinal,
): Promise<UploadRow> {
  return inWorkspaceTransaction(ctx, input.workspaceId, async (s) => {
    const { autoFile } = await requireAccess(s.tx, s.viewer, input.workspaceId, toWrite)
    const parts = await requireParts(s, input.workspaceId, partIds)
    const existing = await findExisting(s, parts, input.concat)
    if (existing) return existing
    const size = parts.reduce((sum, part) => sum + sizeOfPart(part, s.now()), 0)
    checkSize(size, s.limits.maxUploadBytes)
    const draft = createUploadRow(s, { ...input, size }, autoFile === 1)
    await claimParts(s, parts, draft.id)
    await enqueueConcat(s.tx, { uploadId: draft.id, partIds: [...partIds] })
    // CREATED even if there are no bytes to concatenate, because the job must still end the parts.
    return insertUpload(s, { ...draft, status: 'CREATED' })
  })
}

async function requireParts(
  { tx, viewer }: TxContext,
  workspaceId: string,
  ids: readonly string[],
) {
  if (ids.length === 0 || new Set(ids).size < ids.length) {
    throw new InvalidInput({
      path: ['Upload-Concat'],
      message: 'must name each partial upload once',
    })
  }
  const parts = await uploadsById(tx, ids)
  return ids.map((id, index) => {
    const part = parts[index]
    if (part?.createdBy === viewer?.userId && part?.workspaceId === workspaceId) return part
    throw new NotFound(id)
  })
}

/** Returns the final upload if this request repeats an earlier one, because the client lost its response. */
async function findExisting({ tx }: TxContext, parts: UploadRow[], concat: string) {
  const [{ joinedInto } = { joinedInto: null }] = parts
  if (!joinedInto || parts.some((part) => part.joinedInto !== joinedInto)) return null
  const final = await uploadById(tx, joinedInto)
  return final?.concat === concat ? final : null
}

/** Returns the length of a part. Throws unless it can be concatenated. */
function sizeOfPart(part: UploadRow, now: number): number {
  const status = statusAt(part, now)
  if (!isPartial(part)) {
    throw new InvalidInput({
      path: ['Upload-Concat'],
      message: `${part.id} is not a partial upload`,
    })
  }
  if (part.joinedInto)
    throw new InvalidState('JOINED', `${part.id} is already part of another upload`)
  if (status === 'EXPIRED') throw new UploadExpired(part.expiresAt)
  if (isTerminal(status))
    throw new InvalidState(status, `${part.id} has ended with status ${status}`)
  if (part.size === null) throw new UploadIncomplete({ uploadId: part.id, missingBytes: null })
  return part.size
}

/** Marks the parts as used and releases their space, so that the final upload can reserve it. */
async function claimParts(s: TxContext, parts: UploadRow[], finalId: string) {
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
