import { createWriteStream } from 'node:fs'
import { mkdir, readdir } from 'node:fs/promises'
import { dirname, join, resolve, sep } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { openBlobs, requireBucket } from '../blobs/open.ts'
import type { Config } from '../config/config.ts'
import type { Env } from '../config/env.ts'
import { StartupError } from '../config/startup-error.ts'
import { type Db, withoutStatementTimeout } from '../database/database.ts'
import { createMultipartStore } from '../database/multipart-store.ts'
import { openExisting } from '../database/open-existing.ts'
import type { BlobEntry, Snapshot } from '../database/snapshot/contents.ts'
import { openSnapshot } from '../database/snapshot/snapshot.ts'
import { fsyncDirectory, syncFile } from '../fsync.ts'
import { blobCopier } from './copy-blobs.ts'
import { acquireBackupLease, type BackupLease } from './lease.ts'
import {
  blobsListPath,
  bytesPath,
  describePart,
  type Manifest,
  rowsName,
  writeManifest,
} from './manifest.ts'

/**
 * Number of blobs copied at a time: small files are bound by latency, and a large file saturates the disk.
 */
const CONCURRENCY = 8

type Options = { config: Config; env: Env; dir: string; rowsOnly: boolean }

/**
 * Creates a backup in a new or empty directory; servers may keep running. Writes a snapshot of the rows, then
 * the bytes that they reference, then the manifest. Throws StartupError if that fails; the directory then has
 * no manifest and is not a backup.
 */
export async function backUp({ config, env, dir, rowsOnly }: Options): Promise<Manifest> {
  const { database, blobs } = config
  if (rowsOnly && blobs.kind === 'disk')
    throw new StartupError(
      '--rows-only requires a bucket (S3_BUCKET): a backup includes the bytes of a DATA_DIR.',
    )
  await requireEmptyDirectory(dir, config)
  await requireBucket(blobs)
  await using opened = new AsyncDisposableStack()
  const existing = await openExisting(withoutStatementTimeout(database))
  const db = opened.adopt(existing, (db) => db.destroy())
  // The lease keeps referenced bytes from being deleted between the snapshot and the copy.
  const lease = opened.use(await acquireBackupLease(db))
  const snapshot = opened.use(await openSnapshot(database, env))
  await makeDirectory(dir)
  const rows = rowsName[database.kind]
  await snapshot.dump(join(dir, rows))
  await syncFile(join(dir, rows))
  const store = await openBlobs(blobs, createMultipartStore(db))
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
    missing: await requireReferenced(db, copied.missing),
  }
  await finish(dir, lease, manifest)
  return manifest
}

async function finish(dir: string, lease: BackupLease, manifest: Manifest) {
  lease.requireHeld()
  await writeManifest(dir, manifest)
  await fsyncDirectory(dirname(dir))
}

/** Copies the blobs in batches and writes one line per blob to the list. */
async function copyAll(
  snapshot: Snapshot,
  dir: string,
  copy: (blob: BlobEntry) => Promise<boolean>,
) {
  const sums = { count: 0, bytes: 0 }
  const missing: string[] = []
  async function* lines() {
    for await (const batch of inBatches(snapshot.blobs())) {
      const copied = await Promise.all(batch.map(copy))
      for (const [i, blob] of batch.entries()) {
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
  let batch: BlobEntry[] = []
  for await (const blob of blobs) {
    batch.push(blob)
    if (batch.length < CONCURRENCY) continue
    yield batch
    batch = []
  }
  if (batch.length > 0) yield batch
}

/**
 * Returns the missing blobs that rows still reference. Throws StartupError if one of them was purged during
 * the backup: its bytes were deleted despite the lease, so other bytes may be missing too.
 */
async function requireReferenced(db: Db, missing: string[]): Promise<string[]> {
  for (const id of missing) {
    const blob = await db
      .selectFrom('blobs')
      .select('id')
      .where('id', '=', id)
      .where('unreferencedAt', 'is', null)
      .executeTakeFirst()
    if (!blob)
      throw new StartupError(
        `The bytes of ${id} were deleted during the backup; start the backup again.`,
      )
  }
  return missing
}

async function requireEmptyDirectory(dir: string, { blobs }: Config) {
  if (blobs.kind === 'disk' && `${resolve(dir)}${sep}`.startsWith(`${blobs.dir}${sep}`))
    throw new StartupError(
      `${dir} is inside ${blobs.dir}, the directory of the blobs; choose another directory.`,
    )
  const found = await readdir(dir).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    throw new StartupError(`${dir} cannot be read (${error.code}).`)
  })
  if (found.length > 0)
    throw new StartupError(`${dir} is not empty; a backup needs a new or empty directory.`)
}

async function makeDirectory(dir: string) {
  await mkdir(dir, { recursive: true, mode: 0o700 }).catch((error) => {
    throw new StartupError(`${dir} cannot be created (${error.code}).`)
  })
}
