import type { ExpressionBuilder } from 'kysely'
import { inTransaction, type ServiceContext, type TxContext, type Viewer } from '../../context.ts'
import type { Db } from '../../database/database.ts'
import { hook } from '../../database/hook.ts'
import { newId } from '../../database/ids.ts'
import { prepared } from '../../database/query/prepared.ts'
import type { Tables, Visibility } from '../../database/tables.ts'
import { assertLocked, markNewWorkspaceLocked, type Tx } from '../../database/transaction.ts'
import { Forbidden, Unauthenticated } from '../../errors/access.ts'
import { InvalidInput } from '../../errors/input.ts'
import { QuotaExceeded } from '../../errors/uploads.ts'
import { requireInputWorkspace, requireScope, type WorkspaceRow } from './reads.ts'
import { checkWorkspace, remainingBytesOf, slugOf } from './rules.ts'
import { inWorkspaceTransaction } from './transaction.ts'

/**
 * Called for a new workspace, so that higher layers create its first member and its root folder, and log it.
 */
export const workspaceCreated = hook<{ ctx: TxContext; workspace: WorkspaceRow }>()
/** Called with the updated workspace and the names of its changed columns. */
export const workspaceUpdated = hook<{
  ctx: TxContext
  workspace: WorkspaceRow
  changed: string[]
}>()

export type NewWorkspace = {
  name: string
  slug?: string | null | undefined
  description?: string | null | undefined
  visibility?: Visibility | null | undefined
  quotaBytes?: number | null | undefined
  trashRetentionDays?: number | null | undefined
  autoFile?: boolean | null | undefined
}

/**
 * Creates a workspace with its root folder; the viewer becomes its OWNER. Requires scope WORKSPACES_WRITE and
 * an unbound token. Throws Unauthenticated, Forbidden, InvalidInput.
 */
export async function createWorkspace(
  ctx: ServiceContext,
  input: NewWorkspace,
): Promise<WorkspaceRow> {
  const { viewer } = ctx
  if (!viewer) throw new Unauthenticated()
  if (!viewer.scopes.has('WORKSPACES_WRITE')) {
    throw new Forbidden({ missingScopes: ['WORKSPACES_WRITE'] })
  }
  requireReadToPublish(viewer, input)
  if (viewer.workspaceId) {
    throw new Forbidden({
      message: 'a token that is bound to a workspace cannot create workspaces',
    })
  }
  checkWorkspace(input)
  return inTransaction(ctx, async (s) => {
    const workspace = await insertWorkspace(s, input)
    await workspaceCreated.call(s.tx, { ctx: s, workspace })
    return workspace
  })
}

/**
 * Throws Forbidden for PUBLIC without FILES_READ: a token that cannot read must not make the contents
 * readable.
 */
function requireReadToPublish(viewer: Viewer, { visibility }: Pick<NewWorkspace, 'visibility'>) {
  if (visibility === 'PUBLIC') requireScope(viewer, 'FILES_READ')
}

async function insertWorkspace({ tx, now }: TxContext, input: NewWorkspace) {
  const id = newId('ws')
  markNewWorkspaceLocked(tx, id)
  const slug = input.slug ?? (slugOf(input.name) || 'workspace')
  const existing = await tx
    .selectFrom('workspaces')
    .select('id')
    .where('slug', '=', slug)
    .executeTakeFirst()
  if (existing && input.slug) {
    throw new InvalidInput({ path: ['slug'], message: 'this slug is taken' })
  }
  return tx
    .insertInto('workspaces')
    .values({
      id,
      name: input.name.trim(),
      slug: existing ? `${slug}-${id.slice(-8)}` : slug,
      description: input.description ?? null,
      visibility: input.visibility ?? 'PRIVATE',
      quotaBytes: input.quotaBytes ?? null,
      trashRetentionDays: input.trashRetentionDays ?? 30,
      autoFile: input.autoFile ? 1 : 0,
      rootId: newId('fld'),
      createdAt: now(),
      usedBytes: 0,
      reservedBytes: 0,
      trashedBytes: 0,
      storedBytes: 0,
      lastSeq: 0,
    })
    .returningAll()
    .executeTakeFirstOrThrow()
}

export type WorkspaceChange = Omit<NewWorkspace, 'name' | 'slug'> & {
  workspaceId: string
  name?: string | null | undefined
}

/**
 * Changes the given fields. A quota below the current usage prevents new bytes but keeps existing ones.
 * Requires role OWNER and scope WORKSPACES_WRITE. Throws NotFound, Forbidden, InvalidInput.
 */
export async function updateWorkspace(
  ctx: ServiceContext,
  { workspaceId, ...change }: WorkspaceChange,
): Promise<WorkspaceRow> {
  const requirement = { scope: 'WORKSPACES_WRITE', role: 'OWNER' } as const
  return inWorkspaceTransaction(ctx, workspaceId, async (s) => {
    const old = await requireInputWorkspace(s.tx, s.viewer, workspaceId, requirement)
    requireReadToPublish(s.viewer, change)
    checkWorkspace(change)
    const columns = columnsOf(change)
    const given = Object.keys(columns) as (keyof typeof columns)[]
    const changed = given.filter((column) => columns[column] !== old[column])
    if (changed.length === 0) return old
    const workspace = await s.tx
      .updateTable('workspaces')
      .set(columns)
      .where('id', '=', workspaceId)
      .returningAll()
      .executeTakeFirstOrThrow()
    await workspaceUpdated.call(s.tx, { ctx: s, workspace, changed })
    return workspace
  })
}

/**
 * Null removes the description or the quota. For other columns it means no change, because they are never
 * null.
 */
const columnsOf = (change: Omit<WorkspaceChange, 'workspaceId'>) => ({
  ...(change.name != null && { name: change.name.trim() }),
  ...(change.description !== undefined && { description: change.description }),
  ...(change.visibility != null && { visibility: change.visibility }),
  ...(change.quotaBytes !== undefined && { quotaBytes: change.quotaBytes }),
  ...(change.trashRetentionDays != null && { trashRetentionDays: change.trashRetentionDays }),
  ...(change.autoFile != null && { autoFile: change.autoFile ? 1 : 0 }),
})

/**
 * Returns the sequence number of the next event in the log of a workspace. It comes from the locked row of
 * the workspace, so readers never see a gap that is filled later.
 */
export async function nextSeq({ tx }: Pick<TxContext, 'tx'>, workspaceId: string): Promise<number> {
  assertLocked(tx, workspaceId)
  const [workspace] = await incrementSeq(tx, workspaceId)
  if (!workspace) throw new Error(`workspace ${workspaceId} does not exist`)
  return workspace.lastSeq
}

const incrementSeq = prepared((db, workspaceId: string) =>
  db
    .updateTable('workspaces')
    .set((eb) => ({ lastSeq: eb('lastSeq', '+', 1) }))
    .where('id', '=', workspaceId)
    .returning('lastSeq'),
)

type Reserving = {
  /** Bytes that are already reserved for the same purpose. */
  reservedBytes?: number
  /** Whether no more bytes than these are needed. */
  isSizeKnown?: boolean
}

/**
 * Reserves `bytes` bytes for an upload. One statement checks the quota and reserves, so that two uploads
 * cannot use the same space. Throws QuotaExceeded, with the sum of these and the bytes reserved before.
 */
export async function reserve(
  { tx }: TxContext,
  workspaceId: string,
  bytes: number,
  { reservedBytes = 0, isSizeKnown = true }: Reserving = {},
): Promise<void> {
  assertLocked(tx, workspaceId)
  const reserved = await addReserved(tx, workspaceId, bytes)
  if (reserved.length > 0) return
  const neededBytes = reservedBytes + bytes
  const remainingBytes = reservedBytes + (await remainingOf(tx, workspaceId))
  throw new QuotaExceeded({ workspaceId, neededBytes, remainingBytes, isSizeKnown })
}

async function remainingOf(tx: Tx, workspaceId: string): Promise<number> {
  const workspace = await tx
    .selectFrom('workspaces')
    .select(['quotaBytes', 'usedBytes', 'reservedBytes'])
    .where('id', '=', workspaceId)
    .executeTakeFirst()
  return (workspace && remainingBytesOf(workspace)) ?? 0
}

const addReserved = prepared((db, workspaceId: string, bytes: number) =>
  db
    .updateTable('workspaces')
    .set((eb) => ({ reservedBytes: eb('reservedBytes', '+', bytes) }))
    .where('id', '=', workspaceId)
    .where((eb) => fits(eb, bytes))
    .returning('id'),
)

/** Releases a reservation of `bytes` bytes. */
export async function release(
  { tx }: TxContext,
  workspaceId: string,
  bytes: number,
): Promise<void> {
  if (bytes === 0) return
  assertLocked(tx, workspaceId)
  await subtractReserved(tx, workspaceId, bytes)
}

const subtractReserved = prepared((db, workspaceId: string, bytes: number) =>
  db
    .updateTable('workspaces')
    .set((eb) => ({ reservedBytes: eb('reservedBytes', '-', bytes) }))
    .where('id', '=', workspaceId),
)

/**
 * Adds `bytes`, which may be negative, to the used bytes of a workspace. Throws QuotaExceeded if `checkQuota`
 * is set and the bytes do not fit.
 */
export async function addUsed(
  { tx }: TxContext,
  workspaceId: string,
  bytes: number,
  { checkQuota }: { checkQuota: boolean },
): Promise<void> {
  assertLocked(tx, workspaceId)
  const updated = await (checkQuota ? addUsedIfFits : addUsedUnchecked)(tx, workspaceId, bytes)
  if (updated.length > 0) return
  const remainingBytes = await remainingOf(tx, workspaceId)
  throw new QuotaExceeded({ workspaceId, neededBytes: bytes, remainingBytes })
}

const addUsedQuery = (db: Db, workspaceId: string, bytes: number) =>
  db
    .updateTable('workspaces')
    .set((eb) => ({ usedBytes: eb('usedBytes', '+', bytes) }))
    .where('id', '=', workspaceId)
    .returning('id')
const addUsedUnchecked = prepared(addUsedQuery)
const addUsedIfFits = prepared((db, workspaceId: string, bytes: number) =>
  addUsedQuery(db, workspaceId, bytes).where((eb) => fits(eb, bytes)),
)

/** Adds numbers of bytes, which may be negative, to the stored and the trashed bytes of a workspace. */
export async function addFigures(
  { tx }: TxContext,
  workspaceId: string,
  { storedBytes = 0, trashedBytes = 0 }: { storedBytes?: number; trashedBytes?: number },
): Promise<void> {
  if (storedBytes === 0 && trashedBytes === 0) return
  assertLocked(tx, workspaceId)
  await addStoredAndTrashed(tx, workspaceId, storedBytes, trashedBytes)
}

const addStoredAndTrashed = prepared(
  (db, workspaceId: string, storedBytes: number, trashedBytes: number) =>
    db
      .updateTable('workspaces')
      .set((eb) => ({
        storedBytes: eb('storedBytes', '+', storedBytes),
        trashedBytes: eb('trashedBytes', '+', trashedBytes),
      }))
      .where('id', '=', workspaceId),
)

type Where = ExpressionBuilder<Tables, 'workspaces'>

const fits = (eb: Where, bytes: number) =>
  eb.or([
    eb('quotaBytes', 'is', null),
    eb(eb('usedBytes', '+', eb('reservedBytes', '+', bytes)), '<=', eb.ref('quotaBytes')),
  ])
