import { DomainError, StorageError } from '../../../errors.ts'

/**
 * For `.catch(wrapBucketError('…'))`: words what the bucket or the way to it did, and keeps it as the cause. What may pass by itself is
 * called EAGAIN where it has no code of its own, so that the doors can tell. A bug of ours passes.
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

/** For `.catch(nullIfMissing)`: null where there is no such object or upload. */
export const nullIfMissing = (cause: unknown) => {
  if (statusOf(cause) !== 404) throw cause
  return null
}

/** For `.catch(nullIfExists)`: null where what must not be there is there, or another request is just writing it. */
export const nullIfExists = (cause: unknown) => {
  if (![409, 412].includes(statusOf(cause) ?? 0)) throw cause
  return null
}

export const isRangeError = (cause: unknown) => statusOf(cause) === 416

/** A part is not there, or not under the ETag that was named. */
export const isInvalidPart = (cause: unknown) => nameOf(cause) === 'InvalidPart'

/** The credentials were good once; by now there may be others. To HEAD the bucket says no more than 400. */
export const isExpired = (cause: unknown) =>
  spent.includes(nameOf(cause)) || (nameOf(cause) === 'Unknown' && statusOf(cause) === 400)
const spent = ['ExpiredToken', 'TokenRefreshRequired', 'InvalidAccessKeyId', 'InvalidTokenId']

/** Whether the same request may succeed a moment later, when the bucket is less busy, or clock and credentials have been put right. */
export function isRetryable(cause: unknown): boolean {
  const status = statusOf(cause) ?? 500
  return status >= 500 || status === 429 || passing.includes(nameOf(cause)) || isExpired(cause)
}
const passing = ['RequestTimeout', 'RequestTimeTooSkewed', 'SlowDown']

const nameOf = (cause: unknown) => (cause instanceof Error ? cause.name : '')

export function statusOf(cause: unknown): number | undefined {
  const { $metadata } = cause as { $metadata?: { httpStatusCode?: number } }
  return $metadata?.httpStatusCode
}
