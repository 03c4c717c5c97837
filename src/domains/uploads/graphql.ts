import type { Row } from '../../database/tables.ts'
import { RateLimited, StorageError } from '../../errors/availability.ts'
import { InvalidState, NameConflict, RowRejected } from '../../errors/entries.ts'
import type { TypedErrorCode } from '../../errors/registry.ts'
import {
  ChecksumMismatch,
  FileTooLarge,
  MediaTypeRejected,
  QuotaExceeded,
  SizeMismatch,
  UploadExpired,
  UploadIncomplete,
} from '../../errors/uploads.ts'
import { builder } from '../../graphql/builder.ts'
import type { Context } from '../../graphql/context.ts'
import { asValue, ErrorCodeEnum, UploadIncompleteError, UserError } from '../../graphql/errors.ts'
import { defaultPageSize, listCost } from '../../graphql/limits/costs.ts'
import { mutation } from '../../graphql/mutations.ts'
import { loader, loadOrThrow, Node, nodeType, nullIfDenied } from '../../graphql/nodes.ts'
import { connectionOf, page } from '../../graphql/pages.ts'
import { loadUser, User } from '../accounts/graphql.ts'
import { workspaceMutation } from '../activity/graphql.ts'
import { currentSyncCursor } from '../activity/reads.ts'
import { loadEntry, loadFile, loadParent } from '../entries/graphql.ts'
import { BatchModeEnum } from '../entries/inputs.ts'
import { pathOf } from '../entries/reads.ts'
import { toWrite } from '../entries/writes.ts'
import { File, FileVersion, loadVersion } from '../files/graphql.ts'
import { shownRow, TableRowType } from '../tables/graphql.ts'
import { rowOfUpload } from '../tables/reads.ts'
import { loadWorkspace, Workspace } from '../workspaces/graphql.ts'
import { requireAccess, requireRow } from '../workspaces/reads.ts'
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
  MAX_FAILURES,
  statusAt,
  type UploadFailure,
  type UploadRow,
} from './rules.ts'
import { createUpload } from './writes.ts'

/** Uploads are visible to members only, even if the workspace is PUBLIC. */
const memberAccess = { scope: 'FILES_READ', role: 'VIEWER' } as const

nodeType('upl', 'Upload', async (ids, { db, viewer }) => {
  const rows = await uploadsById(db, ids)
  return Promise.all(
    ids.map((id, i) => nullIfDenied(requireRow(db, viewer, id, rows[i], memberAccess))),
  )
})

const loadUpload = loader((ids, { db }) => uploadsById(db, ids))

/** Loads whether the viewer may write in a workspace with the current token. */
const loadCanWrite = loader((ids, { db, viewer }) =>
  Promise.all(ids.map((id) => nullIfDenied(requireAccess(db, viewer, id, toWrite)))),
)

/**
 * Returns whether the viewer may see the URL of an upload. The URL is enough to send its bytes, so only the
 * creator receives it, and only while they may write.
 */
async function canReceiveUrl(upload: UploadRow, context: Context): Promise<boolean> {
  if (upload.createdBy !== context.viewer?.userId) return false
  return (await loadCanWrite(context, upload.workspaceId)) !== null
}

const UploadStatus = builder.enumType('UploadStatus', {
  description: 'The state of an upload.',
  values: {
    CREATED: { description: 'No byte has arrived yet.' },
    RECEIVING: { description: 'Some bytes have arrived and others are missing.' },
    RECEIVED: { description: 'All bytes have arrived and the upload waits for confirmUpload.' },
    PROCESSING: { description: 'A confirm is running.' },
    COMPLETE: {
      description: 'The upload has become a file or a version, or its archive was imported.',
    },
    FAILED: {
      description: 'The bytes did not match the announced SHA-256 checksum and were deleted.',
    },
    CANCELED: { description: 'The upload was canceled before it became a file.' },
    EXPIRED: { description: 'The upload was not finished before `expiresAt`.' },
  } satisfies Record<Row<'uploads'>['status'], object>,
})
const UploadFailureType = builder.objectRef<UploadFailure>('UploadFailure').implement({
  description: 'An error that occurred while an upload was confirmed.',
  fields: (t) => ({
    code: t.field({
      type: ErrorCodeEnum,
      description: 'The code of the error.',
      resolve: ({ code }) => code as TypedErrorCode,
    }),
    message: t.exposeString('message', { description: 'The error in words.' }),
    retryable: t.exposeBoolean('retryable', {
      description: 'True if confirmUpload may succeed when it is called again.',
    }),
    at: t.expose('at', { type: 'DateTime', description: 'When the error occurred.' }),
  }),
})

/** Upper bound of the number of headers that one request to the server or to a bucket needs. */
const MAX_HEADERS = 10

const HttpHeader = builder.objectRef<{ name: string; value: string }>('HttpHeader').implement({
  description: 'An HTTP request header.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'The name of the header.' }),
    value: t.exposeString('value', { description: 'The value of the header.' }),
  }),
})

const UploadPartType = builder.objectRef<UploadPart>('UploadPart').implement({
  description: 'One part of an S3 multipart upload.',
  fields: (t) => ({
    number: t.exposeInt('number', { description: 'The number of the part, from 1.' }),
    offset: t.expose('offset', {
      type: 'ByteCount',
      description: 'Position of the first byte of the part in the file.',
    }),
    size: t.expose('size', { type: 'ByteCount', description: 'Number of bytes in the part.' }),
    url: t.expose('url', {
      type: 'URL',
      description: 'The presigned URL that takes the bytes of the part in one PUT request.',
    }),
  }),
})

export const Upload = builder.objectRef<UploadRow>('Upload').implement({
  description:
    'The transfer of one file: the bytes go to `url`, everything else goes through GraphQL.',
  interfaces: [Node],
  fields: (t) => ({
    id: t.exposeID('id', { description: 'The ID of the upload, with the prefix `upl_`.' }),
    workspace: t.field({
      type: Workspace,
      description: 'The workspace that receives the file.',
      resolve: ({ workspaceId }, _, context) => loadOrThrow(loadWorkspace, context, workspaceId),
    }),
    status: t.field({
      type: UploadStatus,
      description: 'The state of the upload at this moment.',
      resolve: (upload, _, { now }) => statusAt(upload, now()),
    }),
    transport: t.expose('transport', {
      type: UploadTransportEnum,
      description: 'How the bytes are sent.',
    }),
    url: t.field({
      type: 'URL',
      nullable: true,
      description:
        'Where to send the bytes. TUS: the tus resource for HEAD and PATCH, with a token of the user who created the upload. SIGNED_PUT: takes one PUT of the whole body without a token; an interrupted PUT restarts from the first byte. With S3 storage it is a presigned URL of the bucket for at most 5 GiB, valid until `expiresAt`. Null unless you created the upload and may write in its workspace with this token.',
      resolve: async (upload, _, context) =>
        (await canReceiveUrl(upload, context)) ? (await uploadAddress(context, upload)).url : null,
    }),
    headers: t.field({
      type: [HttpHeader],
      complexity: listCost(MAX_HEADERS),
      description:
        'Headers to send with every request to `url`, in addition to Authorization for TUS. Empty if `url` is null.',
      resolve: async (upload, _, context) =>
        (await canReceiveUrl(upload, context))
          ? (await uploadAddress(context, upload)).headers
          : [],
    }),
    parts: t.field({
      type: [UploadPartType],
      nullable: true,
      description:
        'The parts of an S3 multipart upload, an alternative to `url` for SIGNED_PUT that is required above 5 GiB. Send each part with one PUT to the bucket, in any order or in parallel, then call confirmUpload. Use either the parts or `url`, not both. Null if the bytes go to the server, fit in one part or have all arrived, and if `url` is null.',
      args: {
        first: t.arg.int({
          required: true,
          defaultValue: defaultPageSize,
          description: 'Maximum number of parts to return, from 0 to 1000.',
        }),
        after: t.arg.int({
          required: true,
          defaultValue: 0,
          description: 'Return the parts whose number is greater than this one.',
        }),
      },
      complexity: ({ first }) =>
        listCost(Math.min(Math.max(first ?? defaultPageSize, 0), MAX_PARTS)),
      resolve: async (upload, args, context) =>
        (await canReceiveUrl(upload, context)) ? uploadParts(context, upload, args) : null,
    }),
    name: t.exposeString('name', { description: 'The requested name of the file.' }),
    path: t.string({
      description: 'The requested path of the file; `onConflict` may give the file another name.',
      resolve: intendedPath,
    }),
    size: t.expose('size', {
      type: 'ByteCount',
      nullable: true,
      description: 'Total number of bytes, or null while the length is deferred.',
    }),
    offset: t.expose('offset', {
      type: 'ByteCount',
      description: 'Number of bytes durably stored.',
    }),
    createdAt: t.expose('createdAt', {
      type: 'DateTime',
      description: 'When the upload was created.',
    }),
    createdBy: t.field({
      type: User,
      nullable: true,
      description: 'The user who created the upload.',
      resolve: ({ createdBy }, _, context) => loadUser(context, createdBy),
    }),
    expiresAt: t.field({
      type: 'DateTime',
      nullable: true,
      description:
        'When the upload expires if it is not confirmed: its bytes are deleted and its reserved space is released. Every accepted chunk extends it. Null once the upload has ended.',
      resolve: ({ status, expiresAt }) => (isTerminal(status) ? null : expiresAt),
    }),
    file: t.field({
      type: File,
      nullable: true,
      description: 'The file that the upload became, or null if it has become none.',
      resolve: fileOf,
    }),
    version: t.field({
      type: FileVersion,
      nullable: true,
      description: 'The file version that the upload became, or null if it is not confirmed.',
      resolve: versionOf,
    }),
    failures: t.field({
      type: [UploadFailureType],
      complexity: listCost(MAX_FAILURES),
      description: 'The last 20 errors of the upload, oldest first.',
      resolve: failuresOf,
    }),
  }),
})

function fileOf({ fileId }: UploadRow, _: unknown, context: Context) {
  return fileId ? loadFile(context, fileId) : null
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
      description:
        'The uploads of the workspace, newest first. Requires role VIEWER and scope FILES_READ.',
      args: {
        status: t.arg({
          type: [UploadStatus],
          description: 'Return only uploads in one of these states.',
        }),
      },
      resolve: async ({ id }, { status, ...args }, { db, viewer, now }) => {
        await requireAccess(db, viewer, id, memberAccess)
        return page(args, uploadsList(db, id, { statuses: status, now: now() }))
      },
    },
    ...connectionOf(Upload, 'Upload'),
  ),
)

builder.objectField(UploadIncompleteError, 'upload', (t) =>
  t.field({
    type: Upload,
    description: 'The upload that misses bytes.',
    resolve: ({ uploadId }, _, context) => loadOrThrow(loadUpload, context, uploadId),
  }),
)

const uploadPayload = (name: string, mutationName: string) =>
  builder.objectRef<{ upload: UploadRow }>(name).implement({
    description: `The result of ${mutationName}.`,
    fields: (t) => ({
      upload: t.expose('upload', { type: Upload, description: 'The upload.' }),
    }),
  })

workspaceMutation('createUpload', {
  description:
    'Creates an upload: checks name, folder, size and quota, reserves the space and returns the URL for the bytes. Requires role EDITOR and scope FILES_WRITE.',
  input: CreateUploadInput,
  payload: uploadPayload('CreateUploadPayload', 'createUpload'),
  errors: [
    NameConflict,
    QuotaExceeded,
    RateLimited,
    FileTooLarge,
    MediaTypeRejected,
    InvalidState,
    StorageError,
  ],
  workspaceIdOf: ({ upload }) => upload.workspaceId,
  resolve: async (input, context) => ({ upload: await createUpload(context, input) }),
})

workspaceMutation('confirmUpload', {
  description:
    'Turns an upload with all its bytes into a file or a version. Idempotent: a confirmed upload returns the same file again. Only for uploads that you created. Requires role EDITOR and scope FILES_WRITE.',
  input: ConfirmUploadInput,
  payload: builder.objectRef<{ upload: UploadRow }>('ConfirmUploadPayload').implement({
    description: 'The result of confirmUpload.',
    fields: (t) => ({
      upload: t.expose('upload', { type: Upload, description: 'The upload.' }),
      file: t.field({
        type: File,
        nullable: true,
        description: 'The file, or null while the status is PROCESSING.',
        resolve: ({ upload }, args, context) => fileOf(upload, args, context),
      }),
      version: t.field({
        type: FileVersion,
        nullable: true,
        description: 'The file version, or null while the status is PROCESSING.',
        resolve: ({ upload }, args, context) => versionOf(upload, args, context),
      }),
      row: t.field({
        type: TableRowType,
        nullable: true,
        description:
          'The row that `linkRow` linked, the first one if several match, or null if there is none.',
        resolve: async ({ upload }, _, context) => {
          const linked = await rowOfUpload(context.db, upload)
          return linked && shownRow(context, linked)
        },
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
  workspaceIdOf: ({ upload }) => upload.workspaceId,
  resolve: async (input, context) => ({ upload: await confirmUpload(context, input) }),
})

const UploadBatchResult = builder.objectRef<UploadOutcome>('UploadBatchResult').implement({
  description: 'The result of one item of a batch: an upload or an error.',
  fields: (t) => ({
    index: t.exposeInt('index', { description: 'The position of the item in the input, from 0.' }),
    upload: t.expose('upload', {
      type: Upload,
      nullable: true,
      description: 'The upload, or null if the item failed.',
    }),
    file: t.field({
      type: File,
      nullable: true,
      description: 'The file of the upload, or null if the upload is not confirmed.',
      resolve: ({ upload }, args, context) => upload && fileOf(upload, args, context),
    }),
    error: t.field({
      type: UserError,
      nullable: true,
      description: 'The error of the item, or null if it succeeded.',
      resolve: ({ error }) => error && asValue(error),
    }),
  }),
})

const uploadsPayload = (name: string, mutationName: string) =>
  builder.objectRef<{ results: UploadOutcome[] }>(name).implement({
    description: `The result of ${mutationName}.`,
    fields: (t) => ({
      results: t.expose('results', {
        type: [UploadBatchResult],
        description: 'One result for each item, in the order of the input.',
        complexity: listCost(MAX_BATCH_SIZE),
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
        description: 'The current sync cursor of the workspace, or null if no item succeeded.',
        resolve: ({ results }, _, context) => {
          const workspaceId = results.find(({ upload }) => upload)?.upload?.workspaceId
          return workspaceId === undefined ? null : currentSyncCursor(context, workspaceId)
        },
      }),
    }),
  })

/** Logs the storage errors of single items, because the client receives only their error code. */
function reportStorageErrors(results: UploadOutcome[], { report }: Context) {
  for (const { error } of results) if (error instanceof StorageError && !error.isFull) report(error)
  return { results }
}

mutation('createUploads', {
  description:
    'Creates 1 to 100 uploads and returns a result for each. ALL_OR_NOTHING creates them in one transaction. Requires role EDITOR and scope FILES_WRITE.',
  input: builder.inputType('CreateUploadsInput', {
    description: 'The input of createUploads.',
    fields: (t) => ({
      uploads: t.field({
        type: [CreateUploadInput],
        required: true,
        description: 'The uploads to create, from 1 to 100.',
      }),
      mode: t.field({
        type: BatchModeEnum,
        required: true,
        defaultValue: 'ALL_OR_NOTHING',
        description: 'What happens if one of the items fails.',
      }),
    }),
  }),
  payload: uploadsPayload('CreateUploadsPayload', 'createUploads'),
  resolve: async (input, context) =>
    reportStorageErrors(await createUploads(context, input), context),
})

mutation('confirmUploads', {
  description:
    'Confirms 1 to 100 uploads and returns a result for each. ALL_OR_NOTHING checks all bytes first, then creates all files in one transaction; if one item fails, no file is created and the other uploads can be confirmed again. Only for uploads that you created. Requires role EDITOR and scope FILES_WRITE.',
  input: builder.inputType('ConfirmUploadsInput', {
    description: 'The input of confirmUploads.',
    fields: (t) => ({
      uploads: t.field({
        type: [ConfirmUploadInput],
        required: true,
        description: 'The uploads to confirm, from 1 to 100.',
      }),
      mode: t.field({
        type: BatchModeEnum,
        required: true,
        defaultValue: 'BEST_EFFORT',
        description: 'What happens if one of the items fails.',
      }),
    }),
  }),
  payload: uploadsPayload('ConfirmUploadsPayload', 'confirmUploads'),
  resolve: async (input, context) =>
    reportStorageErrors(await confirmUploads(context, input), context),
})

workspaceMutation('cancelUpload', {
  description:
    'Cancels an upload that is not confirmed: deletes its bytes and releases its reserved space. Only for uploads that you created. Requires role EDITOR and scope FILES_WRITE.',
  input: builder.inputType('CancelUploadInput', {
    description: 'The input of cancelUpload.',
    fields: (t) => ({
      uploadId: t.id({ required: true, description: 'The ID of the upload to cancel.' }),
    }),
  }),
  payload: uploadPayload('CancelUploadPayload', 'cancelUpload'),
  errors: [InvalidState],
  workspaceIdOf: ({ upload }) => upload.workspaceId,
  resolve: async ({ uploadId }, context) => ({ upload: await cancelUpload(context, uploadId) }),
})
