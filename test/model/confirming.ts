import { requireRoom } from './figures.ts'
import { merged } from './folders.ts'
import { type Entry, insertEntry, type Upload, type World } from './model-state.ts'
import { namesOf } from './names.ts'
import { folderOrRoot, requireLive } from './paths.ts'
import { attempted, refuse } from './refusal.ts'
import { linkFile, type RowLink } from './rows.ts'
import { addTags } from './tags.ts'
import { claimName, ensureFolders } from './tree.ts'
import { addVersion } from './versions.ts'

export type Wishes = { size?: number; sha256?: string; comment?: string; linkRow?: RowLink }

export function requireUpload(world: World, uploadId: string): Upload {
  return [...world.uploads.values()].find(({ id }) => id === uploadId) ?? refuse('NOT_FOUND')
}

/** Makes an upload COMPLETE, which it may be already; whatever stands in the way is refused. */
export function confirm(world: World, upload: Upload, wishes: Wishes = {}): void {
  if (upload.status === 'COMPLETE') return
  refuseUnconfirmable(upload, wishes)
  checkBytes(upload, wishes)
  publish(world, upload, wishes)
}

/** Its bytes become a file, with the row that goes with it. */
export function publish(world: World, upload: Upload, { comment = null, linkRow }: PublishWishes) {
  upload.status = 'COMPLETE'
  const file = makeFile(world, upload, comment)
  upload.file = file.key
  if (linkRow) linkFile(world, file, linkRow)
}
type PublishWishes = { comment?: string | null; linkRow?: RowLink }

export function refuseUnconfirmable({ status, size, offset }: Upload, wishes: Wishes) {
  if (status === 'FAILED') refuse('CHECKSUM_MISMATCH')
  if (status === 'CANCELED') refuse('INVALID_STATE')
  if (size !== offset) refuse('UPLOAD_INCOMPLETE')
  if (wishes.size !== undefined && wishes.size !== size) refuse('SIZE_MISMATCH')
}

/** Bytes that are not the announced ones never will be. */
export function checkBytes(upload: Upload, { sha256 }: Wishes) {
  const actual = upload.content.sha256
  if (upload.sha256 !== null && upload.sha256 !== actual) {
    upload.status = 'FAILED'
    refuse('CHECKSUM_MISMATCH', true)
  }
  if (sha256 !== undefined && sha256 !== actual) refuse('CHECKSUM_MISMATCH')
}

function makeFile(world: World, upload: Upload, comment: string | null): Entry {
  const { workspace, versionOf, content } = upload
  const bytes = { size: content.size, sha256: content.sha256, comment }
  if (versionOf !== null) return addVersion(world, requireLive(world, { id: versionOf }), bytes)
  const target = folderOrRoot(world, workspace, upload.folder)
  const folder = ensureFolders(world, target, namesOf(upload.path))
  const { name, existing } = claimName(world, folder, upload.name, upload.onConflict)
  if (existing?.kind === 'folder') refuse('NAME_CONFLICT')
  if (!existing) return newFile(world, upload, folder, name, bytes)
  addTags(world, existing, upload.tags)
  return addVersion(world, existing, bytes)
}

type Bytes = { size: number; sha256: string; comment: string | null }
function newFile(world: World, upload: Upload, folder: Entry, name: string, bytes: Bytes): Entry {
  const { workspace, description } = upload
  requireRoom(world, workspace, bytes.size)
  const metadata = merged({}, upload.metadata)
  const facts = { kind: 'file' as const, description, metadata, parent: folder.key }
  const file = insertEntry(world, { workspace, name, ...facts })
  file.versions = [{ key: world.next++, id: null, number: 1, ...bytes }]
  addTags(world, file, upload.tags)
  return file
}

/** What the last byte of an upload does that confirms itself: the code where that is refused. */
export function confirmItself(world: World, { key, autoConfirm, size, offset }: Upload) {
  if (!autoConfirm || size !== offset) return null
  const result = attempted(world, () => {
    const upload = world.uploads.get(key)
    if (upload) confirm(world, upload)
  })
  return 'code' in result ? result.code : null
}
