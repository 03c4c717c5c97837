/** Actions that the log of the server records. */
export const serverActions = ['USER_CREATED', 'TOKEN_CREATED', 'TOKEN_REVOKED'] as const
export type ServerAction = (typeof serverActions)[number]
