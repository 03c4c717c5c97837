import { builder } from '../../graphql/builder.ts'
import { type Mutation, mutation } from '../../graphql/mutations.ts'
import { Node, nodeType, nullIfDenied } from '../../graphql/nodes.ts'
import { connectionOf, page } from '../../graphql/pages.ts'
import { loadUser, User } from '../accounts/graphql.ts'
import { CreateWorkspacePayload, UpdateWorkspacePayload, Workspace } from '../workspaces/graphql.ts'
import { requireAccess, requireRow } from '../workspaces/reads.ts'
import { type ActivityRow, activityById, activityList, currentSyncCursor } from './reads.ts'
import { type ActivityAction, checkActivityFilter } from './rules.ts'
import './writes.ts'

export const ActivityActionEnum = builder.enumType('ActivityAction', {
  description: 'An action in the activity log.',
  values: {
    WORKSPACE_CREATED: { description: 'The workspace was created.' },
    WORKSPACE_UPDATED: { description: 'The settings of the workspace or one of its tags changed.' },
    FOLDER_CREATED: { description: 'A folder was created.' },
    FILE_CREATED: { description: 'A file was created.' },
    VERSION_ADDED: { description: 'A file received a new version.' },
    VERSION_RESTORED: { description: 'An older version of a file became the current one.' },
    ENTRY_UPDATED: { description: 'The name, description, tags or metadata of an entry changed.' },
    ENTRY_MOVED: { description: 'An entry was moved to another folder.' },
    ENTRY_COPIED: { description: 'An entry was created as a copy of another.' },
    ENTRY_TRASHED: { description: 'An entry was moved to the trash.' },
    ENTRY_RESTORED: { description: 'An entry was restored from the trash.' },
    ENTRY_PURGED: { description: 'An entry was deleted permanently.' },
    UPLOAD_CREATED: { description: 'An upload was created.' },
    UPLOAD_FAILED: { description: 'An upload failed.' },
    FILE_DOWNLOADED: { description: 'A download of a file started.' },
    FILE_DAMAGED: { description: 'The stored bytes of a file were found to be damaged.' },
    FILE_RECOVERED: { description: 'The stored bytes of a damaged file were found to be intact.' },
    ARCHIVE_DOWNLOADED: { description: 'A download of an archive of a folder started.' },
    SHARE_LINK_CREATED: { description: 'A share link was created.' },
    SHARE_LINK_REVOKED: { description: 'A share link was revoked.' },
    SHARE_LINK_OPENED: { description: 'A share link was opened.' },
    MEMBER_ADDED: { description: 'A member was added.' },
    MEMBER_UPDATED: { description: 'The role of a member changed.' },
    MEMBER_REMOVED: { description: 'A member was removed.' },
    TOKEN_CREATED: { description: 'A token that is bound to the workspace was created.' },
    TOKEN_REVOKED: { description: 'A token that is bound to the workspace was revoked.' },
    ROW_LINKED: { description: 'A row of a table was linked to a file.' },
    ROW_UNLINKED: {
      description:
        'Rows of a table were deleted because the file they name was moved to the trash.',
    },
    TABLE_CREATED: { description: 'A table was created.' },
  } satisfies Record<ActivityAction, object>,
})
const requirement = { scope: 'ACTIVITY_READ', role: 'VIEWER' } as const

nodeType('evt', 'ActivityEvent', async (ids, { db, viewer }) => {
  const rows = await activityById(db, ids)
  return Promise.all(
    ids.map((id, i) => nullIfDenied(requireRow(db, viewer, id, rows[i], requirement))),
  )
})

export const ActivityEvent = builder.objectRef<ActivityRow>('ActivityEvent').implement({
  description: 'An event in the activity log of a workspace.',
  interfaces: [Node],
  fields: (t) => ({
    id: t.exposeID('id', { description: 'The id of the event.' }),
    action: t.field({
      type: ActivityActionEnum,
      description: 'What was done.',
      resolve: ({ action }) => action as ActivityAction,
    }),
    actor: t.field({
      type: User,
      nullable: true,
      description: 'The user who did it, or null if it happened without a user.',
      resolve: ({ actorId }, _, context) => (actorId === null ? null : loadUser(context, actorId)),
    }),
    entryId: t.exposeID('entryId', {
      nullable: true,
      description: 'The id of the entry, which may no longer exist, or null if there is none.',
    }),
    path: t.exposeString('path', {
      nullable: true,
      description: 'The path of the entry at that time, or null if there is none.',
    }),
    at: t.expose('at', { type: 'DateTime', description: 'When it was done.' }),
    details: t.field({
      type: 'JSONObject',
      description: 'Further data of the event, which depends on the action.',
      resolve: ({ details }) => JSON.parse(details),
    }),
  }),
})

export const DateTimeRange = builder.inputType('DateTimeRange', {
  description: 'A range of times.',
  fields: (t) => ({
    gte: t.field({ type: 'DateTime', description: 'The start of the range, inclusive.' }),
    lt: t.field({ type: 'DateTime', description: 'The end of the range, exclusive.' }),
  }),
})

const ActivityFilter = builder.inputType('ActivityFilter', {
  description: 'Conditions on events, all of which must hold.',
  fields: (t) => ({
    actions: t.field({
      type: [ActivityActionEnum],
      description: 'Matches events with one of these actions.',
    }),
    actorIds: t.idList({
      description: 'Matches events of one of these users, of whom there may be at most 100.',
    }),
    entryId: t.id({ description: 'Matches events of this entry.' }),
    at: t.field({ type: DateTimeRange, description: 'Matches events in this range of times.' }),
  }),
})

builder.objectFields(Workspace, (t) => ({
  activity: t.connection(
    {
      type: ActivityEvent,
      description:
        'The activity log, newest first, with ids and paths of entries. Requires role VIEWER and scope ACTIVITY_READ, so only members see it.',
      args: {
        filter: t.arg({
          type: ActivityFilter,
          description: 'Returns only events that match the filter.',
        }),
      },
      resolve: async ({ id }, { filter, ...args }, { db, viewer }) => {
        await requireAccess(db, viewer, id, requirement)
        checkActivityFilter(filter ?? {})
        return page(args, activityList(db, id, filter ?? {}))
      },
    },
    ...connectionOf(ActivityEvent, 'Activity'),
  ),
  syncCursor: t.field({
    type: 'SyncCursor',
    description:
      'The current position in the change log, from which a client receives only later changes.',
    resolve: ({ id }, _, context) => currentSyncCursor(context, id),
  }),
}))

type Payload<P> = Mutation<never, P>['payload']

/** Adds the field syncCursor to the payload of a mutation that concerns one workspace. */
function addSyncCursor<P>(payload: Payload<P>, workspaceIdOf: (payload: P) => string) {
  builder.objectField(payload, 'syncCursor', (t) =>
    t.field({
      type: 'SyncCursor',
      description: 'The position in the change log of the workspace after the mutation.',
      resolve: (payload, _, context) => currentSyncCursor(context, workspaceIdOf(payload as P)),
    }),
  )
}

/** Declares a mutation that concerns one workspace, with syncCursor in its payload (see `mutation`). */
export function workspaceMutation<I, P>(
  name: string,
  { workspaceIdOf, ...definition }: Mutation<I, P> & { workspaceIdOf: (payload: P) => string },
) {
  mutation(name, definition)
  addSyncCursor(definition.payload, workspaceIdOf)
}

addSyncCursor(CreateWorkspacePayload, ({ workspace }) => workspace.id)
addSyncCursor(UpdateWorkspacePayload, ({ workspace }) => workspace.id)
