import { builder } from '../../graphql/builder.ts'
import { Node, nodeType, nullIfDenied } from '../../graphql/nodes.ts'
import { connectionOf, page } from '../../graphql/pages.ts'
import { loadUser, User } from '../accounts/graphql.ts'
import { Workspace } from '../workspaces/graphql.ts'
import { requireAccess } from '../workspaces/reads.ts'
import { type ActivityRow, activityById, activityList, currentSyncCursor } from './reads.ts'
import { type ActivityAction, activityActions, checkActivityFilter } from './rules.ts'
import './writes.ts'

export const ActivityActionEnum = builder.enumType('ActivityAction', { values: activityActions })
const need = { scope: 'ACTIVITY_READ', role: 'VIEWER' } as const

nodeType('evt', 'ActivityEvent', async (ids, { db, viewer }) => {
  const rows = await activityById(db, ids)
  return Promise.all(
    rows.map((row) =>
      nullIfDenied(requireAccess(db, viewer, row?.workspaceId ?? '', need).then(() => row)),
    ),
  )
})

export const ActivityEvent = builder.objectRef<ActivityRow>('ActivityEvent').implement({
  interfaces: [Node],
  fields: (t) => ({
    id: t.exposeID('id'),
    action: t.field({
      type: ActivityActionEnum,
      resolve: ({ action }) => action as ActivityAction,
    }),
    actor: t.field({
      type: User,
      nullable: true,
      resolve: ({ actorId }, _, context) => (actorId === null ? null : loadUser(context, actorId)),
    }),
    entryId: t.exposeID('entryId', { nullable: true }),
    path: t.exposeString('path', {
      nullable: true,
      description: 'Where the entry was at that moment.',
    }),
    at: t.expose('at', { type: 'DateTime' }),
    details: t.field({ type: 'JSONObject', resolve: ({ details }) => JSON.parse(details) }),
  }),
})

export const DateTimeRange = builder.inputType('DateTimeRange', {
  fields: (t) => ({ gte: t.field({ type: 'DateTime' }), lt: t.field({ type: 'DateTime' }) }),
})

const ActivityFilter = builder.inputType('ActivityFilter', {
  fields: (t) => ({
    actions: t.field({ type: [ActivityActionEnum] }),
    actorIds: t.idList(),
    entryId: t.id(),
    at: t.field({ type: DateTimeRange }),
  }),
})

builder.objectFields(Workspace, (t) => ({
  activity: t.connection(
    {
      type: ActivityEvent,
      description:
        'Who did what to which entry, newest first. It names entries and their paths. Members, scope ACTIVITY_READ.',
      args: { filter: t.arg({ type: ActivityFilter }) },
      resolve: async ({ id }, { filter, ...args }, { db, viewer }) => {
        await requireAccess(db, viewer, id, need)
        checkActivityFilter(filter ?? {})
        return page(args, activityList(db, id, filter ?? {}))
      },
    },
    ...connectionOf(ActivityEvent, 'Activity'),
  ),
  syncCursor: t.field({
    type: 'SyncCursor',
    description: 'Now. Start here to follow only what happens next.',
    resolve: ({ id }, _, context) => currentSyncCursor(context, id),
  }),
}))
