import { requireRoom } from '../figures.ts'
import { reject } from '../refusal.ts'
import type { Content, Entry, Model, Upload } from '../state/model-state.ts'
import { checkName, namesOf } from '../state/names.ts'
import { folderOrRoot, requireLive, requireWorkspace } from '../state/paths.ts'
import { at, byKey, checkFolderNames, childNamed, isLive, pathOf } from '../state/tree.ts'

type CreateUpload = {
  workspaceId: string
  path?: string
  folderId?: string
  name: string
  size?: number
  sha256?: string
  onConflict: string
  versionOf?: string
  idempotencyKey?: string
  description?: string
  tags?: string[]
  metadata?: Record<string, unknown>
}
/** The input of createUpload and the bytes to send. */
export type Creation = { input: CreateUpload; content: Content }

export const openUploads = ({ uploads }: Model) =>
  [...uploads.values()].filter(({ status }) => status === 'OPEN')

export const statusOf = ({ status, offset, size }: Upload) => {
  if (status !== 'OPEN') return status
  if (offset === size) return 'RECEIVED'
  return offset === 0 ? 'CREATED' : 'RECEIVING'
}

/** Adds an upload to the model, or returns the one with the same idempotency key. Throws Rejection. */
export function insertUpload(
  model: Model,
  { input, content }: Creation,
  autoConfirm = false,
): Upload {
  const workspace = requireWorkspace(model, input.workspaceId)
  const existing = [...model.uploads.values()].find(
    (upload) =>
      upload.workspace === workspace &&
      upload.idempotencyKey !== null &&
      upload.idempotencyKey === input.idempotencyKey,
  )
  if (existing && isRepeatable(model, existing)) return existing
  if (existing) existing.idempotencyKey = null
  const { path = '', folderId = null, versionOf = null, size = null } = input
  checkName(input.name)
  requirePlace(model, workspace, input)
  requireRoom(model, workspace, size ?? 0)
  const upload: Upload = {
    ...{ key: model.next++, id: null, workspace, name: input.name, path, folder: folderId },
    ...{ versionOf, onConflict: input.onConflict, tags: input.tags ?? [] },
    ...{ description: input.description ?? null, metadata: input.metadata ?? {} },
    ...{ sha256: input.sha256 ?? null, autoConfirm, content, size, offset: 0 },
    idempotencyKey: input.idempotencyKey ?? null,
    ...{ status: 'OPEN', isTerminated: false, file: null },
  }
  model.uploads.set(upload.key, upload)
  return upload
}

/** Whether the upload is open or its file exists and is not in the trash; otherwise its key begins anew. */
function isRepeatable(model: Model, { status, file }: Upload): boolean {
  if (status !== 'COMPLETE') return status === 'OPEN'
  return file !== null && isLive(model, byKey(model, file))
}

function requirePlace(model: Model, workspace: number, input: CreateUpload) {
  const { path: below = '', folderId = null, versionOf } = input
  const folder = folderOrRoot(model, workspace, folderId)
  if (folder.workspace !== workspace) reject('NOT_FOUND')
  const names = namesOf(below)
  if (versionOf !== undefined) return requireVersioned(model, workspace, versionOf)
  const path = [...namesOf(pathOf(model, folder)), ...names]
  const target = at(model, workspace, path)
  if (target?.kind !== 'folder') requireCreatable(model, path, folder, names)
  const isTaken = target?.kind === 'folder' && childNamed(model, target, input.name)
  if (input.onConflict === 'FAIL' && isTaken) reject('NAME_CONFLICT')
}

function requireCreatable(model: Model, path: string[], folder: Entry, names: string[]) {
  checkFolderNames(path)
  let entry: Entry | undefined = folder
  for (const name of names) {
    entry = entry && childNamed(model, entry, name)
    if (entry?.kind === 'file') reject('NAME_CONFLICT')
  }
}

function requireVersioned(model: Model, workspace: number, id: string) {
  const file = requireLive(model, { id })
  if (file.workspace !== workspace) reject('NOT_FOUND')
  if (file.kind === 'folder') reject('INVALID_STATE')
}
