import { createWriteStream } from 'node:fs'
import { mkdir, readdir } from 'node:fs/promises'
import { dirname, join, resolve, sep } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { openBlobs, requireBucket } from '../blobs/open.ts'
import { type Config, type Env, StartupError } from '../config.ts'
import type { Db } from '../database/database.ts'
import { multipartLedger } from '../database/multipart-store.ts'
import { openExisting } from '../database/open-existing.ts'
import { postgresSnapshot } from '../database/postgres/snapshot.ts'
import type { BlobEntry, Snapshot } from '../database/snapshot.ts'
import { sqliteSnapshot } from '../database/sqlite/snapshot.ts'
import { fsyncDirectory, syncFile } from '../fsync.ts'
import { blobCopier } from './copy-blobs.ts'
import { type BackupLease, takeBackupLease } from './lease.ts'
import {
  blobsListPath,
  bytesPath,
  describePart,
  type Manifest,
  rowsName,
  writeManifest,
} from './manifest.ts'

/** Small files are nothing but waiting; a large one has a disk for itself soon enough. */
const CONCURRENCY = 8

type Options = { config: Config; env: Env; dir: string; rowsOnly: boolean }

/**
 * Makes a backup in a new or empty folder, also beside servers that run: the rows of one moment, then the bytes that these refer to,
 * then the manifest. Throws StartupError where that cannot be; then there is no manifest, and the folder is no backup.
 */
export async function backUp({ config, env, dir, rowsOnly }: Options): Promise<Manifest> {
  const { database, blobs } = config
  if (rowsOnly && blobs.kind === 'disk')
    throw new StartupError(
      '--rows-only is for bytes in a bucket: those in a folder are part of a backup.',
    )
  await requireEmptyFolder(dir, config)
  await requireBucket(blobs)
  await using opened = new AsyncDisposableStack()
  const db = opened.adopt(await openExisting(unhurried(database)), (db) => db.destroy())
  // From here on bytes stay, so that what the rows of the snapshot refer to is there when it is copied.
  const lease = opened.use(await takeBackupLease(db))
  const snapshot = opened.use(await openSnapshot(database, env))
  await makeFolder(dir)
  const rows = rowsName[database.kind]
  await snapshot.dump(join(dir, rows))
  await syncFile(join(dir, rows))
  const store = await openBlobs(blobs, multipartLedger(db))
  const copier = rowsOnly ? null : blobCopier(blobs, store, bytesPath(dir))
  const copied = await copyAll(snapshot, dir, async (blob) => {
    lease.requireHeld()
    return copier === null || (await copier.copy(blob)) === null
  })
  await copier?.sync()
  const manifest: Manifest = {
    format: 1,
    createdAt: new Date().toISOString(),
    database: database.kind,
    rows: await describePart(dir, rows),
    blobs: { ...(await describePart(dir, 'blobs.jsonl')), ...copied.sums },
    hasBytes: !rowsOnly,
    missing: await stillReferred(db, copied.missing),
  }
  await finish(dir, lease, manifest)
  return manifest
}

const openSnapshot = (database: Config['database'], env: Env): Promise<Snapshot> =>
  database.kind === 'sqlite' ? sqliteSnapshot(database.path) : postgresSnapshot(database, env)

async function finish(dir: string, lease: BackupLease, manifest: Manifest) {
  lease.requireHeld()
  await writeManifest(dir, manifest)
  await fsyncDirectory(dirname(dir))
}

/** Copies some blobs at a time, and lists each. */
async function copyAll(
  snapshot: Snapshot,
  dir: string,
  copy: (blob: BlobEntry) => Promise<boolean>,
) {
  const sums = { count: 0, bytes: 0 }
  const missing: string[] = []
  async function* lines() {
    for await (const some of inBatches(snapshot.blobs())) {
      const copied = await Promise.all(some.map(copy))
      for (const [i, blob] of some.entries()) {
        if (!copied[i]) missing.push(blob.id)
        sums.count += 1
        sums.bytes += blob.size
        yield `${JSON.stringify(blob)}\n`
      }
    }
  }
  const list = createWriteStream(blobsListPath(dir), { flags: 'wx', mode: 0o600, flush: true })
  await pipeline(lines(), list)
  return { sums, missing }
}

async function* inBatches(blobs: AsyncIterable<BlobEntry>): AsyncGenerator<BlobEntry[]> {
  let some: BlobEntry[] = []
  for await (const blob of blobs) {
    some.push(blob)
    if (some.length < CONCURRENCY) continue
    yield some
    some = []
  }
  if (some.length > 0) yield some
}

/** What is missing in the store is told. What was purged meanwhile has been deleted in spite of the lease: then nothing is certain. */
async function stillReferred(db: Db, missing: string[]): Promise<string[]> {
  for (const id of missing) {
    const blob = await db
      .selectFrom('blobs')
      .select('id')
      .where('id', '=', id)
      .where('unreferencedAt', 'is', null)
      .executeTakeFirst()
    if (!blob)
      throw new StartupError(`The bytes of ${id} were deleted meanwhile; begin the backup again.`)
  }
  return missing
}

async function requireEmptyFolder(dir: string, { blobs }: Config) {
  if (blobs.kind === 'disk' && `${resolve(dir)}${sep}`.startsWith(`${blobs.dir}${sep}`))
    throw new StartupError(`${dir} lies in ${blobs.dir}, which holds nothing but bytes.`)
  const found = await readdir(dir).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    throw new StartupError(`${dir} cannot be used (${error.code}).`)
  })
  if (found.length > 0)
    throw new StartupError(
      `${dir} is not empty; a backup is made in a new folder, or an empty one.`,
    )
}

async function makeFolder(dir: string) {
  await mkdir(dir, { recursive: true, mode: 0o700 }).catch((error) => {
    throw new StartupError(`${dir} cannot be made (${error.code}).`)
  })
}

const unhurried = (database: Config['database']) =>
  database.kind === 'sqlite' ? database : { ...database, poolSize: 2, statementTimeoutMs: 0 }
