import { idInWorkspace } from '../../database/ids.ts'
import { InvalidState, NameConflict } from '../../errors/entries.ts'
import { builder } from '../../graphql/builder.ts'
import { QuotaExceededError } from '../../graphql/errors.ts'
import { listCost } from '../../graphql/limits/costs.ts'
import {
  loadOrThrow,
  Node,
  NodeInWorkspace,
  nodeType,
  nodeTypeInWorkspace,
} from '../../graphql/nodes.ts'
import { page } from '../../graphql/pages.ts'
import { workspaceMutation } from '../activity/graphql.ts'
import {
  Entry,
  EntryConnection,
  loadAncestors,
  loadFolder,
  loadParent,
  readFilter,
  visibleEntries,
} from '../entries/graphql.ts'
import {
  EntryFilterInput,
  EntryOrderInput,
  FolderNameConflictEnum,
  FolderRef,
  MediaKindEnum,
  mediaKinds,
} from '../entries/inputs.ts'
import { byName, childrenList } from '../entries/lists/lists.ts'
import type { EntryRow, FolderRow } from '../entries/reads.ts'
import { MAX_FOLDER_DEPTH } from '../entries/rules.ts'
import { requireRead, Workspace } from '../workspaces/graphql.ts'
import { type KindUsage, type Usage, usageByKind, usageOf } from './reads.ts'
import { createFolder } from './writes.ts'

nodeType('fld', 'Folder', visibleEntries)

const FolderTotals = builder.objectRef<FolderRow>('FolderTotals').implement({
  description: 'Totals of the whole subtree of a folder, without the trash.',
  fields: (t) => ({
    bytes: t.expose('size', {
      type: 'ByteCount',
      description: 'Number of bytes of the current versions of all files.',
    }),
    fileCount: t.exposeInt('fileCount', { description: 'Number of files.' }),
    folderCount: t.exposeInt('folderCount', { description: 'Number of folders.' }),
  }),
})

export const Folder = builder.objectRef<FolderRow>('Folder').implement({
  description: 'A folder of a workspace.',
  interfaces: [Node, Entry],
  isTypeOf: (entry) => (entry as EntryRow).kind === 'folder',
  fields: (t) => ({
    totals: t.field({
      type: FolderTotals,
      description: 'Totals of the whole subtree of the folder.',
      resolve: (folder) => folder,
    }),
    children: t.connection(
      {
        type: Entry,
        description:
          'The entries directly in the folder, by default folders first and sorted by name. Requires scope FILES_READ.',
        args: {
          filter: t.arg({
            type: EntryFilterInput,
            description: 'Returns only entries that match the filter.',
          }),
          orderBy: t.arg({
            type: EntryOrderInput,
            description: 'The sort order, by default folders first and by name.',
          }),
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
    description:
      'The folder that contains the entry, or null for the root and for an entry that was itself moved to the trash.',
    resolve: (entry, _, context) => loadParent(entry, context),
  }),
  ancestors: t.field({
    type: [Folder],
    description: 'The folders above the entry, from the root to its parent.',
    complexity: listCost(MAX_FOLDER_DEPTH + 1, 5),
    resolve: (entry, _, context) => loadAncestors(entry, context),
  }),
}))

const KindUsageType = builder.objectRef<KindUsage>('KindUsage').implement({
  description: 'What the files of one kind use in a workspace, without the trash.',
  fields: (t) => ({
    kind: t.expose('kind', { type: MediaKindEnum, description: 'The kind of the files.' }),
    bytes: t.expose('bytes', {
      type: 'ByteCount',
      description: 'Number of bytes of the current versions.',
    }),
    fileCount: t.exposeInt('fileCount', { description: 'Number of files.' }),
  }),
})

const UsageType = builder.objectRef<Usage>('Usage').implement({
  description:
    'What a workspace uses; the quota limits the sum of currentBytes, olderVersionBytes, trashedBytes and reservedBytes.',
  interfaces: [NodeInWorkspace],
  fields: (t) => ({
    id: t.id({
      description: 'The id of the usage of the workspace.',
      resolve: ({ workspaceId }) => idInWorkspace('use', workspaceId, ''),
    }),
    currentBytes: t.expose('currentBytes', {
      type: 'ByteCount',
      description: 'Number of bytes of the current versions of all files, without the trash.',
    }),
    olderVersionBytes: t.expose('olderVersionBytes', {
      type: 'ByteCount',
      description: 'Number of bytes of the older versions of all files, without the trash.',
    }),
    trashedBytes: t.expose('trashedBytes', {
      type: 'ByteCount',
      description: 'Number of bytes of all versions of the files in the trash.',
    }),
    reservedBytes: t.expose('reservedBytes', {
      type: 'ByteCount',
      description: 'Number of bytes that are reserved for unfinished uploads.',
    }),
    storedBytes: t.expose('storedBytes', {
      type: 'ByteCount',
      description: 'Number of stored bytes, with identical content counted once.',
    }),
    quotaBytes: t.expose('quotaBytes', {
      type: 'ByteCount',
      nullable: true,
      description: 'Maximum number of bytes that the workspace may use, or null if unlimited.',
    }),
    remainingBytes: t.expose('remainingBytes', {
      type: 'ByteCount',
      nullable: true,
      description: 'Number of bytes that are left of the quota, or null if unlimited.',
    }),
    fileCount: t.exposeInt('fileCount', { description: 'Number of files, without the trash.' }),
    folderCount: t.exposeInt('folderCount', {
      description: 'Number of folders, without the trash and the root.',
    }),
    byKind: t.field({
      type: [KindUsageType],
      description: 'The usage of each kind of file, largest first.',
      complexity: listCost(mediaKinds.length, 5),
      resolve: ({ workspaceId }, _, { db }) => usageByKind(db, workspaceId),
    }),
  }),
})

builder.objectFields(Workspace, (t) => ({
  root: t.field({
    type: Folder,
    description: 'The root folder of the workspace. Requires scope FILES_READ.',
    resolve: async ({ id, rootId }, _, context) => {
      await requireRead(context, id)
      return loadOrThrow(loadFolder, context, rootId)
    },
  }),
  usage: t.field({
    type: UsageType,
    description: 'What the workspace uses of its quota. Requires scope FILES_READ.',
    resolve: async (workspace, _, context) => {
      await requireRead(context, workspace.id)
      return usageOf(context.db, workspace)
    },
  }),
}))

nodeTypeInWorkspace('use', 'Usage', async (workspaceId, keys, context) => {
  await requireRead(context, workspaceId)
  const usage = await usageOf(context.db, { id: workspaceId })
  return keys.map((key) => (key === '' ? usage : null))
})

builder.objectField(QuotaExceededError, 'usage', (t) =>
  t.field({
    type: UsageType,
    description: 'What the workspace uses of its quota. Requires scope FILES_READ.',
    resolve: ({ workspaceId }, _, { db }) => usageOf(db, { id: workspaceId }),
  }),
)

workspaceMutation('createFolder', {
  description:
    'Creates a folder, and with `createParents` also the missing folders of its path. Requires role EDITOR and scope FILES_WRITE.',
  input: builder.inputType('CreateFolderInput', {
    fields: (t) => ({
      workspaceId: t.id({
        description: 'The workspace in whose root to create the folder if `folder` is absent.',
      }),
      folder: t.field({
        type: FolderRef,
        description: 'The folder in which to create the folder.',
      }),
      name: t.string({
        required: true,
        description: 'The name of the folder, or with `createParents` a path such as Data/Raw.',
      }),
      description: t.string({ description: 'The description of the folder.' }),
      tags: t.stringList({ description: 'The names of its tags, at most 50.' }),
      metadata: t.field({ type: 'JSONObject', description: 'Metadata of the folder.' }),
      createParents: t.boolean({
        required: true,
        defaultValue: false,
        description: 'Whether `name` may be a path whose missing folders are created.',
      }),
      onConflict: t.field({
        type: FolderNameConflictEnum,
        required: true,
        defaultValue: 'FAIL',
        description: 'What to do if the name exists.',
      }),
    }),
  }),
  payload: builder.objectRef<{ folder: FolderRow }>('CreateFolderPayload').implement({
    fields: (t) => ({
      folder: t.expose('folder', { type: Folder, description: 'The new or existing folder.' }),
    }),
  }),
  errors: [NameConflict, InvalidState],
  workspaceIdOf: ({ folder }) => folder.workspaceId,
  resolve: async (input, context) => ({ folder: await createFolder(context, input) }),
})
