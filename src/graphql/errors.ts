import type { ObjectRef } from '@pothos/core'
import { Forbidden, NotFound } from '../errors/access.ts'
import { RateLimited, StorageError } from '../errors/availability.ts'
import type { DomainError } from '../errors/domain-error.ts'
import {
  BatchAborted,
  Cycle,
  InvalidState,
  NameConflict,
  NotEmpty,
  RowRejected,
  StaleRevision,
} from '../errors/entries.ts'
import { InvalidInput, type Issue, SyncCursorExpired } from '../errors/input.ts'
import { errorRegistry, type TypedErrorCode, typedErrors } from '../errors/registry.ts'
import {
  ChecksumMismatch,
  FileTooLarge,
  MediaTypeRejected,
  QuotaExceeded,
  SizeMismatch,
  UploadExpired,
  UploadIncomplete,
} from '../errors/uploads.ts'
import { builder, type SchemaTypes } from './builder.ts'
import { listCost } from './limits/costs.ts'

/** Maximum depth of an input, and so of a path into it. */
const MAX_PATH_LENGTH = 16
/** Maximum number of issues that are listed for one input. */
const MAX_ISSUES = 20

export const ErrorCodeEnum = builder.enumType('ErrorCode', {
  description: 'What went wrong, for programs to act on.',
  values: Object.fromEntries(
    Object.entries(typedErrors).map(([code, { description }]) => [code, { description }]),
  ) as Record<TypedErrorCode, { description: string }>,
})

/** The fields of every typed error of the registry. Each type adds the fields of its class. */
export const UserError = builder.interfaceRef<DomainError>('UserError').implement({
  description:
    'An error that the caller can act on. The HTTP endpoints respond with the status that each implementing type states.',
  resolveType: errorTypeName,
  fields: (t) => ({
    code: t.field({
      type: ErrorCodeEnum,
      description: 'What went wrong, for programs to act on.',
      resolve: ({ code }) => code as TypedErrorCode,
    }),
    message: t.exposeString('message', {
      description: 'What went wrong, in words for people; the wording may change.',
    }),
    path: t.exposeStringList('path', {
      complexity: listCost(MAX_PATH_LENGTH),
      nullable: true,
      description:
        'The input field that caused the error, outermost first, such as `["folder", "path"]`; null if there is none.',
    }),
    retryable: t.exposeBoolean('retryable', {
      description: 'Whether the same request may succeed later.',
    }),
  }),
})

/** Returns the name of the GraphQL type of an error, or undefined if it has none. */
export function errorTypeName({ code }: DomainError): string | undefined {
  return code in typedErrors ? typedErrors[code as TypedErrorCode].type : undefined
}

/**
 * Returns an error as a plain object, for a field that shows it as a value: graphql-js throws every instance
 * of Error that a resolver returns.
 */
export const asValue = <E extends DomainError>(error: E): E => ({
  ...error,
  message: error.message,
  retryable: error.retryable,
})

type ErrorClass<E extends DomainError> = new (...args: never[]) => E
type TypedError<C extends TypedErrorCode> = DomainError & { code: C }

/**
 * Declares the GraphQL type of an error class, as the registry describes it. Pothos resolves the type by the
 * class of the thrown error.
 */
function defineErrorType<C extends TypedErrorCode, E extends TypedError<C>>(
  code: C,
  errorClass: ErrorClass<E>,
) {
  const { type, description } = typedErrors[code]
  const ref = builder.objectType(errorClass as unknown as typeof Cycle, {
    name: type,
    description: `${description} HTTP ${formatStatuses(code)}.`,
    interfaces: [UserError],
  })
  return ref as unknown as ObjectRef<SchemaTypes, E>
}

/** Returns the HTTP statuses of a code, such as "404" or "507, 503 or 500". */
function formatStatuses(code: TypedErrorCode): string {
  const { status, otherStatuses = [] } = errorRegistry[code]
  return [otherStatuses.join(', '), status].filter(Boolean).join(' or ')
}

export const NotFoundError = defineErrorType('NOT_FOUND', NotFound)
builder.objectFields(NotFoundError, (t) => ({
  id: t.exposeString('id', { description: 'The id as the request gave it.' }),
}))

export const ForbiddenError = defineErrorType('FORBIDDEN', Forbidden)

const InputIssue = builder.objectRef<Issue>('InputIssue').implement({
  description: 'One invalid value of an input.',
  fields: (t) => ({
    path: t.exposeStringList('path', {
      complexity: listCost(MAX_PATH_LENGTH),
      description: 'The input field with the value, outermost first.',
    }),
    message: t.exposeString('message', { description: 'What is wrong with the value.' }),
  }),
})
const InvalidInputError = defineErrorType('INVALID_INPUT', InvalidInput)
builder.objectFields(InvalidInputError, (t) => ({
  issues: t.field({
    type: [InputIssue],
    description: `The invalid values, at most ${MAX_ISSUES} of them.`,
    complexity: listCost(MAX_ISSUES),
    resolve: ({ issues }) => issues.slice(0, MAX_ISSUES),
  }),
}))

export const NameConflictError = defineErrorType('NAME_CONFLICT', NameConflict)
builder.objectFields(NameConflictError, (t) => ({
  suggestedName: t.exposeString('suggestedName', {
    description: 'A similar name that is free.',
  }),
}))

export const StaleRevisionError = defineErrorType('STALE_REVISION', StaleRevision)
builder.objectFields(StaleRevisionError, (t) => ({
  expected: t.exposeInt('expected', { description: 'The revision that the request expected.' }),
  actual: t.exposeInt('actual', { description: 'The current revision of the entry.' }),
}))

defineErrorType('CYCLE', Cycle)

const InvalidStateError = defineErrorType('INVALID_STATE', InvalidState)
builder.objectFields(InvalidStateError, (t) => ({
  state: t.exposeString('state', {
    description: 'The state that prevents it, such as PROCESSING.',
  }),
}))

const NotEmptyError = defineErrorType('NOT_EMPTY', NotEmpty)
builder.objectFields(NotEmptyError, (t) => ({
  entryCount: t.exposeInt('entryCount', {
    description: 'Number of entries in the subtree of the folder.',
  }),
}))

export const QuotaExceededError = defineErrorType('QUOTA_EXCEEDED', QuotaExceeded)
builder.objectFields(QuotaExceededError, (t) => ({
  neededBytes: t.expose('neededBytes', {
    type: 'ByteCount',
    description: 'Number of bytes that the request needs.',
  }),
}))

const RateLimitedError = defineErrorType('RATE_LIMITED', RateLimited)
builder.objectFields(RateLimitedError, (t) => ({
  retryAfterSeconds: t.exposeInt('retryAfterSeconds', {
    description: 'Number of seconds to wait before a retry.',
  }),
}))

const FileTooLargeError = defineErrorType('FILE_TOO_LARGE', FileTooLarge)
builder.objectFields(FileTooLargeError, (t) => ({
  maxBytes: t.expose('maxBytes', {
    type: 'ByteCount',
    description: 'Maximum size of a file, in bytes.',
  }),
}))

const MediaTypeRejectedError = defineErrorType('MEDIA_TYPE_REJECTED', MediaTypeRejected)
builder.objectFields(MediaTypeRejectedError, (t) => ({
  allowed: t.exposeStringList('allowed', {
    complexity: listCost(MAX_ISSUES),
    description: 'The media types that the server accepts.',
  }),
}))

const ChecksumMismatchError = defineErrorType('CHECKSUM_MISMATCH', ChecksumMismatch)
builder.objectFields(ChecksumMismatchError, (t) => ({
  expected: t.exposeString('expected', { description: 'The declared SHA-256, in hex.' }),
  actual: t.exposeString('actual', { description: 'The SHA-256 of the received bytes, in hex.' }),
}))

const SizeMismatchError = defineErrorType('SIZE_MISMATCH', SizeMismatch)
builder.objectFields(SizeMismatchError, (t) => ({
  expected: t.expose('expected', { type: 'ByteCount', description: 'The declared size.' }),
  actual: t.expose('actual', { type: 'ByteCount', description: 'Number of received bytes.' }),
}))

export const UploadIncompleteError = defineErrorType('UPLOAD_INCOMPLETE', UploadIncomplete)
builder.objectFields(UploadIncompleteError, (t) => ({
  missingBytes: t.expose('missingBytes', {
    type: 'ByteCount',
    nullable: true,
    description: 'Number of missing bytes, or null while the length is deferred.',
  }),
}))

const UploadExpiredError = defineErrorType('UPLOAD_EXPIRED', UploadExpired)
builder.objectFields(UploadExpiredError, (t) => ({
  expiredAt: t.expose('expiredAt', { type: 'DateTime', description: 'When the upload expired.' }),
}))

const RowRejectedError = defineErrorType('ROW_REJECTED', RowRejected)
builder.objectFields(RowRejectedError, (t) => ({
  table: t.exposeString('table', { description: 'The name of the linked table.' }),
  column: t.exposeString('column', {
    nullable: true,
    description: 'The column that caused the rejection, or null if no single column did.',
  }),
  reason: t.exposeString('reason', { description: 'Why the row was rejected.' }),
}))

export const SyncCursorExpiredError = defineErrorType('SYNC_CURSOR_EXPIRED', SyncCursorExpired)

const BatchAbortedError = defineErrorType('BATCH_ABORTED', BatchAborted)
builder.objectFields(BatchAbortedError, (t) => ({
  failedIndex: t.exposeInt('failedIndex', {
    description: 'The position of the failed item in the batch, from 0.',
  }),
}))

defineErrorType('STORAGE_ERROR', StorageError)
