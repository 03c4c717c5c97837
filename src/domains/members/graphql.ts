import type { Row } from '../../database/tables.ts'
import { InvalidState } from '../../errors.ts'
import { builder } from '../../graphql/builder.ts'
import { mutation } from '../../graphql/mutations.ts'
import { loader, nodeType } from '../../graphql/nodes.ts'
import { connectionOf, page } from '../../graphql/pages.ts'
import { loadUser, User } from '../accounts/graphql.ts'
import { type UserRow, usersById } from '../accounts/reads.ts'
import { Workspace, WorkspaceRoleEnum } from '../workspaces/graphql.ts'
import { requireAccess } from '../workspaces/reads.ts'
import { colleaguesAmong, membersList } from './reads.ts'
import { createServiceAccount, deleteServiceAccount } from './service-accounts.ts'
import { addMember, removeMember, updateMember } from './writes.ts'

nodeType('usr', 'User', async (ids, { db, viewer }) => {
  const known = await colleaguesAmong(db, viewer, ids)
  return (await usersById(db, ids)).map((row) => (row && known.has(row.id) ? row : null))
})

const loadColleague = loader<string>(async (ids, { db, viewer }) => {
  const known = await colleaguesAmong(db, viewer, ids)
  return ids.map((id) => (known.has(id) ? id : null))
})

builder.objectField(User, 'email', (t) =>
  t.string({
    nullable: true,
    description: 'For oneself and those in the same workspace; null for others.',
    resolve: async ({ id, email }, _, context) =>
      (await loadColleague(context, id)) ? email : null,
  }),
)

const Member = builder.objectRef<Row<'members'>>('Member').implement({
  fields: (t) => ({
    user: t.field({
      type: User,
      resolve: async ({ userId }, _, context) => (await loadUser(context, userId)) as UserRow,
    }),
    role: t.expose('role', { type: WorkspaceRoleEnum }),
    joinedAt: t.expose('joinedAt', { type: 'DateTime' }),
  }),
})

builder.objectField(Workspace, 'members', (t) =>
  t.connection(
    {
      type: Member,
      description: 'In the order in which they joined. Members only.',
      resolve: async ({ id }, args, { db, viewer }) => {
        await requireAccess(db, viewer, id, { scope: 'FILES_READ', role: 'VIEWER' })
        return page(args, membersList(db, id))
      },
    },
    ...connectionOf(Member, 'Member'),
  ),
)

const payload = (name: string) =>
  builder.objectRef<{ member: Row<'members'> }>(name).implement({
    fields: (t) => ({
      member: t.expose('member', { type: Member, description: 'The member as it is or was.' }),
    }),
  })

mutation('addMember', {
  description: 'Lets somebody in; an unknown address becomes a user. OWNER, scope MEMBERS_WRITE.',
  input: builder.inputType('AddMemberInput', {
    fields: (t) => ({
      workspaceId: t.id({ required: true }),
      email: t.string({ required: true }),
      name: t.string(),
      role: t.field({ type: WorkspaceRoleEnum, required: true, defaultValue: 'EDITOR' }),
    }),
  }),
  payload: payload('AddMemberPayload'),
  errors: [InvalidState],
  resolve: async (input, context) => ({ member: await addMember(context, input) }),
})

mutation('updateMember', {
  description:
    'Gives a member another role. A VIEWER keeps neither share links nor unfinished uploads; who is no longer OWNER, no tokens that they made for service accounts. OWNER, scope MEMBERS_WRITE.',
  input: builder.inputType('UpdateMemberInput', {
    fields: (t) => ({
      workspaceId: t.id({ required: true }),
      userId: t.id({ required: true }),
      role: t.field({ type: WorkspaceRoleEnum, required: true }),
    }),
  }),
  payload: payload('UpdateMemberPayload'),
  errors: [InvalidState],
  resolve: async (input, context) => ({ member: await updateMember(context, input) }),
})

mutation('removeMember', {
  description:
    'Ends a membership at once, with the tokens that are bound to the workspace, the tokens that the member made for service accounts, the share links and the unfinished uploads of the member; those uploads, too, that were made with these tokens of service accounts. Share links that a service account made are its own: they stay until it is deleted. OWNER, or the member; scope MEMBERS_WRITE.',
  input: builder.inputType('RemoveMemberInput', {
    fields: (t) => ({
      workspaceId: t.id({ required: true }),
      userId: t.id({ required: true }),
      transferShareLinksTo: t.id({
        description:
          'The member, EDITOR or OWNER, who has the share links of the removed member from now on; without it they are revoked. Requires role OWNER and scope SHARES_WRITE.',
      }),
    }),
  }),
  payload: payload('RemoveMemberPayload'),
  errors: [InvalidState],
  resolve: async (input, context) => ({ member: await removeMember(context, input) }),
})

mutation('createServiceAccount', {
  description:
    'Creates a member without a person behind it, for programs; createApiToken makes its tokens. OWNER, scope MEMBERS_WRITE.',
  input: builder.inputType('CreateServiceAccountInput', {
    fields: (t) => ({
      workspaceId: t.id({
        required: true,
        description: 'The one workspace that it belongs to.',
      }),
      name: t.string({ required: true, description: 'Shown on what it makes.' }),
      role: t.field({
        type: WorkspaceRoleEnum,
        required: true,
        defaultValue: 'EDITOR',
        description: 'What it may do in the workspace.',
      }),
    }),
  }),
  payload: payload('CreateServiceAccountPayload'),
  resolve: async (input, context) => ({ member: await createServiceAccount(context, input) }),
})

mutation('deleteServiceAccount', {
  description:
    'Ends a service account at once, with its tokens, share links and unfinished uploads; its files stay. OWNER, scope MEMBERS_WRITE.',
  input: builder.inputType('DeleteServiceAccountInput', {
    fields: (t) => ({
      userId: t.id({ required: true, description: 'The id of its user.' }),
    }),
  }),
  payload: payload('DeleteServiceAccountPayload'),
  resolve: async ({ userId }, context) => ({ member: await deleteServiceAccount(context, userId) }),
})
