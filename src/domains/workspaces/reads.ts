import type { ApiScope, Viewer } from '../../context.ts'
import type { Db } from '../../database/database.ts'
import type { List } from '../../database/query/keyset.ts'
import { rowsById } from '../../database/query/load-by-id.ts'
import { prepared } from '../../database/query/prepared.ts'
import type { Row, WorkspaceRole } from '../../database/tables.ts'
import { lockWorkspace, type Tx } from '../../database/transaction.ts'
import { Forbidden, NotFound } from '../../errors.ts'
import { viewerOf } from '../accounts/reads.ts'
import { hasRole } from './rules.ts'

export type WorkspaceRow = Row<'workspaces'>
/** A workspace that the viewer may see, and what they are in it: null for a stranger in a PUBLIC one. */
export type AccessibleWorkspace = WorkspaceRow & { viewerRole: WorkspaceRole | null }
export type AccessRequirement = { scope: ApiScope; role?: WorkspaceRole }

/**
 * The one function that authorises. What the viewer may not know of is NotFound; what they see but may not do is Forbidden.
 * A need without a role is reading: members and, where the workspace is PUBLIC, everybody. `askedId` is what the viewer
 * named, and all that a NotFound repeats. It is asked also where nothing was found (workspaceId ''), so that what is not there
 * takes as long as what is not theirs to see.
 */
export async function requireAccess(
  db: Db | Tx,
  viewer: Viewer,
  workspaceId: string,
  { scope, role }: AccessRequirement,
  askedId: string = workspaceId,
): Promise<AccessibleWorkspace> {
  const workspace = await visibleWorkspace(db, viewer, workspaceId)
  if (!workspace) throw new NotFound(askedId)
  requireScope(viewer, scope)
  if (role && !hasRole(workspace.viewerRole, role)) throw new Forbidden({ requiredRole: role })
  if (role && db.isTransaction) lockWorkspace(db as Tx, workspaceId)
  return workspace
}

/**
 * For what a first scope alone would give away, such as a link to a file: the viewer's token has this one,
 * too; Forbidden.
 */
export function requireScope(viewer: Viewer, scope: ApiScope): void {
  if (viewer && !viewer.scopes.has(scope)) throw new Forbidden({ missingScopes: [scope] })
}

/** The same for a mutation whose input names the workspace: a NotFound points there. */
export const requireNamed = (
  db: Db | Tx,
  viewer: Viewer,
  workspaceId: string,
  need: AccessRequirement,
) =>
  requireAccess(db, viewer, workspaceId, need).catch((error) => {
    throw error instanceof NotFound ? error.at('workspaceId') : error
  })

/** The same as a question: which of these workspaces the viewer may read. */
export async function readableWorkspaces(
  db: Db,
  viewer: Viewer,
  ids: Iterable<string>,
): Promise<Set<string>> {
  const readable = new Set<string>()
  if (viewer && !viewer.scopes.has('FILES_READ')) return readable
  for (const id of new Set(ids)) if (await visibleWorkspace(db, viewer, id)) readable.add(id)
  return readable
}

/** Each of these workspaces as far as the viewer may know of it: they are in it, or it is PUBLIC; null in the place of the rest. */
export const visibleWorkspaces = (
  db: Db,
  viewer: Viewer,
  ids: readonly string[],
): Promise<(WorkspaceRow | null)[]> =>
  Promise.all(ids.map((id) => visibleWorkspace(db, viewer, id)))

/** For a signed link: whoever made it, with this token or none, may still read there. Anything else is NotFound. */
export async function requireLinkCreator(
  ctx: { db: Db; now: () => number },
  workspaceId: string,
  tokenId: string | undefined,
): Promise<void> {
  const viewer = tokenId === undefined ? null : await viewerOf(ctx, tokenId)
  const readable = await readableWorkspaces(ctx.db, viewer, [workspaceId])
  const isOver = tokenId !== undefined && viewer === null
  if (isOver || !readable.has(workspaceId)) throw new NotFound(workspaceId, 'nothing is here')
}

async function visibleWorkspace(
  db: Db | Tx,
  viewer: Viewer,
  workspaceId: string,
): Promise<AccessibleWorkspace | null> {
  if (viewer?.workspaceId && viewer.workspaceId !== workspaceId) return null
  const [row] = await workspaceAndRole(db, workspaceId, viewer?.userId ?? '')
  return row && (row.viewerRole || row.visibility === 'PUBLIC') ? row : null
}

const workspaceAndRole = prepared((db, workspaceId: string, userId: string) =>
  db
    .selectFrom('workspaces as w')
    .leftJoin('members as m', (on) =>
      on.onRef('m.workspaceId', '=', 'w.id').on('m.userId', '=', userId),
    )
    .selectAll('w')
    .select('m.role as viewerRole')
    .where('w.id', '=', workspaceId),
)

export const workspacesById = rowsById('workspaces')

/** The workspace of this slug, where the viewer may see it. */
export async function workspaceIdBySlug(db: Db, slug: string): Promise<string | null> {
  const row = await db
    .selectFrom('workspaces')
    .select('id')
    .where('slug', '=', slug)
    .executeTakeFirst()
  return row?.id ?? null
}

/** What the viewer is in this workspace. */
export async function roleOf(db: Db | Tx, userId: string, workspaceId: string) {
  const row = await db
    .selectFrom('members')
    .select('role')
    .where('workspaceId', '=', workspaceId)
    .where('userId', '=', userId)
    .executeTakeFirst()
  return row?.role ?? null
}

/** The workspaces that the viewer is a member of. */
export function membershipsList(
  db: Db,
  viewer: NonNullable<Viewer>,
  { field, direction }: { field: 'NAME' | 'CREATED_AT'; direction: 'ASC' | 'DESC' },
): List<WorkspaceRow> {
  const column = field === 'NAME' ? ('name' as const) : ('createdAt' as const)
  const way = direction === 'ASC' ? 'asc' : 'desc'
  const mine = db
    .selectFrom('members as m')
    .innerJoin('workspaces as w', 'w.id', 'm.workspaceId')
    .selectAll('w')
    .where('m.userId', '=', viewer.userId)
  return {
    ordering: `workspaces:${field}:${direction}`,
    keys: [
      { column: `w.${column}`, as: column, direction: way, numeric: field !== 'NAME' },
      { column: 'w.id', as: 'id', direction: way },
    ],
    segments: [viewer.workspaceId ? mine.where('w.id', '=', viewer.workspaceId) : mine],
  }
}
