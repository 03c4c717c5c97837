import { existsSync, statSync } from 'node:fs'
import { access, constants, mkdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { BlobStore } from './blobs/blob-store.ts'
import { guardDeletes } from './blobs/delete-guard.ts'
import { createDiskSpace, type DiskSpace, withDiskReserve } from './blobs/disk-space.ts'
import { openBlobs, requireBucket } from './blobs/open.ts'
import type { MultipartStore } from './blobs/s3/multipart-state.ts'
import { verifyingStore } from './blobs/verifying-store.ts'
import { openVolume, type VolumeName, type VolumeState } from './blobs/volume.ts'
import { type BlobsConfig, type Config, type DatabaseConfig, namesOf } from './config/config.ts'
import { isFull, openAt } from './config/open-at.ts'
import { StartupError } from './config/startup-error.ts'
import type { ServiceContext } from './context.ts'
import { openDatabaseClock } from './database/clock.ts'
import { type Db, hasSeveralProcesses, openDatabase, ping } from './database/database.ts'
import { migrateToLatest } from './database/migrate.ts'
import { createMultipartStore } from './database/multipart-store.ts'
import { startListener } from './database/postgres/listener.ts'
import { deleteEndedCounters } from './database/rate-limit/counters.ts'
import { createRateLimiter } from './database/rate-limit/limiter.ts'
import { readSigningKeys, refreshSigningKeys } from './database/signing-keys.ts'
import { takeServerLock } from './database/sqlite/server-lock.ts'
import { transact } from './database/transaction.ts'
import { authenticate } from './domains/accounts/reads.ts'
import { ensureOwner } from './domains/accounts/writes.ts'
import { SWEEP_BLOBS } from './domains/files/blobs.ts'
import { markDamaged } from './domains/files/damage.ts'
import { sweepBlobs } from './domains/files/jobs.ts'
import { expectedBytes } from './domains/files/reads.ts'
import { SCRUB_BLOBS, scrubBlobs } from './domains/files/scrub.ts'
import { registerTables } from './domains/tables/writes.ts'
import { purgeExpired } from './domains/trash/jobs.ts'
import { DRAIN_PURGED, drainPurged } from './domains/trash/purge.ts'
import { createConcatHandler } from './domains/uploads/concat/concat-job.ts'
import { concatPartsJob } from './domains/uploads/concat/concat-parts-job.ts'
import {
  createAutoConfirmer,
  ENQUEUE_CONFIRMS,
  enqueueMissingConfirms,
} from './domains/uploads/confirm/auto-confirm.ts'
import { createConfirmResumer } from './domains/uploads/confirm/confirm-job.ts'
import { autoConfirmJob } from './domains/uploads/confirm/pending-confirms.ts'
import { resumeConfirmJob } from './domains/uploads/confirm/slow-confirms.ts'
import { expireUploads, releaseDeadConfirms } from './domains/uploads/jobs.ts'
import { openUploads } from './domains/uploads/reads.ts'
import { renewLeasesOver } from './domains/uploads/receive/leases.ts'
import { claimStore } from './domains/uploads/store/claim.ts'
import { deletePermission } from './domains/uploads/store/delete-permission.ts'
import { processQuarantine } from './domains/uploads/store/quarantine.ts'
import { keepStamped } from './domains/uploads/store/restamp.ts'
import { sweepOrphans } from './domains/uploads/store/sweep.ts'
import { Unauthenticated } from './errors/access.ts'
import { fsyncDirectory } from './fsync.ts'
import { enqueue } from './jobs/queue.ts'
import { type Runner, type RunnerOptions, startRunner } from './jobs/runner.ts'
import { type Log, openLog } from './log.ts'
import { createSigningKeys } from './signing/signing-keys.ts'

/** How long a starting server waits for the previous one, which may still be closing. */
const LOCK_TIMEOUT_MS = 10_000

/** The application context, which lives as long as the process. */
export type App = Omit<ServiceContext, 'viewer' | 'publicUrl'> & {
  config: Config
  log: Log
  jobs: Runner
  /** Free space on the disks of this server. */
  space: DiskSpace
  /** The owner's secret on the very first start; null on later starts. */
  firstToken: string | null
  /**
   * Returns the context of a request from its Authorization header; without the header, the viewer is null.
   * Throws Unauthenticated if the token is not valid.
   */
  contextFor(authorization: string | undefined, publicUrl: string): Promise<ServiceContext>
} & AsyncDisposable

/**
 * Opens the database and the store and starts the background jobs; disposing stops and closes them in reverse
 * order. `now` replaces the clock in tests. Throws StartupError if the environment does not allow this.
 */
export async function openApp(
  config: Config,
  { log = openLog(config.logLevel), now: given }: { log?: Log; now?: () => number } = {},
): Promise<App> {
  await using opened = new AsyncDisposableStack()
  const { database } = config
  await requireWritable('DATA_DIR', config.dataDir)
  warnIfReadable(config, log)
  opened.use(await lockDatabase(database, log))
  const db = opened.adopt(await openServerDatabase(database), (db) => db.destroy())
  await migrate(database)
  await requireConnection(db)
  const now = given ?? (await openClock(opened, db))
  opened.use(connectToOthers(db, database, log))
  await registerTables({ db, now }, config.linkableTables)
  const bytes = await openStore(config.blobs, createMultipartStore(db, now))
  const claim = { names: namesOf(config), adopt: config.adoptStore, log }
  await claimStore({ db, now, blobs: bytes }, claim)
  const stamped = opened.use(keepStamped({ db, now, blobs: bytes }, log))
  const space = createDiskSpace(volumesOf(config, log), await openUploads(db))
  const store = withDiskReserve(
    guardDeletes(stamped.blobs, deletePermission({ db, now, blobs: bytes }, log)),
    space,
  )
  const signingKeys = createSigningKeys(await readSigningKeys(db), now)
  opened.use(refreshSigningKeys({ db, log }, signingKeys))
  const owner = await ensureOwner({ db, now }, config.adminToken)
  const base = { db, now, signingKeys, limits: config.limits, counter: createRateLimiter(db, now) }
  const withoutViewer = { ...base, viewer: null, publicUrl: '' }
  const blobs = verifyingStore(store, {
    now,
    verifies: config.verifyReads,
    expected: (key) => expectedBytes(db, key),
    onDamage: (key, damage) => markDamaged({ ...withoutViewer, blobs: store }, key, damage),
  })
  const shared = { ...base, blobs }
  // Runs once at startup and not only in the next period: the rows of an older version or a restored backup
  // may lack jobs.
  await transact(db, (tx) =>
    enqueue(tx, { id: ENQUEUE_CONFIRMS, kind: ENQUEUE_CONFIRMS, runAt: now() }),
  )
  const jobs = startRunner({ db, now, log, ...jobsOf({ ...withoutViewer, blobs }, config, log) })
  opened.defer(() => jobs.stop())
  // Slow jobs have their own runner, so that no other job waits for them.
  const slow = startRunner({
    db,
    now,
    log,
    ...slowJobsOf({ ...withoutViewer, blobs: store }, config, log),
  })
  opened.defer(() => slow.stop())
  const open = opened.move()
  return {
    ...shared,
    config,
    log,
    jobs,
    space,
    firstToken: owner?.secret ?? null,
    async contextFor(authorization, publicUrl) {
      const viewer = authorization ? await authenticate(shared, parseBearer(authorization)) : null
      return { ...shared, viewer, publicUrl }
    },
    [Symbol.asyncDispose]: () => open.disposeAsync(),
  }
}

/** Returns the database's clock if several processes share the database; otherwise the local clock. */
async function openClock(opened: AsyncDisposableStack, db: Db) {
  return hasSeveralProcesses(db) ? opened.use(await openDatabaseClock(db)).now : Date.now
}

/** Returns the handlers and schedule of the background jobs, which run without a viewer. */
function jobsOf(
  ctx: ServiceContext,
  { quarantineMs }: Config,
  log: Log,
): Pick<RunnerOptions, 'handlers' | 'every'> {
  const onFailure = (err: unknown) => log.error({ err }, 'resuming a confirm failed')
  return {
    handlers: {
      expireUploads: (_, signal) => expireUploads(ctx, signal),
      releaseDeadConfirms: () => releaseDeadConfirms(ctx),
      [resumeConfirmJob.kind]: createConfirmResumer(ctx, onFailure),
      [autoConfirmJob.kind]: createAutoConfirmer(ctx, onFailure),
      [ENQUEUE_CONFIRMS]: (_, signal) => enqueueMissingConfirms(ctx, signal),
      [concatPartsJob.kind]: createConcatHandler(ctx),
      sweepOrphans: (_, signal) => sweepOrphans(ctx, { signal, log }),
      tendQuarantine: (_, signal) => processQuarantine(ctx, { quarantineMs, signal, log }),
      dropTallies: () => deleteEndedCounters(ctx.db, ctx.now()),
      purgeOutlived: (_, signal) => purgeExpired(ctx, signal),
      [DRAIN_PURGED]: (_, signal) => drainPurged(ctx, signal),
      [SWEEP_BLOBS]: (_, signal) => sweepBlobs(ctx, signal),
    },
    every: [
      { kind: 'expireUploads', ms: 60_000 },
      { kind: 'releaseDeadConfirms', ms: 60_000 },
      { kind: ENQUEUE_CONFIRMS, ms: 60_000 },
      // Listing a bucket takes one request per thousand objects.
      { kind: 'sweepOrphans', ms: ctx.blobs.presigned ? 86_400_000 : 3_600_000 },
      { kind: 'tendQuarantine', ms: 3_600_000 },
      { kind: 'dropTallies', ms: 600_000 },
      { kind: 'purgeOutlived', ms: 600_000 },
    ],
  }
}

/** Returns the handlers and schedule of the background jobs that may take hours. */
function slowJobsOf(
  ctx: ServiceContext,
  { scrub }: Config,
  log: Log,
): Pick<RunnerOptions, 'handlers' | 'every' | 'pollMs'> {
  if (!scrub) return { handlers: {}, every: [] }
  const onFailure = (err: unknown, blobId: string) =>
    log.warn({ err, blobId }, 'the scrub could not read a blob')
  return {
    handlers: {
      [SCRUB_BLOBS]: (_, signal) => scrubBlobs(ctx, { ...scrub, failed: onFailure }, signal),
    },
    every: [{ kind: SCRUB_BLOBS, ms: 3_600_000 }],
    pollMs: 60_000,
  }
}

/** Parses a bearer token (RFC 6750 §2.1). The scheme is case-insensitive (RFC 9110 §11.1). */
function parseBearer(authorization: string): string {
  const secret = /^Bearer +([\w.~+/-]+=*)$/i.exec(authorization)?.[1]
  if (!secret) throw new Unauthenticated()
  return secret
}

async function requireWritable(variable: string, dir: string) {
  try {
    await makeFolder(dir)
    await access(dir, constants.W_OK | constants.X_OK)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new StartupError(`${dir} is not writable (${code}); set ${variable} to another folder.`)
  }
}

/**
 * Warns if other users can read DATA_DIR. An existing folder keeps its mode, because its owner may have
 * chosen it.
 */
function warnIfReadable({ dataDir }: Config, log: Log) {
  const mode = statSync(dataDir).mode & 0o777
  if (process.platform === 'win32' || (mode & 0o077) === 0) return
  const message = 'other users of this machine can read DATA_DIR; use chmod 700 to make it private'
  log.warn({ dataDir, mode: mode.toString(8) }, message)
}

/**
 * Locks a SQLite database before anything is read or migrated: servers that share the file would have
 * inconsistent caches.
 */
async function lockDatabase(database: DatabaseConfig, log: Log): Promise<Disposable | undefined> {
  if (database.kind === 'postgres') return undefined
  await requireWritable('DATABASE_URL', dirname(database.path))
  return takeServerLock(database.path, { timeoutMs: LOCK_TIMEOUT_MS, log })
}

async function openServerDatabase(database: DatabaseConfig): Promise<Db> {
  if (database.kind === 'postgres') return openDatabase(database)
  return openAt('DATABASE_URL', database.path, () => openDatabase(database))
}

async function openStore(config: BlobsConfig, ledger: MultipartStore): Promise<BlobStore> {
  await requireBucket(config)
  return openBlobs(config, ledger)
}

/** Opens the volumes that this server writes to. Buckets and PostgreSQL servers monitor their own disks. */
function volumesOf({ blobs, database, diskReserveBytes: reserveBytes }: Config, log: Log) {
  const paths: [VolumeName, string][] = []
  if (database.kind === 'sqlite') paths.push(['database', database.path])
  if (blobs.kind === 'disk') paths.push(['blobs', blobs.dir])
  const onChange = (state: VolumeState) =>
    state.isFull
      ? log.error(state, 'a disk has less free space than its reserve: uploads are rejected')
      : log.info(state, 'a disk has free space above its reserve again')
  return paths.map(([name, path]) => openVolume({ name, path, reserveBytes, onChange }))
}

/**
 * Subscribes to notifications of other processes and renews this process's leases. Does nothing on SQLite.
 */
function connectToOthers(db: Db, database: DatabaseConfig, log: Log): AsyncDisposable {
  const opened = new AsyncDisposableStack()
  if (database.kind === 'sqlite') return opened
  const leaseConfig = {
    ...database,
    poolSize: 1,
    statementTimeoutMs: Math.min(database.statementTimeoutMs, 1000),
  }
  const renewing = opened.adopt(openDatabase(leaseConfig), (db) => db.destroy())
  renewLeasesOver(db, renewing)
  opened.use(startListener({ url: database.listenUrl, db, log }))
  return opened
}

/**
 * Migrates over a separate connection without statement timeout: creating an index over many rows may take
 * long.
 */
async function migrate(config: DatabaseConfig) {
  const [withoutTimeout, databaseName] =
    config.kind === 'sqlite'
      ? [config, config.path]
      : [{ ...config, poolSize: 1, statementTimeoutMs: 0 }, 'The database of DATABASE_URL']
  await using stack = new AsyncDisposableStack()
  const db = stack.adopt(openDatabase(withoutTimeout), (db) => db.destroy())
  await migrateToLatest(db).catch((error: Error & { code?: string }) => {
    if (error.message.startsWith('corrupted migrations')) {
      throw new StartupError(
        `${databaseName} was used by another version of Holdall, which is incompatible with this one (${error.message}).`,
      )
    }
    if (isFull(error.code))
      throw new StartupError(`${databaseName} cannot be used: the disk is full (${error.code}).`)
    if (config.kind === 'sqlite') throw error
    throw new StartupError(`${databaseName} cannot be used (${error.message}).`)
  })
}

/**
 * Checks a connection of the application's own pool: a pooler may reject options that the migration does not
 * use, such as a timeout.
 */
async function requireConnection(db: Db) {
  await ping(db).catch((error: Error) => {
    throw new StartupError(`The database of DATABASE_URL cannot be used (${error.message}).`)
  })
}

/**
 * Creates a folder and its parents, durably, because a lost folder takes its files with it. mkdir's
 * `recursive` is not used, because it loops forever if a file system answers ENOENT to mkdir.
 */
async function makeFolder(dir: string) {
  if (existsSync(dir)) return
  await makeFolder(dirname(dir))
  // Accessible to the server's user only: the database contains the secret that signs links.
  await mkdir(dir, { mode: 0o700 })
  await fsyncDirectory(dirname(dir))
}
