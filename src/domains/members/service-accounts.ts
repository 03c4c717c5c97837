import type { ServiceContext } from '../../context.ts'
import type { WorkspaceRole } from '../../database/tables.ts'
import { NotFound } from '../../errors/access.ts'
import { usersById } from '../accounts/reads.ts'
import { checkName } from '../accounts/rules.ts'
import { createUser } from '../accounts/writes.ts'
import { record } from '../activity/writes.ts'
import { requireAccess, requireInputWorkspace } from '../workspaces/reads.ts'
import { inWorkspaceTransaction } from '../workspaces/transaction.ts'
import { memberOf } from './reads.ts'
import { endMembership, type MemberRow, memberManagement } from './writes.ts'

type NewServiceAccount = { workspaceId: string; name: string; role: WorkspaceRole }

/**
 * Creates a service account: a user for programs that is a member of this workspace only. Requires role OWNER
 * and scope MEMBERS_WRITE. Throws NotFound, Forbidden, InvalidInput.
 */
export async function createServiceAccount(
  ctx: ServiceContext,
  { workspaceId, name, role }: NewServiceAccount,
): Promise<MemberRow> {
  return inWorkspaceTransaction(ctx, workspaceId, async (s) => {
    await requireInputWorkspace(s.tx, s.viewer, workspaceId, memberManagement)
    checkName(name)
    const profile = { name: name.trim(), email: null, kind: 'SERVICE', workspaceId } as const
    const { id: userId } = await createUser(s.tx, { ...profile, createdAt: s.now() })
    const member = { workspaceId, userId, role, joinedAt: s.now() }
    await s.tx.insertInto('members').values(member).execute()
    await record(s, { workspaceId, action: 'MEMBER_ADDED', details: { userId, role } })
    return member
  })
}

/**
 * Deletes a service account with its tokens, share links and unfinished uploads. Keeps the row of the user,
 * because its name is shown on what it created. Requires role OWNER and scope MEMBERS_WRITE. Throws NotFound
 * (also for the id of a person) and Forbidden.
 */
export async function deleteServiceAccount(
  ctx: ServiceContext,
  userId: string,
): Promise<MemberRow> {
  const [user] = await usersById(ctx.db, [userId])
  const workspaceId = user?.workspaceId ?? ''
  return inWorkspaceTransaction(ctx, workspaceId, async (s) => {
    await requireAccess(s.tx, s.viewer, workspaceId, memberManagement, userId)
    const member = await memberOf(s.tx, workspaceId, userId)
    if (!member) throw new NotFound(userId)
    await endMembership(s, member, null)
    return member
  })
}
