import type { Entry, Upload, Version, World } from './model-state.ts'
import { refuse } from './refusal.ts'
import { isLive } from './tree.ts'

export const sizeOf = (versions: readonly Version[]) =>
  versions.reduce((sum, { size }) => sum + size, 0)

const current = ({ versions }: Entry) => versions.slice(-1)
const older = ({ versions }: Entry) => versions.slice(0, -1)

const reservedBy = ({ status, size, offset }: Upload) => (status === 'OPEN' ? (size ?? offset) : 0)

/** What a workspace counts, counted anew. */
export function usageOf(world: World, workspace: number) {
  const entries = [...world.entries.values()].filter((entry) => entry.workspace === workspace)
  const live = entries.filter((entry) => isLive(world, entry))
  const trashed = entries.filter((entry) => !isLive(world, entry))
  const uploads = [...world.uploads.values()].filter((upload) => upload.workspace === workspace)
  const versions = entries.flatMap((entry) => entry.versions)
  const contents = new Map(versions.map(({ sha256, size }) => [sha256, size]))
  return {
    currentBytes: sizeOf(live.flatMap(current)),
    olderVersionBytes: sizeOf(live.flatMap(older)),
    trashedBytes: sizeOf(trashed.flatMap((entry) => entry.versions)),
    reservedBytes: uploads.reduce((sum, upload) => sum + reservedBy(upload), 0),
    storedBytes: [...contents.values()].reduce((sum, size) => sum + size, 0),
    quotaBytes: world.workspaces[workspace]?.quota ?? null,
    fileCount: live.filter(({ kind }) => kind === 'file').length,
    folderCount: live.filter(({ kind }) => kind === 'folder').length - 1,
  }
}

/** Refuses so many bytes more where the quota has no room for them. */
export function requireRoom(world: World, workspace: number, bytes: number) {
  const { quotaBytes, currentBytes, olderVersionBytes, trashedBytes, reservedBytes } = usageOf(
    world,
    workspace,
  )
  if (quotaBytes === null) return
  const taken = currentBytes + olderVersionBytes + trashedBytes + reservedBytes
  if (taken + bytes > quotaBytes) refuse('QUOTA_EXCEEDED')
}
