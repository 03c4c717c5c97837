import { requireRoom } from '../figures.ts'
import { reject, tryInModel } from '../refusal.ts'
import { type Entry, insertEntry, type Model, type Upload } from '../state/model-state.ts'
import { namesOf } from '../state/names.ts'
import { folderOrRoot, requireLive } from '../state/paths.ts'
import { linkFile, type RowLink } from '../state/rows.ts'
import { claimName, ensureFolders } from '../state/tree.ts'
import { merged } from './folders.ts'
import { addTags } from './tags.ts'
import { addVersion } from './versions.ts'

export type ConfirmOptions = { size?: number; sha256?: string; comment?: string; linkRow?: RowLink }

export function requireUpload(model: Model, uploadId: string): Upload {
  return [...model.uploads.values()].find(({ id }) => id === uploadId) ?? reject('NOT_FOUND')
}

/** Confirms an upload in the model. Does nothing if it is COMPLETE. Throws Rejection. */
export function confirm(model: Model, upload: Upload, options: ConfirmOptions = {}): void {
  if (upload.status === 'COMPLETE') return
  assertConfirmable(upload, options)
  checkBytes(upload, options)
  publish(model, upload, options)
}

/** Creates the file of an upload and links its row. */
export function publish(model: Model, upload: Upload, { comment = null, linkRow }: PublishOptions) {
  upload.status = 'COMPLETE'
  const file = createFile(model, upload, comment)
  upload.file = file.key
  if (linkRow) linkFile(model, file, linkRow)
}
type PublishOptions = { comment?: string | null; linkRow?: RowLink }

export function assertConfirmable({ status, size, offset }: Upload, options: ConfirmOptions) {
  if (status === 'FAILED') reject('CHECKSUM_MISMATCH')
  if (status === 'CANCELED') reject('INVALID_STATE')
  if (size !== offset) reject('UPLOAD_INCOMPLETE')
  if (options.size !== undefined && options.size !== size) reject('SIZE_MISMATCH')
}

/** Compares the hash of the bytes. A mismatch with the announced hash fails the upload for good. */
export function checkBytes(upload: Upload, { sha256 }: ConfirmOptions) {
  const actual = upload.content.sha256
  if (upload.sha256 !== null && upload.sha256 !== actual) {
    upload.status = 'FAILED'
    reject('CHECKSUM_MISMATCH', true)
  }
  if (sha256 !== undefined && sha256 !== actual) reject('CHECKSUM_MISMATCH')
}

function createFile(model: Model, upload: Upload, comment: string | null): Entry {
  const { workspace, versionOf, content } = upload
  const bytes = { size: content.size, sha256: content.sha256, comment }
  if (versionOf !== null) return addVersion(model, requireLive(model, { id: versionOf }), bytes)
  const target = folderOrRoot(model, workspace, upload.folder)
  const folder = ensureFolders(model, target, namesOf(upload.path), 'NAME_CONFLICT')
  const { name, existing } = claimName(model, folder, upload.name, upload.onConflict)
  if (existing?.kind === 'folder') reject('NAME_CONFLICT')
  if (!existing) return newFile(model, upload, folder, name, bytes)
  addTags(model, existing, upload.tags)
  return addVersion(model, existing, bytes)
}

type Bytes = { size: number; sha256: string; comment: string | null }
function newFile(model: Model, upload: Upload, folder: Entry, name: string, bytes: Bytes): Entry {
  const { workspace, description } = upload
  requireRoom(model, workspace, bytes.size)
  const metadata = merged({}, upload.metadata)
  const facts = { kind: 'file' as const, description, metadata, parent: folder.key }
  const file = insertEntry(model, { workspace, name, ...facts })
  file.versions = [{ key: model.next++, id: null, number: 1, ...bytes }]
  addTags(model, file, upload.tags)
  return file
}

/** Confirms an upload with auto-confirm after its last byte. Returns the error code, or null. */
export function applyAutoConfirm(model: Model, { key, autoConfirm, size, offset }: Upload) {
  if (!autoConfirm || size !== offset) return null
  const result = tryInModel(model, () => {
    const upload = model.uploads.get(key)
    if (upload) confirm(model, upload)
  })
  return 'code' in result ? result.code : null
}
