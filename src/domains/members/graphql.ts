import { idInWorkspace } from '../../database/ids.ts'
import type { Row } from '../../database/tables.ts'
import { InvalidState } from '../../errors/entries.ts'
import { builder } from '../../graphql/builder.ts'
import {
  loader,
  loadOrThrow,
  NodeInWorkspace,
  nodeType,
  nodeTypeInWorkspace,
} from '../../graphql/nodes.ts'
import { connectionOf, page } from '../../graphql/pages.ts'
import { loadUser, User } from '../accounts/graphql.ts'
import { usersById } from '../accounts/reads.ts'
import { workspaceMutation } from '../activity/graphql.ts'
import { Workspace, WorkspaceRoleEnum } from '../workspaces/graphql.ts'
import { requireAccess } from '../workspaces/reads.ts'
import { membersById, membersList, sharedWorkspaceUsers } from './reads.ts'
import { createServiceAccount, deleteServiceAccount } from './service-accounts.ts'
import { addMember, removeMember, updateMember } from './writes.ts'

nodeType('usr', 'User', async (ids, { db, viewer }) => {
  const known = await sharedWorkspaceUsers(db, viewer, ids)
  return (await usersById(db, ids)).map((row) => (row && known.has(row.id) ? row : null))
})

const loadIfShared = loader<string>(async (ids, { db, viewer }) => {
  const known = await sharedWorkspaceUsers(db, viewer, ids)
  return ids.map((id) => (known.has(id) ? id : null))
})

builder.objectField(User, 'email', (t) =>
  t.string({
    nullable: true,
    description:
      'The email address, or null unless the user is the viewer or shares a workspace with them. Requires scope FILES_READ for other users.',
    resolve: async ({ id, email }, _, context) =>
      (await loadIfShared(context, id)) ? email : null,
  }),
)

type MemberRow = Row<'members'>
const memberId = ({ workspaceId, userId }: MemberRow) => idInWorkspace('mbr', workspaceId, userId)

const Member = builder.objectRef<MemberRow>('Member').implement({
  description: 'A user in a workspace.',
  interfaces: [NodeInWorkspace],
  fields: (t) => ({
    id: t.id({ description: 'The id of the membership.', resolve: memberId }),
    user: t.field({
      type: User,
      description: 'The user.',
      resolve: ({ userId }, _, context) => loadOrThrow(loadUser, context, userId),
    }),
    role: t.expose('role', {
      type: WorkspaceRoleEnum,
      description: 'The role of the user in the workspace.',
    }),
    joinedAt: t.expose('joinedAt', {
      type: 'DateTime',
      description: 'When the user became a member.',
    }),
  }),
})

const toReadMembers = { scope: 'FILES_READ', role: 'VIEWER' } as const

nodeTypeInWorkspace('mbr', 'Member', async (workspaceId, userIds, { db, viewer }) => {
  await requireAccess(db, viewer, workspaceId, toReadMembers)
  const members = await membersById(db, workspaceId, userIds)
  return userIds.map((userId) => members.find((member) => member.userId === userId))
})

builder.objectField(Workspace, 'members', (t) =>
  t.connection(
    {
      type: Member,
      description:
        'The members, sorted by the time they joined. Requires role VIEWER and scope FILES_READ, so only members see it.',
      resolve: async ({ id }, args, { db, viewer }) => {
        await requireAccess(db, viewer, id, toReadMembers)
        return page(args, membersList(db, id))
      },
    },
    ...connectionOf(Member, 'Member'),
  ),
)

const payload = (name: string) =>
  builder.objectRef<{ member: MemberRow }>(name).implement({
    fields: (t) => ({
      member: t.expose('member', {
        type: Member,
        description: 'The member after the mutation, or as it was before its removal.',
      }),
    }),
  })

workspaceMutation('addMember', {
  description:
    'Adds a user to a workspace by their email address, and creates the user if the address is unknown; an existing member gets the new role. Requires role OWNER and scope MEMBERS_WRITE.',
  input: builder.inputType('AddMemberInput', {
    fields: (t) => ({
      workspaceId: t.id({ required: true, description: 'The workspace to add the member to.' }),
      email: t.string({ required: true, description: 'The email address of the user.' }),
      name: t.string({
        description:
          'The display name if the user is new, by default the part of the address before the @.',
      }),
      role: t.field({
        type: WorkspaceRoleEnum,
        required: true,
        defaultValue: 'EDITOR',
        description: 'The role of the member.',
      }),
    }),
  }),
  payload: payload('AddMemberPayload'),
  errors: [InvalidState],
  workspaceIdOf: ({ member }) => member.workspaceId,
  resolve: async (input, context) => ({ member: await addMember(context, input) }),
})

workspaceMutation('updateMember', {
  description:
    'Changes the role of a member. A member who becomes VIEWER loses their share links and unfinished uploads; one who is no longer OWNER loses the tokens that they created for service accounts. Requires role OWNER and scope MEMBERS_WRITE.',
  input: builder.inputType('UpdateMemberInput', {
    fields: (t) => ({
      workspaceId: t.id({ required: true, description: 'The workspace of the member.' }),
      userId: t.id({ required: true, description: 'The user whose role changes.' }),
      role: t.field({ type: WorkspaceRoleEnum, required: true, description: 'The new role.' }),
    }),
  }),
  payload: payload('UpdateMemberPayload'),
  errors: [InvalidState],
  workspaceIdOf: ({ member }) => member.workspaceId,
  resolve: async (input, context) => ({ member: await updateMember(context, input) }),
})

workspaceMutation('removeMember', {
  description:
    'Removes a member at once. This revokes their tokens that are bound to the workspace, the tokens that they created for service accounts, and their share links; it cancels their unfinished uploads and those made with the revoked tokens. Share links of a service account stay until it is deleted. Requires role OWNER, unless the viewer removes themselves, and scope MEMBERS_WRITE.',
  input: builder.inputType('RemoveMemberInput', {
    fields: (t) => ({
      workspaceId: t.id({ required: true, description: 'The workspace of the member.' }),
      userId: t.id({ required: true, description: 'The user to remove.' }),
      transferShareLinksTo: t.id({
        description:
          'The member with role EDITOR or OWNER who receives the share links of the removed member; by default they are revoked. Requires role OWNER and scope SHARES_WRITE.',
      }),
    }),
  }),
  payload: payload('RemoveMemberPayload'),
  errors: [InvalidState],
  workspaceIdOf: ({ member }) => member.workspaceId,
  resolve: async (input, context) => ({ member: await removeMember(context, input) }),
})

workspaceMutation('createServiceAccount', {
  description:
    'Creates a service account, a member for programs; createApiToken creates its tokens. Requires role OWNER and scope MEMBERS_WRITE.',
  input: builder.inputType('CreateServiceAccountInput', {
    fields: (t) => ({
      workspaceId: t.id({
        required: true,
        description: 'The workspace that the account belongs to.',
      }),
      name: t.string({
        required: true,
        description: 'The display name, of 1 to 200 characters, shown on what the account creates.',
      }),
      role: t.field({
        type: WorkspaceRoleEnum,
        required: true,
        defaultValue: 'EDITOR',
        description: 'The role of the account in the workspace.',
      }),
    }),
  }),
  payload: payload('CreateServiceAccountPayload'),
  workspaceIdOf: ({ member }) => member.workspaceId,
  resolve: async (input, context) => ({ member: await createServiceAccount(context, input) }),
})

workspaceMutation('deleteServiceAccount', {
  description:
    'Deletes a service account at once, with its tokens, share links and unfinished uploads; its files stay. Requires role OWNER and scope MEMBERS_WRITE.',
  input: builder.inputType('DeleteServiceAccountInput', {
    fields: (t) => ({
      userId: t.id({ required: true, description: 'The user id of the account.' }),
    }),
  }),
  payload: payload('DeleteServiceAccountPayload'),
  workspaceIdOf: ({ member }) => member.workspaceId,
  resolve: async ({ userId }, context) => ({ member: await deleteServiceAccount(context, userId) }),
})
