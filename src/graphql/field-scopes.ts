import type { ApiScope } from '../context.ts'

type TypePolicy = {
  /** The scope that all fields of the type require, except `open`. */
  scope: ApiScope
  /** Fields that need no scope: what the writer of the row knows anyway, or needs to continue. */
  open: readonly string[]
}

const scope = 'FILES_READ'
const writerFields = ['id', 'name', 'path', 'size', 'status']

/**
 * Types that show the contents of a workspace. The lists and queries that lead to them check a scope
 * themselves; these policies cover rows that are reached in other ways, such as the payload of a mutation. A
 * request without a viewer has no scopes, and sees PUBLIC workspaces only.
 */
const typePolicies: Readonly<Record<string, TypePolicy>> = {
  File: { scope, open: writerFields },
  Folder: { scope, open: writerFields },
  FolderTotals: { scope, open: [] },
  FileVersion: { scope, open: ['id', 'size'] },
  FileFailure: { scope, open: [] },
  SignedUrl: { scope, open: [] },
  TrashInfo: { scope, open: [] },
  Sharing: { scope, open: [] },
  Tag: { scope, open: ['id', 'name'] },
  Upload: {
    scope,
    open: [...writerFields, 'offset', 'transport', 'url', 'headers', 'parts', 'expiresAt'],
  },
  UploadFailure: { scope, open: [] },
  Table: { scope, open: ['id', 'name', 'sqlName', 'columns'] },
  TableRow: { scope, open: ['id'] },
  LinkedFile: { scope, open: [] },
  ShareLink: {
    scope,
    open: [
      'id',
      'hasPassword',
      'expiresAt',
      'maxDownloads',
      'downloadCount',
      'createdAt',
      'createdBy',
    ],
  },
  DuplicateGroup: { scope, open: [] },
  Usage: { scope, open: ['id'] },
  KindUsage: { scope, open: [] },
  SearchHighlight: { scope, open: [] },
  EntryUpserted: { scope, open: [] },
  EntryRemoved: { scope, open: [] },
  UploadChanged: { scope, open: [] },
  ChangeBatch: { scope, open: [] },
  ActivityEvent: { scope: 'ACTIVITY_READ', open: [] },
}

/** Fields of other types that lead to the contents of a workspace. */
const fieldPolicies: Readonly<Record<string, ApiScope>> = {
  'NameConflictError.existing': scope,
  'StaleRevisionError.entry': scope,
  'QuotaExceededError.usage': scope,
}

/** Returns the scope that a token needs for a field, or null if the field itself requires none. */
export function scopeOf(type: string, field: string): ApiScope | null {
  const policy = typePolicies[type]
  if (policy) return policy.open.includes(field) ? null : policy.scope
  return fieldPolicies[`${type}.${field}`] ?? null
}
