import type { ServiceContext, TxContext } from '../../../context.ts'
import { DomainError } from '../../../errors/domain-error.ts'
import { BatchAborted } from '../../../errors/entries.ts'
import { requireUnrevoked } from '../../accounts/reads.ts'
import { toWrite } from '../../entries/writes.ts'
import type { RowLink } from '../../tables/links.ts'
import { requireAccess } from '../../workspaces/reads.ts'
import { inWorkspaceTransaction } from '../../workspaces/transaction.ts'
import { confirmUpload } from '../confirm/confirm.ts'
import { confirmUploads } from '../confirm/confirm-uploads.ts'
import type { ConfirmUpload } from '../confirm/slow-confirms.ts'
import { createUploadRow, type NewUpload } from '../create/upload-row.ts'
import type { UploadRow } from '../rules.ts'
import { insertUpload } from '../writes.ts'
import type { FormUpload } from './forms.ts'
import { releaseReservation } from './reservation.ts'
import { clearUnassigned } from './unplaced.ts'

/** A file of a form whose `size` bytes are all stored. */
export type StoredFile = { form: FormUpload; input: NewUpload; size: number }

/**
 * Creates the files of a form, all of them or none. `linkRow` writes one row for each file. Throws the errors
 * of createUpload and confirmUpload; with several files the path of an error begins with `file` and the index
 * of the file.
 */
export async function completeForm(
  ctx: ServiceContext,
  files: readonly StoredFile[],
  linkRow: RowLink | null,
): Promise<UploadRow[]> {
  const uploads = await inWorkspaceTransaction(ctx, workspacesOf(files), (s) =>
    writeUploads(s, files),
  )
  for (const { form } of files) clearUnassigned(ctx, form.id)
  const confirms = uploads.map(({ id: uploadId }) => ({ uploadId, linkRow }))
  const [only] = confirms
  return only && confirms.length === 1
    ? [await confirmUpload(ctx, only)]
    : confirmAll(ctx, confirms)
}

const workspacesOf = (files: readonly StoredFile[]) => [
  ...new Set(
    files
      .flatMap(({ form, input }) => [input.workspaceId, form.reservation?.workspaceId ?? []])
      .flat(),
  ),
]

async function writeUploads(s: TxContext, files: readonly StoredFile[]): Promise<UploadRow[]> {
  const rows: UploadRow[] = []
  for (const [index, file] of files.entries()) {
    rows.push(await writeUpload(s, file).catch(throwOfFile(index, files.length)))
  }
  return rows
}

/** Replaces the reservation with the row that createUpload would insert. */
async function writeUpload(ctx: TxContext, { form, input, size }: StoredFile): Promise<UploadRow> {
  await requireUnrevoked(ctx.tx, ctx.viewer)
  if (form.reservation) await releaseReservation(ctx, form.reservation)
  const { autoFile } = await requireAccess(ctx.tx, ctx.viewer, input.workspaceId, toWrite)
  const wanted = { ...input, size, transport: 'FORM' as const }
  const draft = createUploadRow(ctx, wanted, autoFile === 1, form.id)
  return insertUpload(ctx, { ...draft, offset: size, status: 'RECEIVED' })
}

async function confirmAll(ctx: ServiceContext, uploads: ConfirmUpload[]): Promise<UploadRow[]> {
  const outcomes = await confirmUploads(ctx, { uploads, mode: 'ALL_OR_NOTHING' })
  const failed = outcomes.find(({ error }) => error && !(error instanceof BatchAborted))
  if (failed) throwOfFile(failed.index, uploads.length)(failed.error)
  return outcomes.flatMap(({ upload }) => upload ?? [])
}

/** Returns a function that rethrows an error, with the index of the file in its path if there are several. */
const throwOfFile =
  (index: number, count: number) =>
  (error: unknown): never => {
    if (count === 1 || !(error instanceof DomainError)) throw error
    throw error.at('file', String(index), ...(error.path ?? []))
  }
