import { GraphQLError, type GraphQLErrorExtensions } from 'graphql'
import { DomainError, Forbidden, RateLimited, Unauthenticated, Unavailable } from '../../errors.ts'
import { currentRequestId, type Log } from '../../log.ts'
import { statusOf, translateDatabaseError } from '../errors.ts'

const LONGEST_MESSAGE = 1000

/** What the client reads of an error: all of ours, nothing of a bug but the id under which it was logged. */
export function toGraphQLError(error: unknown, log: Log): GraphQLError {
  const cause = translateDatabaseError(causeOf(error))
  if (cause instanceof GraphQLError) return cause
  const isOurs = cause instanceof DomainError
  const isPlain = isOurs && cause.code !== 'STORAGE_ERROR'
  if (!isPlain || cause instanceof Unavailable) log.error({ err: cause }, 'unexpected')
  const code = isOurs ? cause.code : 'INTERNAL_SERVER_ERROR'
  return new GraphQLError(isPlain ? cause.message : 'something went wrong here', {
    ...(error instanceof GraphQLError && { nodes: error.nodes, path: error.path }),
    ...(cause instanceof Error && { originalError: cause }),
    extensions: isPlain ? extensionsOf(cause) : { code, requestId: currentRequestId() },
  })
}

/**
 * Gives the errors the HTTP status that the answer deserves. GraphQL over HTTP, section 6.4: with data, however partial, it is
 * 200; without, application/graphql-response+json says what went wrong, and application/json stays at 200 (`spec`).
 */
export function setStatuses({ data, errors = [] }: Result) {
  if (data) return
  for (const error of errors) {
    const { extensions, originalError, message } = error
    extensions.code ??= 'BAD_REQUEST'
    extensions.http ??= { spec: true, status: originalError ? statusOf(originalError) : 400 }
    // graphql shows a wrong value in full, and a list that nests 1,000 deep with 1,000 indentations.
    if (message.length > LONGEST_MESSAGE) error.message = `${message.slice(0, LONGEST_MESSAGE)}…`
  }
}
type Result = { data?: unknown; errors?: readonly GraphQLError[] | undefined }

/** The refusal of a request that comes while this process shuts down; another one, or the next, will answer it. */
export const unavailable = () =>
  new GraphQLError('the server is shutting down; try again', {
    extensions: {
      code: 'UNAVAILABLE',
      retryAfterSeconds: 2,
      http: { status: 503, headers: { 'Retry-After': '2' } },
    },
  })

/** A request that costs too much is refused whole: once, not once for each of its fields. */
export function collapseComplexityErrors(
  errors: readonly GraphQLError[] | undefined,
): GraphQLError | undefined {
  const refusal = errors?.find(({ extensions }) => extensions.code === 'QUERY_TOO_COMPLEX')
  return refusal && new GraphQLError(refusal.message, { extensions: refusal.extensions })
}

/** What graphql wraps, unless that is its own: then the outermost says most, as in which field a value is wrong. */
function causeOf(error: unknown): unknown {
  const root = rootOf(error)
  return root instanceof GraphQLError ? error : root
}

const rootOf = (error: unknown): unknown =>
  error instanceof GraphQLError && error.originalError ? rootOf(error.originalError) : error

function extensionsOf(error: DomainError): GraphQLErrorExtensions {
  const { code, path } = error
  return { code, ...(path && { path }), ...beyondCode(error) }
}

/** What concerns the whole request has its status whatever else was answered. */
function beyondCode(error: DomainError): GraphQLErrorExtensions {
  if (error instanceof Unauthenticated)
    return { http: { status: 401, headers: { 'WWW-Authenticate': 'Bearer' } } }
  if (error instanceof Forbidden && error.missingScopes.length > 0)
    return { missingScopes: error.missingScopes }
  if (!(error instanceof RateLimited || error instanceof Unavailable)) return {}
  const { retryAfterSeconds } = error
  const headers = { 'Retry-After': String(retryAfterSeconds) }
  return { retryAfterSeconds, http: { status: statusOf(error), headers } }
}
