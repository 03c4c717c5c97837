import { BadPageSize } from '../../errors/input.ts'
import { builder } from '../../graphql/builder.ts'
import type { Context } from '../../graphql/context.ts'
import {
  asValue,
  errorTypeName,
  NotFoundError,
  SyncCursorExpiredError,
} from '../../graphql/errors.ts'
import { defaultPageSize, listCost, maxPageSize, pageCost } from '../../graphql/limits/costs.ts'
import { ActivityActionEnum } from '../activity/graphql.ts'
import { encodeSyncCursor } from '../activity/sync-cursor.ts'
import { Entry } from '../entries/graphql.ts'
import { Upload } from '../uploads/graphql.ts'
import type { UploadRow } from '../uploads/rules.ts'
import { Workspace } from '../workspaces/graphql.ts'
import { type Change, isStreamEnd, type StreamEnd } from './events.ts'
import { MAX_EVENT_CHANGES, subscribeToChanges, subscribeToUpload } from './live.ts'
import { CURSOR_DAYS } from './log.ts'
import { type Batch, changesAfter, positionOf } from './reads.ts'

type Upserted = Extract<Change, { kind: 'upserted' }>
type Removed = Extract<Change, { kind: 'removed' }>
type Uploaded = Extract<Change, { kind: 'upload' }>

const EntryUpserted = builder.objectRef<Upserted>('EntryUpserted').implement({
  description:
    'An entry that was created or changed, in its current state. A restored or copied folder is followed by an EntryUpserted for each entry of its subtree. A renamed or moved folder is not, so clients should store names and parents instead of paths.',
  fields: (t) => ({
    entry: t.expose('entry', { type: Entry, description: 'The entry in its current state.' }),
    action: t.expose('action', {
      type: ActivityActionEnum,
      description: 'The action that changed the entry.',
    }),
  }),
})

const EntryRemoved = builder.objectRef<Removed>('EntryRemoved').implement({
  description:
    'An entry that was moved to the trash or purged. The removal of a folder includes its whole subtree, without further changes.',
  fields: (t) => ({
    entryId: t.exposeID('entryId', { description: 'The id of the removed entry.' }),
    lastPath: t.exposeString('lastPath', {
      description: 'The last path of the entry, or an empty string unless the viewer is a member.',
    }),
    action: t.expose('action', {
      type: ActivityActionEnum,
      description: 'The action that removed the entry.',
    }),
  }),
})

const UploadChanged = builder.objectRef<Uploaded>('UploadChanged').implement({
  description:
    'An upload that was created, failed or became a file, for members only. The subscription uploadChanged reports progress.',
  fields: (t) => ({
    upload: t.expose('upload', { type: Upload, description: 'The upload in its current state.' }),
  }),
})

const typeNames = { upserted: 'EntryUpserted', removed: 'EntryRemoved', upload: 'UploadChanged' }

const ChangeUnion = builder.unionType('Change', {
  description: 'One change in a workspace.',
  types: [EntryUpserted, EntryRemoved, UploadChanged],
  resolveType: ({ kind }) => typeNames[kind],
})

const ChangeBatch = builder.objectRef<Batch>('ChangeBatch').implement({
  description:
    'Changes in the order in which they happened. Each object is in its current state, so several changes of one object look alike, and a folder may come after an entry that has moved into it. After the last change, a client has the current tree.',
  fields: (t) => ({
    changes: t.field({
      type: [ChangeUnion],
      description: 'The changes, oldest first.',
      // The field that returns the batch has already counted them.
      complexity: listCost(1),
      resolve: ({ changes }) => changes,
    }),
    cursor: t.field({
      type: 'SyncCursor',
      description: `The position after these changes, for \`since\` of the next request; valid for ${CURSOR_DAYS} days.`,
      resolve: ({ workspaceId, position }, _, { signingKeys }) =>
        encodeSyncCursor(signingKeys, workspaceId, position),
    }),
    hasMore: t.exposeBoolean('hasMore', {
      description:
        'Whether more changes follow at once, which is possible after an empty batch as well.',
    }),
  }),
})

const ChangesResult = builder.unionType('ChangesResult', {
  description: 'A batch of changes, or the error that ends the synchronization.',
  types: [ChangeBatch, SyncCursorExpiredError, NotFoundError],
  resolveType: (result) => ('code' in result ? errorTypeName(result) : 'ChangeBatch'),
})

builder.objectField(Workspace, 'changes', (t) =>
  t.field({
    type: ChangesResult,
    description:
      'The changes after `since`, or without `since` a snapshot of all entries as changes, each folder before its contents. The cursors of a snapshot continue with the log from where the snapshot started. Requires scope FILES_READ.',
    complexity: (args) => pageCost(args, defaultPageSize, 5),
    args: {
      since: t.arg({
        type: 'SyncCursor',
        description: 'The cursor of the last batch that the client has stored.',
      }),
      first: t.arg.int({
        defaultValue: defaultPageSize,
        description: `Maximum number of log events or entries, from 1 to ${maxPageSize}; a file may bring its upload as an additional change.`,
      }),
    },
    resolve: ({ id }, { since, first }, context) =>
      readChanges(context, id, since, first ?? defaultPageSize).catch((error) => {
        if (isStreamEnd(error)) return asValue(error)
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
    throw new BadPageSize(`first is ${first} (must be from 1 to ${maxPageSize})`).at('first')
  }
  const from = since == null ? null : positionOf(context, workspaceId, since)
  return changesAfter(context, workspaceId, from, first)
}

builder.subscriptionField('workspaceChanges', (t) =>
  t.field({
    type: ChangesResult,
    description:
      'Streams the changes of a workspace. A client that passes its last stored cursor as `since` misses nothing across reconnects; without it the stream starts now. The first batch comes at once and may be empty. The stream ends when the viewer may no longer read the workspace. Requires scope FILES_READ.',
    complexity: listCost(MAX_EVENT_CHANGES, 5),
    args: {
      workspaceId: t.arg.id({ required: true, description: 'The workspace to watch.' }),
      since: t.arg({
        type: 'SyncCursor',
        description: 'The cursor of the last batch that the client has stored.',
      }),
    },
    subscribe: (_, { workspaceId, since }, context) =>
      subscribeToChanges(context, workspaceId, since),
    resolve: (item: Batch | StreamEnd) => (isStreamEnd(item) ? asValue(item) : item),
  }),
)

builder.subscriptionField('uploadChanged', (t) =>
  t.field({
    type: Upload,
    description:
      'Streams the state of one upload: first its current state, then each change of its offset, size, status or failures; ends after a final status. Requires role VIEWER and scope FILES_READ.',
    complexity: 5,
    args: { uploadId: t.arg.id({ required: true, description: 'The upload to watch.' }) },
    subscribe: (_, { uploadId }, context) => subscribeToUpload(context, uploadId),
    resolve: (upload: UploadRow) => upload,
  }),
)
