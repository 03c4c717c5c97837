/*
 * What the API is to have made of all that was done, in plain data that can be cloned. Things know each other by keys of the model's
 * own; their ids are the server's, and null until it has told them.
 */

type Thing = { key: number; id: string | null }

export type Version = Thing & {
  number: number
  size: number
  sha256: string
  comment: string | null
}

export type Entry = Thing & {
  workspace: number
  kind: 'folder' | 'file'
  name: string
  /** Null for a root, and for what was itself put in the trash. */
  parent: number | null
  revision: number
  description: string | null
  metadata: Record<string, unknown>
  tags: Set<number>
  /** Of a file; the last one is the current one. */
  versions: Version[]
  /** Where it was when it was itself put in the trash. */
  trashed: { parent: number | null; path: string } | null
}

export type Content = { size: number; text: string; sha256: string }

export type Upload = Thing & {
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
  /** What is to be sent. */
  content: Content
  /** Null while deferred. */
  size: number | null
  offset: number
  status: 'OPEN' | 'COMPLETE' | 'FAILED' | 'CANCELED'
  /** Its tus resource was ended after it had become a file. */
  forgotten: boolean
  file: number | null
}

export type Tag = Thing & { workspace: number; name: string; color: string | null }
export type Share = Thing & { workspace: number; entry: number; most: number | null; count: number }

export const pathColumns = ['file', 'other'] as const
export type PathColumn = (typeof pathColumns)[number]
/** A row is known by its number in the column `run`; links are keys of files. */
export type Row = {
  run: number
  cells: Partial<Record<PathColumn, string>>
  links: Partial<Record<PathColumn, number>>
}
/** A row that went to the trash with an entry, for the path in `column`. */
export type Taken = { entry: number; column: PathColumn; row: Row }
export type Table = { key: number; workspace: number; name: string; rows: Row[]; taken: Taken[] }

type Workspace = { id: string; root: number; quota: number | null }

export type World = {
  next: number
  lastRun: number
  workspaces: Workspace[]
  entries: Map<number, Entry>
  tags: Map<number, Tag>
  uploads: Map<number, Upload>
  shares: Map<number, Share>
  tables: Map<number, Table>
  /** Ids of what is no more. */
  gone: string[]
}

export const emptyWorld = (): World => ({
  next: 1,
  lastRun: 0,
  workspaces: [],
  entries: new Map(),
  tags: new Map(),
  uploads: new Map(),
  shares: new Map(),
  tables: new Map(),
  gone: [],
})

/** A workspace as createWorkspace made it. */
export function addWorkspace(world: World, id: string, rootId: string) {
  const root = insertEntry(world, {
    workspace: world.workspaces.length,
    kind: 'folder',
    name: '',
    parent: null,
  })
  root.id = rootId
  world.workspaces.push({ id, root: root.key, quota: null })
}

type NewEntry = Pick<Entry, 'workspace' | 'kind' | 'name' | 'parent'> & Partial<Entry>
export function insertEntry(world: World, entry: NewEntry): Entry {
  const made: Entry = {
    key: world.next++,
    id: null,
    revision: 1,
    description: null,
    metadata: {},
    tags: new Set(),
    versions: [],
    trashed: null,
    ...entry,
  }
  world.entries.set(made.key, made)
  return made
}

/** Whatever is known by an id. */
export const identified = (world: World): Thing[] => [
  ...world.entries.values(),
  ...[...world.entries.values()].flatMap(({ versions }) => versions),
  ...world.tags.values(),
  ...world.uploads.values(),
  ...world.shares.values(),
]

/** For ids of what is no more; some of them are remembered. */
export function bury(world: World, id: string | null) {
  if (id) world.gone = [...world.gone, id].slice(-30)
}
