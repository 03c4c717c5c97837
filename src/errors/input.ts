import { DomainError } from './domain-error.ts'

export type Issue = { path: string[]; message: string }
const formatIssue = ({ path, message }: Issue) =>
  path.length > 0 ? `${path.join('.')}: ${message}` : message

/** One or more inputs are invalid; `path` is that of the first issue. */
export class InvalidInput extends DomainError {
  readonly code = 'INVALID_INPUT'
  readonly issues: Issue[]
  constructor(...issues: [Issue, ...Issue[]]) {
    super(issues.map(formatIssue).join('; '))
    this.issues = issues
    this.path = issues[0].path
  }
}

export class BadPageSize extends DomainError {
  readonly code = 'BAD_PAGE_SIZE'
}

export class InvalidCursor extends DomainError {
  readonly code = 'INVALID_CURSOR'
  constructor() {
    super('this cursor does not belong to this list and order')
  }
}

/** The log no longer has the changes after this cursor, or the cursor is of another workspace. */
export class SyncCursorExpired extends DomainError {
  readonly code = 'SYNC_CURSOR_EXPIRED'
  constructor() {
    super('the changes since this cursor are not available: omit `since` and start with a snapshot')
  }
}

/** The request exceeds a limit of document size, cost, response size or computing time. */
export class QueryTooComplex extends DomainError {
  readonly code = 'QUERY_TOO_COMPLEX'
}
