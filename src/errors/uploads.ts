import { DomainError } from './domain-error.ts'

type QuotaFigures = {
  workspaceId: string
  neededBytes: number
  /** The bytes that are left of the quota for them. */
  remainingBytes: number
  isSizeKnown?: boolean
}

export class QuotaExceeded extends DomainError {
  readonly code = 'QUOTA_EXCEEDED'
  readonly workspaceId: string
  /** The bytes of all that is added, or those received so far if its size is not known yet. */
  readonly neededBytes: number
  constructor({ workspaceId, neededBytes, remainingBytes, isSizeKnown = true }: QuotaFigures) {
    const needed = `${isSizeKnown ? '' : 'at least '}${neededBytes} bytes`
    const remedy = 'delete files and empty the trash, or ask an owner for a larger quota'
    super(
      `${needed} are needed, but ${remainingBytes} bytes of the quota of the workspace are left: ${remedy}`,
    )
    this.workspaceId = workspaceId
    this.neededBytes = neededBytes
  }
}

export class FileTooLarge extends DomainError {
  readonly code = 'FILE_TOO_LARGE'
  readonly maxBytes: number
  constructor(maxBytes: number) {
    super(`the file exceeds the maximum size of ${maxBytes} bytes`)
    this.maxBytes = maxBytes
  }
}

export class MediaTypeRejected extends DomainError {
  readonly code = 'MEDIA_TYPE_REJECTED'
  readonly allowed: string[]
  constructor(allowed: string[]) {
    super(`the media type is not allowed; allowed types: ${allowed.join(', ')}`)
    this.allowed = allowed
  }
}

export class ChecksumMismatch extends DomainError {
  readonly code = 'CHECKSUM_MISMATCH'
  readonly expected: string
  readonly actual: string
  constructor({ expected, actual }: { expected: string; actual: string }) {
    super(`the checksum of the bytes is ${actual}, expected ${expected}`)
    this.expected = expected
    this.actual = actual
  }
}

export class SizeMismatch extends DomainError {
  readonly code = 'SIZE_MISMATCH'
  readonly expected: number
  readonly actual: number
  constructor({ expected, actual }: { expected: number; actual: number }) {
    super(`received ${actual} bytes, expected ${expected}`)
    this.expected = expected
    this.actual = actual
  }
}

export class UploadIncomplete extends DomainError {
  readonly code = 'UPLOAD_INCOMPLETE'
  readonly uploadId: string
  /** Null if the length is deferred. */
  readonly missingBytes: number | null
  constructor({ uploadId, missingBytes }: { uploadId: string; missingBytes: number | null }) {
    super(
      missingBytes === null ? 'the length is not known yet' : `${missingBytes} bytes are missing`,
    )
    this.uploadId = uploadId
    this.missingBytes = missingBytes
  }
}

export class UploadExpired extends DomainError {
  readonly code = 'UPLOAD_EXPIRED'
  readonly expiredAt: number
  constructor(expiredAt: number) {
    super(`the upload expired at ${new Date(expiredAt).toISOString()}`)
    this.expiredAt = expiredAt
  }
}
