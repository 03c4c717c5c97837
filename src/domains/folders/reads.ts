import type { Db } from '../../database/database.ts'
import { folderKind } from '../../database/query/entry-kinds.ts'
import type { MediaKind } from '../../database/tables.ts'
import type { WorkspaceRow } from '../workspaces/reads.ts'
import { remainingBytesOf } from '../workspaces/rules.ts'

export type Usage = {
  currentBytes: number
  olderVersionBytes: number
  trashedBytes: number
  reservedBytes: number
  storedBytes: number
  quotaBytes: number | null
  remainingBytes: number | null
  fileCount: number
  folderCount: number
  workspaceId: string
}

/** Returns the usage of a workspace from stored figures, which every transaction updates. */
export async function usageOf(db: Db, { id }: Pick<WorkspaceRow, 'id'>): Promise<Usage> {
  const row = await db
    .selectFrom('workspaces as w')
    .innerJoin('entries as root', 'root.id', 'w.rootId')
    .select(['w.id as workspaceId', 'trashedBytes', 'reservedBytes', 'storedBytes', 'quotaBytes'])
    .select(['usedBytes', 'size as currentBytes', 'olderBytes as olderVersionBytes'])
    .select(['fileCount', 'folderCount'])
    .where('w.id', '=', id)
    .executeTakeFirstOrThrow()
  return { ...row, remainingBytes: remainingBytesOf(row) }
}

export type KindUsage = { kind: MediaKind; bytes: number; fileCount: number }

/**
 * Returns the usage by kind of file without the trash, summed over the folders and sorted by size in
 * descending order.
 */
export async function usageByKind(db: Db, workspaceId: string): Promise<KindUsage[]> {
  const rows = await db
    .selectFrom('folderKinds as k')
    .innerJoin('entries as f', 'f.id', 'k.folderId')
    .select(['k.mediaKind as kind'])
    .select((eb) => [eb.fn.sum<number>('k.bytes').as('bytes')])
    .select((eb) => [eb.fn.sum<number>('k.fileCount').as('fileCount')])
    .where('f.workspaceId', '=', workspaceId)
    .where('f.kind', '=', folderKind)
    .where('f.trashRootId', 'is', null)
    .groupBy('k.mediaKind')
    .having((eb) => eb.fn.sum('k.fileCount'), '>', 0)
    .execute()
  return rows
    .map(({ kind, bytes, fileCount }) => ({
      kind,
      bytes: Number(bytes),
      fileCount: Number(fileCount),
    }))
    .sort((a, b) => b.bytes - a.bytes || a.kind.localeCompare(b.kind))
}
