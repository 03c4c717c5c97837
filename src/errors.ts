/** Everything a caller can get wrong, one class each. The doors word them: graphql/problems.ts and http/problems.ts. */
export abstract class DomainError extends Error {
  abstract readonly code: string
  /** Where in the input, outermost first: ['destination', 'path']. */
  path: string[] | null = null
  readonly retryable: boolean = false
  override get name() {
    return this.constructor.name
  }
  /** The same error, pointing at a place in the input. */
  at(...path: string[]): this {
    this.path = path
    return this
  }
}

/** Also for what exists but is not the viewer's to see. */
export class NotFound extends DomainError {
  readonly code = 'NOT_FOUND'
  readonly id: string
  constructor(id: string, message = `nothing here has the id ${id}`) {
    super(message)
    this.id = id
  }
}

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
          : `this needs the role ${requiredRole} in the workspace`),
    )
    this.missingScopes = missingScopes
    this.requiredRole = requiredRole
  }
}

export type Issue = { path: string[]; message: string }
const wordIssue = ({ path, message }: Issue) =>
  path.length > 0 ? `${path.join('.')}: ${message}` : message

export class InvalidInput extends DomainError {
  readonly code = 'INVALID_INPUT'
  readonly issues: Issue[]
  constructor(...issues: [Issue, ...Issue[]]) {
    super(issues.map(wordIssue).join('; '))
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
      `the folder already holds ${JSON.stringify(name)}; ${JSON.stringify(suggestedName)} is free`,
    )
    this.existingId = existingId
    this.suggestedName = suggestedName
  }
}

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
    super(`revision ${expected} was expected, ${actual} is there`)
    this.expected = expected
    this.actual = actual
    this.entryId = entryId
  }
}

export class Cycle extends DomainError {
  readonly code = 'CYCLE'
  constructor() {
    super('a folder cannot go into itself or below itself')
  }
}

export class InvalidState extends DomainError {
  readonly code = 'INVALID_STATE'
  /** PROCESSING ends by itself. */
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
    super(`the folder holds ${entryCount} entries; recursive: true takes them along`)
    this.entryCount = entryCount
  }
}

export class QuotaExceeded extends DomainError {
  readonly code = 'QUOTA_EXCEEDED'
  readonly workspaceId: string
  readonly neededBytes: number
  constructor({ workspaceId, neededBytes }: { workspaceId: string; neededBytes: number }) {
    super(`the workspace has no room for ${neededBytes} more bytes`)
    this.workspaceId = workspaceId
    this.neededBytes = neededBytes
  }
}

export class FileTooLarge extends DomainError {
  readonly code = 'FILE_TOO_LARGE'
  readonly maxBytes: number
  constructor(maxBytes: number) {
    super(`a file has at most ${maxBytes} bytes here`)
    this.maxBytes = maxBytes
  }
}

export class MediaTypeRejected extends DomainError {
  readonly code = 'MEDIA_TYPE_REJECTED'
  readonly allowed: string[]
  constructor(allowed: string[]) {
    super(`allowed here: ${allowed.join(', ')}`)
    this.allowed = allowed
  }
}

export class ChecksumMismatch extends DomainError {
  readonly code = 'CHECKSUM_MISMATCH'
  readonly expected: string
  readonly actual: string
  constructor({ expected, actual }: { expected: string; actual: string }) {
    super(`the bytes hash to ${actual}, not to ${expected}`)
    this.expected = expected
    this.actual = actual
  }
}

export class SizeMismatch extends DomainError {
  readonly code = 'SIZE_MISMATCH'
  readonly expected: number
  readonly actual: number
  constructor({ expected, actual }: { expected: number; actual: number }) {
    super(`${actual} bytes are there, not ${expected}`)
    this.expected = expected
    this.actual = actual
  }
}

export class UploadIncomplete extends DomainError {
  readonly code = 'UPLOAD_INCOMPLETE'
  override readonly retryable = true
  readonly uploadId: string
  /** Null while the length is deferred. */
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

/** A row of a linked table that cannot be as it should: nothing of what went with it was done. */
export class RowRejected extends DomainError {
  readonly code = 'ROW_REJECTED'
  readonly table: string
  /** The column that stands in the way, where it is one. */
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

/** What came after this cursor is no longer in the log, or it is no cursor of this workspace. */
export class SyncCursorExpired extends DomainError {
  readonly code = 'SYNC_CURSOR_EXPIRED'
  constructor() {
    super('nothing can be told after this cursor: leave `since` out, and begin with a snapshot')
  }
}

/** Another item of an ALL_OR_NOTHING batch failed. */
export class BatchAborted extends DomainError {
  readonly code = 'BATCH_ABORTED'
  readonly failedIndex: number
  constructor(failedIndex: number) {
    super(`nothing was done: item ${failedIndex} failed`)
    this.failedIndex = failedIndex
  }
}

/** The disk or the bucket did not do its part: full, broken, or lost. */
export class StorageError extends DomainError {
  readonly code = 'STORAGE_ERROR'
  override readonly retryable = true
  /** Whether a disk is at its reserve: then the message is for the client, and there is nothing to look at but the disk. */
  readonly isFull: boolean
  constructor(
    message: string,
    { isFull = false, ...options }: ErrorOptions & { isFull?: boolean } = {},
  ) {
    super(message, options)
    this.isFull = isFull
  }
}

/** The bytes are not those that were confirmed: they are not given out. */
export class CorruptBlob extends DomainError {
  readonly code = 'CORRUPT'
  constructor() {
    super('the bytes that are stored are not the ones that were confirmed')
  }
}

/** No token, a wrong one, or one whose time is over: which, is not said. */
export class Unauthenticated extends DomainError {
  readonly code = 'UNAUTHENTICATED'
  constructor() {
    super('a valid token is needed: Authorization: Bearer <token>')
  }
}

export class BadPageSize extends DomainError {
  readonly code = 'BAD_PAGE_SIZE'
}

export class InvalidCursor extends DomainError {
  readonly code = 'INVALID_CURSOR'
  constructor() {
    super('this cursor is not one of this list in this order')
  }
}

export class QueryTooComplex extends DomainError {
  readonly code = 'QUERY_TOO_COMPLEX'
}

/** The request has taken longer than REQUEST_TIMEOUT_MS. */
export class RequestTimeout extends DomainError {
  readonly code = 'TIMEOUT'
  override readonly retryable = true
  constructor() {
    super('the request has taken longer than this server allows; ask for less at once')
  }
}

/** The database cannot be asked now, or it is not known whether it did what it was asked. Made by the doors, of what it said. */
export class Unavailable extends DomainError {
  readonly code = 'UNAVAILABLE'
  override readonly retryable = true
  readonly retryAfterSeconds = 1
  constructor(cause: unknown) {
    super('the database cannot be asked at this moment; try again')
    this.cause = cause
  }
}

/** Too much at once, or within a minute; `what` says of what. */
export class RateLimited extends DomainError {
  readonly code = 'RATE_LIMITED'
  override readonly retryable = true
  readonly retryAfterSeconds: number
  constructor(retryAfterSeconds: number, what = 'too many requests') {
    super(`${what}; try again in ${retryAfterSeconds} s`)
    this.retryAfterSeconds = retryAfterSeconds
  }
}
