import { InvalidInput } from '../../errors/input.ts'

/** Actions that the activity log records. */
const activityActions = [
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
  'FILE_DAMAGED',
  'FILE_RECOVERED',
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

const MAX_ACTOR_IDS = 100

/** Throws InvalidInput for a filter with more than MAX_ACTOR_IDS actor ids. */
export function checkActivityFilter({
  actorIds,
}: {
  actorIds?: readonly string[] | null | undefined
}) {
  if ((actorIds?.length ?? 0) <= MAX_ACTOR_IDS) return
  const message = `at most ${MAX_ACTOR_IDS} ids`
  throw new InvalidInput({ path: ['filter', 'actorIds'], message })
}
