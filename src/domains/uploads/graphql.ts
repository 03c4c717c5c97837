import type { Row } from '../../database/tables.ts'
import {
  ChecksumMismatch,
  FileTooLarge,
  InvalidState,
  MediaTypeRejected,
  NameConflict,
  QuotaExceeded,
  RateLimited,
  RowRejected,
  SizeMismatch,
  StorageError,
  UploadExpired,
  UploadIncomplete,
} from '../../errors.ts'
import { builder } from '../../graphql/builder.ts'
import type { Context } from '../../graphql/context.ts'
import { defaultPageSize, listCost } from '../../graphql/costs.ts'
import {
  type ErrorCode,
  ErrorCodeEnum,
  UploadIncompleteError,
  UserError,
} from '../../graphql/errors.ts'
import { mutation } from '../../graphql/mutations.ts'
import { loader, Node, nodeType, nullIfDenied } from '../../graphql/nodes.ts'
import { connectionOf, page } from '../../graphql/pages.ts'
import { loadUser, User } from '../accounts/graphql.ts'
import { currentSyncCursor } from '../activity/reads.ts'
import { asValue, loadEntry, loadParent } from '../entries/graphql.ts'
import { BatchModeEnum } from '../entries/inputs.ts'
import { pathOf } from '../entries/reads.ts'
import { toWrite } from '../entries/writes.ts'
import { File, FileVersion, loadVersion } from '../files/graphql.ts'
import { shownRow, TableRowType } from '../tables/graphql.ts'
import { rowOfUpload } from '../tables/reads.ts'
import { loadWorkspace, Workspace } from '../workspaces/graphql.ts'
import { requireAccess, type WorkspaceRow } from '../workspaces/reads.ts'
import { confirmUpload } from './confirm/confirm.ts'
import { confirmUploads } from './confirm/confirm-uploads.ts'
import { createUploads } from './create/create-uploads.ts'
import { ConfirmUploadInput, CreateUploadInput, UploadTransportEnum } from './inputs.ts'
import { MAX_PARTS, type UploadPart, uploadAddress, uploadParts } from './receive/presigned.ts'
import { cancelUpload } from './terminate.ts'
import './membership.ts'
import { MAX_BATCH_SIZE, type UploadOutcome } from './batch.ts'
import { uploadsById, uploadsList } from './reads.ts'
import {
  failuresOf,
  isTerminal,
  MOST_FAILURES,
  statusAt,
  type UploadFailure,
  type UploadRow,
} from './rules.ts'
import { createUpload } from './writes.ts'

/** Uploads are the members' business, also where everybody may read the files. */
const need = { scope: 'FILES_READ', role: 'VIEWER' } as const

nodeType('upl', 'Upload', async (ids, { db, viewer }) => {
  const rows = await uploadsById(db, ids)
  return Promise.all(
    rows.map((row) =>
      nullIfDenied(requireAccess(db, viewer, row?.workspaceId ?? '', need).then(() => row)),
    ),
  )
})

const loadUpload = loader((ids, { db }) => uploadsById(db, ids))

/** Whether the viewer may write in each of these workspaces, by this token and at this moment. */
const loadMayWrite = loader((ids, { db, viewer }) =>
  Promise.all(ids.map((id) => nullIfDenied(requireAccess(db, viewer, id, toWrite)))),
)

/** Whoever holds the address of an upload can bring its bytes: it is shown to the user who made it, while they may write. */
async function mayAddress(upload: UploadRow, context: Context): Promise<boolean> {
  if (upload.createdBy !== context.viewer?.userId) return false
  return (await loadMayWrite(context, upload.workspaceId)) !== null
}

const UploadStatus = builder.enumType('UploadStatus', {
  values: {
    CREATED: { description: 'Waits for its first byte.' },
    RECEIVING: { description: 'Waits for more bytes.' },
    RECEIVED: { description: 'Has all bytes; waits for confirmUpload.' },
    PROCESSING: { description: 'Is being confirmed.' },
    COMPLETE: { description: 'Is a file.' },
    FAILED: { description: 'Its bytes are not the announced ones, and are gone.' },
    CANCELED: {},
    EXPIRED: { description: 'Was not finished in time.' },
  } satisfies Record<Row<'uploads'>['status'], object>,
})
const UploadFailureType = builder.objectRef<UploadFailure>('UploadFailure').implement({
  fields: (t) => ({
    code: t.field({ type: ErrorCodeEnum, resolve: ({ code }) => code as ErrorCode }),
    message: t.exposeString('message'),
    retryable: t.exposeBoolean('retryable'),
    at: t.expose('at', { type: 'DateTime' }),
  }),
})

/** Of a request to the server or to a bucket. */
const MAX_HEADERS = 10

const HttpHeader = builder.objectRef<{ name: string; value: string }>('HttpHeader').implement({
  fields: (t) => ({ name: t.exposeString('name'), value: t.exposeString('value') }),
})

const UploadPartType = builder.objectRef<UploadPart>('UploadPart').implement({
  fields: (t) => ({
    number: t.exposeInt('number'),
    offset: t.expose('offset', { type: 'ByteCount' }),
    size: t.expose('size', { type: 'ByteCount' }),
    url: t.expose('url', { type: 'URL' }),
  }),
})

export const Upload = builder.objectRef<UploadRow>('Upload').implement({
  description: 'One transfer. Bytes go to `url`; everything else goes through GraphQL.',
  interfaces: [Node],
  fields: (t) => ({
    id: t.exposeID('id'),
    workspace: t.field({
      type: Workspace,
      resolve: async ({ workspaceId }, _, context) =>
        (await loadWorkspace(context, workspaceId)) as WorkspaceRow,
    }),
    status: t.field({
      type: UploadStatus,
      resolve: (upload, _, { now }) => statusAt(upload, now()),
    }),
    transport: t.expose('transport', { type: UploadTransportEnum }),
    url: t.field({
      type: 'URL',
      nullable: true,
      description:
        'TUS: the tus resource to HEAD and PATCH, with a token of the user who made the upload. SIGNED_PUT: takes one PUT of the whole body without a token; cut off, it begins anew. On S3 it leads to the bucket, up to 5 GiB and until `expiresAt`. Null unless you made the upload and may write in its workspace with this token.',
      resolve: async (upload, _, context) =>
        (await mayAddress(upload, context)) ? (await uploadAddress(context, upload)).url : null,
    }),
    headers: t.field({
      type: [HttpHeader],
      complexity: listCost(MAX_HEADERS),
      description:
        'Send these with every request to `url`; TUS: beside Authorization. Empty where `url` is null.',
      resolve: async (upload, _, context) =>
        (await mayAddress(upload, context)) ? (await uploadAddress(context, upload)).headers : [],
    }),
    parts: t.field({
      type: [UploadPartType],
      nullable: true,
      description:
        'SIGNED_PUT on S3, where it is more than one part: the other way for the bytes, which is the one for more than 5 GiB. Each part is one PUT to the bucket, in any order and at once; then confirmUpload. Parts of one upload, or its `url`, not both. Until all bytes are there; null where `url` is null.',
      args: {
        first: t.arg.int({
          required: true,
          defaultValue: defaultPageSize,
          description: '0 to 1000.',
        }),
        after: t.arg.int({
          required: true,
          defaultValue: 0,
          description: 'The last number before.',
        }),
      },
      complexity: ({ first }) => listCost(Math.min(Math.max(first, 0), MAX_PARTS)),
      resolve: async (upload, args, context) =>
        (await mayAddress(upload, context)) ? uploadParts(context, upload, args) : null,
    }),
    name: t.exposeString('name'),
    path: t.string({
      description: 'Where the file is to be; onConflict may have given it another name.',
      resolve: intendedPath,
    }),
    size: t.expose('size', {
      type: 'ByteCount',
      nullable: true,
      description: 'Null until known, when the length was deferred.',
    }),
    offset: t.expose('offset', { type: 'ByteCount', description: 'So many bytes are safe.' }),
    createdAt: t.expose('createdAt', { type: 'DateTime' }),
    createdBy: t.field({
      type: User,
      nullable: true,
      resolve: ({ createdBy }, _, context) => loadUser(context, createdBy),
    }),
    expiresAt: t.field({
      type: 'DateTime',
      nullable: true,
      description:
        'Moves on with every accepted chunk; an upload unfinished by then is dropped and its reserved space given back.',
      resolve: ({ status, expiresAt }) => (isTerminal(status) ? null : expiresAt),
    }),
    file: t.field({ type: File, nullable: true, resolve: fileOf }),
    version: t.field({ type: FileVersion, nullable: true, resolve: versionOf }),
    failures: t.field({
      type: [UploadFailureType],
      complexity: listCost(MOST_FAILURES),
      description: 'What went wrong so far, the last 20, oldest first.',
      resolve: failuresOf,
    }),
  }),
})

function fileOf({ fileId }: UploadRow, _: unknown, context: Context) {
  return fileId ? loadEntry(context, fileId) : null
}

function versionOf({ versionId }: UploadRow, _: unknown, context: Context) {
  return versionId ? loadVersion(context, versionId) : null
}

async function intendedPath(upload: UploadRow, _: unknown, context: Context): Promise<string> {
  const versioned = upload.versionOf ? await loadEntry(context, upload.versionOf) : null
  if (versioned) return pathOf(versioned, await loadParent(versioned, context))
  const folder = upload.folderId ? await loadEntry(context, upload.folderId) : null
  const names = [folder?.path, upload.path.replace(/\/$/, ''), upload.name]
  return names.filter(Boolean).join('/')
}

builder.objectField(Workspace, 'uploads', (t) =>
  t.connection(
    {
      type: Upload,
      description: 'Newest first. For members.',
      args: { status: t.arg({ type: [UploadStatus] }) },
      resolve: async ({ id }, { status, ...args }, { db, viewer, now }) => {
        await requireAccess(db, viewer, id, need)
        return page(args, uploadsList(db, id, { statuses: status, now: now() }))
      },
    },
    ...connectionOf(Upload, 'Upload'),
  ),
)

builder.objectField(UploadIncompleteError, 'upload', (t) =>
  t.field({
    type: Upload,
    resolve: async ({ uploadId }, _, context) => (await loadUpload(context, uploadId)) as UploadRow,
  }),
)

const uploadPayload = (name: string) =>
  builder
    .objectRef<{ upload: UploadRow }>(name)
    .implement({ fields: (t) => ({ upload: t.expose('upload', { type: Upload }) }) })

mutation('createUpload', {
  description:
    'Reserves the space and hands out the URL for the bytes. Role, name, place, size and quota are checked here. EDITOR, scope FILES_WRITE.',
  input: CreateUploadInput,
  payload: uploadPayload('CreateUploadPayload'),
  errors: [
    NameConflict,
    QuotaExceeded,
    RateLimited,
    FileTooLarge,
    MediaTypeRejected,
    InvalidState,
    StorageError,
  ],
  resolve: async (input, context) => ({ upload: await createUpload(context, input) }),
})

mutation('confirmUpload', {
  description:
    'Makes the file, when all bytes are there. Safe to repeat: a confirmed upload answers with the same file. Your own uploads; EDITOR, scope FILES_WRITE.',
  input: ConfirmUploadInput,
  payload: builder.objectRef<{ upload: UploadRow }>('ConfirmUploadPayload').implement({
    fields: (t) => ({
      upload: t.expose('upload', { type: Upload }),
      file: t.field({
        type: File,
        nullable: true,
        description: 'Null while PROCESSING.',
        resolve: ({ upload }, args, context) => fileOf(upload, args, context),
      }),
      version: t.field({
        type: FileVersion,
        nullable: true,
        resolve: ({ upload }, args, context) => versionOf(upload, args, context),
      }),
      row: t.field({
        type: TableRowType,
        nullable: true,
        description: 'The row that was linked when the file was made, the first where many match.',
        resolve: async ({ upload }, _, context) => {
          const linked = await rowOfUpload(context.db, upload)
          return linked && shownRow(context, linked)
        },
      }),
      syncCursor: t.field({
        type: 'SyncCursor',
        resolve: ({ upload }, _, context) => currentSyncCursor(context, upload.workspaceId),
      }),
    }),
  }),
  errors: [
    UploadIncomplete,
    UploadExpired,
    ChecksumMismatch,
    SizeMismatch,
    NameConflict,
    QuotaExceeded,
    MediaTypeRejected,
    RowRejected,
    InvalidState,
    StorageError,
  ],
  resolve: async (input, context) => ({ upload: await confirmUpload(context, input) }),
})

const UploadBatchResult = builder.objectRef<UploadOutcome>('UploadBatchResult').implement({
  description: 'What became of one item: the upload, and its file once there is one; or the error.',
  fields: (t) => ({
    index: t.exposeInt('index'),
    upload: t.expose('upload', { type: Upload, nullable: true }),
    file: t.field({
      type: File,
      nullable: true,
      resolve: ({ upload }, args, context) => upload && fileOf(upload, args, context),
    }),
    error: t.field({
      type: UserError,
      nullable: true,
      resolve: ({ error }) => error && asValue(error),
    }),
  }),
})

const uploadsPayload = (name: string) =>
  builder.objectRef<{ results: UploadOutcome[] }>(name).implement({
    fields: (t) => ({
      results: t.expose('results', {
        type: [UploadBatchResult],
        description: 'As in the input.',
        complexity: listCost(MAX_BATCH_SIZE),
      }),
      succeeded: t.int({ resolve: ({ results }) => results.filter(({ error }) => !error).length }),
      failed: t.int({ resolve: ({ results }) => results.filter(({ error }) => error).length }),
      syncCursor: t.field({
        type: 'SyncCursor',
        nullable: true,
        description: 'Where the workspace stands now; null where nothing was done.',
        resolve: ({ results }, _, context) => {
          const workspaceId = results.find(({ upload }) => upload)?.upload?.workspaceId
          return workspaceId === undefined ? null : currentSyncCursor(context, workspaceId)
        },
      }),
    }),
  })

/** What a disk did is for the log, also where it is one item's error. */
function reported(results: UploadOutcome[], { report }: Context) {
  for (const { error } of results) if (error instanceof StorageError && !error.isFull) report(error)
  return { results }
}

mutation('createUploads', {
  description:
    'createUpload for 1 to 100, one outcome each. ALL_OR_NOTHING: in one transaction. EDITOR, scope FILES_WRITE.',
  input: builder.inputType('CreateUploadsInput', {
    fields: (t) => ({
      uploads: t.field({ type: [CreateUploadInput], required: true }),
      mode: t.field({ type: BatchModeEnum, required: true, defaultValue: 'ALL_OR_NOTHING' }),
    }),
  }),
  payload: uploadsPayload('CreateUploadsPayload'),
  resolve: async (input, context) => reported(await createUploads(context, input), context),
})

mutation('confirmUploads', {
  description:
    'confirmUpload for 1 to 100, one outcome each. ALL_OR_NOTHING: all bytes are checked first, then one transaction makes all the files; where one cannot be, there is none, and the others stay confirmable. Your own uploads; EDITOR, scope FILES_WRITE.',
  input: builder.inputType('ConfirmUploadsInput', {
    fields: (t) => ({
      uploads: t.field({ type: [ConfirmUploadInput], required: true }),
      mode: t.field({ type: BatchModeEnum, required: true, defaultValue: 'BEST_EFFORT' }),
    }),
  }),
  payload: uploadsPayload('ConfirmUploadsPayload'),
  resolve: async (input, context) => reported(await confirmUploads(context, input), context),
})

mutation('cancelUpload', {
  description:
    'Drops an upload that is not a file yet, and gives its space back. Your own uploads; EDITOR, scope FILES_WRITE.',
  input: builder.inputType('CancelUploadInput', {
    fields: (t) => ({ uploadId: t.id({ required: true }) }),
  }),
  payload: uploadPayload('CancelUploadPayload'),
  errors: [InvalidState],
  resolve: async ({ uploadId }, context) => ({ upload: await cancelUpload(context, uploadId) }),
})
