import { StorageError } from '../../../errors/availability.ts'
import { DomainError } from '../../../errors/domain-error.ts'

/**
 * For `.catch(wrapBucketError('…'))`: throws a StorageError with the message `what` and the original error as
 * the cause. A retryable error without a code gets the code EAGAIN, which the HTTP layer reports as
 * temporary. Programming errors (TypeError) and domain errors are rethrown.
 */
export const wrapBucketError =
  (what: string) =>
  (cause: unknown): never => {
    if (cause instanceof TypeError || cause instanceof DomainError) throw cause
    if (cause instanceof Error && isRetryable(cause) && !('code' in cause)) {
      Object.assign(cause, { code: 'EAGAIN' })
    }
    throw new StorageError(what, { cause })
  }

/** For `.catch(nullIfMissing)`: returns null if the object or upload does not exist. */
export const nullIfMissing = (cause: unknown) => {
  if (statusOf(cause) !== 404) throw cause
  return null
}

/** For `.catch(nullIfExists)`: returns null if the object already exists or another request is writing it. */
export const nullIfExists = (cause: unknown) => {
  if (![409, 412].includes(statusOf(cause) ?? 0)) throw cause
  return null
}

export const isRangeError = (cause: unknown) => statusOf(cause) === 416

/** Whether a part is missing or has another ETag. */
export const isInvalidPart = (cause: unknown) => nameOf(cause) === 'InvalidPart'

/**
 * Whether the credentials have expired, so that new ones may exist. A HEAD request on the bucket reports only
 * status 400.
 */
export const isExpired = (cause: unknown) =>
  expiredNames.includes(nameOf(cause)) || (nameOf(cause) === 'Unknown' && statusOf(cause) === 400)
const expiredNames = [
  'ExpiredToken',
  'TokenRefreshRequired',
  'InvalidAccessKeyId',
  'InvalidTokenId',
]

/**
 * Whether the same request may succeed later, when the bucket is less busy or the clock or credentials are
 * corrected.
 */
export function isRetryable(cause: unknown): boolean {
  const status = statusOf(cause) ?? 500
  return (
    status >= 500 || status === 429 || retryableNames.includes(nameOf(cause)) || isExpired(cause)
  )
}
const retryableNames = ['RequestTimeout', 'RequestTimeTooSkewed', 'SlowDown']

const nameOf = (cause: unknown) => (cause instanceof Error ? cause.name : '')

/** Returns the HTTP status of an error of the SDK, or undefined if there was no response. */
export function statusOf(cause: unknown): number | undefined {
  const { $metadata } = cause as { $metadata?: { httpStatusCode?: number } }
  return $metadata?.httpStatusCode
}
