/** Everything that the log can say. */
export const activityActions = [
  'WORKSPACE_CREATED',
  'WORKSPACE_UPDATED',
  'FOLDER_CREATED',
  'FILE_CREATED',
  'VERSION_ADDED',
  'VERSION_RESTORED',
  'ENTRY_UPDATED',
  'ENTRY_MOVED',
  'ENTRY_COPIED',
  'ENTRY_TRASHED',
  'ENTRY_RESTORED',
  'ENTRY_PURGED',
  'UPLOAD_CREATED',
  'UPLOAD_FAILED',
  'FILE_DOWNLOADED',
  'ARCHIVE_DOWNLOADED',
  'SHARE_LINK_CREATED',
  'SHARE_LINK_REVOKED',
  'SHARE_LINK_OPENED',
  'MEMBER_ADDED',
  'MEMBER_UPDATED',
  'MEMBER_REMOVED',
  'TOKEN_CREATED',
  'TOKEN_REVOKED',
  'ROW_LINKED',
  'ROW_UNLINKED',
  'TABLE_CREATED',
] as const
export type ActivityAction = (typeof activityActions)[number]

/** A place in the workspace's log; clients compare it for equality only. */
export const syncCursor = ({ id, lastSeq }: { id: string; lastSeq: number }) =>
  Buffer.from(`${id.slice(-8)}:${lastSeq}`).toString('base64url')
