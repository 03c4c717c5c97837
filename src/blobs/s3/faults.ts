import { DomainError, StorageFault } from '../../errors.ts'

/** For `.catch(orBucketFault('…'))`: words what the bucket or the way to it did, and keeps it as the cause. A bug of ours passes. */
export const orBucketFault =
  (what: string) =>
  (cause: unknown): never => {
    if (cause instanceof TypeError || cause instanceof DomainError) throw cause
    throw new StorageFault(what, { cause })
  }

/** For `.catch(unlessGone)`: null where there is no such object or upload. */
export const unlessGone = (cause: unknown) => {
  if (statusOf(cause) !== 404) throw cause
  return null
}

/** For `.catch(unlessTaken)`: null where what must not be there is there, or another request is just writing it. */
export const unlessTaken = (cause: unknown) => {
  if (![409, 412].includes(statusOf(cause) ?? 0)) throw cause
  return null
}

export const isOutside = (cause: unknown) => statusOf(cause) === 416

export function statusOf(cause: unknown): number | undefined {
  const { $metadata } = cause as { $metadata?: { httpStatusCode?: number } }
  return $metadata?.httpStatusCode
}
