import type { Row } from '../../database/tables.ts'
import { InvalidInput, type Issue } from '../../errors.ts'

export type ShareRow = Row<'shareLinks'>

type Maybe<T> = T | null | undefined
export type ShareTerms = {
  password?: Maybe<string>
  /** Milliseconds since 1970. */
  expiresAt?: Maybe<number>
  maxDownloads?: Maybe<number>
}

const LONGEST_PASSWORD = 200

/** Throws InvalidInput with every field that is wrong. */
export function checkTerms({ password, expiresAt, maxDownloads }: ShareTerms, now: number) {
  const issues: Issue[] = []
  const refuse = (field: string, message: string) => issues.push({ path: [field], message })
  if (password != null && (password === '' || password.length > LONGEST_PASSWORD)) {
    refuse('password', `1 to ${LONGEST_PASSWORD} characters`)
  }
  if (expiresAt != null && expiresAt <= now) refuse('expiresAt', 'a moment in the future')
  if (maxDownloads != null && maxDownloads < 1) refuse('maxDownloads', 'at least 1')
  const [first, ...rest] = issues
  if (first) throw new InvalidInput(first, ...rest)
}

export const isExpired = ({ expiresAt }: ShareRow, now: number) =>
  expiresAt !== null && expiresAt <= now

export const isUsedUp = ({ maxDownloads, downloadCount }: ShareRow) =>
  maxDownloads !== null && downloadCount >= maxDownloads

const FREE_TRIES = 5
/** Many people may share an address. */
const FREE_TRIES_OF_ADDRESS = 20
const FIRST_LOCK_MS = 30_000
const LONGEST_LOCK_MS = 3_600_000

/** How long a link looks at no password after so many wrong ones: nothing for the first four, then 30 s, doubled each time up to an hour. */
export const lockMs = (failures: number) => backOffMs(failures - FREE_TRIES)

/** The same of an address from which so many came, for whichever links: nothing for the first nineteen. */
export const addressLockMs = (failures: number) => backOffMs(failures - FREE_TRIES_OF_ADDRESS)

const backOffMs = (excess: number) =>
  excess < 0 ? 0 : Math.min(FIRST_LOCK_MS * 2 ** excess, LONGEST_LOCK_MS)

/** One that would last longer than any was set by a clock that has gone back since. */
export const isLocked = ({ lockedUntil }: Pick<ShareRow, 'lockedUntil'>, now: number) =>
  lockedUntil > now && lockedUntil <= now + LONGEST_LOCK_MS

/** What a resumed download may take again, as a multiple of the file: connections break more than once, limits must hold all the same. */
const RESUMES = 4

export const mostResumedBytes = (size: number) => RESUMES * size

/** For so long a download that was counted may be resumed. */
export const RESUMABLE_MS = 3_600_000
