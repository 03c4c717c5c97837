import { once } from 'node:events'
import { createReadStream } from 'node:fs'
import { access, mkdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import { createInterface } from 'node:readline'
import type { BlobStore } from '../blobs/blob-store.ts'
import { diskPaths } from '../blobs/disk/paths.ts'
import { openBlobs, requireBucket } from '../blobs/open.ts'
import { type Config, type Env, StartupError } from '../config.ts'
import { openDatabase, openInMemory } from '../database/database.ts'
import { migrateToLatest } from '../database/migrate.ts'
import { multipartLedger } from '../database/multipart-store.ts'
import { requireNoTables, restorePostgres } from '../database/postgres/snapshot.ts'
import { createRateLimiter } from '../database/rate-limiter.ts'
import { readSigningKeys } from '../database/signing-keys.ts'
import type { BlobEntry } from '../database/snapshot.ts'
import { takeServerLock } from '../database/sqlite/server-lock.ts'
import { requireNoSqlite, restoreSqlite } from '../database/sqlite/snapshot.ts'
import { terminateAllUploads } from '../domains/uploads/end-all.ts'
import { stampStore } from '../domains/uploads/store/claim.ts'
import { openLog } from '../log.ts'
import { createSigningKeys } from '../signing/signing-keys.ts'
import { forgetBackups } from './lease.ts'
import { blobsListPath, bytesPath, type Manifest, readManifest, requirePart } from './manifest.ts'

const CONCURRENCY = 8

type Options = { config: Config; env: Env; dir: string }
export type Restored = { blobs: number; endedUploads: number; missing: string[] }

/**
 * Restores a backup into a place without rows and without bytes: first the bytes, each of which is verified, then all rows at once.
 * Throws StartupError before anything is written where the backup is not finished or has changed, or where the place is not empty.
 */
export async function restore({ config, env, dir }: Options): Promise<Restored> {
  const manifest = await readManifest(dir)
  requireSameKinds(config, manifest)
  const rows = await requirePart(dir, manifest.rows)
  await requirePart(dir, manifest.blobs)
  await using opened = new AsyncDisposableStack()
  opened.use(await requireNoRows(config, env))
  await restoreBytes(config, dir, manifest)
  const endedUploads = await restoreRows(config, env, { dump: rows, hasBytes: manifest.hasBytes })
  return { blobs: manifest.blobs.count, endedUploads, missing: manifest.missing }
}

type Rows = { dump: string; hasBytes: boolean }

async function restoreRows(
  { database, ...config }: Config,
  env: Env,
  { dump, hasBytes }: Rows,
): Promise<number> {
  if (database.kind === 'sqlite')
    return restoreSqlite(dump, database.path, (path) =>
      settle({ ...config, database: { ...database, path } }, hasBytes),
    )
  await restorePostgres(dump, database, env)
  return settle({ ...config, database }, hasBytes)
}

function requireSameKinds({ database, blobs }: Config, manifest: Manifest) {
  if (database.kind !== manifest.database)
    throw new StartupError(
      `The backup is of ${wording[manifest.database]}, and DATABASE_URL names ${wording[database.kind]}.`,
    )
  if (!manifest.hasBytes && blobs.kind === 'disk')
    throw new StartupError(
      'The backup has no bytes: it was made with --rows-only, and S3_BUCKET must name their bucket.',
    )
}
const wording = { sqlite: 'a SQLite database', postgres: 'a PostgreSQL database' }

/** No server can start over a SQLite file until this is disposed. */
async function requireNoRows({ database, logLevel }: Config, env: Env): Promise<Disposable | null> {
  if (database.kind === 'postgres') {
    await requireNoTables(database, env)
    return null
  }
  await requireNoSqlite(database.path)
  await mkdir(dirname(database.path), { recursive: true, mode: 0o700 })
  return takeServerLock(database.path, { timeoutMs: 0, log: openLog(logLevel) })
}

/** The store needs rows for the parts of a bucket: until the real ones are there, a database in memory has them. */
async function restoreBytes(config: Config, dir: string, manifest: Manifest) {
  await requireBucket(config.blobs)
  if (!manifest.hasBytes) return
  await using opened = new AsyncDisposableStack()
  const scratch = opened.adopt(openInMemory(), (db) => db.destroy())
  await migrateToLatest(scratch)
  const store = await openBlobs(config.blobs, multipartLedger(scratch))
  await requireNoBytes(store)
  const missing = new Set(manifest.missing)
  const source = diskPaths(bytesPath(dir))
  const running = new Set<Promise<void>>()
  for await (const blob of listed(dir)) {
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
      'The place for the bytes belongs to an installation already. DATA_DIR or S3_PREFIX must name an empty one.',
    )
  for (const where of ['kept', 'staged'] as const)
    for await (const { key } of store.list(where))
      throw new StartupError(
        `The place for the bytes is not empty: it has ${key}. DATA_DIR or S3_PREFIX must name an empty one.`,
      )
}

async function* listed(dir: string): AsyncGenerator<BlobEntry> {
  for await (const line of createInterface({ input: createReadStream(blobsListPath(dir)) }))
    if (line !== '') yield JSON.parse(line)
}

/** Nothing but whole and durable bytes gets its final name. */
async function restoreBlob(store: BlobStore, path: string, { id, size, sha256 }: BlobEntry) {
  await access(path).catch(() => {
    throw new StartupError(`The backup lacks the bytes of ${id}, which its manifest names.`)
  })
  const bytes = createReadStream(path)
  await once(bytes, 'open')
  await store.stage(id, size)
  const length = await store.append(id, 0, bytes).finally(() => bytes.destroy())
  if (length !== size || (await store.sha256(id, size)) !== sha256)
    throw new StartupError(`The bytes of ${id} have changed since the backup was made.`)
  await store.adopt(id)
}

/** What was under way when the rows were copied is not any more. Bytes that were restored with them are theirs from the beginning. */
async function settle(
  { database, blobs, limits, logLevel }: Config,
  hasBytes: boolean,
): Promise<number> {
  await using opened = new AsyncDisposableStack()
  const unhurried =
    database.kind === 'sqlite' ? database : { ...database, poolSize: 2, statementTimeoutMs: 0 }
  const db = opened.adopt(openDatabase(unhurried), (db) => db.destroy())
  await migrateToLatest(db)
  await forgetBackups(db)
  const store = await openBlobs(blobs, multipartLedger(db))
  if (hasBytes) await stampStore({ db, blobs: store, now: Date.now }, null, openLog(logLevel))
  const signingKeys = createSigningKeys(await readSigningKeys(db), Date.now)
  const nobody = { viewer: null, signingKeys, publicUrl: '' }
  const counter = createRateLimiter(db, Date.now)
  return await terminateAllUploads({ ...nobody, db, blobs: store, limits, now: Date.now, counter })
}
