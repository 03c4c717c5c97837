import { DomainError } from './domain-error.ts'

/** The token is missing, unknown, revoked or expired; the error does not disclose which. */
export class Unauthenticated extends DomainError {
  readonly code = 'UNAUTHENTICATED'
  constructor() {
    super('a valid token is required: Authorization: Bearer <token>')
  }
}

/** The token lacks a scope, or its user lacks a role in the workspace. */
export class Forbidden extends DomainError {
  readonly code = 'FORBIDDEN'
  readonly missingScopes: string[]
  readonly requiredRole: string | null
  constructor({
    missingScopes = [],
    requiredRole = null,
    message,
  }: { missingScopes?: string[]; requiredRole?: string | null; message?: string }) {
    super(
      message ??
        (missingScopes.length > 0
          ? `this token lacks the scope ${missingScopes.join(', ')}`
          : `this requires the role ${requiredRole} in the workspace`),
    )
    this.missingScopes = missingScopes
    this.requiredRole = requiredRole
  }
}

export class NotFound extends DomainError {
  readonly code = 'NOT_FOUND'
  readonly id: string
  constructor(id: string, message = `no object with the id ${id} was found`) {
    super(message)
    this.id = id
  }
}

export class LinkInvalid extends DomainError {
  readonly code = 'URL_INVALID'
  constructor() {
    super('the signature of this link is invalid')
  }
}

export class LinkExpired extends DomainError {
  readonly code = 'URL_EXPIRED'
  constructor(expiredAt: number) {
    super(`this link expired at ${new Date(expiredAt).toISOString()}`)
  }
}
