import { builder } from '../../graphql/builder.ts'
import { connectionOf, page } from '../../graphql/pages.ts'
import { loadUser, User } from '../accounts/graphql.ts'
import { requireServerAccess, type ServerEventRow, serverActivityList } from './reads.ts'
import { type ServerAction, serverActions } from './rules.ts'

const ServerActionEnum = builder.enumType('ServerAction', {
  values: {
    USER_CREATED: { description: 'A user was created on the server.' },
    TOKEN_CREATED: { description: 'A token that no workspace binds, or any token on the server.' },
    TOKEN_REVOKED: { description: 'A token that no workspace binds, or any token on the server.' },
  } satisfies Record<ServerAction, object>,
})

export const ServerEvent = builder.objectRef<ServerEventRow>('ServerEvent').implement({
  description: 'Something that happened on the server and concerns no single workspace.',
  fields: (t) => ({
    id: t.exposeID('id', { description: 'Names this event and no other.' }),
    action: t.field({
      type: ServerActionEnum,
      description: 'What was done.',
      resolve: ({ action }) => serverActions.find((known) => known === action) as ServerAction,
    }),
    actor: t.field({
      type: User,
      nullable: true,
      description: 'The user who did it; null where it was done on the server.',
      resolve: ({ actorId }, _, context) => (actorId === null ? null : loadUser(context, actorId)),
    }),
    at: t.expose('at', { type: 'DateTime', description: 'When it was done.' }),
    details: t.field({
      type: 'JSONObject',
      description: 'What the action was about, as ids and names.',
      resolve: ({ details }) => JSON.parse(details),
    }),
  }),
})

builder.queryField('serverActivity', (t) =>
  t.connection(
    {
      type: ServerEvent,
      description:
        'Tokens and users of the whole server: who created and revoked what, newest first. Requires scope ACTIVITY_READ and a token that no workspace binds, of the first owner of the server.',
      resolve: async (_, args, { db, viewer }) => {
        await requireServerAccess(db, viewer)
        return page(args, serverActivityList(db))
      },
    },
    ...connectionOf(ServerEvent, 'ServerEvent'),
  ),
)
