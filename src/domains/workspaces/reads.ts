import type { ApiScope, Viewer } from '../../context.ts'
import type { Db } from '../../database/database.ts'
import type { List } from '../../database/query/keyset.ts'
import { rowsById } from '../../database/query/load-by-id.ts'
import { prepared } from '../../database/query/prepared.ts'
import type { Row, WorkspaceRole } from '../../database/tables.ts'
import type { Tx } from '../../database/transaction.ts'
import { Forbidden, NotFound } from '../../errors/access.ts'
import { viewerOf } from '../accounts/reads.ts'
import { hasRole } from './rules.ts'

export type WorkspaceRow = Row<'workspaces'>
/**
 * A workspace that the viewer may see, with the role of the viewer; null if the workspace is PUBLIC and the
 * viewer is not a member.
 */
export type AccessibleWorkspace = WorkspaceRow & { viewerRole: WorkspaceRole | null }
/** What requireAccess checks: a scope and, unless read access is enough, a role. */
export type AccessRequirement = { scope: ApiScope; role?: WorkspaceRole }

/**
 * Returns the workspace if the viewer has access. Every authorisation goes through this function. A
 * requirement without a role means read access: for members and, in a PUBLIC workspace, for everyone.
 * `requestedId` is the id that NotFound repeats. Callers pass an empty workspaceId for an object that does
 * not exist, so that it takes as long as a hidden one. Throws NotFound if the viewer may not see the
 * workspace, and Forbidden if the viewer lacks the scope or the role.
 */
export async function requireAccess(
  db: Db | Tx,
  viewer: Viewer,
  workspaceId: string,
  { scope, role }: AccessRequirement,
  requestedId: string = workspaceId,
): Promise<AccessibleWorkspace> {
  const workspace = await visibleWorkspace(db, viewer, workspaceId)
  if (!workspace) throw new NotFound(requestedId)
  requireScope(viewer, scope)
  if (role && !hasRole(workspace.viewerRole, role)) throw new Forbidden({ requiredRole: role })
  return workspace
}

/**
 * Returns `row`, the result of a search for `id`, if the viewer has access to its workspace. Throws like
 * requireAccess, with NotFound if there is no row, which takes as long as for a hidden one.
 */
export async function requireRow<R extends { workspaceId: string }>(
  db: Db | Tx,
  viewer: Viewer,
  id: string,
  row: R | null | undefined,
  need: AccessRequirement,
): Promise<R> {
  await requireAccess(db, viewer, row?.workspaceId ?? '', need, id)
  if (!row) throw new NotFound(id)
  return row
}

/**
 * Throws Forbidden if the viewer's token lacks the scope. For operations that need a second scope, such as
 * creating share links, which also give read access.
 */
export function requireScope(viewer: Viewer, scope: ApiScope): void {
  if (viewer && !viewer.scopes.has(scope)) throw new Forbidden({ missingScopes: [scope] })
}

/**
 * Calls requireAccess for a mutation with a `workspaceId` in its input. The path of a NotFound then names
 * that field.
 */
export const requireInputWorkspace = (
  db: Db | Tx,
  viewer: Viewer,
  workspaceId: string,
  need: AccessRequirement,
) =>
  requireAccess(db, viewer, workspaceId, need).catch((error) => {
    throw error instanceof NotFound ? error.at('workspaceId') : error
  })

/** Returns which of these workspaces the viewer may read. */
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

/** Returns each of these workspaces, or null if the viewer is not a member and it is not PUBLIC. */
export const visibleWorkspaces = (
  db: Db,
  viewer: Viewer,
  ids: readonly string[],
): Promise<(WorkspaceRow | null)[]> =>
  Promise.all(ids.map((id) => visibleWorkspace(db, viewer, id)))

/**
 * Throws NotFound unless the creator of a signed link may still read the workspace. `tokenId` is the token
 * that created the link, or undefined if it was created without a token.
 */
export async function requireLinkCreator(
  ctx: { db: Db; now: () => number },
  workspaceId: string,
  tokenId: string | undefined,
): Promise<void> {
  const viewer = tokenId === undefined ? null : await viewerOf(ctx, tokenId)
  const readable = await readableWorkspaces(ctx.db, viewer, [workspaceId])
  const hasExpired = tokenId !== undefined && viewer === null
  if (hasExpired || !readable.has(workspaceId)) throw new NotFound(workspaceId, 'nothing is here')
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

/** Loads workspaces by id, with null for each that does not exist. Does not check access. */
export const workspacesById = rowsById('workspaces')

/** Returns the id of the workspace with this slug, or null. Does not check access. */
export async function workspaceIdBySlug(db: Db, slug: string): Promise<string | null> {
  const row = await db
    .selectFrom('workspaces')
    .select('id')
    .where('slug', '=', slug)
    .executeTakeFirst()
  return row?.id ?? null
}

/**
 * Returns those of the workspaces in which the viewer is a member, which a request may lock: a stranger could
 * otherwise hold up their writers, and see from the time whether they exist.
 */
export async function memberWorkspaces(
  db: Db,
  viewer: Viewer,
  ids: readonly string[],
): Promise<string[]> {
  if (!viewer || ids.length === 0) return []
  return (await memberships(db, viewer.userId, ids)).map(({ workspaceId }) => workspaceId)
}

const memberships = prepared((db, userId: string, ids: readonly string[]) =>
  db
    .selectFrom('members')
    .select('workspaceId')
    .where('userId', '=', userId)
    .where('workspaceId', 'in', ids),
)

/** Returns the role of a user in a workspace, or null if they are not a member. */
export async function roleOf(db: Db | Tx, userId: string, workspaceId: string) {
  const row = await db
    .selectFrom('members')
    .select('role')
    .where('workspaceId', '=', workspaceId)
    .where('userId', '=', userId)
    .executeTakeFirst()
  return row?.role ?? null
}

/** Returns the list of workspaces in which the viewer is a member. */
export function membershipsList(
  db: Db,
  viewer: NonNullable<Viewer>,
  { field, direction }: { field: 'NAME' | 'CREATED_AT'; direction: 'ASC' | 'DESC' },
): List<WorkspaceRow> {
  const column = field === 'NAME' ? ('name' as const) : ('createdAt' as const)
  const order = direction === 'ASC' ? 'asc' : 'desc'
  const memberships = db
    .selectFrom('members as m')
    .innerJoin('workspaces as w', 'w.id', 'm.workspaceId')
    .selectAll('w')
    .where('m.userId', '=', viewer.userId)
  return {
    ordering: `workspaces:${field}:${direction}`,
    keys: [
      { column: `w.${column}`, as: column, direction: order, numeric: field !== 'NAME' },
      { column: 'w.id', as: 'id', direction: order },
    ],
    segments: [
      viewer.workspaceId ? memberships.where('w.id', '=', viewer.workspaceId) : memberships,
    ],
  }
}
