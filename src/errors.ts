/**
 * Errors that are reported to clients, one class each. graphql/errors.ts and http/errors.ts translate them to
 * responses.
 */
export abstract class DomainError extends Error {
  abstract readonly code: string
  /** Path of the invalid input, outermost name first: ['destination', 'path']. */
  path: string[] | null = null
  readonly retryable: boolean = false
  override get name() {
    return this.constructor.name
  }
  /** Sets the path in the input and returns this error. */
  at(...path: string[]): this {
    this.path = path
    return this
  }
}

/** The object does not exist, or the viewer may not see it. */
export class NotFound extends DomainError {
  readonly code = 'NOT_FOUND'
  readonly id: string
  constructor(id: string, message = `no object with the id ${id} was found`) {
    super(message)
    this.id = id
  }
}

/** The token lacks a scope, or its user lacks a role in the workspace. */
export class Forbidden extends DomainError {
  readonly code = 'FORBIDDEN'
  readonly missingScopes: string[]
  readonly requiredRole: string | null
  constructor({
    missingScopes = [],
    requiredRole = null,
    message,
  }: { missingScopes?: string[]; requiredRole?: string | null; message?: string }) {
    super(
      message ??
        (missingScopes.length > 0
          ? `this token lacks the scope ${missingScopes.join(', ')}`
          : `this requires the role ${requiredRole} in the workspace`),
    )
    this.missingScopes = missingScopes
    this.requiredRole = requiredRole
  }
}

export type Issue = { path: string[]; message: string }
const formatIssue = ({ path, message }: Issue) =>
  path.length > 0 ? `${path.join('.')}: ${message}` : message

/** One or more inputs are invalid; `path` is that of the first issue. */
export class InvalidInput extends DomainError {
  readonly code = 'INVALID_INPUT'
  readonly issues: Issue[]
  constructor(...issues: [Issue, ...Issue[]]) {
    super(issues.map(formatIssue).join('; '))
    this.issues = issues
    this.path = issues[0].path
  }
}

export class NameConflict extends DomainError {
  readonly code = 'NAME_CONFLICT'
  readonly existingId: string
  readonly suggestedName: string
  constructor({
    name,
    existingId,
    suggestedName,
  }: { name: string; existingId: string; suggestedName: string }) {
    super(
      `the folder already contains ${JSON.stringify(name)}; ${JSON.stringify(suggestedName)} is available`,
    )
    this.existingId = existingId
    this.suggestedName = suggestedName
  }
}

/** The entry has been changed since the caller read it. */
export class StaleRevision extends DomainError {
  readonly code = 'STALE_REVISION'
  readonly expected: number
  readonly actual: number
  readonly entryId: string
  constructor({
    expected,
    actual,
    entryId,
  }: { expected: number; actual: number; entryId: string }) {
    super(`expected revision ${expected}, but the current revision is ${actual}`)
    this.expected = expected
    this.actual = actual
    this.entryId = entryId
  }
}

export class Cycle extends DomainError {
  readonly code = 'CYCLE'
  constructor() {
    super('a folder cannot be placed in itself or in a folder below it')
  }
}

/** The object is in a state that does not allow the operation. */
export class InvalidState extends DomainError {
  readonly code = 'INVALID_STATE'
  /** True for PROCESSING, which is a temporary state. */
  override readonly retryable: boolean
  readonly state: string
  constructor(state: string, message: string) {
    super(message)
    this.state = state
    this.retryable = state === 'PROCESSING'
  }
}

export class NotEmpty extends DomainError {
  readonly code = 'NOT_EMPTY'
  readonly entryCount: number
  constructor(entryCount: number) {
    super(`the folder contains ${entryCount} entries; use recursive: true to include them`)
    this.entryCount = entryCount
  }
}

export class QuotaExceeded extends DomainError {
  readonly code = 'QUOTA_EXCEEDED'
  readonly workspaceId: string
  readonly neededBytes: number
  constructor({ workspaceId, neededBytes }: { workspaceId: string; neededBytes: number }) {
    super(`the quota of the workspace does not allow ${neededBytes} more bytes`)
    this.workspaceId = workspaceId
    this.neededBytes = neededBytes
  }
}

export class FileTooLarge extends DomainError {
  readonly code = 'FILE_TOO_LARGE'
  readonly maxBytes: number
  constructor(maxBytes: number) {
    super(`the file exceeds the maximum size of ${maxBytes} bytes`)
    this.maxBytes = maxBytes
  }
}

export class MediaTypeRejected extends DomainError {
  readonly code = 'MEDIA_TYPE_REJECTED'
  readonly allowed: string[]
  constructor(allowed: string[]) {
    super(`the media type is not allowed; allowed types: ${allowed.join(', ')}`)
    this.allowed = allowed
  }
}

export class ChecksumMismatch extends DomainError {
  readonly code = 'CHECKSUM_MISMATCH'
  readonly expected: string
  readonly actual: string
  constructor({ expected, actual }: { expected: string; actual: string }) {
    super(`the checksum of the bytes is ${actual}, expected ${expected}`)
    this.expected = expected
    this.actual = actual
  }
}

export class SizeMismatch extends DomainError {
  readonly code = 'SIZE_MISMATCH'
  readonly expected: number
  readonly actual: number
  constructor({ expected, actual }: { expected: number; actual: number }) {
    super(`received ${actual} bytes, expected ${expected}`)
    this.expected = expected
    this.actual = actual
  }
}

export class UploadIncomplete extends DomainError {
  readonly code = 'UPLOAD_INCOMPLETE'
  override readonly retryable = true
  readonly uploadId: string
  /** Null if the length is deferred. */
  readonly missingBytes: number | null
  constructor({ uploadId, missingBytes }: { uploadId: string; missingBytes: number | null }) {
    super(
      missingBytes === null ? 'the length is not known yet' : `${missingBytes} bytes are missing`,
    )
    this.uploadId = uploadId
    this.missingBytes = missingBytes
  }
}

export class UploadExpired extends DomainError {
  readonly code = 'UPLOAD_EXPIRED'
  readonly expiredAt: number
  constructor(expiredAt: number) {
    super(`the upload expired at ${new Date(expiredAt).toISOString()}`)
    this.expiredAt = expiredAt
  }
}

/** A table rejected a row: the whole operation was rolled back. */
export class RowRejected extends DomainError {
  readonly code = 'ROW_REJECTED'
  readonly table: string
  /** The column that caused the error; null if it is not a single one. */
  readonly column: string | null
  readonly reason: string
  constructor({
    table,
    column = null,
    reason,
  }: { table: string; column?: string | null; reason: string }) {
    super(`${column === null ? table : `${table}.${column}`}: ${reason}`)
    this.table = table
    this.column = column
    this.reason = reason
  }
}

/** The changes after this cursor are no longer in the log, or the cursor is of another workspace. */
export class SyncCursorExpired extends DomainError {
  readonly code = 'SYNC_CURSOR_EXPIRED'
  constructor() {
    super('the changes since this cursor are not available: omit `since` and start with a snapshot')
  }
}

/** Another item of the ALL_OR_NOTHING batch failed. */
export class BatchAborted extends DomainError {
  readonly code = 'BATCH_ABORTED'
  readonly failedIndex: number
  constructor(failedIndex: number) {
    super(`nothing was changed because item ${failedIndex} failed`)
    this.failedIndex = failedIndex
  }
}

/** The disk or the bucket failed: it is full, broken or unavailable. */
export class StorageError extends DomainError {
  readonly code = 'STORAGE_ERROR'
  override readonly retryable = true
  /**
   * Whether the cause is a disk that has reached its reserve: then the message is shown to the client, and
   * the error is not logged.
   */
  readonly isFull: boolean
  constructor(
    message: string,
    { isFull = false, ...options }: ErrorOptions & { isFull?: boolean } = {},
  ) {
    super(message, options)
    this.isFull = isFull
  }
}

/** The stored bytes are missing or differ from the confirmed ones, and are not served. */
export class CorruptBlob extends DomainError {
  readonly code = 'CORRUPT'
  constructor() {
    super('the stored bytes differ from the confirmed ones')
  }
}

/** The token is missing, unknown, revoked or expired; the error does not disclose which. */
export class Unauthenticated extends DomainError {
  readonly code = 'UNAUTHENTICATED'
  constructor() {
    super('a valid token is required: Authorization: Bearer <token>')
  }
}

export class BadPageSize extends DomainError {
  readonly code = 'BAD_PAGE_SIZE'
}

export class InvalidCursor extends DomainError {
  readonly code = 'INVALID_CURSOR'
  constructor() {
    super('this cursor does not belong to this list and order')
  }
}

/** The request exceeds a limit of document size, cost, response size or computing time. */
export class QueryTooComplex extends DomainError {
  readonly code = 'QUERY_TOO_COMPLEX'
}

/** The request exceeded REQUEST_TIMEOUT_MS. */
export class RequestTimeout extends DomainError {
  readonly code = 'TIMEOUT'
  override readonly retryable = true
  constructor() {
    super('the request exceeded the time limit of this server; request less at once')
  }
}

/**
 * The database is unavailable, or the outcome of a statement is unknown. The endpoints create it from a
 * database error.
 */
export class Unavailable extends DomainError {
  readonly code = 'UNAVAILABLE'
  override readonly retryable = true
  readonly retryAfterSeconds = 1
  constructor(cause: unknown) {
    super('the database cannot be used at the moment; try again')
    this.cause = cause
  }
}

/** Too many requests, at once or per minute; `what` names them. */
export class RateLimited extends DomainError {
  readonly code = 'RATE_LIMITED'
  override readonly retryable = true
  readonly retryAfterSeconds: number
  constructor(retryAfterSeconds: number, what = 'too many requests') {
    super(`${what}; try again in ${retryAfterSeconds} s`)
    this.retryAfterSeconds = retryAfterSeconds
  }
}
