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

/** What a full or a busy disk says of itself, or the way to a bucket; any other fault of the storage will not go away by waiting. */
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

/** What only HTTP can get wrong: a method, a range, a condition. Domains throw the classes of errors.ts. */
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

/** What sendProblem needs beside the error: `log` hears of bugs and of faults of the storage. */
export type ProblemContext = {
  requestId: string
  log: (error: unknown, requestId: string) => void
}

/** What the database said, as the doors tell it. Whatever else is wrong stays what it is. */
export function translateDatabaseError(error: unknown): unknown {
  if (isUnavailable(error)) return new Unavailable(error)
  if (!isDiskFault(error)) return error
  return new StorageError('the disk of the database did not do its part', { cause: error })
}

/** The HTTP status of an error; whatever no domain and no door has thrown on purpose is 500. */
export function statusOf(thrown: unknown): number {
  const error = translateDatabaseError(thrown)
  if (error instanceof HttpError) return error.status
  if (!(error instanceof DomainError)) return 500
  if (error.code === 'STORAGE_ERROR') return storageStatus(error)
  return statuses[error.code] ?? 400
}

/**
 * Answers with the status of the error and one line of JSON: code, message, and the path where the input is wrong.
 * Of what is unexpected the client learns the request id only. An answer that has begun is cut off: half is never whole.
 * Headers set before (CORS, Tus-Resumable) stay.
 */
export function sendProblem(res: ServerResponse, error: unknown, context: ProblemContext) {
  const { status, headers, line } = problemAnswer(error, context)
  if (res.headersSent) return res.destroy()
  res.writeHead(status, headers)
  return res.end(line)
}

/** What sendProblem answers, for who sends it otherwise; the log hears of it. */
export function problemAnswer(thrown: unknown, { requestId, log }: ProblemContext) {
  const error = translateDatabaseError(thrown)
  const status = statusOf(error)
  if (isFault(error)) log(error, requestId)
  const line = `${JSON.stringify(wording(error, requestId))}\n`
  const headers = {
    ...headersOf(error, status),
    'Content-Type': 'application/json; charset=utf-8',
    'Content-Length': Buffer.byteLength(line),
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
  }
  return { status, headers, line }
}

/** What somebody here has to look at; everything else is the caller's to put right. */
function isFault(error: unknown): boolean {
  if (error instanceof HttpError || (error instanceof StorageError && error.isFull)) return false
  return !(error instanceof DomainError) || faults.includes(error.code)
}
const faults = ['STORAGE_ERROR', 'CORRUPT', 'UNAVAILABLE']

function wording(error: unknown, requestId: string) {
  if (error instanceof HttpError) return { code: error.code, message: error.message }
  if (!(error instanceof DomainError))
    return { code: 'INTERNAL_SERVER_ERROR', message: 'something went wrong here', requestId }
  // Its own message may name folders and keys of the house.
  if (error instanceof StorageError && !error.isFull)
    return { code: error.code, message: 'the storage did not do its part', requestId }
  const { code, message, path } = error
  return path ? { code, message, path } : { code, message }
}

function headersOf(error: unknown, status: number): Record<string, string> {
  if (error instanceof HttpError) return error.headers
  if (error instanceof RateLimited) return { 'Retry-After': String(error.retryAfterSeconds) }
  // RFC 6750, section 3: the challenge goes with every 401, and with a 403 for want of a scope.
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
