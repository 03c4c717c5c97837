import { InvalidState, NameConflict, NotEmpty, RowRejected, StaleRevision } from '../../errors.ts'
import { builder } from '../../graphql/builder.ts'
import { mutation } from '../../graphql/mutations.ts'
import { connectionOf, page } from '../../graphql/pages.ts'
import { type BatchAnswer, batchFields, Entry, readFilter } from '../entries/graphql.ts'
import {
  BatchEntry,
  BatchModeEnum,
  EntryFilterInput,
  EntryRef,
  NameConflictEnum,
} from '../entries/inputs.ts'
import { RowUnlinkInput } from '../tables/graphql.ts'
import { OrderDirection, Workspace } from '../workspaces/graphql.ts'
import { requireAccess } from '../workspaces/reads.ts'
import { emptyTrash, purgeEntries } from './purge.ts'
import { latestFirst, trashList } from './reads.ts'
import { restoreEntries, trashEntries } from './writes.ts'

const TrashOrder = builder.inputType('TrashOrder', {
  fields: (t) => ({
    field: t.field({
      type: builder.enumType('TrashOrderField', {
        values: ['TRASHED_AT', 'NAME', 'SIZE'] as const,
      }),
      required: true,
      defaultValue: 'TRASHED_AT',
    }),
    direction: t.field({ type: OrderDirection, required: true, defaultValue: 'DESC' }),
  }),
})

builder.objectField(Workspace, 'trash', (t) =>
  t.connection(
    {
      type: Entry,
      description:
        'What was itself put in the trash; what went with it is not listed. Members only.',
      args: { filter: t.arg({ type: EntryFilterInput }), orderBy: t.arg({ type: TrashOrder }) },
      resolve: async ({ id }, { filter, orderBy, ...args }, context) => {
        const { db, viewer } = context
        await requireAccess(db, viewer, id, { scope: 'FILES_READ', role: 'VIEWER' })
        const chosen = await readFilter(context, id, filter)
        return page(args, trashList(db, id, chosen, orderBy ?? latestFirst))
      },
    },
    ...connectionOf(Entry, 'Trash'),
  ),
)

mutation('trashEntries', {
  description: 'A folder goes with all it holds, in one step. EDITOR, scope FILES_WRITE.',
  input: builder.inputType('TrashEntriesInput', {
    fields: (t) => ({
      entries: t.field({ type: [BatchEntry], required: true }),
      recursive: t.boolean({
        required: true,
        defaultValue: false,
        description: 'false refuses a folder that is not empty (NotEmptyError).',
      }),
      unlinkRows: t.field({ type: RowUnlinkInput }),
      mode: t.field({ type: BatchModeEnum, required: true, defaultValue: 'ALL_OR_NOTHING' }),
    }),
  }),
  payload: builder
    .objectRef<BatchAnswer & { rowsUnlinked: number }>('TrashEntriesPayload')
    .implement({
      fields: (t) => ({ ...batchFields(t), rowsUnlinked: t.exposeInt('rowsUnlinked') }),
    }),
  errors: [StaleRevision, InvalidState, NotEmpty, RowRejected],
  resolve: (input, context) => trashEntries(context, input),
})

mutation('restoreEntries', {
  description: 'Back to where they were. EDITOR, scope FILES_WRITE.',
  input: builder.inputType('RestoreEntriesInput', {
    fields: (t) => ({
      entryIds: t.idList({ required: true }),
      fallbackDestination: t.field({
        type: EntryRef,
        description:
          'For those whose folder is gone; absent, the folders of the old path are made again.',
      }),
      onConflict: t.field({ type: NameConflictEnum, required: true, defaultValue: 'RENAME' }),
      mode: t.field({ type: BatchModeEnum, required: true, defaultValue: 'ALL_OR_NOTHING' }),
    }),
  }),
  payload: builder
    .objectRef<BatchAnswer & { rowsRelinked: number }>('RestoreEntriesPayload')
    .implement({
      fields: (t) => ({ ...batchFields(t), rowsRelinked: t.exposeInt('rowsRelinked') }),
    }),
  errors: [NameConflict, InvalidState, RowRejected],
  resolve: (input, context) => restoreEntries(context, input),
})

mutation('purgeEntries', {
  description: 'Ends entries of the trash for good. EDITOR, scope TRASH_PURGE.',
  input: builder.inputType('PurgeEntriesInput', {
    fields: (t) => ({
      entryIds: t.idList({ required: true }),
      mode: t.field({ type: BatchModeEnum, required: true, defaultValue: 'BEST_EFFORT' }),
    }),
  }),
  payload: builder
    .objectRef<BatchAnswer & { freedBytes: number }>('PurgeEntriesPayload')
    .implement({
      fields: (t) => ({
        ...batchFields(t),
        freedBytes: t.expose('freedBytes', { type: 'ByteCount' }),
      }),
    }),
  errors: [InvalidState],
  resolve: (input, context) => purgeEntries(context, input),
})

mutation('emptyTrash', {
  description: 'Everything, or what was trashed before a moment. EDITOR, scope TRASH_PURGE.',
  input: builder.inputType('EmptyTrashInput', {
    fields: (t) => ({
      workspaceId: t.id({ required: true }),
      trashedBefore: t.field({ type: 'DateTime' }),
    }),
  }),
  payload: builder
    .objectRef<{ purgedCount: number; freedBytes: number }>('EmptyTrashPayload')
    .implement({
      fields: (t) => ({
        purgedCount: t.exposeInt('purgedCount'),
        freedBytes: t.expose('freedBytes', { type: 'ByteCount' }),
      }),
    }),
  resolve: (input, context) => emptyTrash(context, input),
})
