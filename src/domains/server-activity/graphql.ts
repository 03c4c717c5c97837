import { builder } from '../../graphql/builder.ts'
import { connectionOf, page } from '../../graphql/pages.ts'
import { loadUser, User } from '../accounts/graphql.ts'
import { requireServerAccess, type ServerEventRow, serverActivityList } from './reads.ts'
import { type ServerAction, serverActions } from './rules.ts'

const ServerActionEnum = builder.enumType('ServerAction', {
  description: 'An action in the log of the server.',
  values: {
    USER_CREATED: { description: 'The operator created a user with the admin command.' },
    TOKEN_CREATED: {
      description: 'An unbound token was created, or any token was created with the admin command.',
    },
    TOKEN_REVOKED: {
      description: 'An unbound token was revoked, or any token was revoked with the admin command.',
    },
  } satisfies Record<ServerAction, object>,
})

export const ServerEvent = builder.objectRef<ServerEventRow>('ServerEvent').implement({
  description: 'An event of the server that belongs to no single workspace.',
  fields: (t) => ({
    id: t.exposeID('id', { description: 'The id of the event.' }),
    action: t.field({
      type: ServerActionEnum,
      description: 'What was done.',
      resolve: ({ action }) => serverActions.find((known) => known === action) as ServerAction,
    }),
    actor: t.field({
      type: User,
      nullable: true,
      description: 'The user who did it, or null if it was done with the admin command.',
      resolve: ({ actorId }, _, context) => (actorId === null ? null : loadUser(context, actorId)),
    }),
    at: t.expose('at', { type: 'DateTime', description: 'When it was done.' }),
    details: t.field({
      type: 'JSONObject',
      description: 'The ids and names that the action concerned.',
      resolve: ({ details }) => JSON.parse(details),
    }),
  }),
})

builder.queryField('serverActivity', (t) =>
  t.connection(
    {
      type: ServerEvent,
      description:
        'The log of users and tokens of the whole server, newest first. Requires scope ACTIVITY_READ and an unbound token of the first owner of the server.',
      resolve: async (_, args, { db, viewer }) => {
        await requireServerAccess(db, viewer)
        return page(args, serverActivityList(db))
      },
    },
    ...connectionOf(ServerEvent, 'ServerEvent'),
  ),
)
