import type { ServerResponse } from 'node:http'
import { isDiskFault, isUnavailable } from '../database/errors.ts'
import {
  DomainError,
  Forbidden,
  RateLimited,
  StorageError,
  Unauthenticated,
  Unavailable,
} from '../errors.ts'

const statuses: Record<string, number> = {
  INVALID_INPUT: 400,
  BAD_PAGE_SIZE: 400,
  INVALID_CURSOR: 400,
  QUERY_TOO_COMPLEX: 400,
  UNAUTHENTICATED: 401,
  FORBIDDEN: 403,
  URL_INVALID: 403,
  URL_EXPIRED: 403,
  NOT_FOUND: 404,
  NAME_CONFLICT: 409,
  STALE_REVISION: 409,
  CYCLE: 409,
  INVALID_STATE: 409,
  NOT_EMPTY: 409,
  SIZE_MISMATCH: 409,
  UPLOAD_INCOMPLETE: 409,
  BATCH_ABORTED: 409,
  UPLOAD_EXPIRED: 410,
  SYNC_CURSOR_EXPIRED: 410,
  FILE_TOO_LARGE: 413,
  MEDIA_TYPE_REJECTED: 415,
  ROW_REJECTED: 422,
  RATE_LIMITED: 429,
  // tus, checksum: "the Server MUST respond with the 460 Checksum Mismatch status".
  CHECKSUM_MISMATCH: 460,
  CORRUPT: 502,
  UNAVAILABLE: 503,
  TIMEOUT: 504,
  QUOTA_EXCEEDED: 507,
}

/**
 * HTTP statuses of system errors of the disk and of the network to the bucket. Other storage errors are
 * permanent: 500.
 */
const storageStatuses: Record<string, number> = {
  ENOSPC: 507,
  EDQUOT: 507,
  SQLITE_FULL: 507,
  '53100': 507,
  EMFILE: 503,
  ENFILE: 503,
  EAGAIN: 503,
  EBUSY: 503,
  ETIMEDOUT: 503,
  ECONNREFUSED: 503,
  ECONNRESET: 503,
  EPIPE: 503,
  ENOTFOUND: 503,
  EAI_AGAIN: 503,
}

/**
 * An error of the HTTP layer, such as a wrong method or range. Domains throw the classes of src/errors.ts.
 */
export class HttpError extends Error {
  readonly status: number
  readonly code: string
  readonly headers: Record<string, string>
  constructor(status: number, code: string, message: string, headers: Record<string, string> = {}) {
    super(message)
    this.status = status
    this.code = code
    this.headers = headers
  }
}

/** The context of an error response. `log` receives the errors that an operator must look at. */
export type ErrorContext = {
  requestId: string
  log: (error: unknown, requestId: string) => void
}

/** Translates driver errors of the database to domain errors and returns every other error unchanged. */
export function translateDatabaseError(error: unknown): unknown {
  if (isUnavailable(error)) return new Unavailable(error)
  if (!isDiskFault(error)) return error
  return new StorageError('the database reported a disk error', { cause: error })
}

/** Returns the HTTP status of an error: 500 for everything that is neither an HttpError nor a DomainError. */
export function statusOf(thrown: unknown): number {
  const error = translateDatabaseError(thrown)
  if (error instanceof HttpError) return error.status
  if (!(error instanceof DomainError)) return 500
  if (error.code === 'STORAGE_ERROR') return storageStatus(error)
  return statuses[error.code] ?? 400
}

/**
 * Sends the status of the error and one line of JSON: the code, the message and the path of the invalid
 * input. For unexpected errors the client receives only the request id. If the response has already begun,
 * the connection is destroyed, so that a partial body never looks complete. Headers set before (CORS,
 * Tus-Resumable) are kept.
 */
export function sendError(res: ServerResponse, error: unknown, context: ErrorContext) {
  const { status, headers, body } = errorResponse(error, context)
  if (res.headersSent) return res.destroy()
  res.writeHead(status, headers)
  return res.end(body)
}

/**
 * Returns the status, headers and body of an error response, and logs errors that an operator must look at.
 */
export function errorResponse(thrown: unknown, { requestId, log }: ErrorContext) {
  const error = translateDatabaseError(thrown)
  const status = statusOf(error)
  if (needsOperator(error)) log(error, requestId)
  const body = `${JSON.stringify(bodyOf(error, requestId))}\n`
  const headers = {
    ...headersOf(error, status),
    'Content-Type': 'application/json; charset=utf-8',
    'Content-Length': Buffer.byteLength(body),
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
  }
  return { status, headers, body }
}

/** Reports whether an operator must look at the error, because the client cannot correct it. */
function needsOperator(error: unknown): boolean {
  if (error instanceof HttpError || (error instanceof StorageError && error.isFull)) return false
  return !(error instanceof DomainError) || operatorCodes.includes(error.code)
}
const operatorCodes = ['STORAGE_ERROR', 'CORRUPT', 'UNAVAILABLE']

function bodyOf(error: unknown, requestId: string) {
  if (error instanceof HttpError) return { code: error.code, message: error.message }
  if (!(error instanceof DomainError))
    return { code: 'INTERNAL_SERVER_ERROR', message: 'internal server error', requestId }
  // The message of the error may contain paths and keys of the server.
  if (error instanceof StorageError && !error.isFull)
    return { code: error.code, message: 'storage error; retry later', requestId }
  const { code, message, path } = error
  return path ? { code, message, path } : { code, message }
}

function headersOf(error: unknown, status: number): Record<string, string> {
  if (error instanceof HttpError) return error.headers
  if (error instanceof RateLimited) return { 'Retry-After': String(error.retryAfterSeconds) }
  // RFC 6750, section 3: every 401 carries the challenge, and so does a 403 for a missing scope.
  if (error instanceof Unauthenticated) return { 'WWW-Authenticate': 'Bearer' }
  if (error instanceof Forbidden && error.missingScopes.length > 0)
    return { 'WWW-Authenticate': 'Bearer error="insufficient_scope"' }
  return status === 503 ? { 'Retry-After': '1' } : {}
}

function storageStatus(error: unknown): number {
  if (!(error instanceof Error)) return 500
  const code = 'code' in error ? storageStatuses[String(error.code)] : undefined
  return code ?? storageStatus(error.cause)
}
