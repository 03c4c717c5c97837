import type { ApiScope } from '../context.ts'

type TypePolicy = {
  /** Opens every field of the type. */
  scope: ApiScope
  /**
   * What a token without it is shown all the same: what the writer of the row knows, or needs to go on
   * writing.
   */
  open: readonly string[]
}

const scope = 'FILES_READ'
const written = ['id', 'name', 'path', 'size', 'status']

/**
 * Types that show what a workspace holds. The lists and queries that lead to them ask for a scope themselves;
 * this holds for rows that are reached another way, such as the payload of a mutation. Without a viewer there
 * are no scopes: PUBLIC workspaces decide.
 */
const typePolicies: Readonly<Record<string, TypePolicy>> = {
  File: { scope, open: written },
  Folder: { scope, open: written },
  FolderTotals: { scope, open: [] },
  FileVersion: { scope, open: ['id', 'size'] },
  FileFailure: { scope, open: [] },
  SignedUrl: { scope, open: [] },
  TrashInfo: { scope, open: [] },
  Sharing: { scope, open: [] },
  Tag: { scope, open: ['id', 'name'] },
  Upload: {
    scope,
    open: [...written, 'offset', 'transport', 'url', 'headers', 'parts', 'expiresAt'],
  },
  UploadFailure: { scope, open: [] },
  Table: { scope, open: ['name', 'sqlName', 'columns'] },
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
  Usage: { scope, open: [] },
  KindUsage: { scope, open: [] },
  SearchHighlight: { scope, open: [] },
  EntryUpserted: { scope, open: [] },
  EntryRemoved: { scope, open: [] },
  UploadChanged: { scope, open: [] },
  ChangeBatch: { scope, open: [] },
  ActivityEvent: { scope: 'ACTIVITY_READ', open: [] },
}

/** Fields of other types that lead to what a workspace holds. */
const fieldPolicies: Readonly<Record<string, ApiScope>> = {
  'NameConflictError.existing': scope,
  'StaleRevisionError.entry': scope,
  'QuotaExceededError.usage': scope,
}

/**
 * The scope that opens a field to a caller with a token; null where no scope is asked for at the field
 * itself.
 */
export function scopeOf(type: string, field: string): ApiScope | null {
  const policy = typePolicies[type]
  if (policy) return policy.open.includes(field) ? null : policy.scope
  return fieldPolicies[`${type}.${field}`] ?? null
}
