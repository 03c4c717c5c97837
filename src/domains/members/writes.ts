import type { Row, WorkspaceRole } from '../../database/tables.ts'
import { InvalidInput, InvalidState, NotFound } from '../../errors.ts'
import { isKeepable } from '../../names.ts'
import { inTransaction, type Scope, type TxScope } from '../../scope.ts'
import { createUser } from '../accounts/writes.ts'
import { record } from '../activity/writes.ts'
import { requireNamed } from '../workspaces/reads.ts'
import { workspaceCreated } from '../workspaces/writes.ts'
import { memberOf } from './reads.ts'

export type MemberRow = Row<'members'>
const need = { scope: 'MEMBERS_WRITE', role: 'OWNER' } as const
const EMAIL = /^[^\s@\p{C}]+@[^\s@\p{C}]+$/u

workspaceCreated.listen(async (tx, { scope: { viewer, now }, workspace }) => {
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

/** Lets the user of this address in; an address that nobody has yet becomes a user. A member already: the new role. */
export async function addMember(
  scope: Scope,
  { workspaceId, email, name, role }: NewMember,
): Promise<MemberRow> {
  return inTransaction(scope, async (s) => {
    await requireNamed(s.tx, s.viewer, workspaceId, need)
    const address = email.trim().toLowerCase()
    checkPerson(address, name)
    const user = (await userByEmail(s, address)) ?? (await newUser(s, address, name))
    const existing = await memberOf(s.tx, workspaceId, user.id)
    if (existing) return setRole(s, existing, role)
    const member = { workspaceId, userId: user.id, role, joinedAt: s.now() }
    await s.tx.insertInto('members').values(member).execute()
    await record(s, { workspaceId, action: 'MEMBER_ADDED', details: { userId: user.id, role } })
    return member
  })
}

/** Throws InvalidInput. */
function checkPerson(email: string, name: string | null | undefined) {
  if (!EMAIL.test(email) || email.length > 254) {
    throw new InvalidInput({ path: ['email'], message: 'an address like ann@example.org' })
  }
  if (name && (name.length > 200 || !isKeepable(name))) {
    throw new InvalidInput({ path: ['name'], message: 'at most 200 characters' })
  }
}

/** Gives a member another role; the last OWNER stays one. */
export async function updateMember(
  scope: Scope,
  { workspaceId, userId, role }: { workspaceId: string; userId: string; role: WorkspaceRole },
): Promise<MemberRow> {
  return inTransaction(scope, async (s) => {
    await requireNamed(s.tx, s.viewer, workspaceId, need)
    const member = await memberOf(s.tx, workspaceId, userId)
    if (!member) throw new NotFound(userId).at('userId')
    return setRole(s, member, role)
  })
}

/** Ends a membership; anybody may leave, the last OWNER may not. */
export async function removeMember(
  scope: Scope,
  { workspaceId, userId }: { workspaceId: string; userId: string },
): Promise<MemberRow> {
  return inTransaction(scope, async (s) => {
    const leaving = s.viewer?.userId === userId
    await requireNamed(s.tx, s.viewer, workspaceId, leaving ? { ...need, role: 'VIEWER' } : need)
    const member = await memberOf(s.tx, workspaceId, userId)
    if (!member) throw new NotFound(userId).at('userId')
    await keepAnOwner(s, member)
    await s.tx
      .deleteFrom('members')
      .where('workspaceId', '=', workspaceId)
      .where('userId', '=', userId)
      .execute()
    await record(s, { workspaceId, action: 'MEMBER_REMOVED', details: { userId } })
    return member
  })
}

async function setRole(s: TxScope, member: MemberRow, role: WorkspaceRole): Promise<MemberRow> {
  if (member.role === role) return member
  if (role !== 'OWNER') await keepAnOwner(s, member)
  const { workspaceId, userId } = member
  await s.tx
    .updateTable('members')
    .set({ role })
    .where('workspaceId', '=', workspaceId)
    .where('userId', '=', userId)
    .execute()
  await record(s, { workspaceId, action: 'MEMBER_UPDATED', details: { userId, role } })
  return { ...member, role }
}

async function keepAnOwner({ tx }: TxScope, { workspaceId, userId, role }: MemberRow) {
  if (role !== 'OWNER') return
  const other = await tx
    .selectFrom('members')
    .select('userId')
    .where('workspaceId', '=', workspaceId)
    .where('role', '=', 'OWNER')
    .where('userId', '!=', userId)
    .executeTakeFirst()
  if (!other) throw new InvalidState('LAST_OWNER', 'a workspace keeps at least one OWNER')
}

const userByEmail = ({ tx }: TxScope, email: string) =>
  tx.selectFrom('users').selectAll().where('email', '=', email).executeTakeFirst()

/** Names are shown to everybody in a PUBLIC workspace, addresses are not: without a name, what stands before the @. */
const newUser = ({ tx, now }: TxScope, email: string, name: string | null | undefined) =>
  createUser(tx, { name: name?.trim() || email.replace(/@.*/, ''), email, createdAt: now() })
