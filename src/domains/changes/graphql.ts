import { BadPageSize } from '../../errors.ts'
import { builder } from '../../graphql/builder.ts'
import type { Context } from '../../graphql/context.ts'
import { defaultPageSize, listCost, maxPageSize, pageCost } from '../../graphql/costs.ts'
import { errorTypeName, NotFoundError, SyncCursorExpiredError } from '../../graphql/errors.ts'
import { ActivityActionEnum } from '../activity/graphql.ts'
import { writeCursor } from '../activity/sync-cursor.ts'
import { asValue, Entry } from '../entries/graphql.ts'
import { Upload } from '../uploads/graphql.ts'
import type { UploadRow } from '../uploads/rules.ts'
import { Workspace } from '../workspaces/graphql.ts'
import { type Change, type End, isEnd } from './events.ts'
import { followChanges, followUpload, MAX_EVENT_CHANGES } from './live.ts'
import { CURSOR_DAYS } from './log.ts'
import { type Batch, changesAfter, placeOf } from './reads.ts'

type Upserted = Extract<Change, { kind: 'upserted' }>
type Removed = Extract<Change, { kind: 'removed' }>
type Uploaded = Extract<Change, { kind: 'upload' }>

const EntryUpserted = builder.objectRef<Upserted>('EntryUpserted').implement({
  description:
    'An entry that is new or not as it was, as it is now. A folder that was restored or copied is followed by an EntryUpserted for all it holds. What lies in a folder that is renamed or moved goes with it and is not told: keep names and parents, not paths.',
  fields: (t) => ({
    entry: t.expose('entry', { type: Entry }),
    action: t.expose('action', { type: ActivityActionEnum }),
  }),
})

const EntryRemoved = builder.objectRef<Removed>('EntryRemoved').implement({
  description:
    'An entry that is in the trash or purged. A folder takes along all that lies below it, of which nothing more is told.',
  fields: (t) => ({
    entryId: t.exposeID('entryId'),
    lastPath: t.exposeString('lastPath', {
      description: 'Where it was at that moment; empty for who is not a member.',
    }),
    action: t.expose('action', { type: ActivityActionEnum }),
  }),
})

const UploadChanged = builder.objectRef<Uploaded>('UploadChanged').implement({
  description:
    'An upload that was created, has failed, or became a file. Members only. Progress is told by uploadChanged.',
  fields: (t) => ({ upload: t.expose('upload', { type: Upload }) }),
})

const typeNames = { upserted: 'EntryUpserted', removed: 'EntryRemoved', upload: 'UploadChanged' }

const ChangeUnion = builder.unionType('Change', {
  types: [EntryUpserted, EntryRemoved, UploadChanged],
  resolveType: ({ kind }) => typeNames[kind],
})

const ChangeBatch = builder.objectRef<Batch>('ChangeBatch').implement({
  description:
    'Changes in the order in which they happened. Things are told as they are now: several changes of one thing show it alike, and a parent may be told after what has moved into it. Applied to the last one, they give the tree as it is.',
  fields: (t) => ({
    changes: t.field({
      type: [ChangeUnion],
      // The field that gives the batch has counted them.
      complexity: listCost(1),
      resolve: ({ changes }) => changes,
    }),
    cursor: t.field({
      type: 'SyncCursor',
      description: `Give it as \`since\` once these changes are stored. Good for ${CURSOR_DAYS} days.`,
      resolve: ({ workspaceId, place }, _, { signingKeys }) =>
        writeCursor(signingKeys, workspaceId, place),
    }),
    hasMore: t.exposeBoolean('hasMore', {
      description: 'Ask again at once; this batch may be empty.',
    }),
  }),
})

const ChangesResult = builder.unionType('ChangesResult', {
  types: [ChangeBatch, SyncCursorExpiredError, NotFoundError],
  resolveType: (result) => ('code' in result ? errorTypeName(result.name) : 'ChangeBatch'),
})

builder.objectField(Workspace, 'changes', (t) =>
  t.field({
    type: ChangesResult,
    description:
      'What changed after `since`; without `since` a snapshot of everything, as changes: folders before what they hold. Its cursors go on with the log from where the snapshot began. `first` counts events of the log, or entries; a file that came by an upload brings its upload along.',
    complexity: (args) => pageCost(args, defaultPageSize, 5),
    args: {
      since: t.arg({ type: 'SyncCursor' }),
      first: t.arg.int({ defaultValue: defaultPageSize, description: `1 to ${maxPageSize}.` }),
    },
    resolve: ({ id }, { since, first }, context) =>
      readChanges(context, id, since, first ?? defaultPageSize).catch((error) => {
        if (isEnd(error)) return asValue(error)
        throw error
      }),
  }),
)

async function readChanges(
  context: Context,
  workspaceId: string,
  since: string | null | undefined,
  first: number,
): Promise<Batch> {
  if (first < 1 || first > maxPageSize) {
    throw new BadPageSize(`first is from 1 to ${maxPageSize}, not ${first}`).at('first')
  }
  const from = since == null ? null : placeOf(context, workspaceId, since)
  return changesAfter(context, workspaceId, from, first)
}

builder.subscriptionField('workspaceChanges', (t) =>
  t.field({
    type: ChangesResult,
    description:
      'Live tail of the change log. Give the last cursor that you stored and nothing is missed across reconnects; without one it begins now. The first batch comes at once, be it empty. Where the right to read ends, so does the stream.',
    complexity: listCost(MAX_EVENT_CHANGES, 5),
    args: { workspaceId: t.arg.id({ required: true }), since: t.arg({ type: 'SyncCursor' }) },
    subscribe: (_, { workspaceId, since }, context) => followChanges(context, workspaceId, since),
    resolve: (told: Batch | End) => (isEnd(told) ? asValue(told) : told),
  }),
)

builder.subscriptionField('uploadChanged', (t) =>
  t.field({
    type: Upload,
    description:
      'Progress and outcome of one upload: as it is, then whenever more bytes are safe or its status is another; completes after a final status. For members.',
    complexity: 5,
    args: { uploadId: t.arg.id({ required: true }) },
    subscribe: (_, { uploadId }, context) => followUpload(context, uploadId),
    resolve: (upload: UploadRow) => upload,
  }),
)
