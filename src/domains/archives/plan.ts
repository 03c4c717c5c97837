import { join } from 'node:path'
import type { Db } from '../../database/database.ts'
import type { EntryRow } from '../entries/reads.ts'
import { MANIFEST_HEAD, MANIFEST_TAIL, type ManifestEntry, manifestEntry } from './manifest.ts'
import { MANIFEST, memberName } from './members.ts'
import { createTempFile, createTempFolder, type TempFile } from './temp-file.ts'
import { type TreeItem, treeBelow } from './tree.ts'
import { centralSize, ENDING_BYTES, type Member, memberSize } from './zip-writer.ts'

/** A member, and where its bytes are: in a blob, in the manifest's own file, or, of a folder, nowhere. */
export type Planned = Member & { blobId: string | null }

/** An archive as it will be, to the byte, before a byte of it is read. Disposing forgets it. */
export type ArchivePlan = {
  size: number
  /** Of the whole archive; changes with whatever changes in it. */
  etag: string
  manifest: Planned
  /** Where the central directory begins, how long it is, and how many members it has. */
  central: { offset: number; size: number; count: number }
  /** All members but the manifest, which comes last. */
  members: () => AsyncGenerator<Planned>
  /** The lines of the manifest's entries. */
  manifestEntries: () => AsyncGenerator<ManifestEntry>
  openManifest: TempFile['read']
} & AsyncDisposable

const TRIES = 3

/**
 * Walks the tree below a folder once and writes what it finds to two files beside: so the memory stays the same for a million
 * entries, and what changes while the archive is sent changes nothing in it. A tree that changed while it was walked is
 * walked again.
 */
export async function planArchive(db: Db, root: EntryRow): Promise<ArchivePlan> {
  for (let tries = 1; ; tries++) {
    const before = await lastSeq(db, root)
    const plan = await planOnce(db, root)
    if (tries === TRIES || before === (await lastSeq(db, root))) return plan
    await plan[Symbol.asyncDispose]()
  }
}

async function lastSeq(db: Db, { workspaceId }: EntryRow): Promise<number> {
  const row = await db
    .selectFrom('workspaces')
    .select('lastSeq')
    .where('id', '=', workspaceId)
    .executeTakeFirstOrThrow()
  return row.lastSeq
}

async function planOnce(db: Db, root: EntryRow): Promise<ArchivePlan> {
  await using opened = new AsyncDisposableStack()
  const { dir } = opened.use(await createTempFolder('holdall-archive-'))
  const members = opened.use(await createTempFile(join(dir, 'members')))
  const manifest = opened.use(await createTempFile(join(dir, 'manifest')))
  const sum = { offset: 0, size: 0, count: 0 }
  const add = (member: Member) => {
    sum.size += centralSize(member, sum.offset)
    sum.offset += memberSize(member)
    sum.count++
  }
  await manifest.write(MANIFEST_HEAD)
  let lines = 0
  let modifiedAt = 0
  for await (const item of treeBelow(db, root)) {
    const entry = manifestEntry(item)
    await manifest.write(`${lines++ > 0 ? ',\n' : ''}${JSON.stringify(entry)}`)
    for (const member of membersOf(item, entry)) {
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
  const kept = opened.move()
  return {
    size: sum.offset + sum.size + ENDING_BYTES,
    etag: `"${sha256}"`,
    manifest: last,
    central: sum,
    members: () => members.lines<Planned>(),
    manifestEntries: () => entriesOf(manifest.lines),
    openManifest: (range) => manifest.read(range),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  }
}

function membersOf({ entry, path, versions }: TreeItem, told: ManifestEntry): Planned[] {
  if (entry.kind === 'folder') {
    const name = `${memberName(path)}/`
    return [{ name, size: 0, modifiedAt: entry.updatedAt, blobId: null }]
  }
  return versions.map(({ size, createdAt, blobId }, i) => ({
    name: told.versions?.[i]?.member ?? '',
    size,
    modifiedAt: createdAt,
    blobId,
  }))
}

/** Without the first and the last line, which hold no entry. */
async function* entriesOf(
  lines: (parse: (line: string) => ManifestEntry | null) => AsyncGenerator<ManifestEntry>,
) {
  yield* lines((line) => (line.startsWith('{"path"') ? JSON.parse(line.replace(/,$/, '')) : null))
}
