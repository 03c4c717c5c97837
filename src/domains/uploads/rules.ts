import type { Row, UploadStatus } from '../../database/tables.ts'
import { ChecksumMismatch, FileTooLarge, InvalidInput, SizeMismatch } from '../../errors.ts'

export type UploadRow = Row<'uploads'>

/** What may follow each status; nothing follows an end. */
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

/** The statuses that `status` may follow. */
export const statusesBefore = (status: UploadStatus): UploadStatus[] =>
  uploadStatuses.filter((earlier) => nextStatuses[earlier].includes(status))

/** Whether all bytes are there and the confirm that they were to bring about is still to come. */
export const awaitsConfirm = ({ status, autoConfirm, confirmRefusal }: UploadRow) =>
  status === 'RECEIVED' && autoConfirm === 1 && confirmRefusal === null

/** Whether it becomes a file without being asked again: its confirm is to come, or goes on. */
export const confirmsItself = (upload: UploadRow) =>
  awaitsConfirm(upload) || (upload.autoConfirm === 1 && upload.status === 'PROCESSING')

/** Whether its time ends it; an upload that awaits its confirm is not ended beneath it. */
export const mayExpire = (upload: UploadRow) =>
  statusesBefore('EXPIRED').includes(upload.status) && !awaitsConfirm(upload)

/** The status now: an upload whose time is over is EXPIRED, also before the job has seen to it. */
export const statusAt = (upload: UploadRow, now: number): UploadStatus =>
  mayExpire(upload) && upload.expiresAt <= now ? 'EXPIRED' : upload.status

export const isTerminal = (status: UploadStatus) => nextStatuses[status].length === 0

/** The status of an upload of `size` bytes (null: not known yet) that has `offset` of them. */
export function receivedStatus(offset: number, size: number | null): UploadStatus {
  if (offset === size) return 'RECEIVED'
  return offset === 0 ? 'CREATED' : 'RECEIVING'
}

/** tus, concatenation: one that is only ever part of another. */
export const isPartial = ({ concat }: UploadRow) => concat === 'partial'

/** One whose bytes are those of its parts. */
export const isFinal = ({ concat }: UploadRow) => concat !== null && concat !== 'partial'

/** A final one that has not all of them yet. */
export const isConcatenating = (upload: UploadRow) =>
  isFinal(upload) && (upload.status === 'CREATED' || upload.status === 'RECEIVING')

export const missingBytes = ({ size, offset }: UploadRow) => (size === null ? null : size - offset)

/** How many more bytes may come. */
export const remainingBytes = ({ size, offset }: UploadRow, maxUploadBytes: number) =>
  (size ?? maxUploadBytes) - offset

/** Throws FileTooLarge, or InvalidInput for what is no number of bytes. */
export function checkSize(size: number, maxUploadBytes: number): number {
  if (!Number.isSafeInteger(size) || size < 0) {
    throw new InvalidInput({ path: ['size'], message: 'a whole number of bytes' })
  }
  if (size > maxUploadBytes) throw new FileTooLarge(maxUploadBytes).at('size')
  return size
}

export function checkSha256(sha256: string): string {
  if (/^[0-9a-f]{64}$/.test(sha256)) return sha256
  throw new InvalidInput({ path: ['sha256'], message: '64 lower-case hexadecimal digits' })
}

const MEDIA_TYPE = /^[\w!#$&^.+-]{1,127}\/[\w!#$&^.+-]{1,127}(?:\s*;[\x20-\x7e]*)?$/

/** What the client says the bytes are: kept as a hint, without parameters; the stored type comes from the bytes. */
export function checkMediaType(mediaType: string): string {
  if (MEDIA_TYPE.test(mediaType)) return (mediaType.split(';')[0] ?? '').trim().toLowerCase()
  throw new InvalidInput({ path: ['mediaType'], message: 'a media type, as image/png' })
}

export function checkIdempotencyKey(key: string): string {
  if (key.length >= 1 && key.length <= 255) return key
  throw new InvalidInput({ path: ['idempotencyKey'], message: '1 to 255 characters' })
}

/** Throws SizeMismatch where who confirms expects another length. */
export function checkConfirmedSize({ size }: UploadRow, expected: number | null | undefined) {
  if (expected == null || expected === size) return
  throw new SizeMismatch({ expected, actual: size ?? 0 }).at('size')
}

/** Something that went wrong with an upload, as it is kept in its row. */
export type UploadFailure = {
  code: string
  message: string
  retryable: boolean
  at: number
  /** What the bytes hash to, where that was wrong. */
  actual?: string
}
export const MOST_FAILURES = 20

export const failuresOf = ({ failures }: UploadRow) => JSON.parse(failures) as UploadFailure[]

export const withFailure = (upload: UploadRow, failure: UploadFailure) =>
  JSON.stringify([...failuresOf(upload), failure].slice(-MOST_FAILURES))

/** The mismatch that ended this upload, so that everybody who confirms it gets one answer; null where it ended otherwise. */
export function fatalMismatch(upload: UploadRow): ChecksumMismatch | null {
  const actual = failuresOf(upload).at(-1)?.actual
  return actual && upload.sha256 ? new ChecksumMismatch({ expected: upload.sha256, actual }) : null
}
