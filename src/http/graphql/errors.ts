import { GraphQLError, type GraphQLErrorExtensions } from 'graphql'
import { Forbidden, Unauthenticated } from '../../errors/access.ts'
import { RateLimited, Unavailable } from '../../errors/availability.ts'
import { DomainError } from '../../errors/domain-error.ts'
import { currentRequestId, type Log } from '../../log.ts'
import { statusOf, translateDatabaseError } from '../errors.ts'

const MAX_MESSAGE_LENGTH = 1000

/**
 * Converts an error for the client. Of a bug or a storage error the client receives only the code and the
 * request id.
 */
export function toGraphQLError(error: unknown, log: Log): GraphQLError {
  const cause = translateDatabaseError(causeOf(error))
  if (cause instanceof GraphQLError) return cause
  const isDomainError = cause instanceof DomainError
  const isPublic = isDomainError && cause.code !== 'STORAGE_ERROR'
  if (!isPublic || cause instanceof Unavailable) log.error({ err: cause }, 'unexpected')
  const code = isDomainError ? cause.code : 'INTERNAL_SERVER_ERROR'
  return new GraphQLError(isPublic ? cause.message : 'internal server error', {
    ...(error instanceof GraphQLError && { nodes: error.nodes, path: error.path }),
    ...(cause instanceof Error && { originalError: cause }),
    extensions: isPublic ? extensionsOf(cause) : { code, requestId: currentRequestId() },
  })
}

/**
 * Sets the HTTP status of a result without data. GraphQL over HTTP, section 6.4: a result with data, even
 * partial, is 200; without data, application/graphql-response+json has an error status, and
 * application/json is 200 (`spec`).
 */
export function setStatuses({ data, errors = [] }: Result) {
  if (data) return
  for (const error of errors) {
    const { extensions, originalError, message } = error
    extensions.code ??= 'BAD_REQUEST'
    extensions.http ??= { spec: true, status: originalError ? statusOf(originalError) : 400 }
    // graphql prints invalid values in full, and a list of depth 1,000 with 1,000 levels of indentation.
    if (message.length > MAX_MESSAGE_LENGTH)
      error.message = `${message.slice(0, MAX_MESSAGE_LENGTH)}…`
  }
}
type Result = { data?: unknown; errors?: readonly GraphQLError[] | undefined }

/** Returns the error for requests that arrive during shutdown. */
export const unavailable = () =>
  new GraphQLError('the server is shutting down; retry later', {
    extensions: {
      code: 'UNAVAILABLE',
      retryAfterSeconds: 2,
      http: { status: 503, headers: { 'Retry-After': '2' } },
    },
  })

/**
 * Returns one error for a request that exceeds the complexity limit, which Pothos reports once per root
 * field, or undefined for other requests.
 */
export function collapseComplexityErrors(
  errors: readonly GraphQLError[] | undefined,
): GraphQLError | undefined {
  const error = errors?.find(({ extensions }) => extensions.code === 'QUERY_TOO_COMPLEX')
  return error && new GraphQLError(error.message, { extensions: error.extensions })
}

/** Returns the original error, or the outermost GraphQLError if graphql itself threw: it names the field. */
function causeOf(error: unknown): unknown {
  const root = rootOf(error)
  return root instanceof GraphQLError ? error : root
}

const rootOf = (error: unknown): unknown =>
  error instanceof GraphQLError && error.originalError ? rootOf(error.originalError) : error

function extensionsOf(error: DomainError): GraphQLErrorExtensions {
  const { code, path } = error
  return { code, ...(path && { path }), ...extraExtensions(error) }
}

/** Errors that concern the whole request set the HTTP status even if the result has data. */
function extraExtensions(error: DomainError): GraphQLErrorExtensions {
  if (error instanceof Unauthenticated)
    return { http: { status: 401, headers: { 'WWW-Authenticate': 'Bearer' } } }
  if (error instanceof Forbidden && error.missingScopes.length > 0)
    return { missingScopes: error.missingScopes }
  if (!(error instanceof RateLimited || error instanceof Unavailable)) return {}
  const { retryAfterSeconds } = error
  const headers = { 'Retry-After': String(retryAfterSeconds) }
  return { retryAfterSeconds, http: { status: statusOf(error), headers } }
}
