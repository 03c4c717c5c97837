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
import {
  type BlobsConfig,
  type Config,
  type DatabaseConfig,
  namesOf,
  StartupError,
} from './config.ts'
import type { ServiceContext } from './context.ts'
import { openDatabaseClock } from './database/clock.ts'
import { type Db, openDatabase, ping } from './database/database.ts'
import { migrateToLatest } from './database/migrate.ts'
import { createMultipartStore } from './database/multipart-store.ts'
import { startListener } from './database/postgres/listener.ts'
import { dropTallies } from './database/rate-counters.ts'
import { createRateLimiter } from './database/rate-limiter.ts'
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
import { CONCAT_PARTS } from './domains/uploads/concat/concat.ts'
import { concatParts } from './domains/uploads/concat/concat-job.ts'
import {
  autoConfirmer,
  ENQUEUE_CONFIRMS,
  enqueueMissingConfirms,
} from './domains/uploads/confirm/auto-confirm.ts'
import { resumer } from './domains/uploads/confirm/confirm-job.ts'
import { AUTO_CONFIRM } from './domains/uploads/confirm/pending-confirms.ts'
import { RESUME_CONFIRM } from './domains/uploads/confirm/slow-confirms.ts'
import { expireUploads, releaseDeadConfirms } from './domains/uploads/jobs.ts'
import { openUploads } from './domains/uploads/reads.ts'
import { renewLeasesOver } from './domains/uploads/receive/leases.ts'
import { claimStore } from './domains/uploads/store/claim.ts'
import { deletePermission } from './domains/uploads/store/delete-permission.ts'
import { tendQuarantine } from './domains/uploads/store/quarantine.ts'
import { keepStamped } from './domains/uploads/store/restamp.ts'
import { sweepOrphans } from './domains/uploads/store/sweep.ts'
import { Unauthenticated } from './errors.ts'
import { fsyncDirectory } from './fsync.ts'
import { enqueue } from './jobs/queue.ts'
import { type Runner, type RunnerOptions, startRunner } from './jobs/runner.ts'
import { type Log, openLog } from './log.ts'
import { isFull, openAt } from './open-at.ts'
import { createSigningKeys } from './signing/signing-keys.ts'

/** How long a start waits for the server before it, which may still be closing. */
const LOCK_TIMEOUT_MS = 10_000

/** What lives as long as the process. */
export type App = Omit<ServiceContext, 'viewer' | 'publicUrl'> & {
  config: Config
  log: Log
  jobs: Runner
  /** What is left on the disks of this server. */
  space: DiskSpace
  /** The owner's token, on the very first start only. */
  firstToken: string | null
  /**
   * What a request may do, by its Authorization header: without one nobody's view, with one its holder's.
   * Throws Unauthenticated for any that does not open the house.
   */
  scopeFor(authorization: string | undefined, publicUrl: string): Promise<ServiceContext>
} & AsyncDisposable

/** Opens all that lives as long as the process; disposing closes it in reverse. Throws StartupError. */
export async function openApp(
  config: Config,
  { log = openLog(config.logLevel), now: given }: { log?: Log; now?: () => number } = {},
): Promise<App> {
  await using opened = new AsyncDisposableStack()
  const { database } = config
  await requireWritable('DATA_DIR', config.dataDir)
  warnIfReadable(config, log)
  opened.use(await lockDatabase(database, log))
  const db = opened.adopt(await openRows(database), (db) => db.destroy())
  await migrate(database)
  await requireContact(db)
  const now = given ?? (await openClock(opened, db, database))
  opened.use(besideOthers(db, database, log))
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
  const means = { db, now, signingKeys, limits: config.limits, counter: createRateLimiter(db, now) }
  const nobody = { ...means, viewer: null, publicUrl: '' }
  const blobs = verifyingStore(store, {
    now,
    verifies: config.verifyReads,
    expected: (key) => expectedBytes(db, key),
    onDamage: (key, damage) => markDamaged({ ...nobody, blobs: store }, key, damage),
  })
  const shared = { ...means, blobs }
  // What an older version, or a restored backup, left is found at once, and not with the next round.
  await transact(db, (tx) =>
    enqueue(tx, { id: ENQUEUE_CONFIRMS, kind: ENQUEUE_CONFIRMS, runAt: now() }),
  )
  const jobs = startRunner({ db, now, log, ...work({ ...nobody, blobs }, config, log) })
  opened.defer(() => jobs.stop())
  // What takes hours has a line of its own: no other job waits for it.
  const slow = startRunner({ db, now, log, ...slowWork({ ...nobody, blobs: store }, config, log) })
  opened.defer(() => slow.stop())
  const open = opened.move()
  return {
    ...shared,
    config,
    log,
    jobs,
    space,
    firstToken: owner?.secret ?? null,
    async scopeFor(authorization, publicUrl) {
      const viewer = authorization ? await authenticate(shared, bearer(authorization)) : null
      return { ...shared, viewer, publicUrl }
    },
    [Symbol.asyncDispose]: () => open.disposeAsync(),
  }
}

/** The database's clock where several processes share it, else the machine's. */
async function openClock(opened: AsyncDisposableStack, db: Db, { kind }: DatabaseConfig) {
  return kind === 'postgres' ? opened.use(await openDatabaseClock(db)).now : Date.now
}

/** What is done without being asked, by nobody in particular. */
function work(
  ctx: ServiceContext,
  { quarantineMs }: Config,
  log: Log,
): Pick<RunnerOptions, 'handlers' | 'every'> {
  const failed = (err: unknown) => log.error({ err }, 'a confirm could not be gone on with')
  return {
    handlers: {
      expireUploads: (_, signal) => expireUploads(ctx, signal),
      releaseDeadConfirms: () => releaseDeadConfirms(ctx),
      [RESUME_CONFIRM]: resumer(ctx, failed),
      [AUTO_CONFIRM]: autoConfirmer(ctx, failed),
      [ENQUEUE_CONFIRMS]: (_, signal) => enqueueMissingConfirms(ctx, signal),
      [CONCAT_PARTS]: (payload, signal) => concatParts(ctx, payload, signal),
      sweepOrphans: (_, signal) => sweepOrphans(ctx, { signal, log }),
      tendQuarantine: (_, signal) => tendQuarantine(ctx, { quarantineMs, signal, log }),
      dropTallies: () => dropTallies(ctx.db, ctx.now()),
      purgeOutlived: (_, signal) => purgeExpired(ctx, signal),
      [DRAIN_PURGED]: (_, signal) => drainPurged(ctx, signal),
      [SWEEP_BLOBS]: (_, signal) => sweepBlobs(ctx, signal),
    },
    every: [
      { kind: 'expireUploads', ms: 60_000 },
      { kind: 'releaseDeadConfirms', ms: 60_000 },
      { kind: ENQUEUE_CONFIRMS, ms: 60_000 },
      // To list a bucket takes a request for each thousand of its objects.
      { kind: 'sweepOrphans', ms: ctx.blobs.presigned ? 86_400_000 : 3_600_000 },
      { kind: 'tendQuarantine', ms: 3_600_000 },
      { kind: 'dropTallies', ms: 600_000 },
      { kind: 'purgeOutlived', ms: 600_000 },
    ],
  }
}

/** The same, as slowly as it takes. */
function slowWork(
  ctx: ServiceContext,
  { scrub }: Config,
  log: Log,
): Pick<RunnerOptions, 'handlers' | 'every' | 'pollMs'> {
  if (!scrub) return { handlers: {}, every: [] }
  const failed = (err: unknown, blobId: string) =>
    log.warn({ err, blobId }, 'the scrub could not read')
  return {
    handlers: {
      [SCRUB_BLOBS]: (_, signal) => scrubBlobs(ctx, { ...scrub, failed }, signal),
    },
    every: [{ kind: SCRUB_BLOBS, ms: 3_600_000 }],
    pollMs: 60_000,
  }
}

/** RFC 6750, section 2.1; the scheme's case does not matter (RFC 9110, section 11.1). */
function bearer(authorization: string): string {
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
    throw new StartupError(`${dir} cannot be written (${code}); ${variable} names another.`)
  }
}

/** What exists is left as it is: whoever made the folder may have meant others to read it. */
function warnIfReadable({ dataDir }: Config, log: Log) {
  const mode = statSync(dataDir).mode & 0o777
  if (process.platform === 'win32' || (mode & 0o077) === 0) return
  const message = 'other users of this machine can open DATA_DIR; chmod 700 makes it private'
  log.warn({ dataDir, mode: mode.toString(8) }, message)
}

/** Before anything is read or migrated: SQLite shares its file among servers, and what they remember of it would differ. */
async function lockDatabase(database: DatabaseConfig, log: Log): Promise<Disposable | undefined> {
  if (database.kind === 'postgres') return undefined
  await requireWritable('DATABASE_URL', dirname(database.path))
  return takeServerLock(database.path, { timeoutMs: LOCK_TIMEOUT_MS, log })
}

async function openRows(database: DatabaseConfig): Promise<Db> {
  if (database.kind === 'postgres') return openDatabase(database)
  return openAt('DATABASE_URL', database.path, () => openDatabase(database))
}

async function openStore(config: BlobsConfig, ledger: MultipartStore): Promise<BlobStore> {
  await requireBucket(config)
  return openBlobs(config, ledger)
}

/** The file systems that this server writes to; a bucket and a PostgreSQL server look after their own. */
function volumesOf({ blobs, database, diskReserveBytes: reserveBytes }: Config, log: Log) {
  const paths: [VolumeName, string][] = []
  if (database.kind === 'sqlite') paths.push(['database', database.path])
  if (blobs.kind === 'disk') paths.push(['blobs', blobs.dir])
  const onChange = (state: VolumeState) =>
    state.isFull
      ? log.error(state, 'a disk is at its reserve: no bytes are stored')
      : log.info(state, 'a disk has room again')
  return paths.map(([name, path]) => openVolume({ name, path, reserveBytes, onChange }))
}

/** Where others have the same database open: hears what they do, and tells them that it lives. */
function besideOthers(db: Db, database: DatabaseConfig, log: Log): AsyncDisposable {
  const opened = new AsyncDisposableStack()
  if (database.kind === 'sqlite') return opened
  const soon = {
    ...database,
    poolSize: 1,
    statementTimeoutMs: Math.min(database.statementTimeoutMs, 1000),
  }
  const renewing = opened.adopt(openDatabase(soon), (db) => db.destroy())
  renewLeasesOver(db, renewing)
  opened.use(startListener({ url: database.listenUrl, db, log }))
  return opened
}

/** Over a connection of its own: an index over many rows takes longer than a statement may. */
async function migrate(config: DatabaseConfig) {
  const [unhurried, named] =
    config.kind === 'sqlite'
      ? [config, config.path]
      : [{ ...config, poolSize: 1, statementTimeoutMs: 0 }, 'The database of DATABASE_URL']
  await using stack = new AsyncDisposableStack()
  const db = stack.adopt(openDatabase(unhurried), (db) => db.destroy())
  await migrateToLatest(db).catch((error: Error & { code?: string }) => {
    if (error.message.startsWith('corrupted migrations')) {
      throw new StartupError(
        `${named} was used by another version of Holdall, and this one would not understand it (${error.message}).`,
      )
    }
    if (isFull(error.code))
      throw new StartupError(`${named} cannot be used: the disk is full (${error.code}).`)
    if (config.kind === 'sqlite') throw error
    throw new StartupError(`${named} cannot be used (${error.message}).`)
  })
}

/** As the house speaks to it: a pooler may refuse what migrations do not ask for, such as a limit of time. */
async function requireContact(db: Db) {
  await ping(db).catch((error: Error) => {
    throw new StartupError(`The database of DATABASE_URL cannot be used (${error.message}).`)
  })
}

/**
 * With its parents, durably: what is synced in a folder is lost with the folder. Not by mkdir's own `recursive`, which tries forever
 * where a file system answers ENOENT to a mkdir.
 */
async function makeFolder(dir: string) {
  if (existsSync(dir)) return
  await makeFolder(dirname(dir))
  // For the house's own user alone: the rows hold the secret that links are signed with.
  await mkdir(dir, { mode: 0o700 })
  await fsyncDirectory(dirname(dir))
}
