import type { ApiScope } from '../../../src/context.ts'
import type { WorkspaceRole } from '../../../src/database/tables.ts'

/** Expected result: allowed, unauthenticated, forbidden, not found. */
export type Cell = '✓' | '401' | '403' | '404'

/**
 * `reader`: members, and everyone if the workspace is PUBLIC. `anyone`: any valid token. `never`:
 * belongs to another user. `operator`: a secret of the configuration, which no API token replaces.
 * `firstOwner`: the first owner of the server, who is not among the actors.
 */
type Who = WorkspaceRole | 'reader' | 'anyone' | 'never' | 'operator' | 'firstOwner'
/**
 * `open`: for anyone with the URL. `asks`: fails with 401 without a token. `hides`: an object that may not be
 * seen is reported as not found. `hidesRole`: as `hides`, if only the role is missing. `own`: for the
 * viewer's own objects. `reads`: also requires scope FILES_READ. `unbound`: not with a token bound to a
 * workspace.
 */
type Flag = 'open' | 'asks' | 'hides' | 'hidesRole' | 'own' | 'reads' | 'unbound'
export type Rule = { who: Who; scope: ApiScope | null; flags: readonly Flag[] }

const rule = (who: Who, scope: ApiScope | null, ...flags: Flag[]): Rule => ({ who, scope, flags })
const open = rule('anyone', null, 'open')

/**
 * Role and scope of each mutation, as its description in schema.graphql says. The order ensures that the
 * objects of each mutation still exist.
 */
export const mutationRules: Record<string, Rule> = {
  createWorkspace: rule('anyone', 'WORKSPACES_WRITE', 'unbound', 'asks'),
  updateWorkspace: rule('OWNER', 'WORKSPACES_WRITE'),
  addMember: rule('OWNER', 'MEMBERS_WRITE'),
  updateMember: rule('OWNER', 'MEMBERS_WRITE'),
  createServiceAccount: rule('OWNER', 'MEMBERS_WRITE'),
  createApiToken: rule('OWNER', 'TOKENS_WRITE', 'asks'),
  createFolder: rule('EDITOR', 'FILES_WRITE'),
  updateTag: rule('EDITOR', 'FILES_WRITE'),
  tagEntries: rule('EDITOR', 'FILES_WRITE'),
  createTable: rule('EDITOR', 'TABLES_WRITE'),
  linkRow: rule('EDITOR', 'TABLES_WRITE'),
  createShareLink: rule('EDITOR', 'SHARES_WRITE', 'reads'),
  createUpload: rule('EDITOR', 'FILES_WRITE'),
  createUploads: rule('EDITOR', 'FILES_WRITE'),
  restoreVersion: rule('EDITOR', 'FILES_WRITE'),
  deleteVersion: rule('EDITOR', 'FILES_WRITE'),
  updateEntry: rule('EDITOR', 'FILES_WRITE'),
  moveEntries: rule('EDITOR', 'FILES_WRITE'),
  copyEntries: rule('EDITOR', 'FILES_WRITE'),
  confirmUpload: rule('EDITOR', 'FILES_WRITE', 'own'),
  confirmUploads: rule('EDITOR', 'FILES_WRITE', 'own'),
  cancelUpload: rule('EDITOR', 'FILES_WRITE', 'own'),
  importArchive: rule('EDITOR', 'FILES_WRITE', 'own', 'reads'),
  restoreEntries: rule('EDITOR', 'FILES_WRITE'),
  purgeEntries: rule('EDITOR', 'TRASH_PURGE'),
  emptyTrash: rule('EDITOR', 'TRASH_PURGE'),
  deleteTag: rule('EDITOR', 'FILES_WRITE'),
  revokeShareLink: rule('EDITOR', 'SHARES_WRITE'),
  revokeApiToken: rule('OWNER', 'TOKENS_WRITE', 'asks', 'hidesRole'),
  trashEntries: rule('EDITOR', 'FILES_WRITE'),
  removeMember: rule('OWNER', 'MEMBERS_WRITE'),
  deleteServiceAccount: rule('OWNER', 'MEMBERS_WRITE'),
  // Revokes the other tokens of an allowed actor.
  revokeAllApiTokens: rule('anyone', 'TOKENS_WRITE', 'asks'),
}

/** node(id:) of each type: null for an object that does not exist or is not visible. */
export const nodeRules: Record<string, Rule> = {
  Workspace: rule('reader', 'FILES_READ', 'hides'),
  Folder: rule('reader', 'FILES_READ', 'hides'),
  File: rule('reader', 'FILES_READ', 'hides'),
  FileVersion: rule('reader', 'FILES_READ', 'hides'),
  Tag: rule('reader', 'FILES_READ', 'hides'),
  Upload: rule('VIEWER', 'FILES_READ', 'hides'),
  User: rule('VIEWER', 'FILES_READ', 'hides'),
  ActivityEvent: rule('VIEWER', 'ACTIVITY_READ', 'hides'),
  ShareLink: rule('EDITOR', 'SHARES_WRITE', 'hides'),
  Member: rule('VIEWER', 'FILES_READ', 'hides'),
  Usage: rule('reader', 'FILES_READ', 'hides'),
  Table: rule('VIEWER', 'FILES_READ', 'hides'),
  TableRow: rule('VIEWER', 'FILES_READ', 'hides'),
  ApiToken: rule('OWNER', 'TOKENS_WRITE', 'hides'),
}

export const queryRules: Record<string, Rule> = {
  node: nodeRules.File as Rule,
  nodes: nodeRules.File as Rule,
  workspace: rule('reader', 'FILES_READ'),
  shared: open,
  viewer: open,
  serverInfo: open,
  rateLimit: open,
  serverActivity: rule('firstOwner', 'ACTIVITY_READ', 'asks'),
}

/** Fields of a workspace. */
export const workspaceRules: Record<string, Rule> = {
  root: rule('reader', 'FILES_READ'),
  entries: rule('reader', 'FILES_READ'),
  entryByPath: rule('reader', 'FILES_READ'),
  search: rule('reader', 'FILES_READ'),
  tags: rule('reader', 'FILES_READ'),
  duplicates: rule('reader', 'FILES_READ'),
  changes: rule('reader', 'FILES_READ'),
  usage: rule('reader', 'FILES_READ'),
  trash: rule('VIEWER', 'FILES_READ'),
  members: rule('VIEWER', 'FILES_READ'),
  uploads: rule('VIEWER', 'FILES_READ'),
  table: rule('VIEWER', 'FILES_READ'),
  tables: rule('VIEWER', 'FILES_READ'),
  activity: rule('VIEWER', 'ACTIVITY_READ'),
  shareLinks: rule('EDITOR', 'SHARES_WRITE'),
  apiTokens: rule('OWNER', 'TOKENS_WRITE'),
}

export const subscriptionRules: Record<string, Rule> = {
  workspaceChanges: rule('reader', 'FILES_READ'),
  uploadChanged: rule('VIEWER', 'FILES_READ'),
}

/**
 * The endpoints other than GraphQL, as the README describes them. The first word is the name of the route.
 */
export const endpointRules: Record<string, Rule> = {
  'uploads POST': rule('EDITOR', 'FILES_WRITE', 'asks'),
  'uploads HEAD': rule('EDITOR', 'FILES_WRITE', 'asks', 'own'),
  'uploads PATCH': rule('EDITOR', 'FILES_WRITE', 'asks', 'own'),
  'uploads DELETE': rule('EDITOR', 'FILES_WRITE', 'asks', 'own'),
  "uploads HEAD another's": rule('never', null, 'asks'),
  "uploads PATCH another's": rule('never', null, 'asks'),
  "uploads DELETE another's": rule('never', null, 'asks'),
  'uploads OPTIONS': open,
  'put PUT': open,
  'files POST': rule('EDITOR', 'FILES_WRITE', 'asks'),
  'download GET': rule('reader', 'FILES_READ', 'asks'),
  'download HEAD': rule('reader', 'FILES_READ', 'asks'),
  'download signed': open,
  'archive signed': open,
  'archive manifest': open,
  'share GET': open,
  'metrics GET': rule('operator', null),
  'livez GET': open,
  'readyz GET': open,
  'graphql page': open,
  'root GET': open,
}

export type Actor = {
  /** A name of at most four letters. */
  name: string
  says: string
  /** Role in the workspace; null: not a member (any more). */
  role: WorkspaceRole | null
  /** Scopes of the token; null: no token. */
  scopes: readonly ApiScope[] | null
  bound?: 'here' | 'elsewhere'
  /** Whether the token is expired or revoked. */
  isDead?: boolean
  /** Whether the workspace is PUBLIC. */
  isPublic?: boolean
}

const ranks = { VIEWER: 1, EDITOR: 2, OWNER: 3 }

/** Returns the result that a rule requires for an actor. `isEndpoint`: an open endpoint reads no token. */
export function expected({ who, scope, flags }: Rule, actor: Actor, isEndpoint: boolean): Cell {
  const is = (flag: Flag) => flags.includes(flag)
  const { scopes, role } = actor
  if (is('open') && isEndpoint) return '✓'
  if (actor.isDead || who === 'operator') return '401'
  if (is('open')) return '✓'
  if (who === 'reader' && actor.isPublic && !scopes) return '✓'
  if (is('asks') && !scopes) return '401'
  const isMissing = (one: ApiScope | null) =>
    scopes !== null && one !== null && !scopes.includes(one)
  const lacksScope = isMissing(scope) || (is('reads') && isMissing('FILES_READ'))
  if (who === 'firstOwner') return '403'
  if (who === 'anyone') {
    return lacksScope || (is('unbound') && actor.bound) ? '403' : '✓'
  }
  const isSeen = actor.bound !== 'elsewhere' && (role !== null || actor.isPublic)
  if (who === 'never' || !isSeen || (is('own') && role === null)) return '404'
  if (lacksScope) return is('hides') ? '404' : '403'
  const hasRole = who === 'reader' || (role !== null && ranks[role] >= ranks[who])
  if (hasRole) return '✓'
  return is('hides') || is('hidesRole') ? '404' : '403'
}
