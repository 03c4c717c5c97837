/*
 * The expected state of the server, as plain data that can be cloned. Objects refer to each other by keys of
 * the model. Their ids come from the server and are null until a response or a snapshot has returned them.
 */

type ModelObject = { key: number; id: string | null }

export type Version = ModelObject & {
  number: number
  size: number
  sha256: string
  comment: string | null
}

export type Entry = ModelObject & {
  workspace: number
  kind: 'folder' | 'file'
  name: string
  /** Null for a root folder and for the root of a trashed subtree. */
  parent: number | null
  revision: number
  description: string | null
  metadata: Record<string, unknown>
  tags: Set<number>
  /** The versions of a file; the last one is current. */
  versions: Version[]
  /** The original location of the root of a trashed subtree. */
  trashed: { parent: number | null; path: string } | null
}

export type Content = { size: number; text: string; sha256: string }

export type Upload = ModelObject & {
  workspace: number
  name: string
  path: string
  folder: string | null
  versionOf: string | null
  onConflict: string
  tags: string[]
  description: string | null
  metadata: Record<string, unknown>
  sha256: string | null
  autoConfirm: boolean
  idempotencyKey: string | null
  /** The bytes to send. */
  content: Content
  /** Null while the length is deferred. */
  size: number | null
  offset: number
  status: 'OPEN' | 'COMPLETE' | 'FAILED' | 'CANCELED'
  /** Whether its tus resource was terminated after it had become a file. */
  isTerminated: boolean
  file: number | null
}

export type Tag = ModelObject & { workspace: number; name: string; color: string | null }
export type Share = ModelObject & {
  workspace: number
  entry: number
  max: number | null
  count: number
}

export const pathColumns = ['file', 'other'] as const
export type PathColumn = (typeof pathColumns)[number]
/** A table row. The column `run` identifies it, and links are keys of files. */
export type Row = {
  run: number
  cells: Partial<Record<PathColumn, string>>
  links: Partial<Record<PathColumn, number>>
}
/** A row that was removed with a trashed entry, because of the path in `column`. */
export type Taken = { entry: number; column: PathColumn; row: Row }
export type Table = { key: number; workspace: number; name: string; rows: Row[]; taken: Taken[] }

type Workspace = { id: string; root: number; quota: number | null }

export type Model = {
  next: number
  lastRun: number
  workspaces: Workspace[]
  entries: Map<number, Entry>
  tags: Map<number, Tag>
  uploads: Map<number, Upload>
  shares: Map<number, Share>
  tables: Map<number, Table>
  /** Ids of deleted objects. */
  deletedIds: string[]
}

export const emptyModel = (): Model => ({
  next: 1,
  lastRun: 0,
  workspaces: [],
  entries: new Map(),
  tags: new Map(),
  uploads: new Map(),
  shares: new Map(),
  tables: new Map(),
  deletedIds: [],
})

/** Adds the workspace that createWorkspace has created. */
export function addWorkspace(model: Model, id: string, rootId: string) {
  const root = insertEntry(model, {
    workspace: model.workspaces.length,
    kind: 'folder',
    name: '',
    parent: null,
  })
  root.id = rootId
  model.workspaces.push({ id, root: root.key, quota: null })
}

type NewEntry = Pick<Entry, 'workspace' | 'kind' | 'name' | 'parent'> & Partial<Entry>
export function insertEntry(model: Model, entry: NewEntry): Entry {
  const created: Entry = {
    key: model.next++,
    id: null,
    revision: 1,
    description: null,
    metadata: {},
    tags: new Set(),
    versions: [],
    trashed: null,
    ...entry,
  }
  model.entries.set(created.key, created)
  return created
}

/** Returns all objects with an id. */
export const objectsWithIds = (model: Model): ModelObject[] => [
  ...model.entries.values(),
  ...[...model.entries.values()].flatMap(({ versions }) => versions),
  ...model.tags.values(),
  ...model.uploads.values(),
  ...model.shares.values(),
]

/** Records the id of a deleted object. The last 30 are kept. */
export function recordDeleted(model: Model, id: string | null) {
  if (id) model.deletedIds = [...model.deletedIds, id].slice(-30)
}
