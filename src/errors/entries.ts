import { DomainError } from './domain-error.ts'

export class NameConflict extends DomainError {
  readonly code = 'NAME_CONFLICT'
  readonly existingId: string
  readonly suggestedName: string
  constructor({
    name,
    existingId,
    suggestedName,
  }: { name: string; existingId: string; suggestedName: string }) {
    super(
      `the folder already contains ${JSON.stringify(name)}; ${JSON.stringify(suggestedName)} is available`,
    )
    this.existingId = existingId
    this.suggestedName = suggestedName
  }
}

export class StaleRevision extends DomainError {
  readonly code = 'STALE_REVISION'
  readonly expected: number
  readonly actual: number
  readonly entryId: string
  constructor({
    expected,
    actual,
    entryId,
  }: { expected: number; actual: number; entryId: string }) {
    super(`expected revision ${expected}, but the current revision is ${actual}`)
    this.expected = expected
    this.actual = actual
    this.entryId = entryId
  }
}

export class Cycle extends DomainError {
  readonly code = 'CYCLE'
  constructor() {
    super('a folder cannot be placed in itself or in a folder below it')
  }
}

export class InvalidState extends DomainError {
  readonly code = 'INVALID_STATE'
  readonly state: string
  constructor(state: string, message: string) {
    super(message)
    this.state = state
  }
  /** True for PROCESSING, which is a temporary state. */
  override get retryable() {
    return this.state === 'PROCESSING'
  }
}

export class NotEmpty extends DomainError {
  readonly code = 'NOT_EMPTY'
  readonly entryCount: number
  constructor(entryCount: number) {
    super(`the folder contains ${entryCount} entries; use recursive: true to include them`)
    this.entryCount = entryCount
  }
}

/** The whole operation was rolled back. */
export class RowRejected extends DomainError {
  readonly code = 'ROW_REJECTED'
  readonly table: string
  /** The column that caused the error; null if it is not a single one. */
  readonly column: string | null
  readonly reason: string
  constructor({
    table,
    column = null,
    reason,
  }: { table: string; column?: string | null; reason: string }) {
    super(`${column === null ? table : `${table}.${column}`}: ${reason}`)
    this.table = table
    this.column = column
    this.reason = reason
  }
}

export class BatchAborted extends DomainError {
  readonly code = 'BATCH_ABORTED'
  readonly failedIndex: number
  constructor(failedIndex: number) {
    super(`nothing was changed because item ${failedIndex} failed`)
    this.failedIndex = failedIndex
  }
}
