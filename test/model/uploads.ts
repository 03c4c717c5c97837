import { requireRoom } from './figures.ts'
import type { Content, Upload, World } from './model-state.ts'
import { checkName, namesOf } from './names.ts'
import { folderOrRoot, requireLive, requireWorkspace } from './paths.ts'
import { refuse } from './refusal.ts'
import { at, childNamed, pathOf } from './tree.ts'

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
/** What is sent, and what only the model needs to know. */
export type Creation = { input: CreateUpload; content: Content }

export const openUploads = ({ uploads }: World) =>
  [...uploads.values()].filter(({ status }) => status === 'OPEN')

export const statusOf = ({ status, offset, size }: Upload) => {
  if (status !== 'OPEN') return status
  if (offset === size) return 'RECEIVED'
  return offset === 0 ? 'CREATED' : 'RECEIVING'
}

/** The row of an upload, where nothing is in its way. */
export function insertUpload(
  world: World,
  { input, content }: Creation,
  autoConfirm = false,
): Upload {
  const workspace = requireWorkspace(world, input.workspaceId)
  const again = [...world.uploads.values()].find(
    (upload) =>
      upload.workspace === workspace &&
      upload.idempotencyKey !== null &&
      upload.idempotencyKey === input.idempotencyKey,
  )
  if (again) return again
  const { path = '', folderId = null, versionOf = null, size = null } = input
  checkName(input.name)
  requirePlace(world, workspace, input)
  requireRoom(world, workspace, size ?? 0)
  const upload: Upload = {
    ...{ key: world.next++, id: null, workspace, name: input.name, path, folder: folderId },
    ...{ versionOf, onConflict: input.onConflict, tags: input.tags ?? [] },
    ...{ description: input.description ?? null, metadata: input.metadata ?? {} },
    ...{ sha256: input.sha256 ?? null, autoConfirm, content, size, offset: 0 },
    idempotencyKey: input.idempotencyKey ?? null,
    ...{ status: 'OPEN', forgotten: false, file: null },
  }
  world.uploads.set(upload.key, upload)
  return upload
}

function requirePlace(world: World, workspace: number, input: CreateUpload) {
  const { path = '', folderId = null, versionOf } = input
  const folder = folderOrRoot(world, workspace, folderId)
  if (folder.workspace !== workspace) refuse('NOT_FOUND')
  const below = namesOf(path)
  if (versionOf !== undefined) return requireVersioned(world, workspace, versionOf)
  const there = at(world, workspace, [...namesOf(pathOf(world, folder)), ...below])
  const isTaken = there?.kind === 'folder' && childNamed(world, there, input.name)
  if (input.onConflict === 'FAIL' && isTaken) refuse('NAME_CONFLICT')
}

function requireVersioned(world: World, workspace: number, id: string) {
  const file = requireLive(world, { id })
  if (file.workspace !== workspace) refuse('NOT_FOUND')
  if (file.kind === 'folder') refuse('INVALID_STATE')
}
