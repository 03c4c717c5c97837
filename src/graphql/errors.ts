import type { ObjectRef } from '@pothos/core'
import { apiScopes } from '../context.ts'
import * as errors from '../errors.ts'
import { builder, type SchemaTypes } from './builder.ts'
import { listCost } from './costs.ts'

const codes = [
  'NOT_FOUND',
  'FORBIDDEN',
  'INVALID_INPUT',
  'NAME_CONFLICT',
  'STALE_REVISION',
  'CYCLE',
  'INVALID_STATE',
  'NOT_EMPTY',
  'QUOTA_EXCEEDED',
  'RATE_LIMITED',
  'FILE_TOO_LARGE',
  'MEDIA_TYPE_REJECTED',
  'CHECKSUM_MISMATCH',
  'SIZE_MISMATCH',
  'UPLOAD_INCOMPLETE',
  'UPLOAD_EXPIRED',
  'ROW_REJECTED',
  'SYNC_CURSOR_EXPIRED',
  'BATCH_ABORTED',
  'STORAGE_ERROR',
] as const
/** Names in the path of an input; inputs nest less deeply. */
const MAX_PATH = 16
/** Faults of one input that are listed. */
const MAX_ISSUES = 20

export type ErrorCode = (typeof codes)[number]
export const ErrorCodeEnum = builder.enumType('ErrorCode', { values: codes })

/** What every typed error has; the types of errors.ts implement it, and younger domains add fields to them. */
export const UserError = builder.interfaceRef<errors.DomainError>('UserError').implement({
  description:
    'Something that the caller can put right. The HTTP doors answer the same errors with the status named at each.',
  resolveType: ({ name }) => errorTypeName(name),
  fields: (t) => ({
    code: t.field({ type: ErrorCodeEnum, resolve: ({ code }) => code as ErrorCode }),
    message: t.exposeString('message'),
    path: t.exposeStringList('path', {
      complexity: listCost(MAX_PATH),
      nullable: true,
      description: 'Where in the input, outermost first: ["destination", "path"].',
    }),
    retryable: t.exposeBoolean('retryable', {
      description: 'True where the same request may succeed later.',
    }),
  }),
})

/** Returns the name of the GraphQL type of the error class `name`: "NotFound" is NotFoundError, "StorageError" is itself. */
export function errorTypeName(name: string): string {
  return name.endsWith('Error') ? name : `${name}Error`
}

type ErrorClass<E extends errors.DomainError> = new (...args: never[]) => E

/** The GraphQL type of an error class; Pothos finds it by the class of what was thrown. */
function problem<E extends errors.DomainError>(type: ErrorClass<E>, description: string) {
  const ref = builder.objectType(type as unknown as typeof errors.Cycle, {
    name: errorTypeName(type.name),
    description,
    interfaces: [UserError],
  })
  return ref as unknown as ObjectRef<SchemaTypes, E>
}

export const NotFoundError = problem(
  errors.NotFound,
  'There is no such thing, or it is not yours to see. HTTP 404.',
)
builder.objectFields(NotFoundError, (t) => ({ id: t.exposeString('id') }))

const ForbiddenError = problem(errors.Forbidden, 'You see it, but may not do this. HTTP 403.')
builder.objectFields(ForbiddenError, (t) => ({
  missingScopes: t.exposeStringList('missingScopes', { complexity: listCost(apiScopes.length) }),
  requiredRole: t.exposeString('requiredRole', { nullable: true }),
}))

const InputIssue = builder.objectRef<errors.Issue>('InputIssue').implement({
  fields: (t) => ({
    path: t.exposeStringList('path', { complexity: listCost(MAX_PATH) }),
    message: t.exposeString('message'),
  }),
})
const InvalidInputError = problem(errors.InvalidInput, 'Nothing was written. HTTP 400.')
builder.objectFields(InvalidInputError, (t) => ({
  issues: t.field({
    type: [InputIssue],
    complexity: listCost(MAX_ISSUES),
    resolve: ({ issues }) => issues.slice(0, MAX_ISSUES),
  }),
}))

export const NameConflictError = problem(
  errors.NameConflict,
  'The name is taken in this folder. HTTP 409.',
)
builder.objectFields(NameConflictError, (t) => ({ suggestedName: t.exposeString('suggestedName') }))

export const StaleRevisionError = problem(
  errors.StaleRevision,
  'Somebody changed it since. HTTP 409.',
)
builder.objectFields(StaleRevisionError, (t) => ({
  expected: t.exposeInt('expected'),
  actual: t.exposeInt('actual'),
}))

problem(errors.Cycle, 'A folder cannot go below itself. HTTP 409.')

const InvalidStateError = problem(
  errors.InvalidState,
  'Not in the state that this needs. HTTP 409.',
)
builder.objectFields(InvalidStateError, (t) => ({ state: t.exposeString('state') }))

const NotEmptyError = problem(errors.NotEmpty, 'The folder holds something. HTTP 409.')
builder.objectFields(NotEmptyError, (t) => ({ entryCount: t.exposeInt('entryCount') }))

export const QuotaExceededError = problem(errors.QuotaExceeded, 'The workspace is full. HTTP 507.')
builder.objectFields(QuotaExceededError, (t) => ({
  neededBytes: t.expose('neededBytes', { type: 'ByteCount' }),
}))

const RateLimitedError = problem(
  errors.RateLimited,
  'As much as one user may have under way is under way: confirm or cancel some of it, or come again. HTTP 429.',
)
builder.objectFields(RateLimitedError, (t) => ({
  retryAfterSeconds: t.exposeInt('retryAfterSeconds'),
}))

const FileTooLargeError = problem(errors.FileTooLarge, 'Larger than this server takes. HTTP 413.')
builder.objectFields(FileTooLargeError, (t) => ({
  maxBytes: t.expose('maxBytes', { type: 'ByteCount' }),
}))

const MediaTypeRejectedError = problem(
  errors.MediaTypeRejected,
  'Not a type that is taken here. HTTP 415.',
)
builder.objectFields(MediaTypeRejectedError, (t) => ({
  allowed: t.exposeStringList('allowed', { complexity: listCost(MAX_ISSUES) }),
}))

const ChecksumMismatchError = problem(
  errors.ChecksumMismatch,
  'The bytes are not the ones announced. HTTP 460.',
)
builder.objectFields(ChecksumMismatchError, (t) => ({
  expected: t.exposeString('expected'),
  actual: t.exposeString('actual'),
}))

const SizeMismatchError = problem(
  errors.SizeMismatch,
  'More or fewer bytes than announced. HTTP 409.',
)
builder.objectFields(SizeMismatchError, (t) => ({
  expected: t.expose('expected', { type: 'ByteCount' }),
  actual: t.expose('actual', { type: 'ByteCount' }),
}))

export const UploadIncompleteError = problem(
  errors.UploadIncomplete,
  'Bytes are still missing. HTTP 409.',
)
builder.objectFields(UploadIncompleteError, (t) => ({
  missingBytes: t.expose('missingBytes', { type: 'ByteCount', nullable: true }),
}))

const UploadExpiredError = problem(
  errors.UploadExpired,
  'The upload was not finished in time. HTTP 410.',
)
builder.objectFields(UploadExpiredError, (t) => ({
  expiredAt: t.expose('expiredAt', { type: 'DateTime' }),
}))

const RowRejectedError = problem(
  errors.RowRejected,
  'The row of the linked table cannot be so; nothing was done. HTTP 422.',
)
builder.objectFields(RowRejectedError, (t) => ({
  table: t.exposeString('table'),
  column: t.exposeString('column', { nullable: true }),
  reason: t.exposeString('reason'),
}))

export const SyncCursorExpiredError = problem(
  errors.SyncCursorExpired,
  'The log does not reach back so far, or this is no cursor of this workspace: begin with a snapshot. HTTP 410.',
)

const BatchAbortedError = problem(
  errors.BatchAborted,
  'Another item of this batch failed, so nothing was done. HTTP 409.',
)
builder.objectFields(BatchAbortedError, (t) => ({ failedIndex: t.exposeInt('failedIndex') }))

problem(
  errors.StorageError,
  'The disk or bucket did not do its part; try again. HTTP 507, 503 or 500.',
)
