import { createHash } from 'node:crypto'
import { type FileHandle, mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import type { Db } from '../../database/database.ts'
import type { EntryRow } from '../entries/reads.ts'
import { centralSize, ENDING_BYTES, type Member, memberSize } from './layout.ts'
import { MANIFEST_HEAD, MANIFEST_TAIL, type ManifestEntry, manifestEntry } from './manifest.ts'
import { MANIFEST, memberName } from './members.ts'
import { type TreeItem, treeBelow } from './tree.ts'

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
  openManifest: (range: { start: number; end: number }) => ReturnType<FileHandle['createReadStream']>
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
  const dir = await mkdtemp(join(tmpdir(), 'holdall-archive-'))
  await using opened = new AsyncDisposableStack()
  opened.defer(() => rm(dir, { recursive: true, force: true }))
  const members = opened.use(await openSpool(join(dir, 'members')))
  const manifest = opened.use(await openSpool(join(dir, 'manifest')))
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
    manifestEntries: () => entriesOf(manifest.lines<ManifestEntry>),
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
async function* entriesOf(lines: (parse: (line: string) => ManifestEntry | null) => AsyncGenerator<ManifestEntry>) {
  yield* lines((line) => (line.startsWith('{"path"') ? JSON.parse(line.replace(/,$/, '')) : null))
}

const CHUNK_BYTES = 256 * 1024

/** A file that is written from its start to its end, and then read any number of times. */
async function openSpool(path: string) {
  const file = await open(path, 'wx+')
  const hash = createHash('sha256')
  let waiting: string[] = []
  let length = 0
  let size = 0
  let crc = 0
  async function flush() {
    const bytes = Buffer.from(waiting.join(''))
    waiting = []
    length = 0
    hash.update(bytes)
    crc = crc32(bytes, crc)
    size += (await file.write(bytes)).bytesWritten
  }
  return {
    async write(text: string) {
      waiting.push(text)
      length += text.length
      if (length >= CHUNK_BYTES) await flush()
    },
    async flush() {
      await flush()
      return { size, crc, sha256: hash.digest('hex') }
    },
    async *lines<T>(parse: (line: string) => T | null = JSON.parse): AsyncGenerator<T> {
      const reading = await open(path, 'r')
      for await (const line of reading.readLines()) {
        const value = parse(line)
        if (value !== null) yield value
      }
    },
    read: ({ start, end }: { start: number; end: number }) =>
      file.createReadStream({ start, end, autoClose: false, highWaterMark: CHUNK_BYTES }),
    [Symbol.asyncDispose]: () => file.close(),
  }
}
