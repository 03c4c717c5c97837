import { InvalidState, NameConflict } from '../../errors.ts'
import { builder } from '../../graphql/builder.ts'
import { listCost } from '../../graphql/costs.ts'
import { QuotaExceededError } from '../../graphql/errors.ts'
import { mutation } from '../../graphql/mutations.ts'
import { Node, nodeType } from '../../graphql/nodes.ts'
import { page } from '../../graphql/pages.ts'
import {
  Entry,
  EntryConnection,
  loadAncestors,
  loadEntry,
  loadParent,
  readFilter,
  visibleEntries,
} from '../entries/graphql.ts'
import {
  EntryFilterInput,
  EntryOrderInput,
  EntryRef,
  MediaKindEnum,
  mediaKinds,
  NameConflictEnum,
} from '../entries/inputs.ts'
import { byName, childrenList } from '../entries/lists.ts'
import type { EntryRow } from '../entries/reads.ts'
import { DEEPEST } from '../entries/rules.ts'
import { requireRead, Workspace } from '../workspaces/graphql.ts'
import { type KindUsage, type Usage, usageByKind, usageOf } from './reads.ts'
import { createFolder } from './writes.ts'

nodeType('fld', 'Folder', visibleEntries)

const FolderTotals = builder.objectRef<EntryRow>('FolderTotals').implement({
  description: 'Of all that lives below, however deep.',
  fields: (t) => ({
    bytes: t.expose('size', { type: 'ByteCount' }),
    fileCount: t.exposeInt('fileCount'),
    folderCount: t.exposeInt('folderCount'),
  }),
})

export const Folder = builder.objectRef<EntryRow>('Folder').implement({
  interfaces: [Node, Entry],
  isTypeOf: (entry) => (entry as EntryRow).kind === 'folder',
  fields: (t) => ({
    totals: t.field({ type: FolderTotals, resolve: (folder) => folder }),
    children: t.connection(
      {
        type: Entry,
        description: 'Folders first, by name, where orderBy does not say otherwise.',
        args: {
          filter: t.arg({ type: EntryFilterInput }),
          orderBy: t.arg({ type: EntryOrderInput }),
        },
        resolve: async (folder, { filter, orderBy, ...args }, context) => {
          await requireRead(context, folder.workspaceId)
          const chosen = await readFilter(context, folder.workspaceId, filter)
          return page(args, childrenList(context.db, folder, chosen, orderBy ?? byName))
        },
      },
      ...EntryConnection,
    ),
  }),
})

builder.interfaceFields(Entry, (t) => ({
  parent: t.field({
    type: Folder,
    nullable: true,
    description: 'Null for the root, and for what was itself put in the trash.',
    resolve: (entry, _, context) => loadParent(entry, context),
  }),
  ancestors: t.field({
    type: [Folder],
    description: 'Root first, parent last.',
    complexity: listCost(DEEPEST + 1, 5),
    resolve: (entry, _, context) => loadAncestors(entry, context),
  }),
}))

const KindUsageType = builder.objectRef<KindUsage>('KindUsage').implement({
  fields: (t) => ({
    kind: t.expose('kind', { type: MediaKindEnum }),
    bytes: t.expose('bytes', { type: 'ByteCount' }),
    fileCount: t.exposeInt('fileCount'),
  }),
})

const UsageType = builder.objectRef<Usage>('Usage').implement({
  description:
    'The quota is held against currentBytes + olderVersionBytes + trashedBytes + reservedBytes. storedBytes counts the same content once.',
  fields: (t) => ({
    currentBytes: t.expose('currentBytes', { type: 'ByteCount' }),
    olderVersionBytes: t.expose('olderVersionBytes', { type: 'ByteCount' }),
    trashedBytes: t.expose('trashedBytes', { type: 'ByteCount' }),
    reservedBytes: t.expose('reservedBytes', { type: 'ByteCount' }),
    storedBytes: t.expose('storedBytes', { type: 'ByteCount' }),
    quotaBytes: t.expose('quotaBytes', { type: 'ByteCount', nullable: true }),
    remainingBytes: t.expose('remainingBytes', { type: 'ByteCount', nullable: true }),
    fileCount: t.exposeInt('fileCount'),
    folderCount: t.exposeInt('folderCount'),
    byKind: t.field({
      type: [KindUsageType],
      complexity: listCost(mediaKinds.length, 5),
      resolve: ({ workspaceId }, _, { db }) => usageByKind(db, workspaceId),
    }),
  }),
})

builder.objectFields(Workspace, (t) => ({
  root: t.field({
    type: Folder,
    resolve: async ({ id, rootId }, _, context) => {
      await requireRead(context, id)
      return (await loadEntry(context, rootId)) as EntryRow
    },
  }),
  usage: t.field({
    type: UsageType,
    resolve: async (workspace, _, context) => {
      await requireRead(context, workspace.id)
      return usageOf(context.db, workspace)
    },
  }),
}))

builder.objectField(QuotaExceededError, 'usage', (t) =>
  t.field({
    type: UsageType,
    resolve: ({ workspaceId }, _, { db }) => usageOf(db, { id: workspaceId }),
  }),
)

mutation('createFolder', {
  description:
    'A folder, and with createParents the folders on the way. EDITOR, scope FILES_WRITE.',
  input: builder.inputType('CreateFolderInput', {
    fields: (t) => ({
      workspaceId: t.id({ description: 'Its root is the parent where no parent is named.' }),
      parent: t.field({ type: EntryRef }),
      name: t.string({ required: true, description: 'With createParents a path: Data/Raw' }),
      description: t.string(),
      tags: t.stringList(),
      metadata: t.field({ type: 'JSONObject' }),
      createParents: t.boolean({ required: true, defaultValue: false }),
      onConflict: t.field({
        type: NameConflictEnum,
        required: true,
        defaultValue: 'FAIL',
        description: 'NEW_VERSION answers with the folder that is there.',
      }),
    }),
  }),
  payload: builder
    .objectRef<{ folder: EntryRow }>('CreateFolderPayload')
    .implement({ fields: (t) => ({ folder: t.expose('folder', { type: Folder }) }) }),
  errors: [NameConflict, InvalidState],
  resolve: async (input, context) => ({ folder: await createFolder(context, input) }),
})
