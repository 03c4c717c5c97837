import {
  InvalidState,
  NameConflict,
  NotEmpty,
  RowRejected,
  StaleRevision,
} from '../../errors/entries.ts'
import { builder } from '../../graphql/builder.ts'
import { mutation } from '../../graphql/mutations.ts'
import { connectionOf, page } from '../../graphql/pages.ts'
import { workspaceMutation } from '../activity/graphql.ts'
import { type BatchResults, batchFields, Entry, readFilter } from '../entries/graphql.ts'
import {
  BatchEntry,
  BatchModeEnum,
  EntryFilterInput,
  FolderRef,
  NameConflictEnum,
} from '../entries/inputs.ts'
import { RowUnlinkInput } from '../tables/graphql.ts'
import { OrderDirection, Workspace } from '../workspaces/graphql.ts'
import { requireAccess } from '../workspaces/reads.ts'
import { emptyTrash, purgeEntries } from './purge.ts'
import { latestFirst, trashList } from './reads.ts'
import { restoreEntries, trashEntries } from './writes.ts'

const TrashOrder = builder.inputType('TrashOrder', {
  description: 'Sort order of the trash.',
  fields: (t) => ({
    field: t.field({
      type: builder.enumType('TrashOrderField', {
        description: 'Field that entries of the trash are sorted by.',
        values: {
          TRASHED_AT: { description: 'Sorted by the time of trashing.' },
          NAME: { description: 'Sorted by name, without regard to case.' },
          SIZE: { description: 'Sorted by size in bytes.' },
        } as const,
      }),
      required: true,
      defaultValue: 'TRASHED_AT',
      description: 'Field to sort by.',
    }),
    direction: t.field({
      type: OrderDirection,
      required: true,
      defaultValue: 'DESC',
      description: 'Sort direction.',
    }),
  }),
})

builder.objectField(Workspace, 'trash', (t) =>
  t.connection(
    {
      type: Entry,
      description:
        'Entries that were moved to the trash directly, without the entries below them. Requires role VIEWER and scope FILES_READ.',
      args: {
        filter: t.arg({
          type: EntryFilterInput,
          description: 'Conditions that entries must meet; paths are original paths.',
        }),
        orderBy: t.arg({
          type: TrashOrder,
          description: 'Sort order, most recently trashed first by default.',
        }),
      },
      resolve: async ({ id }, { filter, orderBy, ...args }, context) => {
        const { db, viewer } = context
        await requireAccess(db, viewer, id, { scope: 'FILES_READ', role: 'VIEWER' })
        const parsed = await readFilter(context, id, filter)
        return page(args, trashList(db, id, parsed, orderBy ?? latestFirst))
      },
    },
    ...connectionOf(Entry, 'Trash'),
  ),
)

mutation('trashEntries', {
  description:
    'Moves entries, with everything below them, to the trash. Requires role EDITOR and scope FILES_WRITE.',
  input: builder.inputType('TrashEntriesInput', {
    description: 'Input of trashEntries.',
    fields: (t) => ({
      entries: t.field({
        type: [BatchEntry],
        required: true,
        description: 'The entries to move to the trash, from 1 to 100.',
      }),
      recursive: t.boolean({
        required: true,
        defaultValue: false,
        description:
          'Whether folders may have content; if false, a non-empty folder fails with NotEmptyError.',
      }),
      unlinkRows: t.field({
        type: RowUnlinkInput,
        description:
          'Selects the rows of a user table that hold the paths of the entries; they are deleted, and restored together with the entries.',
      }),
      mode: t.field({
        type: BatchModeEnum,
        required: true,
        defaultValue: 'ALL_OR_NOTHING',
        description: 'What happens to the other entries when one fails.',
      }),
    }),
  }),
  payload: builder
    .objectRef<BatchResults & { rowsUnlinked: number }>('TrashEntriesPayload')
    .implement({
      description: 'Result of trashEntries.',
      fields: (t) => ({
        ...batchFields(t),
        rowsUnlinked: t.exposeInt('rowsUnlinked', {
          description: 'Number of unlinked rows of user tables.',
        }),
      }),
    }),
  errors: [StaleRevision, InvalidState, NotEmpty, RowRejected],
  resolve: (input, context) => trashEntries(context, input),
})

mutation('restoreEntries', {
  description:
    'Restores entries from the trash to their original folders. Requires role EDITOR and scope FILES_WRITE.',
  input: builder.inputType('RestoreEntriesInput', {
    description: 'Input of restoreEntries.',
    fields: (t) => ({
      entries: t.field({
        type: [BatchEntry],
        required: true,
        description: 'The directly trashed entries to restore, by id, from 1 to 100.',
      }),
      fallbackFolder: t.field({
        type: FolderRef,
        description:
          'Folder for entries whose original folder does not exist or is in the trash; if omitted, the folders of the original path are created again.',
      }),
      onConflict: t.field({
        type: NameConflictEnum,
        required: true,
        defaultValue: 'RENAME',
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
  payload: builder
    .objectRef<BatchResults & { rowsRelinked: number }>('RestoreEntriesPayload')
    .implement({
      description: 'Result of restoreEntries.',
      fields: (t) => ({
        ...batchFields(t),
        rowsRelinked: t.exposeInt('rowsRelinked', {
          description: 'Number of rows of user tables that were linked again.',
        }),
      }),
    }),
  errors: [NameConflict, StaleRevision, InvalidState, RowRejected],
  resolve: (input, context) => restoreEntries(context, input),
})

mutation('purgeEntries', {
  description:
    'Deletes entries of the trash permanently. Requires role EDITOR and scope TRASH_PURGE.',
  input: builder.inputType('PurgeEntriesInput', {
    description: 'Input of purgeEntries.',
    fields: (t) => ({
      entries: t.field({
        type: [BatchEntry],
        required: true,
        description: 'The directly trashed entries to delete, by id, from 1 to 100.',
      }),
      mode: t.field({
        type: BatchModeEnum,
        required: true,
        defaultValue: 'BEST_EFFORT',
        description: 'What happens to the other entries when one fails.',
      }),
    }),
  }),
  payload: builder
    .objectRef<BatchResults & { freedBytes: number }>('PurgeEntriesPayload')
    .implement({
      description: 'Result of purgeEntries.',
      fields: (t) => ({
        ...batchFields(t),
        freedBytes: t.expose('freedBytes', {
          type: 'ByteCount',
          description: 'Number of bytes that the quota regains.',
        }),
      }),
    }),
  errors: [StaleRevision, InvalidState],
  resolve: (input, context) => purgeEntries(context, input),
})

workspaceMutation('emptyTrash', {
  description:
    'Deletes all entries of the trash of a workspace permanently. Requires role EDITOR and scope TRASH_PURGE.',
  input: builder.inputType('EmptyTrashInput', {
    description: 'Input of emptyTrash.',
    fields: (t) => ({
      workspaceId: t.id({ required: true, description: 'Id of the workspace.' }),
      trashedBefore: t.field({
        type: 'DateTime',
        description: 'Restricts the deletion to entries that were trashed before this time.',
      }),
    }),
  }),
  payload: builder
    .objectRef<{ workspaceId: string; purgedCount: number; freedBytes: number }>(
      'EmptyTrashPayload',
    )
    .implement({
      description: 'Result of emptyTrash.',
      fields: (t) => ({
        purgedCount: t.exposeInt('purgedCount', {
          description: 'Number of deleted entries that were trashed directly.',
        }),
        freedBytes: t.expose('freedBytes', {
          type: 'ByteCount',
          description: 'Number of bytes that the quota regains.',
        }),
      }),
    }),
  workspaceIdOf: ({ workspaceId }) => workspaceId,
  resolve: async (input, context) => ({
    workspaceId: input.workspaceId,
    ...(await emptyTrash(context, input)),
  }),
})
