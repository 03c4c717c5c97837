import { inTransaction } from '../../context.ts'
import { countList } from '../../database/query/keyset.ts'
import { budgetOf } from '../../database/query/work-budget.ts'
import {
  Cycle,
  type DomainError,
  InvalidState,
  NameConflict,
  NotFound,
  RowRejected,
  StaleRevision,
} from '../../errors.ts'
import { builder, type SchemaTypes } from '../../graphql/builder.ts'
import type { Context } from '../../graphql/context.ts'
import { listCost, maxPageSize, pageCost } from '../../graphql/costs.ts'
import { NameConflictError, StaleRevisionError, UserError } from '../../graphql/errors.ts'
import { mutation } from '../../graphql/mutations.ts'
import { loader, Node, nullIfDenied } from '../../graphql/nodes.ts'
import { connectionOf, page } from '../../graphql/pages.ts'
import { loadUser, User } from '../accounts/graphql.ts'
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
import type { EntryFilter } from './filters.ts'
import { withInputPath } from './input-path.ts'
import {
  BatchEntry,
  BatchModeEnum,
  EntryFilterInput,
  EntryOrderInput,
  EntryRef,
  NameConflictEnum,
  NameWarningEnum,
} from './inputs.ts'
import { byName, workspaceList } from './lists.ts'
import { moveEntries } from './moves.ts'
import { patternsOf } from './patterns.ts'
import {
  type EntryRow,
  entriesById,
  entryByPath,
  pathOf,
  requireEntry,
  trashRootOf,
} from './reads.ts'
import { checkFilter } from './rules.ts'
import { startOf } from './scan-root.ts'
import { tagEntries } from './tagging.ts'
import { MAX_NAME_WARNINGS, warningsOf } from './warnings.ts'
import { updateEntry } from './writes.ts'

/** An entry by id, from inside a type that the viewer may see. */
export const loadEntry = loader((ids, { db }) => entriesById(db, ids))

/** The folder that holds an entry; null for a root and for what was itself put in the trash. */
export const loadParent = ({ parentId }: EntryRow, context: Context) =>
  parentId === null ? null : loadEntry(context, parentId)

/** The folders above an entry, root first: a level at a time, for all entries that the request asks about. */
export async function loadAncestors(entry: EntryRow, context: Context): Promise<EntryRow[]> {
  const parent = await loadParent(entry, context)
  return parent ? [...(await loadAncestors(parent, context)), parent] : []
}

/** For node(id:): the entries among `ids` that the viewer may see. */
export const visibleEntries = (ids: readonly string[], context: Context) =>
  Promise.all(ids.map((id) => nullIfDenied(visibleEntry(id, context))))

async function visibleEntry(id: string, context: Context) {
  const { db, viewer } = context
  const { entry, workspace } = await requireEntry(db, viewer, id, { scope: 'FILES_READ' })
  primeReadAccess(context, workspace)
  return entry
}

const TrashInfo = builder.objectRef<EntryRow>('TrashInfo').implement({
  fields: (t) => ({
    trashedAt: t.field({ type: 'DateTime', resolve: ({ trashedAt }) => trashedAt ?? 0 }),
    trashedBy: t.field({
      type: User,
      nullable: true,
      resolve: ({ trashedBy }, _, context) => (trashedBy ? loadUser(context, trashedBy) : null),
    }),
    originalPath: t.string({ resolve: ({ originalPath }) => originalPath ?? '' }),
    purgeAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'Null where the workspace never purges by itself.',
      resolve: async ({ trashedAt, workspaceId }, _, context) =>
        purgeAt(trashedAt ?? 0, (await loadWorkspace(context, workspaceId)) as WorkspaceRow),
    }),
  }),
})

const DAY_MS = 86_400_000
const purgeAt = (trashedAt: number, { trashRetentionDays }: WorkspaceRow) =>
  trashRetentionDays === 0 ? null : trashedAt + trashRetentionDays * DAY_MS

/** Who else sees an entry; sharing adds its links. */
export const Sharing = builder.objectRef<EntryRow>('Sharing').implement({
  fields: (t) => ({
    visibility: t.field({
      type: VisibilityEnum,
      resolve: async ({ workspaceId }, _, context) =>
        ((await loadWorkspace(context, workspaceId)) as WorkspaceRow).visibility,
    }),
  }),
})

export const Entry = builder.interfaceRef<EntryRow>('Entry').implement({
  description: 'A file or a folder: whatever has a name and a place in the tree.',
  interfaces: [Node],
  resolveType: ({ kind }) => (kind === 'folder' ? 'Folder' : 'File'),
  fields: (t) => ({
    id: t.exposeID('id'),
    workspace: t.field({
      type: Workspace,
      resolve: async ({ workspaceId }, _, context) =>
        (await loadWorkspace(context, workspaceId)) as WorkspaceRow,
    }),
    name: t.exposeString('name'),
    nameWarnings: t.field({
      type: [NameWarningEnum],
      complexity: listCost(MAX_NAME_WARNINGS),
      description: 'Why the name, which is accepted, may mislead people or other systems.',
      resolve: ({ name }) => warningsOf(name),
    }),
    path: t.string({
      description: 'From the workspace root, no leading slash: results/2025/plate1.csv',
      resolve: async (entry, _, context) =>
        pathOf(entry, entry.kind === 'file' ? await loadParent(entry, context) : null),
    }),
    description: t.exposeString('description', { nullable: true }),
    metadata: t.field({ type: 'JSONObject', resolve: ({ metadata }) => JSON.parse(metadata) }),
    tags: t.field({
      type: [Tag],
      complexity: listCost(MAX_TAGS),
      description: 'By name.',
      resolve: async ({ id }, _, context) => (await loadTags(context, id)) ?? [],
    }),
    revision: t.exposeInt('revision', {
      description: 'Grows by one with every change; send it back as expectedRevision.',
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime' }),
    createdBy: t.field({
      type: User,
      nullable: true,
      resolve: ({ createdBy }, _, context) => (createdBy ? loadUser(context, createdBy) : null),
    }),
    updatedAt: t.expose('updatedAt', { type: 'DateTime' }),
    updatedBy: t.field({
      type: User,
      nullable: true,
      resolve: ({ updatedBy }, _, context) => (updatedBy ? loadUser(context, updatedBy) : null),
    }),
    trash: t.field({
      type: TrashInfo,
      nullable: true,
      description: 'Set while in the trash, itself or with a folder above it.',
      resolve: async (entry, _, context) => {
        const parent = entry.kind === 'file' ? await loadParent(entry, context) : null
        const rootId = trashRootOf(entry, parent)
        return rootId ? loadEntry(context, rootId) : null
      },
    }),
    sharing: t.field({ type: Sharing, resolve: (entry) => entry }),
  }),
})

/** The connection type that every list of entries has. */
export const EntryConnection = connectionOf(Entry, 'Entry')

/** A filter as it came in, with `within` looked up: a folder of this workspace, or NotFound. */
export async function readFilter(
  context: Context,
  workspaceId: string,
  filter: typeof EntryFilterInput.$inferInput | null | undefined,
): Promise<EntryFilter> {
  checkFilter(filter ?? {})
  const within = filter?.within ? await readWithin(context, workspaceId, filter.within) : null
  const budget = budgetOf(context)
  const read = { ...filter, patterns: patternsOf(filter ?? {}, budget), within, budget }
  return { ...read, start: await startOf(context.db, workspaceId, read) }
}

async function readWithin({ db, viewer }: Context, workspaceId: string, id: string) {
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
    description: 'What lives at this path; the empty path is the root. Null where nothing does.',
    args: { path: t.arg.string({ required: true }) },
    resolve: async ({ id }, { path }, context) => {
      await requireRead(context, id)
      return entryByPath(context.db, id, path)
    },
  }),
  entries: t.connection(
    {
      type: Entry,
      description:
        'The whole tree, flat; 100 entries where first and last are absent. pathPrefix addresses full paths without the leading slash.',
      args: {
        filter: t.arg({ type: EntryFilterInput }),
        orderBy: t.arg({ type: EntryOrderInput }),
      },
      complexity: (args) => pageCost(args, maxPageSize),
      resolve: async ({ id }, { filter, orderBy, ...args }, context) => {
        await requireRead(context, id)
        const chosen = await readFilter(context, id, filter)
        const list = workspaceList(context.db, id, chosen, order(orderBy))
        return page(args, list, { defaultSize: maxPageSize })
      },
    },
    ...EntryConnection,
  ),
}))

builder.objectFields(Tag, (t) => ({
  entryCount: t.int({
    description: 'Living entries that carry it.',
    complexity: 5,
    resolve: ({ id, workspaceId }, _, { db }) =>
      countList(workspaceList(db, workspaceId, {}, byName, id)),
  }),
  entries: t.connection(
    {
      type: Entry,
      args: {
        filter: t.arg({ type: EntryFilterInput }),
        orderBy: t.arg({ type: EntryOrderInput }),
      },
      resolve: async ({ id, workspaceId }, { filter, orderBy, ...args }, context) => {
        await requireRead(context, workspaceId)
        const chosen = await readFilter(context, workspaceId, filter)
        return page(args, workspaceList(context.db, workspaceId, chosen, order(orderBy), id))
      },
    },
    ...EntryConnection,
  ),
}))

builder.objectField(NameConflictError, 'existing', (t) =>
  t.field({
    type: Entry,
    nullable: true,
    resolve: ({ existingId }, _, context) => loadEntry(context, existingId),
  }),
)
builder.objectField(StaleRevisionError, 'entry', (t) =>
  t.field({
    type: Entry,
    nullable: true,
    resolve: ({ entryId }, _, context) => loadEntry(context, entryId),
  }),
)

const BatchResult = builder.objectRef<Outcome>('BatchResult').implement({
  description: 'What became of one item: the entry, or the error.',
  fields: (t) => ({
    index: t.exposeInt('index'),
    entryId: t.exposeID('entryId', { nullable: true }),
    entry: t.expose('entry', { type: Entry, nullable: true }),
    error: t.field({
      type: UserError,
      nullable: true,
      resolve: ({ error }) => error && asValue(error),
    }),
  }),
})

/** graphql throws every Error that a resolver returns; here it is an answer like any other. */
export const asValue = <E extends DomainError>(error: E): E =>
  new Proxy(error, { getPrototypeOf: () => null })

export type BatchAnswer = { results: Outcome[] }

/** The payload of a mutation that does one thing to many entries. */
export const batchPayload = (name: string) =>
  builder.objectRef<BatchAnswer>(name).implement({ fields: batchFields })

type BatchFields<A extends BatchAnswer> = PothosSchemaTypes.ObjectFieldBuilder<SchemaTypes, A>

/** Its fields, for payloads that say more. */
export const batchFields = <A extends BatchAnswer>(t: BatchFields<A>) => ({
  results: t.field({
    type: [BatchResult],
    complexity: listCost(MAX_BATCH_SIZE),
    resolve: ({ results }) => results,
  }),
  succeeded: t.int({ resolve: ({ results }) => results.filter(({ error }) => !error).length }),
  failed: t.int({ resolve: ({ results }) => results.filter(({ error }) => error).length }),
  syncCursor: t.field({
    type: 'SyncCursor',
    nullable: true,
    description: 'Where the workspace stands now; null where nothing was done.',
    resolve: ({ results }, _, context) => {
      const workspaceId = results.find(({ entry }) => entry)?.entry?.workspaceId
      return workspaceId === undefined ? null : currentSyncCursor(context, workspaceId)
    },
  }),
})

mutation('updateEntry', {
  description: 'Renames, describes, tags; absent fields stay. EDITOR, scope FILES_WRITE.',
  input: builder.inputType('UpdateEntryInput', {
    fields: (t) => ({
      entry: t.field({ type: EntryRef, required: true }),
      name: t.string(),
      description: t.string({ description: 'null takes it away.' }),
      tags: t.stringList({ description: 'These and no others.' }),
      metadata: t.field({
        type: 'JSONObject',
        description: 'Merged shallowly; null removes a key.',
      }),
      expectedRevision: t.int(),
    }),
  }),
  payload: builder
    .objectRef<{ entry: EntryRow }>('UpdateEntryPayload')
    .implement({ fields: (t) => ({ entry: t.expose('entry', { type: Entry }) }) }),
  errors: [NameConflict, StaleRevision, InvalidState, RowRejected],
  resolve: async (input, context) => ({
    entry: await inTransaction(context, (s) => updateEntry(s, input)),
  }),
})

mutation('moveEntries', {
  description: 'Into a folder of the same workspace. EDITOR, scope FILES_WRITE.',
  input: builder.inputType('MoveEntriesInput', {
    fields: (t) => ({
      entries: t.field({ type: [BatchEntry], required: true }),
      destination: t.field({ type: EntryRef, required: true }),
      onConflict: t.field({ type: NameConflictEnum, required: true, defaultValue: 'FAIL' }),
      mode: t.field({ type: BatchModeEnum, required: true, defaultValue: 'ALL_OR_NOTHING' }),
    }),
  }),
  payload: batchPayload('MoveEntriesPayload'),
  errors: [NameConflict, StaleRevision, Cycle, InvalidState, RowRejected],
  resolve: async (input, context) => ({ results: await moveEntries(context, input) }),
})

mutation('tagEntries', {
  description: 'Adds tags to entries and takes others away. EDITOR, scope FILES_WRITE.',
  input: builder.inputType('TagEntriesInput', {
    fields: (t) => ({
      entries: t.field({ type: [BatchEntry], required: true }),
      add: t.stringList(),
      remove: t.stringList(),
      mode: t.field({ type: BatchModeEnum, required: true, defaultValue: 'ALL_OR_NOTHING' }),
    }),
  }),
  payload: batchPayload('TagEntriesPayload'),
  errors: [StaleRevision, InvalidState],
  resolve: async (input, context) => ({ results: await tagEntries(context, input) }),
})
