import type { Visibility, WorkspaceRole } from '../../database/tables.ts'
import { InvalidInput, NotFound } from '../../errors.ts'
import { builder } from '../../graphql/builder.ts'
import type { Context } from '../../graphql/context.ts'
import { mutation } from '../../graphql/mutations.ts'
import { loader, Node, nodeType } from '../../graphql/nodes.ts'
import { connectionOf, page } from '../../graphql/pages.ts'
import { ApiToken, Viewer } from '../accounts/graphql.ts'
import {
  type AccessibleWorkspace,
  membershipsList,
  readableWorkspaces,
  requireAccess,
  roleOf,
  visibleWorkspaces,
  type WorkspaceRow,
  workspaceIdBySlug,
  workspacesById,
} from './reads.ts'
import { createWorkspace, updateWorkspace } from './writes.ts'

const visibilities = ['PRIVATE', 'PUBLIC'] as const satisfies readonly Visibility[]
export const VisibilityEnum = builder.enumType('Visibility', { values: visibilities })
const roles = ['OWNER', 'EDITOR', 'VIEWER'] as const satisfies readonly WorkspaceRole[]
export const WorkspaceRoleEnum = builder.enumType('WorkspaceRole', { values: roles })
export const OrderDirection = builder.enumType('OrderDirection', {
  values: ['ASC', 'DESC'] as const,
})

/** A workspace by id, from inside a type that the viewer may see. */
export const loadWorkspace = loader((ids, { db }) => workspacesById(db, ids))

/** The same by an id that any row may name. */
const loadVisible = loader((ids, { db, viewer }) => visibleWorkspaces(db, viewer, ids))

const loadAccess = loader((ids, { db, viewer }) =>
  Promise.all(
    ids.map((id) =>
      requireAccess(db, viewer, id, { scope: 'FILES_READ' }).catch((error: Error) => error),
    ),
  ),
)

/** What this request was found to be allowed to read needs not be asked again. */
export const maySurelyRead = (context: Context, workspace: AccessibleWorkspace) =>
  loadAccess.prime(context, workspace.id, workspace)

/** Asked by every field that lists what a workspace holds: once for each workspace and request. */
export async function requireRead(context: Context, workspaceId: string): Promise<void> {
  await loadAccess(context, workspaceId)
}

nodeType('ws', 'Workspace', async (ids, { db, viewer }) => {
  const readable = await readableWorkspaces(db, viewer, ids)
  return (await workspacesById(db, ids)).map((row) => (row && readable.has(row.id) ? row : null))
})

export const Workspace = builder.objectRef<WorkspaceRow>('Workspace').implement({
  interfaces: [Node],
  fields: (t) => ({
    id: t.exposeID('id'),
    name: t.exposeString('name'),
    slug: t.exposeString('slug'),
    description: t.exposeString('description', { nullable: true }),
    createdAt: t.expose('createdAt', { type: 'DateTime' }),
    visibility: t.expose('visibility', {
      type: VisibilityEnum,
      description: 'PRIVATE: members only. PUBLIC: anyone may read, without signing in.',
    }),
    viewerRole: t.field({
      type: WorkspaceRoleEnum,
      nullable: true,
      resolve: ({ id }, _, { db, viewer }) => viewer && roleOf(db, viewer.userId, id),
    }),
    trashRetentionDays: t.exposeInt('trashRetentionDays', {
      description: 'What is in the trash longer is purged; 0: never by itself.',
    }),
    autoFile: t.boolean({
      description:
        'Uploads that name no folder land in /drive/image, /drive/audio, /drive/video or /drive/others by their kind.',
      resolve: ({ autoFile }) => autoFile === 1,
    }),
  }),
})

builder.objectField(ApiToken, 'workspace', (t) =>
  t.field({
    type: Workspace,
    nullable: true,
    description:
      'The one workspace that the token is bound to; null where there is none, or it is not yours to see.',
    resolve: ({ workspaceId }, _, context) =>
      workspaceId === null ? null : loadVisible(context, workspaceId),
  }),
)

const WorkspaceOrder = builder.inputType('WorkspaceOrder', {
  fields: (t) => ({
    field: t.field({
      type: builder.enumType('WorkspaceOrderField', { values: ['NAME', 'CREATED_AT'] as const }),
      required: true,
      defaultValue: 'NAME',
    }),
    direction: t.field({ type: OrderDirection, required: true, defaultValue: 'ASC' }),
  }),
})

builder.objectField(Viewer, 'workspaces', (t) =>
  t.connection(
    {
      type: Workspace,
      args: { orderBy: t.arg({ type: WorkspaceOrder }) },
      resolve: (viewer, { orderBy, ...args }, { db }) =>
        page(args, membershipsList(db, viewer, orderBy ?? { field: 'NAME', direction: 'ASC' })),
    },
    ...connectionOf(Workspace, 'Workspace'),
  ),
)

const WorkspaceBy = builder.inputType('WorkspaceBy', {
  isOneOf: true,
  fields: (t) => ({ id: t.id(), slug: t.string() }),
})

builder.queryField('workspace', (t) =>
  t.field({
    type: Workspace,
    nullable: true,
    description: 'Null for what does not exist or is not yours to see.',
    args: { by: t.arg({ type: WorkspaceBy, required: true }) },
    resolve: async (_, { by }, { db, viewer }) => {
      const id = by.id ?? (await workspaceIdBySlug(db, by.slug ?? ''))
      return requireAccess(db, viewer, id ?? '', { scope: 'FILES_READ' }).catch(nullWhenNotFound)
    },
  }),
)

const nullWhenNotFound = (error: unknown) => {
  if (error instanceof NotFound) return null
  throw error
}

const WorkspacePayload = (name: string) =>
  builder
    .objectRef<{ workspace: WorkspaceRow }>(name)
    .implement({ fields: (t) => ({ workspace: t.expose('workspace', { type: Workspace }) }) })

mutation('createWorkspace', {
  description: 'A new workspace with its root folder. You are its OWNER. Scope WORKSPACES_WRITE.',
  input: builder.inputType('CreateWorkspaceInput', {
    fields: (t) => ({
      name: t.string({ required: true }),
      slug: t.string({ description: 'For addresses; made from the name when absent.' }),
      description: t.string(),
      visibility: t.field({
        type: VisibilityEnum,
        defaultValue: 'PRIVATE',
        description: 'PUBLIC requires scope FILES_READ, too.',
      }),
      quotaBytes: t.field({ type: 'ByteCount', description: 'Without it there is no limit.' }),
      trashRetentionDays: t.int({ defaultValue: 30 }),
      autoFile: t.boolean({ defaultValue: false }),
    }),
  }),
  payload: WorkspacePayload('CreateWorkspacePayload'),
  resolve: async (input, context) => ({ workspace: await createWorkspace(context, input) }),
})

mutation('updateWorkspace', {
  description: 'Changes the fields that are given. OWNER, scope WORKSPACES_WRITE.',
  input: builder.inputType('UpdateWorkspaceInput', {
    fields: (t) => ({
      workspaceId: t.id({ required: true }),
      name: t.string(),
      description: t.string(),
      visibility: t.field({
        type: VisibilityEnum,
        description: 'PUBLIC requires scope FILES_READ, too.',
      }),
      quotaBytes: t.field({ type: 'ByteCount' }),
      trashRetentionDays: t.int(),
      autoFile: t.boolean(),
    }),
  }),
  payload: WorkspacePayload('UpdateWorkspacePayload'),
  errors: [InvalidInput],
  resolve: async (input, context) => ({ workspace: await updateWorkspace(context, input) }),
})
