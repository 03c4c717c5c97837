/** Everything that the log of the server can say. */
export const serverActions = ['USER_CREATED', 'TOKEN_CREATED', 'TOKEN_REVOKED'] as const
export type ServerAction = (typeof serverActions)[number]
