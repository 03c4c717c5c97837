import { type ErrorCode, errorRegistry } from './registry.ts'

/**
 * An error that is reported to clients. The registry has its status, description and GraphQL type.
 * graphql/errors.ts and http/errors.ts translate it to responses.
 */
export abstract class DomainError extends Error {
  abstract readonly code: ErrorCode
  /** Path of the invalid input, outermost name first: ['folder', 'path']. */
  path: string[] | null = null
  /** Whether the same request may succeed later. */
  get retryable(): boolean {
    return errorRegistry[this.code].retryable ?? false
  }
  override get name() {
    return this.constructor.name
  }
  /** Sets the path in the input and returns this error. */
  at(...path: string[]): this {
    this.path = path
    return this
  }
}
