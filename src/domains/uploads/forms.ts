import { newId } from '../../database/ids.ts'
import { Forbidden, InvalidState, Unauthenticated } from '../../errors.ts'
import { inTransaction, type Scope, type TxScope } from '../../scope.ts'
import { toWrite } from '../entries/writes.ts'
import type { RowLink } from '../tables/links.ts'
import { requireAccess, requireNamed } from '../workspaces/reads.ts'
import { release, reserve } from '../workspaces/writes.ts'
import { confirmUpload } from './confirm.ts'
import { draftOf, type NewUpload } from './drafts.ts'
import { endUpload, forgetBytes } from './endings.ts'
import { admitUpload } from './outstanding.ts'
import { uploadById } from './reads.ts'
import { commitOffset } from './receiving.ts'
import { isOver, type UploadRow } from './rules.ts'
import { insertUpload } from './writes.ts'

/**
 * A file that comes as part of a form. What is to become of it is known when the form has ended, for its fields may come behind
 * it; where they come before, or in the query, a row holds the room for its bytes from the first one on.
 */
export type FormUpload = { id: string; held: UploadRow | null }

/**
 * Makes room for bytes of which at least `bytes` will come. With a workspace, role and quota are asked now: NotFound,
 * Forbidden, QuotaExceeded, RateLimited. Without one, only what the token may do: Unauthenticated, Forbidden.
 */
export async function beginForm(
  scope: Scope,
  { workspaceId, bytes }: { workspaceId: string | null; bytes: number },
): Promise<FormUpload> {
  const { viewer } = scope
  if (!viewer) throw new Unauthenticated()
  if (!viewer.scopes.has('FILES_WRITE')) throw new Forbidden({ missingScopes: ['FILES_WRITE'] })
  const held = workspaceId && (await inTransaction(scope, (s) => hold(s, workspaceId, bytes)))
  const form = held ? { id: held.id, held } : { id: newId('upl'), held: null }
  await scope.blobs.stage(form.id).catch(async (error) => {
    await dropForm(scope, form)
    throw error
  })
  return form
}

async function hold(s: TxScope, workspaceId: string, bytes: number): Promise<UploadRow> {
  await requireNamed(s.tx, s.viewer, workspaceId, toWrite)
  await reserve(s, workspaceId, bytes)
  const draft = draftOf(s, { workspaceId, transport: 'FORM' }, false)
  await admitUpload(s, draft.createdBy, bytes)
  return s.tx
    .insertInto('uploads')
    .values({ ...draft, reservedBytes: bytes })
    .returningAll()
    .executeTakeFirstOrThrow()
}

/** So many bytes are durable: the room for them is reserved, and the upload waits for more. QuotaExceeded, RateLimited, InvalidState. */
export async function growForm(scope: Scope, form: FormUpload, offset: number): Promise<void> {
  if (!form.held) return
  form.held = (await commitOffset(scope, form.held, offset)) ?? taken()
}

/** A form that was cancelled has lost its bytes: that is no fault of the storage. */
export async function requireHeld({ db }: Scope, { held }: FormUpload): Promise<void> {
  const upload = held && (await uploadById(db, held.id))
  if (upload && isOver(upload.status)) taken()
}

/** All `size` bytes are there: makes the file as createUpload and confirmUpload do, and throws what they throw. */
export async function fileForm(
  scope: Scope,
  form: FormUpload,
  input: NewUpload,
  { size, linkRow }: { size: number; linkRow: RowLink | null },
): Promise<UploadRow> {
  const upload = await inTransaction(scope, (s) => writeUpload(s, form, { ...input, size }))
  return confirmUpload(scope, { uploadId: upload.id, linkRow })
}

/** The row as createUpload would have made it, in the place of the one that held the room. */
async function writeUpload(s: TxScope, { id, held }: FormUpload, input: NewUpload) {
  if (held) await letGo(s, held)
  const need = requireAccess(s.tx, s.viewer, input.workspaceId, toWrite)
  const draft = draftOf(s, { ...input, transport: 'FORM' }, (await need).autoFile === 1, id)
  return insertUpload(s, { ...draft, offset: input.size ?? 0, status: 'RECEIVED' })
}

async function letGo(s: TxScope, { id, fence, workspaceId, reservedBytes }: UploadRow) {
  const { numDeletedRows } = await s.tx
    .deleteFrom('uploads')
    .where('id', '=', id)
    .where('fence', '=', fence)
    .executeTakeFirst()
  if (numDeletedRows === 0n) taken()
  await release(s, workspaceId, reservedBytes)
}

/** Gives back what was reserved, and the bytes. */
export async function dropForm(scope: Scope, { id }: FormUpload): Promise<void> {
  await inTransaction(scope, (s) => endUpload(s, { id }, 'CANCELED'))
  const upload = await uploadById(scope.db, id)
  // One that is a file, or becomes one, keeps its bytes whatever else went wrong. Those of one that somebody else has ended may have
  // come after that.
  const isFile = upload && (upload.fileId !== null || !isOver(upload.status))
  if (!isFile) await forgetBytes(scope.blobs, id)
}

function taken(): never {
  throw new InvalidState('CANCELED', 'the upload was ended before the form was')
}
