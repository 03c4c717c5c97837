import { GraphQLEnumType } from 'graphql'
import { schema } from '../../src/schema.ts'
import type { FuzzResponse } from './wire.ts'

const errorCodeType = schema.getType('ErrorCode')
/** Known error codes. Any other code in a response is a bug. */
const knownCodes = new Set([
  ...(errorCodeType instanceof GraphQLEnumType
    ? errorCodeType.getValues().map(({ name }) => name)
    : []),
  'UNAUTHENTICATED',
  'BAD_PAGE_SIZE',
  'INVALID_CURSOR',
  'QUERY_TOO_COMPLEX',
  'RATE_LIMITED',
  'BAD_REQUEST',
  'URL_INVALID',
  'URL_EXPIRED',
  'PRECONDITION_FAILED',
  'RANGE_NOT_SATISFIABLE',
  'METHOD_NOT_ALLOWED',
  'UNSUPPORTED_MEDIA_TYPE',
  'GRAPHQL_PARSE_FAILED',
  'OPERATION_RESOLUTION_FAILURE',
  'REQUEST_ENTITY_TOO_LARGE',
  'GRAPHQL_VALIDATION_FAILED',
  'OFFSET_MISMATCH',
  'GONE',
  'LOCKED',
])

/** A violated invariant. */
class Finding extends Error {}

/** Throws Finding if the condition is false. */
export const assertInvariant = (condition: unknown, message: string) => {
  if (!condition) throw new Finding(message)
}

/** Checks the invariants of all responses and returns the response. 507 is the status of a full workspace. */
export function checkResponse(answer: FuzzResponse): FuzzResponse {
  const { status, headers, body } = answer
  assertInvariant(status < 500 || status === 507, `${status} ${body.toString().slice(0, 500)}`)
  const isFile = headers['content-disposition'] !== undefined
  if (!isFile && isJson(headers['content-type']) && body.length > 0)
    checkErrorBody(status, parseJson(body))
  return answer
}

const isJson = (type = '') => /^application\/(graphql-response\+)?json/.test(type)

/** Parses a JSON body. Throws Finding. */
export function parseJson(body: Buffer): any {
  try {
    return JSON.parse(body.toString())
  } catch {
    throw new Finding(`not JSON: ${body.toString().slice(0, 200)}`)
  }
}

function checkErrorBody(status: number, result: any) {
  if (status < 400 || result.errors) return
  assertInvariant(knownCodes.has(result.code), `${status} with the unknown code ${result.code}`)
  assertInvariant(typeof result.message === 'string', 'an error without a message')
}

/** Checks a GraphQL result: it has data, or errors with known codes. Returns its data or null. */
export function checkResult(answer: FuzzResponse): { data: any; codes: string[] } {
  const result = parseJson(checkResponse(answer).body)
  const { data, errors = [] } = result
  assertInvariant(
    data || errors.length > 0 || result.code,
    `neither data nor errors: ${JSON.stringify(result)}`,
  )
  const codes = errors.map(({ extensions }: any) => extensions?.code)
  for (const [at, code] of codes.entries())
    assertInvariant(
      knownCodes.has(code),
      `unknown code ${code}: ${JSON.stringify(errors[at]).slice(0, 500)}`,
    )
  return { data, codes }
}
