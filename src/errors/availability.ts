import { DomainError } from './domain-error.ts'

export class StorageError extends DomainError {
  readonly code = 'STORAGE_ERROR'
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

export class RequestTimeout extends DomainError {
  readonly code = 'TIMEOUT'
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
  readonly retryAfterSeconds = 1
  constructor(cause: unknown) {
    super('the database cannot be used at the moment; try again')
    this.cause = cause
  }
}

/** Too many requests, at once or per minute; `what` names them. */
export class RateLimited extends DomainError {
  readonly code = 'RATE_LIMITED'
  readonly retryAfterSeconds: number
  constructor(retryAfterSeconds: number, what = 'too many requests') {
    super(`${what}; try again in ${retryAfterSeconds} s`)
    this.retryAfterSeconds = retryAfterSeconds
  }
}
