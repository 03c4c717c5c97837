import type { ObjectRef } from '@pothos/core'
import { apiScopes } from '../context.ts'
import * as errors from '../errors.ts'
import { builder, type SchemaTypes } from './builder.ts'
import { listCost } from './limits/costs.ts'

const codes = {
  NOT_FOUND: 'The object does not exist, or the viewer may not see it.',
  FORBIDDEN: 'The viewer may see the object but may not do this with it.',
  INVALID_INPUT: 'A value of the input is invalid.',
  NAME_CONFLICT: 'The folder already has an entry with this name.',
  STALE_REVISION: 'The entry has changed since the expected revision.',
  CYCLE: 'The folder cannot be moved or copied into its own subtree.',
  INVALID_STATE: 'The object is not in a state that allows this.',
  NOT_EMPTY: 'The folder is not empty.',
  QUOTA_EXCEEDED: 'The workspace has no room for these bytes.',
  RATE_LIMITED: 'The caller has too many requests or unfinished uploads.',
  FILE_TOO_LARGE: 'The file exceeds the size limit of the server.',
  MEDIA_TYPE_REJECTED: 'The server does not accept files of this media type.',
  CHECKSUM_MISMATCH: 'The received bytes do not match the declared checksum.',
  SIZE_MISMATCH: 'The number of received bytes differs from the declared size.',
  UPLOAD_INCOMPLETE: 'Some bytes of the upload are missing.',
  UPLOAD_EXPIRED: 'The upload expired before it was confirmed.',
  ROW_REJECTED: 'The linked table rejected the row.',
  SYNC_CURSOR_EXPIRED: 'The sync cursor is expired or belongs to another workspace.',
  BATCH_ABORTED: 'Another item of the batch failed, so this one was not applied.',
  STORAGE_ERROR: 'The disk or the bucket failed.',
} as const
/** Maximum depth of an input, and so of a path into it. */
const MAX_PATH_LENGTH = 16
/** Maximum number of issues that are listed for one input. */
const MAX_ISSUES = 20

export type ErrorCode = keyof typeof codes
export const ErrorCodeEnum = builder.enumType('ErrorCode', {
  description: 'What went wrong, for programs to act on.',
  values: Object.fromEntries(
    Object.entries(codes).map(([code, description]) => [code, { description }]),
  ) as Record<ErrorCode, { description: string }>,
})

/**
 * The fields of every typed error. The types of the classes of src/errors.ts implement it; domains add
 * fields.
 */
export const UserError = builder.interfaceRef<errors.DomainError>('UserError').implement({
  description:
    'An error that the caller can act on. The HTTP endpoints respond with the status that each implementing type states.',
  resolveType: ({ name }) => errorTypeName(name),
  fields: (t) => ({
    code: t.field({
      type: ErrorCodeEnum,
      description: 'What went wrong, for programs to act on.',
      resolve: ({ code }) => code as ErrorCode,
    }),
    message: t.exposeString('message', {
      description: 'What went wrong, in words for people; the wording may change.',
    }),
    path: t.exposeStringList('path', {
      complexity: listCost(MAX_PATH_LENGTH),
      nullable: true,
      description:
        'The input field that caused the error, outermost first, such as `["destination", "path"]`; null if there is none.',
    }),
    retryable: t.exposeBoolean('retryable', {
      description: 'Whether the same request may succeed later.',
    }),
  }),
})

/** Returns the name of the GraphQL type of an error class: NotFoundError for "NotFound". */
export function errorTypeName(name: string): string {
  return name.endsWith('Error') ? name : `${name}Error`
}

type ErrorClass<E extends errors.DomainError> = new (...args: never[]) => E

/** Declares the GraphQL type of an error class. Pothos resolves it by the class of the thrown error. */
function defineErrorType<E extends errors.DomainError>(type: ErrorClass<E>, description: string) {
  const ref = builder.objectType(type as unknown as typeof errors.Cycle, {
    name: errorTypeName(type.name),
    description,
    interfaces: [UserError],
  })
  return ref as unknown as ObjectRef<SchemaTypes, E>
}

export const NotFoundError = defineErrorType(
  errors.NotFound,
  'The object does not exist, or the viewer may not see it. HTTP 404.',
)
builder.objectFields(NotFoundError, (t) => ({
  id: t.exposeString('id', { description: 'The id as the request gave it.' }),
}))

const ForbiddenError = defineErrorType(
  errors.Forbidden,
  'The viewer may see the object but may not do this with it. HTTP 403.',
)
builder.objectFields(ForbiddenError, (t) => ({
  missingScopes: t.exposeStringList('missingScopes', {
    complexity: listCost(apiScopes.length),
    description: 'The scopes that the token lacks.',
  }),
  requiredRole: t.exposeString('requiredRole', {
    nullable: true,
    description: 'The lowest role that may do this, or null if the role is not the reason.',
  }),
}))

const InputIssue = builder.objectRef<errors.Issue>('InputIssue').implement({
  description: 'One invalid value of an input.',
  fields: (t) => ({
    path: t.exposeStringList('path', {
      complexity: listCost(MAX_PATH_LENGTH),
      description: 'The input field with the value, outermost first.',
    }),
    message: t.exposeString('message', { description: 'What is wrong with the value.' }),
  }),
})
const InvalidInputError = defineErrorType(
  errors.InvalidInput,
  'A value of the input is invalid, and nothing was written. HTTP 400.',
)
builder.objectFields(InvalidInputError, (t) => ({
  issues: t.field({
    type: [InputIssue],
    description: `The invalid values, at most ${MAX_ISSUES} of them.`,
    complexity: listCost(MAX_ISSUES),
    resolve: ({ issues }) => issues.slice(0, MAX_ISSUES),
  }),
}))

export const NameConflictError = defineErrorType(
  errors.NameConflict,
  'The folder already has an entry with this name. HTTP 409.',
)
builder.objectFields(NameConflictError, (t) => ({
  suggestedName: t.exposeString('suggestedName', {
    description: 'A similar name that is free.',
  }),
}))

export const StaleRevisionError = defineErrorType(
  errors.StaleRevision,
  'The entry has changed since the expected revision. HTTP 409.',
)
builder.objectFields(StaleRevisionError, (t) => ({
  expected: t.exposeInt('expected', { description: 'The revision that the request expected.' }),
  actual: t.exposeInt('actual', { description: 'The current revision of the entry.' }),
}))

defineErrorType(
  errors.Cycle,
  'The folder cannot be moved or copied into its own subtree. HTTP 409.',
)

const InvalidStateError = defineErrorType(
  errors.InvalidState,
  'The object is not in a state that allows this. HTTP 409.',
)
builder.objectFields(InvalidStateError, (t) => ({
  state: t.exposeString('state', {
    description: 'The state that prevents it, such as PROCESSING.',
  }),
}))

const NotEmptyError = defineErrorType(errors.NotEmpty, 'The folder is not empty. HTTP 409.')
builder.objectFields(NotEmptyError, (t) => ({
  entryCount: t.exposeInt('entryCount', {
    description: 'Number of entries in the subtree of the folder.',
  }),
}))

export const QuotaExceededError = defineErrorType(
  errors.QuotaExceeded,
  'The workspace has no room for these bytes. HTTP 507.',
)
builder.objectFields(QuotaExceededError, (t) => ({
  neededBytes: t.expose('neededBytes', {
    type: 'ByteCount',
    description: 'Number of bytes that the request needs.',
  }),
}))

const RateLimitedError = defineErrorType(
  errors.RateLimited,
  'The caller has too many requests or unfinished uploads: confirm or cancel some, or retry later. HTTP 429.',
)
builder.objectFields(RateLimitedError, (t) => ({
  retryAfterSeconds: t.exposeInt('retryAfterSeconds', {
    description: 'Number of seconds to wait before a retry.',
  }),
}))

const FileTooLargeError = defineErrorType(
  errors.FileTooLarge,
  'The file exceeds the size limit of the server. HTTP 413.',
)
builder.objectFields(FileTooLargeError, (t) => ({
  maxBytes: t.expose('maxBytes', {
    type: 'ByteCount',
    description: 'Maximum size of a file, in bytes.',
  }),
}))

const MediaTypeRejectedError = defineErrorType(
  errors.MediaTypeRejected,
  'The server does not accept files of this media type. HTTP 415.',
)
builder.objectFields(MediaTypeRejectedError, (t) => ({
  allowed: t.exposeStringList('allowed', {
    complexity: listCost(MAX_ISSUES),
    description: 'The media types that the server accepts.',
  }),
}))

const ChecksumMismatchError = defineErrorType(
  errors.ChecksumMismatch,
  'The received bytes do not match the declared checksum. HTTP 460.',
)
builder.objectFields(ChecksumMismatchError, (t) => ({
  expected: t.exposeString('expected', { description: 'The declared SHA-256, in hex.' }),
  actual: t.exposeString('actual', { description: 'The SHA-256 of the received bytes, in hex.' }),
}))

const SizeMismatchError = defineErrorType(
  errors.SizeMismatch,
  'The number of received bytes differs from the declared size. HTTP 409.',
)
builder.objectFields(SizeMismatchError, (t) => ({
  expected: t.expose('expected', { type: 'ByteCount', description: 'The declared size.' }),
  actual: t.expose('actual', { type: 'ByteCount', description: 'Number of received bytes.' }),
}))

export const UploadIncompleteError = defineErrorType(
  errors.UploadIncomplete,
  'Some bytes of the upload are missing. HTTP 409.',
)
builder.objectFields(UploadIncompleteError, (t) => ({
  missingBytes: t.expose('missingBytes', {
    type: 'ByteCount',
    nullable: true,
    description: 'Number of missing bytes, or null while the length is deferred.',
  }),
}))

const UploadExpiredError = defineErrorType(
  errors.UploadExpired,
  'The upload expired before it was confirmed. HTTP 410.',
)
builder.objectFields(UploadExpiredError, (t) => ({
  expiredAt: t.expose('expiredAt', { type: 'DateTime', description: 'When the upload expired.' }),
}))

const RowRejectedError = defineErrorType(
  errors.RowRejected,
  'The linked table rejected the row, and nothing was written. HTTP 422.',
)
builder.objectFields(RowRejectedError, (t) => ({
  table: t.exposeString('table', { description: 'The name of the linked table.' }),
  column: t.exposeString('column', {
    nullable: true,
    description: 'The column that caused the rejection, or null if no single column did.',
  }),
  reason: t.exposeString('reason', { description: 'Why the row was rejected.' }),
}))

export const SyncCursorExpiredError = defineErrorType(
  errors.SyncCursorExpired,
  'The sync cursor is expired or belongs to another workspace: start again with a snapshot. HTTP 410.',
)

const BatchAbortedError = defineErrorType(
  errors.BatchAborted,
  'Another item of the batch failed, so nothing was written. HTTP 409.',
)
builder.objectFields(BatchAbortedError, (t) => ({
  failedIndex: t.exposeInt('failedIndex', {
    description: 'The position of the failed item in the batch, from 0.',
  }),
}))

defineErrorType(
  errors.StorageError,
  'The disk or the bucket failed; retry later. HTTP 507, 503 or 500.',
)
