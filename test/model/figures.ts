import { reject } from './refusal.ts'
import type { Entry, Model, Upload, Version } from './state/model-state.ts'
import { isLive } from './state/tree.ts'

export const sizeOf = (versions: readonly Version[]) =>
  versions.reduce((sum, { size }) => sum + size, 0)

const current = ({ versions }: Entry) => versions.slice(-1)
const older = ({ versions }: Entry) => versions.slice(0, -1)

const reservedBy = ({ status, size, offset }: Upload) => (status === 'OPEN' ? (size ?? offset) : 0)

/** Computes the usage of a workspace from its entries and uploads. */
export function usageOf(model: Model, workspace: number) {
  const entries = [...model.entries.values()].filter((entry) => entry.workspace === workspace)
  const live = entries.filter((entry) => isLive(model, entry))
  const trashed = entries.filter((entry) => !isLive(model, entry))
  const uploads = [...model.uploads.values()].filter((upload) => upload.workspace === workspace)
  const versions = entries.flatMap((entry) => entry.versions)
  const contents = new Map(versions.map(({ sha256, size }) => [sha256, size]))
  return {
    currentBytes: sizeOf(live.flatMap(current)),
    olderVersionBytes: sizeOf(live.flatMap(older)),
    trashedBytes: sizeOf(trashed.flatMap((entry) => entry.versions)),
    reservedBytes: uploads.reduce((sum, upload) => sum + reservedBy(upload), 0),
    storedBytes: [...contents.values()].reduce((sum, size) => sum + size, 0),
    quotaBytes: model.workspaces[workspace]?.quota ?? null,
    fileCount: live.filter(({ kind }) => kind === 'file').length,
    folderCount: live.filter(({ kind }) => kind === 'folder').length - 1,
  }
}

/** Rejects with QUOTA_EXCEEDED if the quota has less than `bytes` left. */
export function requireRoom(model: Model, workspace: number, bytes: number) {
  const { quotaBytes, currentBytes, olderVersionBytes, trashedBytes, reservedBytes } = usageOf(
    model,
    workspace,
  )
  if (quotaBytes === null) return
  const taken = currentBytes + olderVersionBytes + trashedBytes + reservedBytes
  if (taken + bytes > quotaBytes) reject('QUOTA_EXCEEDED')
}
