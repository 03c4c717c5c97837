import { countList } from '../../database/query/keyset.ts'
import { budgetOf } from '../../database/query/work-budget.ts'
import { NotFound } from '../../errors/access.ts'
import {
  Cycle,
  InvalidState,
  NameConflict,
  RowRejected,
  StaleRevision,
} from '../../errors/entries.ts'
import { builder, type SchemaTypes } from '../../graphql/builder.ts'
import type { Context } from '../../graphql/context.ts'
import { asValue, NameConflictError, StaleRevisionError, UserError } from '../../graphql/errors.ts'
import { listCost, maxPageSize, pageCost } from '../../graphql/limits/costs.ts'
import { mutation } from '../../graphql/mutations.ts'
import { loader, loadOrThrow, Node, nullIfDenied } from '../../graphql/nodes.ts'
import { connectionOf, page } from '../../graphql/pages.ts'
import { loadUser, User } from '../accounts/graphql.ts'
import { workspaceMutation } from '../activity/graphql.ts'
import { currentSyncCursor } from '../activity/reads.ts'
import { loadTags, Tag } from '../tags/graphql.ts'
import { MAX_TAGS } from '../tags/rules.ts'
import {
  loadWorkspace,
  primeReadAccess,
  requireRead,
  VisibilityEnum,
  Workspace,
} from '../workspaces/graphql.ts'
import type { WorkspaceRow } from '../workspaces/reads.ts'
import { MAX_BATCH_SIZE, type Outcome } from './batch.ts'
import { withInputPath } from './input-path.ts'
import {
  BatchEntry,
  BatchModeEnum,
  EntryFilterInput,
  EntryOrderInput,
  EntryRef,
  expectedRevision,
  FolderRef,
  NameConflictEnum,
  NameWarningEnum,
} from './inputs.ts'
import type { EntryFilter } from './lists/filters.ts'
import { byName, workspaceList } from './lists/lists.ts'
import { findScanRoot } from './lists/scan-root.ts'
import { moveEntries } from './moves.ts'
import { compilePatterns } from './patterns/patterns.ts'
import {
  type EntryRow,
  entriesById,
  entryByPath,
  type FileRow,
  type FolderRow,
  isTrashed,
  pathOf,
  requireEntry,
  type TrashedRow,
  trashRootOf,
} from './reads.ts'
import { checkFilter } from './rules.ts'
import { tagEntries } from './tagging.ts'
import { inEntryTransaction } from './transaction.ts'
import { findNameWarnings, MAX_NAME_WARNINGS } from './warnings.ts'
import { updateEntry } from './writes.ts'

/** Loads an entry by id, for a field of a type that the viewer may already see. Does not check access. */
export const loadEntry = loader((ids, { db }) => entriesById(db, ids))

type Load<E extends EntryRow> = (context: Context, id: string) => Promise<E | null>
/** Loads an entry like loadEntry. The id must be that of a file, such as the fileId of a version. */
export const loadFile = loadEntry as Load<FileRow>
/** Loads an entry like loadEntry. The id must be that of a folder, such as a parentId. */
export const loadFolder = loadEntry as Load<FolderRow>

/**
 * Returns the folder that contains an entry, or null for a workspace root and for a directly trashed entry.
 */
export const loadParent = ({ parentId }: EntryRow, context: Context) =>
  parentId === null ? null : loadFolder(context, parentId)

/**
 * Returns the folders above an entry, root first. The loader batches each level over all entries of the
 * request.
 */
export async function loadAncestors(entry: EntryRow, context: Context): Promise<FolderRow[]> {
  const parent = await loadParent(entry, context)
  return parent ? [...(await loadAncestors(parent, context)), parent] : []
}

/** Returns the entries with these ids for node(id:), with null for each entry that the viewer may not see. */
export const visibleEntries = (ids: readonly string[], context: Context) =>
  Promise.all(ids.map((id) => nullIfDenied(visibleEntry(id, context))))

async function visibleEntry(id: string, context: Context) {
  const { db, viewer } = context
  const { entry, workspace } = await requireEntry(db, viewer, id, { scope: 'FILES_READ' })
  primeReadAccess(context, workspace)
  return entry
}

const TrashInfo = builder.objectRef<TrashedRow>('TrashInfo').implement({
  description: 'When, by whom and from where an entry was moved to the trash.',
  fields: (t) => ({
    trashedAt: t.expose('trashedAt', {
      type: 'DateTime',
      description: 'When the entry was moved to the trash.',
    }),
    trashedBy: t.field({
      type: User,
      nullable: true,
      description: 'The user who moved the entry to the trash, or null if no user did.',
      resolve: ({ trashedBy }, _, context) => (trashedBy ? loadUser(context, trashedBy) : null),
    }),
    originalPath: t.exposeString('originalPath', {
      description: 'Path of the entry when it was moved to the trash, without a leading slash.',
    }),
    purgeAt: t.field({
      type: 'DateTime',
      nullable: true,
      description:
        'When the entry is purged automatically, or null if the workspace keeps its trash indefinitely.',
      resolve: async ({ trashedAt, workspaceId }, _, context) =>
        purgeAt(trashedAt, await loadOrThrow(loadWorkspace, context, workspaceId)),
    }),
  }),
})

const DAY_MS = 86_400_000
const purgeAt = (trashedAt: number, { trashRetentionDays }: WorkspaceRow) =>
  trashRetentionDays === 0 ? null : trashedAt + trashRetentionDays * DAY_MS

/** Describes who can see an entry. The sharing domain adds the share links. */
export const Sharing = builder.objectRef<EntryRow>('Sharing').implement({
  description: 'Who can see an entry besides the members of its workspace.',
  fields: (t) => ({
    visibility: t.field({
      type: VisibilityEnum,
      description: 'Visibility of the workspace of the entry.',
      resolve: async ({ workspaceId }, _, context) =>
        (await loadOrThrow(loadWorkspace, context, workspaceId)).visibility,
    }),
  }),
})

export const Entry = builder.interfaceRef<EntryRow>('Entry').implement({
  description: 'A file or a folder in the tree of a workspace.',
  interfaces: [Node],
  resolveType: ({ kind }) => (kind === 'folder' ? 'Folder' : 'File'),
  fields: (t) => ({
    id: t.exposeID('id', { description: 'Unique id of the entry.' }),
    workspace: t.field({
      type: Workspace,
      description: 'The workspace that contains the entry.',
      resolve: ({ workspaceId }, _, context) => loadOrThrow(loadWorkspace, context, workspaceId),
    }),
    name: t.exposeString('name', {
      description: 'Name of the entry, unique in its folder without regard to case.',
    }),
    nameWarnings: t.field({
      type: [NameWarningEnum],
      complexity: listCost(MAX_NAME_WARNINGS),
      description: 'Reasons why the name may mislead people or fail on other systems.',
      resolve: ({ name }) => findNameWarnings(name),
    }),
    path: t.string({
      description:
        'Path from the workspace root without a leading slash, such as results/2025/plate1.csv.',
      resolve: async (entry, _, context) =>
        pathOf(entry, entry.kind === 'file' ? await loadParent(entry, context) : null),
    }),
    description: t.exposeString('description', {
      nullable: true,
      description: 'Free-text description of the entry.',
    }),
    metadata: t.field({
      type: 'JSONObject',
      description: 'Custom metadata of the entry.',
      resolve: ({ metadata }) => JSON.parse(metadata),
    }),
    tags: t.field({
      type: [Tag],
      complexity: listCost(MAX_TAGS),
      description: 'Tags of the entry, sorted by name.',
      resolve: async ({ id }, _, context) => (await loadTags(context, id)) ?? [],
    }),
    revision: t.exposeInt('revision', {
      description:
        'Revision number, incremented by every change; pass it as expectedRevision to detect concurrent changes.',
    }),
    createdAt: t.expose('createdAt', {
      type: 'DateTime',
      description: 'When the entry was created.',
    }),
    createdBy: t.field({
      type: User,
      nullable: true,
      description: 'The user who created the entry, or null if no user did.',
      resolve: ({ createdBy }, _, context) => (createdBy ? loadUser(context, createdBy) : null),
    }),
    updatedAt: t.expose('updatedAt', {
      type: 'DateTime',
      description: 'When the entry was last changed.',
    }),
    updatedBy: t.field({
      type: User,
      nullable: true,
      description: 'The user who last changed the entry, or null if no user did.',
      resolve: ({ updatedBy }, _, context) => (updatedBy ? loadUser(context, updatedBy) : null),
    }),
    trash: t.field({
      type: TrashInfo,
      nullable: true,
      description:
        'Details of the trashing while the entry, or a folder above it, is in the trash; null otherwise.',
      resolve: async (entry, _, context) => {
        const parent = entry.kind === 'file' ? await loadParent(entry, context) : null
        const rootId = trashRootOf(entry, parent)
        const root = rootId ? await loadEntry(context, rootId) : null
        return root && isTrashed(root) ? root : null
      },
    }),
    sharing: t.field({
      type: Sharing,
      description: 'Who can see the entry.',
      resolve: (entry) => entry,
    }),
  }),
})

/** Connection type shared by all lists of entries. */
export const EntryConnection = connectionOf(Entry, 'Entry')

/**
 * Validates and resolves a filter: compiles its patterns and loads its `within` folder. Throws InvalidInput
 * for an invalid filter, and NotFound unless `within` is a folder of this workspace.
 */
export async function readFilter(
  context: Context,
  workspaceId: string,
  filter: typeof EntryFilterInput.$inferInput | null | undefined,
): Promise<EntryFilter> {
  checkFilter(filter ?? {})
  const within = filter?.within ? await requireWithin(context, workspaceId, filter.within) : null
  const budget = budgetOf(context)
  const parsed = { ...filter, patterns: compilePatterns(filter ?? {}, budget), within, budget }
  return { ...parsed, scanRoot: await findScanRoot(context.db, workspaceId, parsed) }
}

async function requireWithin({ db, viewer }: Context, workspaceId: string, id: string) {
  const found = requireEntry(db, viewer, id, { scope: 'FILES_READ' })
  const { entry } = await withInputPath('filter', withInputPath('within', found))
  if (entry.workspaceId === workspaceId && entry.kind === 'folder') return entry
  throw new NotFound(id).at('filter', 'within')
}

const order = (orderBy: typeof EntryOrderInput.$inferInput | null | undefined) => orderBy ?? byName

builder.objectFields(Workspace, (t) => ({
  entryByPath: t.field({
    type: Entry,
    nullable: true,
    description:
      'The entry at this path, or null if none exists; entries in the trash are ignored. Requires scope FILES_READ.',
    args: {
      path: t.arg.string({
        required: true,
        description:
          'Path from the workspace root without a leading slash; the empty path is the root folder.',
      }),
    },
    resolve: async ({ id }, { path }, context) => {
      await requireRead(context, id)
      return entryByPath(context.db, id, path)
    },
  }),
  entries: t.connection(
    {
      type: Entry,
      description:
        'All entries of the workspace except the root and the trash, as a flat list; a page has 100 entries unless first or last is given. Requires scope FILES_READ.',
      args: {
        filter: t.arg({
          type: EntryFilterInput,
          description: 'Conditions that entries must meet.',
        }),
        orderBy: t.arg({ type: EntryOrderInput, description: 'Sort order, by name by default.' }),
      },
      complexity: (args) => pageCost(args, maxPageSize),
      resolve: async ({ id }, { filter, orderBy, ...args }, context) => {
        await requireRead(context, id)
        const parsed = await readFilter(context, id, filter)
        const list = workspaceList(context.db, id, parsed, order(orderBy))
        return page(args, list, { defaultSize: maxPageSize })
      },
    },
    ...EntryConnection,
  ),
}))

builder.objectFields(Tag, (t) => ({
  entryCount: t.int({
    description: 'Number of entries with this tag, without the trash.',
    complexity: 5,
    resolve: ({ id, workspaceId }, _, { db }) =>
      countList(workspaceList(db, workspaceId, {}, byName, id)),
  }),
  entries: t.connection(
    {
      type: Entry,
      description: 'Entries with this tag, without the trash. Requires scope FILES_READ.',
      args: {
        filter: t.arg({
          type: EntryFilterInput,
          description: 'Conditions that entries must meet.',
        }),
        orderBy: t.arg({ type: EntryOrderInput, description: 'Sort order, by name by default.' }),
      },
      resolve: async ({ id, workspaceId }, { filter, orderBy, ...args }, context) => {
        await requireRead(context, workspaceId)
        const parsed = await readFilter(context, workspaceId, filter)
        return page(args, workspaceList(context.db, workspaceId, parsed, order(orderBy), id))
      },
    },
    ...EntryConnection,
  ),
}))

builder.objectField(NameConflictError, 'existing', (t) =>
  t.field({
    type: Entry,
    nullable: true,
    description: 'The entry that already has the name.',
    resolve: ({ existingId }, _, context) => loadEntry(context, existingId),
  }),
)
builder.objectField(StaleRevisionError, 'entry', (t) =>
  t.field({
    type: Entry,
    nullable: true,
    description: 'The entry in its current state.',
    resolve: ({ entryId }, _, context) => loadEntry(context, entryId),
  }),
)

const BatchResult = builder.objectRef<Outcome>('BatchResult').implement({
  description: 'Result of one item of a batch: either its entry or its error.',
  fields: (t) => ({
    index: t.exposeInt('index', { description: 'Position of the item in the input, from 0.' }),
    entryId: t.exposeID('entryId', {
      nullable: true,
      description: 'Id of the entry, or null if the item failed.',
    }),
    entry: t.expose('entry', {
      type: Entry,
      nullable: true,
      description: 'The entry after the operation, or null if the item failed.',
    }),
    error: t.field({
      type: UserError,
      nullable: true,
      description: 'The error of the item, or null if it succeeded.',
      resolve: ({ error }) => error && asValue(error),
    }),
  }),
})

export type BatchResults = { results: Outcome[] }

/** Defines the payload type of a batch mutation that has only the batch fields. */
export const batchPayload = (name: string, description: string) =>
  builder.objectRef<BatchResults>(name).implement({ description, fields: batchFields })

type BatchFields<A extends BatchResults> = PothosSchemaTypes.ObjectFieldBuilder<SchemaTypes, A>

/** Returns the batch fields, for payload types with further fields. */
export const batchFields = <A extends BatchResults>(t: BatchFields<A>) => ({
  results: t.field({
    type: [BatchResult],
    complexity: listCost(MAX_BATCH_SIZE),
    description: 'One result per item, in the order of the input.',
    resolve: ({ results }) => results,
  }),
  succeeded: t.int({
    description: 'Number of items that succeeded.',
    resolve: ({ results }) => results.filter(({ error }) => !error).length,
  }),
  failed: t.int({
    description: 'Number of items that failed.',
    resolve: ({ results }) => results.filter(({ error }) => error).length,
  }),
  syncCursor: t.field({
    type: 'SyncCursor',
    nullable: true,
    description: 'Cursor of the change log after the mutation, or null if no item succeeded.',
    resolve: ({ results }, _, context) => {
      const workspaceId = results.find(({ entry }) => entry)?.entry?.workspaceId
      return workspaceId === undefined ? null : currentSyncCursor(context, workspaceId)
    },
  }),
})

workspaceMutation('updateEntry', {
  description:
    'Changes the name, description, tags or metadata of an entry; omitted fields stay unchanged. Requires role EDITOR and scope FILES_WRITE.',
  input: builder.inputType('UpdateEntryInput', {
    description: 'Input of updateEntry.',
    fields: (t) => ({
      entry: t.field({ type: EntryRef, required: true, description: 'The entry to change.' }),
      name: t.string({ description: 'New name, of at most 255 bytes.' }),
      description: t.string({
        description: 'New description, of at most 10,000 characters; null removes it.',
      }),
      tags: t.stringList({ description: 'Names of the tags that replace all current tags.' }),
      metadata: t.field({
        type: 'JSONObject',
        description:
          'Metadata to merge into the top level of the current metadata; null removes a key.',
      }),
      expectedRevision: t.int({ description: expectedRevision }),
    }),
  }),
  payload: builder.objectRef<{ entry: EntryRow }>('UpdateEntryPayload').implement({
    description: 'Result of updateEntry.',
    fields: (t) => ({
      entry: t.expose('entry', { type: Entry, description: 'The changed entry.' }),
    }),
  }),
  errors: [NameConflict, StaleRevision, InvalidState, RowRejected],
  workspaceIdOf: ({ entry }) => entry.workspaceId,
  resolve: async (input, context) => ({
    entry: await inEntryTransaction(context, [input.entry], (s) => updateEntry(s, input)),
  }),
})

mutation('moveEntries', {
  description:
    'Moves entries into a folder of the same workspace. Requires role EDITOR and scope FILES_WRITE.',
  input: builder.inputType('MoveEntriesInput', {
    description: 'Input of moveEntries.',
    fields: (t) => ({
      entries: t.field({
        type: [BatchEntry],
        required: true,
        description: 'The entries to move, from 1 to 100.',
      }),
      folder: t.field({
        type: FolderRef,
        required: true,
        description: 'The folder to move the entries into.',
      }),
      onConflict: t.field({
        type: NameConflictEnum,
        required: true,
        defaultValue: 'FAIL',
        description: 'How to resolve a name conflict; NEW_VERSION is not supported.',
      }),
      mode: t.field({
        type: BatchModeEnum,
        required: true,
        defaultValue: 'ALL_OR_NOTHING',
        description: 'What happens to the other entries when one fails.',
      }),
    }),
  }),
  payload: batchPayload('MoveEntriesPayload', 'Result of moveEntries.'),
  errors: [NameConflict, StaleRevision, Cycle, InvalidState, RowRejected],
  resolve: async (input, context) => ({ results: await moveEntries(context, input) }),
})

mutation('tagEntries', {
  description:
    'Adds tags to entries and removes tags from them. Requires role EDITOR and scope FILES_WRITE.',
  input: builder.inputType('TagEntriesInput', {
    description: 'Input of tagEntries.',
    fields: (t) => ({
      entries: t.field({
        type: [BatchEntry],
        required: true,
        description: 'The entries to change, from 1 to 100.',
      }),
      add: t.stringList({ description: 'Names of the tags to add; missing tags are created.' }),
      remove: t.stringList({ description: 'Names of the tags to remove.' }),
      mode: t.field({
        type: BatchModeEnum,
        required: true,
        defaultValue: 'ALL_OR_NOTHING',
        description: 'What happens to the other entries when one fails.',
      }),
    }),
  }),
  payload: batchPayload('TagEntriesPayload', 'Result of tagEntries.'),
  errors: [StaleRevision, InvalidState],
  resolve: async (input, context) => ({ results: await tagEntries(context, input) }),
})
