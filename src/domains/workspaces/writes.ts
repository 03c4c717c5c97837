import type { ExpressionBuilder } from 'kysely'
import { inTransaction, type ServiceContext, type TxContext, type Viewer } from '../../context.ts'
import type { Db } from '../../database/database.ts'
import { hook } from '../../database/hook.ts'
import { newId } from '../../database/ids.ts'
import { prepared } from '../../database/query/prepared.ts'
import type { Tables, Visibility } from '../../database/tables.ts'
import { holdNewWorkspace, lockWorkspace } from '../../database/transaction.ts'
import { Forbidden, InvalidInput, QuotaExceeded, Unauthenticated } from '../../errors.ts'
import { requireNamed, requireScope, type WorkspaceRow } from './reads.ts'
import { checkWorkspace, slugOf } from './rules.ts'

/** Called when a workspace is new: juniors make its first member and its root folder, and write its log. */
export const workspaceCreated = hook<{ ctx: TxContext; workspace: WorkspaceRow }>()
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

/** A workspace with its root folder; whoever makes it is its OWNER. */
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
    throw new Forbidden({ message: 'a token bound to a workspace makes no others' })
  }
  checkWorkspace(input)
  return inTransaction(ctx, async (s) => {
    const workspace = await insertWorkspace(s, input)
    await workspaceCreated.call(s.tx, { ctx: s, workspace })
    return workspace
  })
}

/** Who makes a workspace PUBLIC could read it through that, with any token or none. */
function requireReadToPublish(viewer: Viewer, { visibility }: Pick<NewWorkspace, 'visibility'>) {
  if (visibility === 'PUBLIC') requireScope(viewer, 'FILES_READ')
}

async function insertWorkspace({ tx, now }: TxContext, input: NewWorkspace) {
  const id = newId('ws')
  holdNewWorkspace(tx, id)
  const slug = input.slug ?? (slugOf(input.name) || 'workspace')
  const taken = await tx
    .selectFrom('workspaces')
    .select('id')
    .where('slug', '=', slug)
    .executeTakeFirst()
  if (taken && input.slug) throw new InvalidInput({ path: ['slug'], message: 'this slug is taken' })
  return tx
    .insertInto('workspaces')
    .values({
      id,
      name: input.name.trim(),
      slug: taken ? `${slug}-${id.slice(-8)}` : slug,
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

/** Changes what is given; a quota below what is used refuses new bytes and keeps the old ones. */
export async function updateWorkspace(
  ctx: ServiceContext,
  { workspaceId, ...change }: WorkspaceChange,
): Promise<WorkspaceRow> {
  const need = { scope: 'WORKSPACES_WRITE', role: 'OWNER' } as const
  return inTransaction(ctx, async (s) => {
    const old = await requireNamed(s.tx, s.viewer, workspaceId, need)
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

/** Null takes a description and a quota away; the rest a workspace always has, and null leaves it. */
const columnsOf = (change: Omit<WorkspaceChange, 'workspaceId'>) => ({
  ...(change.name != null && { name: change.name.trim() }),
  ...(change.description !== undefined && { description: change.description }),
  ...(change.visibility != null && { visibility: change.visibility }),
  ...(change.quotaBytes !== undefined && { quotaBytes: change.quotaBytes }),
  ...(change.trashRetentionDays != null && { trashRetentionDays: change.trashRetentionDays }),
  ...(change.autoFile != null && { autoFile: change.autoFile ? 1 : 0 }),
})

/** The number of the next event in the workspace's log: from its own row, so that no reader sees a gap that fills later. */
export async function nextSeq({ tx }: Pick<TxContext, 'tx'>, workspaceId: string): Promise<number> {
  lockWorkspace(tx, workspaceId)
  const [workspace] = await takeSeq(tx, workspaceId)
  if (!workspace) throw new Error(`${workspaceId} is not there`)
  return workspace.lastSeq
}

const takeSeq = prepared((db, workspaceId: string) =>
  db
    .updateTable('workspaces')
    .set((eb) => ({ lastSeq: eb('lastSeq', '+', 1) }))
    .where('id', '=', workspaceId)
    .returning('lastSeq'),
)

/** Puts `bytes` aside for an upload, if they fit: decided and done in one statement, so that no two share the same room. */
export async function reserve(
  { tx }: TxContext,
  workspaceId: string,
  bytes: number,
): Promise<void> {
  lockWorkspace(tx, workspaceId)
  const reserved = await addReserved(tx, workspaceId, bytes)
  if (reserved.length === 0) throw new QuotaExceeded({ workspaceId, neededBytes: bytes })
}

const addReserved = prepared((db, workspaceId: string, bytes: number) =>
  db
    .updateTable('workspaces')
    .set((eb) => ({ reservedBytes: eb('reservedBytes', '+', bytes) }))
    .where('id', '=', workspaceId)
    .where((eb) => fits(eb, bytes))
    .returning('id'),
)

/** Gives back what was put aside. */
export async function release(
  { tx }: TxContext,
  workspaceId: string,
  bytes: number,
): Promise<void> {
  if (bytes === 0) return
  lockWorkspace(tx, workspaceId)
  await takeReserved(tx, workspaceId, bytes)
}

const takeReserved = prepared((db, workspaceId: string, bytes: number) =>
  db
    .updateTable('workspaces')
    .set((eb) => ({ reservedBytes: eb('reservedBytes', '-', bytes) }))
    .where('id', '=', workspaceId),
)

/** Counts `bytes` (less when negative) as used. */
export async function addUsed(
  { tx }: TxContext,
  workspaceId: string,
  bytes: number,
  { checkQuota }: { checkQuota: boolean },
): Promise<void> {
  lockWorkspace(tx, workspaceId)
  const used = await (checkQuota ? useIfFits : use)(tx, workspaceId, bytes)
  if (used.length === 0) throw new QuotaExceeded({ workspaceId, neededBytes: bytes })
}

const using = (db: Db, workspaceId: string, bytes: number) =>
  db
    .updateTable('workspaces')
    .set((eb) => ({ usedBytes: eb('usedBytes', '+', bytes) }))
    .where('id', '=', workspaceId)
    .returning('id')
const use = prepared(using)
const useIfFits = prepared((db, workspaceId: string, bytes: number) =>
  using(db, workspaceId, bytes).where((eb) => fits(eb, bytes)),
)

/** What the blobs take and what lies in the trash, by so many bytes more (or less). */
export async function addFigures(
  { tx }: TxContext,
  workspaceId: string,
  { storedBytes = 0, trashedBytes = 0 }: { storedBytes?: number; trashedBytes?: number },
): Promise<void> {
  if (storedBytes === 0 && trashedBytes === 0) return
  lockWorkspace(tx, workspaceId)
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
