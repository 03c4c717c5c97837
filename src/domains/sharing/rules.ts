import type { Row } from '../../database/tables.ts'
import { InvalidInput, type Issue } from '../../errors/input.ts'

export type ShareRow = Row<'shareLinks'>

type Maybe<T> = T | null | undefined
export type ShareTerms = {
  password?: Maybe<string>
  /** Milliseconds since 1970. */
  expiresAt?: Maybe<number>
  maxDownloads?: Maybe<number>
}

const MAX_PASSWORD_LENGTH = 200

/** Throws InvalidInput with one issue for each invalid field. */
export function checkTerms({ password, expiresAt, maxDownloads }: ShareTerms, now: number) {
  const issues: Issue[] = []
  const addIssue = (field: string, message: string) => issues.push({ path: [field], message })
  if (password != null && (password === '' || password.length > MAX_PASSWORD_LENGTH)) {
    addIssue('password', `must have 1 to ${MAX_PASSWORD_LENGTH} characters`)
  }
  if (expiresAt != null && expiresAt <= now) addIssue('expiresAt', 'must be in the future')
  if (maxDownloads != null && maxDownloads < 1) addIssue('maxDownloads', 'must be at least 1')
  const [first, ...rest] = issues
  if (first) throw new InvalidInput(first, ...rest)
}

export const isExpired = ({ expiresAt }: ShareRow, now: number) =>
  expiresAt !== null && expiresAt <= now

export const isUsedUp = ({ maxDownloads, downloadCount }: ShareRow) =>
  maxDownloads !== null && downloadCount >= maxDownloads

const FAILURES_BEFORE_LOCK = 5
/** Higher than for a link, because many people may share an address. */
const ADDRESS_FAILURES_BEFORE_LOCK = 20
const MIN_LOCK_MS = 30_000
const MAX_LOCK_MS = 3_600_000

/**
 * Returns for how many milliseconds a link is locked after this number of wrong passwords: 30 s after the
 * fifth, doubled after each further one, up to an hour.
 */
export const lockMs = (failures: number) => backOffMs(failures - FAILURES_BEFORE_LOCK)

/**
 * Returns for how many milliseconds an address is locked after this number of wrong passwords for any links:
 * 30 s after the twentieth, doubled after each further one, up to an hour.
 */
export const addressLockMs = (failures: number) =>
  backOffMs(failures - ADDRESS_FAILURES_BEFORE_LOCK)

const backOffMs = (excess: number) =>
  excess < 0 ? 0 : Math.min(MIN_LOCK_MS * 2 ** excess, MAX_LOCK_MS)

/**
 * Returns whether a link or an address is locked. A lock that would last longer than the maximum does not
 * count: it was set before the clock was set back.
 */
export const isLocked = ({ lockedUntil }: Pick<ShareRow, 'lockedUntil'>, now: number) =>
  lockedUntil > now && lockedUntil <= now + MAX_LOCK_MS

/** The requests that resume one counted download may transfer this multiple of the file size. */
const MAX_RESUMED_MULTIPLE = 4

export const maxResumedBytes = (size: number) => MAX_RESUMED_MULTIPLE * size

/** Time for which a counted download can be resumed. */
export const RESUMABLE_MS = 3_600_000
