import type { ServerResponse } from 'node:http'
import { isDiskFault, isUnavailable } from '../database/errors.ts'
import { Forbidden, Unauthenticated } from '../errors/access.ts'
import { RateLimited, StorageError, Unavailable } from '../errors/availability.ts'
import { DomainError } from '../errors/domain-error.ts'
import { errorRegistry } from '../errors/registry.ts'

/**
 * HTTP statuses of storage errors by the code of the system error of the disk or of the network to the
 * bucket. The others are permanent, with the status of the registry.
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
 * An error of the HTTP layer, such as a wrong method or range. Domains throw the classes of src/errors/.
 */
export class HttpError extends Error {
  readonly status: number
  readonly code: string
  readonly headers: Record<string, string>
  /** Path of the invalid input, or null. */
  path: readonly string[] | null = null
  constructor(status: number, code: string, message: string, headers: Record<string, string> = {}) {
    super(message)
    this.status = status
    this.code = code
    this.headers = headers
  }
}

/** Returns the 405 error of a path that allows `methods`. */
export function methodNotAllowed(methods: readonly string[]): HttpError {
  const use = methods.filter((method) => method !== 'OPTIONS').join(' or ')
  return new HttpError(405, 'METHOD_NOT_ALLOWED', `method not allowed; use ${use}`, {
    Allow: methods.join(', '),
  })
}

/** The context of an error response. `log` receives the errors that an operator must look at. */
type ErrorContext = {
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
  const { status } = errorRegistry[error.code]
  return error instanceof StorageError ? (storageStatus(error) ?? status) : status
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

/** Returns the status, headers and body of an error response, and logs what an operator must look at. */
function errorResponse(thrown: unknown, { requestId, log }: ErrorContext) {
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
  return !(error instanceof DomainError) || Boolean(errorRegistry[error.code].needsOperator)
}

function bodyOf(error: unknown, requestId: string) {
  if (!(error instanceof DomainError || error instanceof HttpError))
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

function storageStatus(error: unknown): number | undefined {
  if (!(error instanceof Error)) return undefined
  const code = 'code' in error ? storageStatuses[String(error.code)] : undefined
  return code ?? storageStatus(error.cause)
}
