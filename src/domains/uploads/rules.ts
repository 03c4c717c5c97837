import type { Row, UploadStatus } from '../../database/tables.ts'
import { InvalidInput } from '../../errors/input.ts'
import { ChecksumMismatch, FileTooLarge, SizeMismatch } from '../../errors/uploads.ts'
import { describeUnstorable } from '../../names.ts'

export type UploadRow = Row<'uploads'>

/** The statuses that can follow each status. A terminal status has none. */
export const nextStatuses: Record<UploadStatus, readonly UploadStatus[]> = {
  CREATED: ['RECEIVING', 'RECEIVED', 'CANCELED', 'EXPIRED'],
  RECEIVING: ['RECEIVED', 'CANCELED', 'EXPIRED'],
  RECEIVED: ['PROCESSING', 'CANCELED', 'EXPIRED'],
  PROCESSING: ['COMPLETE', 'FAILED', 'RECEIVED'],
  COMPLETE: [],
  FAILED: [],
  CANCELED: [],
  EXPIRED: [],
}
export const uploadStatuses = Object.keys(nextStatuses) as UploadStatus[]

/** Returns the statuses from which an upload can change to `status`. */
export const statusesBefore = (status: UploadStatus): UploadStatus[] =>
  uploadStatuses.filter((earlier) => nextStatuses[earlier].includes(status))

/** Returns whether all bytes have arrived and the automatic confirm is still pending. */
export const hasPendingConfirm = ({ status, autoConfirm, confirmRefusal }: UploadRow) =>
  status === 'RECEIVED' && autoConfirm === 1 && confirmRefusal === null

/**
 * Returns whether the upload becomes a file without a further request: its automatic confirm is pending or
 * running.
 */
export const isAutoConfirming = (upload: UploadRow) =>
  hasPendingConfirm(upload) || (upload.autoConfirm === 1 && upload.status === 'PROCESSING')

/**
 * Returns whether the upload ends at `expiresAt`. An upload with a pending automatic confirm does not, and a
 * part of a final upload ends with that one.
 */
export const canExpire = (upload: UploadRow) =>
  statusesBefore('EXPIRED').includes(upload.status) &&
  upload.joinedInto === null &&
  !hasPendingConfirm(upload)

/**
 * Returns the status at `now`: an overdue upload is EXPIRED, even before the expiry job has updated its row.
 */
export const statusAt = (upload: UploadRow, now: number): UploadStatus =>
  canExpire(upload) && upload.expiresAt <= now ? 'EXPIRED' : upload.status

/** Returns whether no other status can follow this one. */
export const isTerminal = (status: UploadStatus) => nextStatuses[status].length === 0

/** Returns the status of an upload of `size` bytes (null: not known yet) of which `offset` have arrived. */
export function receivedStatus(offset: number, size: number | null): UploadStatus {
  if (offset === size) return 'RECEIVED'
  return offset === 0 ? 'CREATED' : 'RECEIVING'
}

/** Returns whether the upload is a partial upload of the tus concatenation extension. */
export const isPartial = ({ concat }: UploadRow) => concat === 'partial'

/**
 * Returns whether the upload is a final upload of the tus concatenation extension, whose bytes come from its
 * parts.
 */
export const isFinal = ({ concat }: UploadRow) => concat !== null && concat !== 'partial'

/** Returns whether the upload is a final upload that does not have all bytes of its parts yet. */
export const isConcatenating = (upload: UploadRow) =>
  isFinal(upload) && (upload.status === 'CREATED' || upload.status === 'RECEIVING')

/** Returns how many bytes are missing, or null while the length is deferred. */
export const missingBytes = ({ size, offset }: UploadRow) => (size === null ? null : size - offset)

/** Returns how many more bytes the upload accepts. */
export const remainingBytes = ({ size, offset }: UploadRow, maxUploadBytes: number) =>
  (size ?? maxUploadBytes) - offset

/** Returns `size`. Throws FileTooLarge, and InvalidInput unless it is a non-negative integer. */
export function checkSize(size: number, maxUploadBytes: number): number {
  if (!Number.isSafeInteger(size) || size < 0) {
    throw new InvalidInput({ path: ['size'], message: 'must be a whole number of bytes' })
  }
  if (size > maxUploadBytes) throw new FileTooLarge(maxUploadBytes).at('size')
  return size
}

/** Returns the checksum. Throws InvalidInput unless it is 64 lower-case hexadecimal digits. */
export function checkSha256(sha256: string): string {
  if (/^[0-9a-f]{64}$/.test(sha256)) return sha256
  throw new InvalidInput({ path: ['sha256'], message: 'must be 64 lower-case hexadecimal digits' })
}

const MEDIA_TYPE = /^[\w!#$&^.+-]{1,127}\/[\w!#$&^.+-]{1,127}(?:\s*;[\x20-\x7e]*)?$/
const MAX_MEDIA_TYPE_LENGTH = 255

/**
 * Returns the declared media type in lower case without parameters, or null for text that is no media type
 * (`image`, `image/*`, `undefined`). It is only a hint, because the stored type is detected from the bytes.
 */
export function parseMediaTypeHint(hint: string): string | null {
  if (hint.length > MAX_MEDIA_TYPE_LENGTH || !MEDIA_TYPE.test(hint)) return null
  return hint.replace(/;.*/s, '').trim().toLowerCase()
}

/**
 * Returns the key. Throws InvalidInput unless it has 1 to 255 characters that the databases store unchanged:
 * others could make two keys equal.
 */
export function checkIdempotencyKey(key: string): string {
  const path = ['idempotencyKey']
  if (key.length < 1 || key.length > 255) {
    throw new InvalidInput({ path, message: 'must have 1 to 255 characters' })
  }
  const unstorable = describeUnstorable(key)
  if (unstorable) throw new InvalidInput({ path, message: `key contains ${unstorable}` })
  return key
}

/** Throws SizeMismatch if the client expects another size. */
export function checkConfirmedSize({ size }: UploadRow, expected: number | null | undefined) {
  if (expected == null || expected === size) return
  throw new SizeMismatch({ expected, actual: size ?? 0 }).at('size')
}

/** An error of an upload, as stored in its row. */
export type UploadFailure = {
  code: string
  message: string
  retryable: boolean
  at: number
  /** The actual SHA-256 checksum of the bytes; only after a mismatch. */
  actual?: string
}
export const MAX_FAILURES = 20

/** Returns the recorded errors of the upload, oldest first. */
export const failuresOf = ({ failures }: UploadRow) => JSON.parse(failures) as UploadFailure[]

/** Returns the errors of the upload plus `failure` as JSON, limited to the last MAX_FAILURES. */
export const withFailure = (upload: UploadRow, failure: UploadFailure) =>
  JSON.stringify([...failuresOf(upload), failure].slice(-MAX_FAILURES))

/** Returns the checksum mismatch that ended the upload, or null. Every later confirm throws it again. */
export function fatalMismatch(upload: UploadRow): ChecksumMismatch | null {
  const actual = failuresOf(upload).at(-1)?.actual
  return actual && upload.sha256 ? new ChecksumMismatch({ expected: upload.sha256, actual }) : null
}
