import type { LogContext, ServiceContext, TxContext } from '../../context.ts'
import { hook } from '../../database/hook.ts'
import type { Row, WorkspaceRole } from '../../database/tables.ts'
import { transact } from '../../database/transaction.ts'
import { NotFound } from '../../errors/access.ts'
import { InvalidState } from '../../errors/entries.ts'
import { InvalidInput } from '../../errors/input.ts'
import { isSafeName } from '../../names.ts'
import { type UserRow, userByEmail } from '../accounts/reads.ts'
import { checkName } from '../accounts/rules.ts'
import { createUser } from '../accounts/writes.ts'
import { record } from '../activity/writes.ts'
import { recordOnServer } from '../server-activity/writes.ts'
import { requireInputWorkspace } from '../workspaces/reads.ts'
import { inWorkspaceTransaction } from '../workspaces/transaction.ts'
import { workspaceCreated } from '../workspaces/writes.ts'
import { memberOf } from './reads.ts'

export type MemberRow = Row<'members'>
/**
 * Called when the role of a member changes or the member leaves (`role` is null). Listeners end what the
 * member may no longer do. If the member may no longer share, their share links pass to `newSharer`, if
 * given.
 */
export const roleChanged = hook<{
  ctx: TxContext
  workspaceId: string
  userId: string
  role: WorkspaceRole | null
  newSharer: string | null
}>()
/** The access that managing members requires. */
export const memberManagement = { scope: 'MEMBERS_WRITE', role: 'OWNER' } as const
const EMAIL = /^[^\s@\p{C}]+@[^\s@\p{C}]+$/u

workspaceCreated.listen(async (tx, { ctx: { viewer, now }, workspace }) => {
  if (!viewer) return
  const founder = { workspaceId: workspace.id, userId: viewer.userId, role: 'OWNER' as const }
  await tx
    .insertInto('members')
    .values({ ...founder, joinedAt: now() })
    .execute()
})

type NewMember = {
  workspaceId: string
  email: string
  name?: string | null | undefined
  role: WorkspaceRole
}

/**
 * Adds the user with this email address to a workspace. Creates the user if the address is unknown, and
 * changes the role if the user is already a member. Throws NotFound, Forbidden, InvalidInput, InvalidState.
 */
export async function addMember(
  ctx: ServiceContext,
  { workspaceId, email, name, role }: NewMember,
): Promise<MemberRow> {
  return inWorkspaceTransaction(ctx, workspaceId, async (s) => {
    await requireInputWorkspace(s.tx, s.viewer, workspaceId, memberManagement)
    const address = email.trim().toLowerCase()
    checkPerson(address, name)
    const user = (await userByEmail(s.tx, address)) ?? (await newUser(s, address, name))
    const existing = await memberOf(s.tx, workspaceId, user.id)
    if (existing) return setRole(s, existing, role)
    const member = { workspaceId, userId: user.id, role, joinedAt: s.now() }
    await s.tx.insertInto('members').values(member).execute()
    await record(s, { workspaceId, action: 'MEMBER_ADDED', details: { userId: user.id, role } })
    return member
  })
}

/** Throws InvalidInput for an invalid email address or name. */
function checkPerson(email: string, name: string | null | undefined) {
  if (!EMAIL.test(email) || email.length > 254 || !isSafeName(email)) {
    throw new InvalidInput({ path: ['email'], message: 'an email address such as ann@example.org' })
  }
  if (name && name.length > 200) {
    throw new InvalidInput({ path: ['name'], message: 'at most 200 characters' })
  }
  if (name?.trim()) checkName(name)
}

/**
 * Creates a user without a workspace, for the admin command of the operator. Throws InvalidInput for an
 * invalid name or address, or if a user already has the address.
 */
export async function createUserOnServer(
  { db, now }: Pick<ServiceContext, 'db' | 'now'>,
  { email, name }: { email: string; name: string | null },
): Promise<UserRow> {
  const address = email.trim().toLowerCase()
  checkPerson(address, name)
  return transact(db, async (tx) => {
    if (await userByEmail(tx, address)) {
      throw new InvalidInput({ path: ['email'], message: 'a user has this address already' })
    }
    const s = { tx, now, viewer: null }
    const user = await newUser(s, address, name)
    await recordOnServer(s, 'USER_CREATED', { userId: user.id, name: user.name })
    return user
  })
}

/**
 * Changes the role of a member. Throws NotFound, Forbidden, and InvalidState if the workspace would have no
 * OWNER left.
 */
export async function updateMember(
  ctx: ServiceContext,
  { workspaceId, userId, role }: { workspaceId: string; userId: string; role: WorkspaceRole },
): Promise<MemberRow> {
  return inWorkspaceTransaction(ctx, workspaceId, async (s) => {
    await requireInputWorkspace(s.tx, s.viewer, workspaceId, memberManagement)
    const member = await memberOf(s.tx, workspaceId, userId)
    if (!member) throw new NotFound(userId).at('userId')
    return setRole(s, member, role)
  })
}

type Removal = {
  workspaceId: string
  userId: string
  transferShareLinksTo?: string | null | undefined
}

/**
 * Removes a member with their tokens, share links and unfinished uploads in the workspace. Every member may
 * remove themselves, except the last OWNER. `transferShareLinksTo` is the user id of the member who receives
 * the share links. Throws NotFound, Forbidden, InvalidInput, InvalidState.
 */
export async function removeMember(
  ctx: ServiceContext,
  { workspaceId, userId, transferShareLinksTo }: Removal,
): Promise<MemberRow> {
  return inWorkspaceTransaction(ctx, workspaceId, async (s) => {
    const isLeaving = s.viewer?.userId === userId
    await requireInputWorkspace(
      s.tx,
      s.viewer,
      workspaceId,
      isLeaving ? { ...memberManagement, role: 'VIEWER' } : memberManagement,
    )
    const member = await memberOf(s.tx, workspaceId, userId)
    if (!member) throw new NotFound(userId).at('userId')
    await assertOtherOwner(s, member)
    if (transferShareLinksTo != null) await requireNewSharer(s, member, transferShareLinksTo)
    await endMembership(s, member, transferShareLinksTo ?? null)
    return member
  })
}

/**
 * Throws unless the member `newSharerId` can receive the share links and the viewer may revoke them: a
 * transfer changes who may revoke them.
 */
async function requireNewSharer(
  ctx: TxContext,
  { workspaceId, userId }: MemberRow,
  newSharerId: string,
) {
  await requireInputWorkspace(ctx.tx, ctx.viewer, workspaceId, {
    scope: 'SHARES_WRITE',
    role: 'OWNER',
  })
  const newSharer = await memberOf(ctx.tx, workspaceId, newSharerId)
  if (!newSharer) throw new NotFound(newSharerId).at('transferShareLinksTo')
  if (newSharerId !== userId && newSharer.role !== 'VIEWER') return
  const message = 'must be another member with role EDITOR or OWNER'
  throw new InvalidInput({ path: ['transferShareLinksTo'], message })
}

/** Deletes a membership and ends everything that depended on it. */
export async function endMembership(
  ctx: TxContext,
  { workspaceId, userId }: MemberRow,
  newSharer: string | null,
) {
  await ctx.tx
    .deleteFrom('members')
    .where('workspaceId', '=', workspaceId)
    .where('userId', '=', userId)
    .execute()
  const details = { userId, ...(newSharer && { shareLinksTransferredTo: newSharer }) }
  await record(ctx, { workspaceId, action: 'MEMBER_REMOVED', details })
  await roleChanged.call(ctx.tx, { ctx, workspaceId, userId, role: null, newSharer })
}

async function setRole(ctx: TxContext, member: MemberRow, role: WorkspaceRole): Promise<MemberRow> {
  if (member.role === role) return member
  if (role !== 'OWNER') await assertOtherOwner(ctx, member)
  const { workspaceId, userId } = member
  await ctx.tx
    .updateTable('members')
    .set({ role })
    .where('workspaceId', '=', workspaceId)
    .where('userId', '=', userId)
    .execute()
  await record(ctx, { workspaceId, action: 'MEMBER_UPDATED', details: { userId, role } })
  await roleChanged.call(ctx.tx, { ctx, workspaceId, userId, role, newSharer: null })
  return { ...member, role }
}

/**
 * Throws InvalidState if the member is the last person with role OWNER. A service account alone would not be
 * enough, because it could not create its next token.
 */
async function assertOtherOwner({ tx }: TxContext, { workspaceId, userId, role }: MemberRow) {
  if (role !== 'OWNER') return
  const other = await tx
    .selectFrom('members')
    .innerJoin('users', 'users.id', 'members.userId')
    .select('members.userId')
    .where('members.workspaceId', '=', workspaceId)
    .where('members.role', '=', 'OWNER')
    .where('members.userId', '!=', userId)
    .where('users.kind', '=', 'PERSON')
    .executeTakeFirst()
  if (!other)
    throw new InvalidState('LAST_OWNER', 'a workspace needs at least one person with role OWNER')
}

/**
 * Creates a user. The name defaults to the part of the address before the @, because a PUBLIC workspace shows
 * names to everyone, but no addresses.
 */
const newUser = ({ tx, now }: LogContext, email: string, name: string | null | undefined) =>
  createUser(tx, { name: name?.trim() || email.replace(/@.*/, ''), email, createdAt: now() })
