import { once } from 'node:events'
import { createReadStream } from 'node:fs'
import { access } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import type { BlobStore } from '../blobs/blob-store.ts'
import { diskPaths } from '../blobs/disk/paths.ts'
import { openBlobs, requireBucket } from '../blobs/open.ts'
import type { Config } from '../config/config.ts'
import type { Env } from '../config/env.ts'
import { StartupError } from '../config/startup-error.ts'
import { openDatabase, openInMemory, withoutStatementTimeout } from '../database/database.ts'
import { migrateToLatest } from '../database/migrate.ts'
import { createMultipartStore } from '../database/multipart-store.ts'
import { createRateLimiter } from '../database/rate-limit/limiter.ts'
import { readSigningKeys } from '../database/signing-keys.ts'
import type { BlobEntry } from '../database/snapshot/contents.ts'
import { lockEmptyDatabase, restoreDump } from '../database/snapshot/snapshot.ts'
import { terminateAllUploads } from '../domains/uploads/end-all.ts'
import { stampStore } from '../domains/uploads/store/claim.ts'
import { openLog } from '../log.ts'
import { createSigningKeys } from '../signing/signing-keys.ts'
import { deleteBackupLeases } from './lease.ts'
import { blobsListPath, bytesPath, type Manifest, readManifest, requirePart } from './manifest.ts'

const CONCURRENCY = 8

type Options = { config: Config; env: Env; dir: string }
export type Restored = { blobs: number; endedUploads: number; missing: string[] }

/**
 * Restores a backup into an empty database and an empty store: first the bytes, each verified by its hash,
 * then all rows in one step. Throws StartupError: before anything is written if the backup is unfinished, its
 * rows or its list of blobs have changed, or the target is not empty; later if bytes are missing or have
 * changed.
 */
export async function restore({ config, env, dir }: Options): Promise<Restored> {
  const manifest = await readManifest(dir)
  requireSameKinds(config, manifest)
  const rows = await requirePart(dir, manifest.rows)
  await requirePart(dir, manifest.blobs)
  await using opened = new AsyncDisposableStack()
  opened.use(await lockEmptyDatabase(config.database, env, openLog(config.logLevel)))
  await restoreBytes(config, dir, manifest)
  const endedUploads = await restoreDump(rows, config.database, env, (database) =>
    finishRestore({ ...config, database }, manifest.hasBytes),
  )
  return { blobs: manifest.blobs.count, endedUploads, missing: manifest.missing }
}

function requireSameKinds({ database, blobs }: Config, manifest: Manifest) {
  if (database.kind !== manifest.database)
    throw new StartupError(
      `The backup is of ${wording[manifest.database]}, but DATABASE_URL names ${wording[database.kind]}.`,
    )
  if (!manifest.hasBytes && blobs.kind === 'disk')
    throw new StartupError(
      'The backup contains no bytes (--rows-only); S3_BUCKET must name the bucket that has them.',
    )
}
const wording = { sqlite: 'a SQLite database', postgres: 'a PostgreSQL database' }

/**
 * Copies the bytes into the store. A bucket store needs rows for its multipart uploads; these are in an
 * in-memory database until the real rows are restored.
 */
async function restoreBytes(config: Config, dir: string, manifest: Manifest) {
  await requireBucket(config.blobs)
  if (!manifest.hasBytes) return
  await using opened = new AsyncDisposableStack()
  const scratch = opened.adopt(openInMemory(), (db) => db.destroy())
  await migrateToLatest(scratch)
  const store = await openBlobs(config.blobs, createMultipartStore(scratch))
  await requireNoBytes(store)
  const missing = new Set(manifest.missing)
  const source = diskPaths(bytesPath(dir))
  const running = new Set<Promise<void>>()
  for await (const blob of readBlobList(dir)) {
    if (missing.has(blob.id)) continue
    const restoring = restoreBlob(store, source.kept(blob.id), blob)
    running.add(restoring)
    restoring.finally(() => running.delete(restoring)).catch(() => {})
    if (running.size >= CONCURRENCY) await Promise.race(running)
  }
  await Promise.all(running)
}

async function requireNoBytes(store: BlobStore) {
  if (await store.record.read())
    throw new StartupError(
      'The target store already belongs to an installation. DATA_DIR or S3_PREFIX must name an empty store.',
    )
  for (const place of ['kept', 'staged'] as const)
    for await (const { key } of store.list(place))
      throw new StartupError(
        `The target store is not empty: it contains ${key}. DATA_DIR or S3_PREFIX must name an empty store.`,
      )
}

async function* readBlobList(dir: string): AsyncGenerator<BlobEntry> {
  for await (const line of createInterface({ input: createReadStream(blobsListPath(dir)) }))
    if (line !== '') yield JSON.parse(line)
}

/** Verifies size and hash before the blob is committed. */
async function restoreBlob(store: BlobStore, path: string, { id, size, sha256 }: BlobEntry) {
  await access(path).catch(() => {
    throw new StartupError(`The backup lacks the bytes of ${id}, which its manifest lists.`)
  })
  const bytes = createReadStream(path)
  await once(bytes, 'open')
  await store.stage(id, size)
  const length = await store.append(id, 0, bytes).finally(() => bytes.destroy())
  if (length !== size || (await store.sha256(id, size)) !== sha256)
    throw new StartupError(`The bytes of ${id} have changed since the backup was made.`)
  await store.commit(id)
}

/**
 * Terminates the uploads and backups that were running at the time of the snapshot, and returns the number of
 * terminated uploads. A store whose bytes were restored is stamped as belonging to the database.
 */
async function finishRestore(
  { database, blobs, limits, logLevel }: Config,
  hasBytes: boolean,
): Promise<number> {
  await using opened = new AsyncDisposableStack()
  const db = opened.adopt(openDatabase(withoutStatementTimeout(database)), (db) => db.destroy())
  await migrateToLatest(db)
  await deleteBackupLeases(db)
  const store = await openBlobs(blobs, createMultipartStore(db))
  if (hasBytes) await stampStore({ db, blobs: store, now: Date.now }, null, openLog(logLevel))
  const signingKeys = createSigningKeys(await readSigningKeys(db), Date.now)
  const system = { viewer: null, signingKeys, publicUrl: '' }
  const counter = createRateLimiter(db, Date.now)
  return await terminateAllUploads({ ...system, db, blobs: store, limits, now: Date.now, counter })
}
