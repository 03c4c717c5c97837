import { join } from 'node:path'
import type { Db } from '../../database/database.ts'
import { lastSeqOf } from '../activity/reads.ts'
import type { FolderRow } from '../entries/reads.ts'
import { createTempFile, createTempFolder, type TempFile } from './import/temp-file.ts'
import {
  MANIFEST_HEAD,
  MANIFEST_TAIL,
  type ManifestEntry,
  manifestEntry,
  versionMember,
} from './manifest.ts'
import { type TreeItem, treeBelow } from './tree.ts'
import { MANIFEST, memberName } from './zip/members.ts'
import { centralSize, ENDING_BYTES, type Member, memberSize } from './zip/zip-writer.ts'

/** A member of the archive. `blobId` is null for folders and the manifest. */
export type Planned = Member & { blobId: string | null }

/**
 * The exact layout of an archive, known before any file is read. Dispose it to delete its temporary files.
 */
export type ArchivePlan = {
  size: number
  /** The ETag of the archive, which changes with every change in it. */
  etag: string
  manifest: Planned
  /** Offset and size of the central directory in bytes, and the number of members. */
  central: { offset: number; size: number; count: number }
  /** All members except the manifest, which is the last member. */
  members: () => AsyncGenerator<Planned>
  manifestEntries: () => AsyncGenerator<ManifestEntry>
  openManifest: TempFile['read']
} & AsyncDisposable

const MAX_ATTEMPTS = 3

/**
 * Plans the archive of a folder. Scans the tree once into two temporary files: memory use does not grow with
 * the number of entries, and changes during the download do not affect the archive. If the tree changes
 * during the scan, scans it again, up to MAX_ATTEMPTS times in total.
 */
export async function planArchive(db: Db, root: FolderRow): Promise<ArchivePlan> {
  for (let attempt = 1; ; attempt++) {
    const before = await lastSeqOf(db, root.workspaceId)
    const plan = await planOnce(db, root)
    if (attempt === MAX_ATTEMPTS || before === (await lastSeqOf(db, root.workspaceId))) return plan
    await plan[Symbol.asyncDispose]()
  }
}

async function planOnce(db: Db, root: FolderRow): Promise<ArchivePlan> {
  await using opened = new AsyncDisposableStack()
  const { dir } = opened.use(await createTempFolder('holdall-archive-'))
  const members = opened.use(await createTempFile(join(dir, 'members')))
  const manifest = opened.use(await createTempFile(join(dir, 'manifest')))
  const central = { offset: 0, size: 0, count: 0 }
  const add = (member: Member) => {
    central.size += centralSize(member, central.offset)
    central.offset += memberSize(member)
    central.count++
  }
  await manifest.write(MANIFEST_HEAD)
  let lines = 0
  let modifiedAt = 0
  for await (const item of treeBelow(db, root)) {
    await manifest.write(`${lines++ > 0 ? ',\n' : ''}${JSON.stringify(manifestEntry(item))}`)
    for (const member of membersOf(item)) {
      modifiedAt = Math.max(modifiedAt, member.modifiedAt)
      add(member)
      await members.write(`${JSON.stringify(member)}\n`)
    }
  }
  await manifest.write(MANIFEST_TAIL)
  await members.flush()
  const { size, crc, sha256 } = await manifest.flush()
  const last: Planned = { name: MANIFEST, size, crc, modifiedAt, blobId: null }
  add(last)
  const resources = opened.move()
  return {
    size: central.offset + central.size + ENDING_BYTES,
    etag: `"${sha256}"`,
    manifest: last,
    central: central,
    members: () => members.lines<Planned>(),
    manifestEntries: () => entriesOf(manifest.lines),
    openManifest: (range) => manifest.read(range),
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  }
}

function membersOf({ entry, path, versions }: TreeItem): Planned[] {
  if (entry.kind === 'folder') {
    const name = `${memberName(path)}/`
    return [{ name, size: 0, modifiedAt: entry.updatedAt, blobId: null }]
  }
  return versions.map((version) => {
    const { size, createdAt: modifiedAt, blobId } = version
    return { name: versionMember(entry, path, version), size, modifiedAt, blobId }
  })
}

/** Skips the first and the last line, which contain no entry. */
async function* entriesOf(
  lines: (parse: (line: string) => ManifestEntry | null) => AsyncGenerator<ManifestEntry>,
) {
  yield* lines((line) => (line.startsWith('{"path"') ? JSON.parse(line.replace(/,$/, '')) : null))
}
