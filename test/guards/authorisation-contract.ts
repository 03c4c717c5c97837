import type { ApiScope } from '../../src/context.ts'
import type { WorkspaceRole } from '../../src/database/tables.ts'

/** What somebody is told: let in, nobody knows them, not theirs to do, not there. */
export type Cell = '✓' | '401' | '403' | '404'

/**
 * `reader`: members, and everybody where the workspace is PUBLIC. `anyone`: whoever has a token. `never`: what belongs to another.
 * `operator`: a secret of the settings, which no API token stands for. `firstOwner`: the first owner of the server, who is none of
 * those that are tried.
 */
type Who = WorkspaceRole | 'reader' | 'anyone' | 'never' | 'operator' | 'firstOwner'
/**
 * `open`: to whoever knows the address. `asks`: who shows no token is asked for one. `hides`: what may not be seen is not there.
 * `hidesRole`: the same for want of a role alone. `own`: of one's own things. `reads`: scope FILES_READ besides. `unbound`: not with
 * a token that is bound to a workspace.
 */
type Flag = 'open' | 'asks' | 'hides' | 'hidesRole' | 'own' | 'reads' | 'unbound'
export type Rule = { who: Who; scope: ApiScope | null; flags: readonly Flag[] }

const rule = (who: Who, scope: ApiScope | null, ...flags: Flag[]): Rule => ({ who, scope, flags })
const open = rule('anyone', null, 'open')

/** What a mutation asks of whoever calls it, as its sentence in schema.graphql says; in an order in which one leaves the next its things. */
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
  // Takes their other tokens from those who may.
  revokeAllApiTokens: rule('anyone', 'TOKENS_WRITE', 'asks'),
}

/** node(id:) of each type: null for what does not exist or is not yours to see. */
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

/** What a workspace holds. */
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

/** The doors beside GraphQL: what the README says of each. The first word is the name of its route. */
export const doorRules: Record<string, Rule> = {
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
  /** A word of at most four letters. */
  name: string
  says: string
  /** What they are in the workspace; null: no member (any more). */
  role: WorkspaceRole | null
  /** Of their token; null: they have none. */
  scopes: readonly ApiScope[] | null
  bound?: 'here' | 'elsewhere'
  /** Its time is over, or it was revoked. */
  isDead?: boolean
  /** Whether the workspace is PUBLIC. */
  isPublic?: boolean
}

const ranks = { VIEWER: 1, EDITOR: 2, OWNER: 3 }

/** What an actor must be told by what a rule is about. `isDoor`: an open one asks for no token, and looks at none. */
export function expected({ who, scope, flags }: Rule, actor: Actor, isDoor: boolean): Cell {
  const is = (flag: Flag) => flags.includes(flag)
  const { scopes, role } = actor
  if (is('open') && isDoor) return '✓'
  if (actor.isDead || who === 'operator') return '401'
  if (is('open')) return '✓'
  if (who === 'reader' && actor.isPublic && !scopes) return '✓'
  if (is('asks') && !scopes) return '401'
  const lacks = (one: ApiScope | null) => scopes !== null && one !== null && !scopes.includes(one)
  const lacksScope = lacks(scope) || (is('reads') && lacks('FILES_READ'))
  if (who === 'firstOwner') return '403'
  if (who === 'anyone') {
    return lacksScope || (is('unbound') && actor.bound) ? '403' : '✓'
  }
  const isSeen = actor.bound !== 'elsewhere' && (role !== null || actor.isPublic)
  if (who === 'never' || !isSeen || (is('own') && role === null)) return '404'
  if (lacksScope) return is('hides') ? '404' : '403'
  const isEnough = who === 'reader' || (role !== null && ranks[role] >= ranks[who])
  if (isEnough) return '✓'
  return is('hides') || is('hidesRole') ? '404' : '403'
}
