import type { Visibility, WorkspaceRole } from '../../database/tables.ts'
import { NotFound } from '../../errors/access.ts'
import { InvalidInput } from '../../errors/input.ts'
import { builder } from '../../graphql/builder.ts'
import type { Context } from '../../graphql/context.ts'
import { ForbiddenError } from '../../graphql/errors.ts'
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

export const VisibilityEnum = builder.enumType('Visibility', {
  description: 'Who may read a workspace.',
  values: {
    PRIVATE: { description: 'Only members may read.' },
    PUBLIC: { description: 'Everyone may read, also without a token.' },
  } satisfies Record<Visibility, object>,
})
export const WorkspaceRoleEnum = builder.enumType('WorkspaceRole', {
  description: 'What a member may do in a workspace; each role includes the lower ones.',
  values: {
    OWNER: { description: 'Manages the workspace, its members and its tokens.' },
    EDITOR: { description: 'Changes the contents of the workspace.' },
    VIEWER: { description: 'Reads the workspace.' },
  } satisfies Record<WorkspaceRole, object>,
})

builder.objectField(ForbiddenError, 'requiredRole', (t) =>
  t.field({
    type: WorkspaceRoleEnum,
    nullable: true,
    description: 'The lowest role that may do this, or null if the role is not the reason.',
    resolve: ({ requiredRole }) => requiredRole as WorkspaceRole | null,
  }),
)

export const OrderDirection = builder.enumType('OrderDirection', {
  description: 'The direction of a sort order.',
  values: {
    ASC: { description: 'Lowest value first.' },
    DESC: { description: 'Highest value first.' },
  },
})

/** Loads a workspace by id, for a field of a type that the viewer may already see. Does not check access. */
export const loadWorkspace = loader((ids, { db }) => workspacesById(db, ids))

/** Loads a workspace by id, or null if the viewer may not see it. */
const loadVisible = loader((ids, { db, viewer }) => visibleWorkspaces(db, viewer, ids))

const loadAccess = loader((ids, { db, viewer }) =>
  Promise.all(
    ids.map((id) =>
      requireAccess(db, viewer, id, { scope: 'FILES_READ' }).catch((error: Error) => error),
    ),
  ),
)

/**
 * Records that the viewer may read a workspace, so that requireRead does not check it again in this request.
 */
export const primeReadAccess = (context: Context, workspace: AccessibleWorkspace) =>
  loadAccess.prime(context, workspace.id, workspace)

/**
 * Throws NotFound or Forbidden unless the viewer may read the workspace. Every field that lists contents of a
 * workspace calls it. Each request checks a workspace only once.
 */
export async function requireRead(context: Context, workspaceId: string): Promise<void> {
  await loadAccess(context, workspaceId)
}

nodeType('ws', 'Workspace', async (ids, { db, viewer }) => {
  const readable = await readableWorkspaces(db, viewer, ids)
  return (await workspacesById(db, ids)).map((row) => (row && readable.has(row.id) ? row : null))
})

export const Workspace = builder.objectRef<WorkspaceRow>('Workspace').implement({
  description: 'A tree of files and folders with its members, quota and log.',
  interfaces: [Node],
  fields: (t) => ({
    id: t.exposeID('id', { description: 'The id of the workspace.' }),
    name: t.exposeString('name', { description: 'The display name of the workspace.' }),
    slug: t.exposeString('slug', {
      description: 'The unique name of the workspace for use in URLs.',
    }),
    description: t.exposeString('description', {
      nullable: true,
      description: 'What the workspace is for, or null.',
    }),
    createdAt: t.expose('createdAt', {
      type: 'DateTime',
      description: 'When the workspace was created.',
    }),
    visibility: t.expose('visibility', {
      type: VisibilityEnum,
      description: 'Who may read the workspace.',
    }),
    viewerRole: t.field({
      type: WorkspaceRoleEnum,
      nullable: true,
      description: 'The role of the viewer, or null if they are not a member.',
      resolve: ({ id }, _, { db, viewer }) => viewer && roleOf(db, viewer.userId, id),
    }),
    trashRetentionDays: t.exposeInt('trashRetentionDays', {
      description:
        'Number of days after which entries of the trash are purged; 0 means that they are never purged automatically.',
    }),
    autoFile: t.boolean({
      description:
        'Whether uploads without a folder go to /drive/image, /drive/audio, /drive/video or /drive/others by the extension of their name.',
      resolve: ({ autoFile }) => autoFile === 1,
    }),
  }),
})

builder.objectField(ApiToken, 'workspace', (t) =>
  t.field({
    type: Workspace,
    nullable: true,
    description:
      'The workspace that the token is bound to, or null if there is none or the viewer may not see it.',
    resolve: ({ workspaceId }, _, context) =>
      workspaceId === null ? null : loadVisible(context, workspaceId),
  }),
)

const WorkspaceOrder = builder.inputType('WorkspaceOrder', {
  description: 'The sort order of workspaces.',
  fields: (t) => ({
    field: t.field({
      type: builder.enumType('WorkspaceOrderField', {
        description: 'A field by which workspaces can be sorted.',
        values: {
          NAME: { description: 'Sorts by name.' },
          CREATED_AT: { description: 'Sorts by creation time.' },
        },
      }),
      required: true,
      defaultValue: 'NAME',
      description: 'The field to sort by.',
    }),
    direction: t.field({
      type: OrderDirection,
      required: true,
      defaultValue: 'ASC',
      description: 'The direction to sort in.',
    }),
  }),
})

builder.objectField(Viewer, 'workspaces', (t) =>
  t.connection(
    {
      type: Workspace,
      description:
        'The workspaces in which the viewer is a member, sorted by name by default; a token that is bound to a workspace sees only that one.',
      args: {
        orderBy: t.arg({
          type: WorkspaceOrder,
          description: 'The sort order, by default by name.',
        }),
      },
      resolve: (viewer, { orderBy, ...args }, { db }) =>
        page(args, membershipsList(db, viewer, orderBy ?? { field: 'NAME', direction: 'ASC' })),
    },
    ...connectionOf(Workspace, 'Workspace'),
  ),
)

const WorkspaceBy = builder.inputType('WorkspaceBy', {
  description: 'A workspace by its id or its slug.',
  isOneOf: true,
  fields: (t) => ({
    id: t.id({ description: 'The id of the workspace.' }),
    slug: t.string({ description: 'The slug of the workspace.' }),
  }),
})

builder.queryField('workspace', (t) =>
  t.field({
    type: Workspace,
    nullable: true,
    description:
      'Returns a workspace, or null if it does not exist or the viewer may not see it. Requires scope FILES_READ.',
    args: {
      by: t.arg({ type: WorkspaceBy, required: true, description: 'The id or slug to look up.' }),
    },
    resolve: async (_, { by }, { db, viewer }) => {
      const id = by.id ?? (await workspaceIdBySlug(db, by.slug ?? ''))
      return requireAccess(db, viewer, id ?? '', { scope: 'FILES_READ' }).catch(nullIfNotFound)
    },
  }),
)

const nullIfNotFound = (error: unknown) => {
  if (error instanceof NotFound) return null
  throw error
}

const workspacePayload = (name: string) =>
  builder.objectRef<{ workspace: WorkspaceRow }>(name).implement({
    fields: (t) => ({
      workspace: t.expose('workspace', {
        type: Workspace,
        description: 'The workspace after the mutation.',
      }),
    }),
  })
export const CreateWorkspacePayload = workspacePayload('CreateWorkspacePayload')
export const UpdateWorkspacePayload = workspacePayload('UpdateWorkspacePayload')

mutation('createWorkspace', {
  description:
    'Creates a workspace with its root folder and makes the viewer its OWNER. Requires scope WORKSPACES_WRITE and a token that is not bound to a workspace.',
  input: builder.inputType('CreateWorkspaceInput', {
    fields: (t) => ({
      name: t.string({
        required: true,
        description: 'The display name, of 1 to 200 characters.',
      }),
      slug: t.string({
        description: 'The unique name for use in URLs, by default derived from the name.',
      }),
      description: t.string({ description: 'What the workspace is for.' }),
      visibility: t.field({
        type: VisibilityEnum,
        defaultValue: 'PRIVATE',
        description: 'Who may read the workspace. PUBLIC also requires scope FILES_READ.',
      }),
      quotaBytes: t.field({
        type: 'ByteCount',
        description: 'Maximum number of bytes that the workspace may use, by default unlimited.',
      }),
      trashRetentionDays: t.int({
        defaultValue: 30,
        description:
          'Number of days after which entries of the trash are purged, from 0 (never) to 3650.',
      }),
      autoFile: t.boolean({
        defaultValue: false,
        description:
          'Whether uploads without a folder go to a folder below /drive by the extension of their name.',
      }),
    }),
  }),
  payload: CreateWorkspacePayload,
  resolve: async (input, context) => ({ workspace: await createWorkspace(context, input) }),
})

mutation('updateWorkspace', {
  description:
    'Changes the given fields of a workspace. Requires role OWNER and scope WORKSPACES_WRITE.',
  input: builder.inputType('UpdateWorkspaceInput', {
    fields: (t) => ({
      workspaceId: t.id({ required: true, description: 'The workspace to change.' }),
      name: t.string({ description: 'The new display name, of 1 to 200 characters.' }),
      description: t.string({ description: 'The new description; null removes it.' }),
      visibility: t.field({
        type: VisibilityEnum,
        description: 'Who may read the workspace. PUBLIC also requires scope FILES_READ.',
      }),
      quotaBytes: t.field({
        type: 'ByteCount',
        description:
          'The new quota in bytes; null removes it. A quota below the current usage only rejects new bytes.',
      }),
      trashRetentionDays: t.int({
        description:
          'Number of days after which entries of the trash are purged, from 0 (never) to 3650.',
      }),
      autoFile: t.boolean({
        description:
          'Whether uploads without a folder go to a folder below /drive by the extension of their name.',
      }),
    }),
  }),
  payload: UpdateWorkspacePayload,
  errors: [InvalidInput],
  resolve: async (input, context) => ({ workspace: await updateWorkspace(context, input) }),
})
