type RegisteredError = {
  /** The HTTP status of responses that consist of this error. */
  status: number
  /** Further statuses that the cause of the error can require. */
  otherStatuses?: number[]
  /** One sentence for clients, shown in the schema and in docs/api.md. */
  description: string
  /** Whether the same request may succeed later; false if absent. */
  retryable?: boolean
  /** Whether the error is logged, because the client cannot correct its cause; false if absent. */
  needsOperator?: boolean
}

/** Errors of operations. Each has an object type in the GraphQL schema, with the name `type`. */
export const typedErrors = {
  NOT_FOUND: {
    type: 'NotFoundError',
    status: 404,
    description: 'The object does not exist, or the viewer may not see it.',
  },
  FORBIDDEN: {
    type: 'ForbiddenError',
    status: 403,
    description: 'The viewer may see the object but may not do this with it.',
  },
  INVALID_INPUT: {
    type: 'InvalidInputError',
    status: 400,
    description: 'A value of the input is invalid, and nothing was written.',
  },
  NAME_CONFLICT: {
    type: 'NameConflictError',
    status: 409,
    description: 'The folder already has an entry with this name.',
  },
  STALE_REVISION: {
    type: 'StaleRevisionError',
    status: 409,
    description: 'The entry has changed since the expected revision.',
  },
  CYCLE: {
    type: 'CycleError',
    status: 409,
    description: 'The folder cannot be moved or copied into its own subtree.',
  },
  INVALID_STATE: {
    type: 'InvalidStateError',
    status: 409,
    description: 'The object is not in a state that allows this.',
  },
  NOT_EMPTY: {
    type: 'NotEmptyError',
    status: 409,
    description: 'The folder is not empty.',
  },
  QUOTA_EXCEEDED: {
    type: 'QuotaExceededError',
    status: 507,
    description: 'The workspace has no room for these bytes.',
  },
  RATE_LIMITED: {
    type: 'RateLimitedError',
    status: 429,
    description:
      'The caller has too many requests or unfinished uploads: confirm or cancel some, or retry later.',
    retryable: true,
  },
  FILE_TOO_LARGE: {
    type: 'FileTooLargeError',
    status: 413,
    description: 'The file exceeds the size limit of the server.',
  },
  MEDIA_TYPE_REJECTED: {
    type: 'MediaTypeRejectedError',
    status: 415,
    description: 'The server does not accept files of this media type.',
  },
  CHECKSUM_MISMATCH: {
    type: 'ChecksumMismatchError',
    // tus, checksum: "the Server MUST respond with the 460 Checksum Mismatch status".
    status: 460,
    description: 'The received bytes do not match the declared checksum.',
  },
  SIZE_MISMATCH: {
    type: 'SizeMismatchError',
    status: 409,
    description: 'The number of received bytes differs from the declared size.',
  },
  UPLOAD_INCOMPLETE: {
    type: 'UploadIncompleteError',
    status: 409,
    description: 'Some bytes of the upload are missing.',
    retryable: true,
  },
  UPLOAD_EXPIRED: {
    type: 'UploadExpiredError',
    status: 410,
    description: 'The upload expired before it was confirmed.',
  },
  ROW_REJECTED: {
    type: 'RowRejectedError',
    status: 422,
    description: 'The linked table rejected the row, and nothing was written.',
  },
  SYNC_CURSOR_EXPIRED: {
    type: 'SyncCursorExpiredError',
    status: 410,
    description:
      'The sync cursor is expired or belongs to another workspace: start again with a snapshot.',
  },
  BATCH_ABORTED: {
    type: 'BatchAbortedError',
    status: 409,
    description: 'Another item of the batch failed, so nothing was written.',
  },
  STORAGE_ERROR: {
    type: 'StorageError',
    status: 500,
    otherStatuses: [507, 503],
    description: 'The disk or the bucket failed; retry later.',
    retryable: true,
    needsOperator: true,
  },
} satisfies Record<string, RegisteredError & { type: string }>

/** Errors of whole requests. They have a code, but no type in the GraphQL schema. */
const requestErrors = {
  UNAUTHENTICATED: {
    status: 401,
    description: 'The request has no token, or an invalid one.',
  },
  BAD_PAGE_SIZE: {
    status: 400,
    description: '`first` or `last` is not a permitted page size.',
  },
  INVALID_CURSOR: {
    status: 400,
    description: 'The cursor is not one of this list in this order.',
  },
  QUERY_TOO_COMPLEX: {
    status: 400,
    description: 'The document or its result is larger than the limits.',
  },
  TIMEOUT: {
    status: 504,
    description: 'The reads took longer than `REQUEST_TIMEOUT_MS`.',
    retryable: true,
  },
  UNAVAILABLE: {
    status: 503,
    description: 'The database does not respond, or the server is shutting down.',
    retryable: true,
    needsOperator: true,
  },
  URL_INVALID: {
    status: 403,
    description: 'The signature of the link is invalid.',
  },
  URL_EXPIRED: {
    status: 403,
    description: 'The link has expired.',
  },
  CORRUPT: {
    status: 502,
    description: 'The stored bytes of the file are damaged.',
    needsOperator: true,
  },
} satisfies Record<string, RegisteredError>

export type TypedErrorCode = keyof typeof typedErrors
export type ErrorCode = TypedErrorCode | keyof typeof requestErrors

/** Everything that is the same for all errors of a code. Each code has one class in this folder. */
export const errorRegistry: Record<ErrorCode, RegisteredError> = {
  ...typedErrors,
  ...requestErrors,
}
