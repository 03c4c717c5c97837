import { GraphQLEnumType } from 'graphql'
import { schema } from '../../src/schema.ts'
import type { Answer } from './wire.ts'

const typed = schema.getType('ErrorCode')
/** What the house says of errors; whatever else stands there is a bug that got out. */
const knownCodes = new Set([
  ...(typed instanceof GraphQLEnumType ? typed.getValues().map(({ name }) => name) : []),
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

/** Something that must not happen, whatever was asked. */
class Finding extends Error {}

export const insist = (condition: unknown, message: string) => {
  if (!condition) throw new Finding(message)
}

/** What must be true of every answer of every door. 507 is a full workspace. */
export function sound(answer: Answer): Answer {
  const { status, headers, body } = answer
  insist(status < 500 || status === 507, `${status} ${body.toString().slice(0, 500)}`)
  const isFile = headers['content-disposition'] !== undefined
  if (!isFile && isJson(headers['content-type']) && body.length > 0)
    soundProblem(status, parsed(body))
  return answer
}

const isJson = (type = '') => /^application\/(graphql-response\+)?json/.test(type)

export function parsed(body: Buffer): any {
  try {
    return JSON.parse(body.toString())
  } catch {
    throw new Finding(`not JSON: ${body.toString().slice(0, 200)}`)
  }
}

function soundProblem(status: number, said: any) {
  if (status < 400 || said.errors) return
  insist(knownCodes.has(said.code), `${status} with the code ${said.code}`)
  insist(typeof said.message === 'string', 'a problem without a message')
}

/** A GraphQL result has data, or errors with codes that are known; its data or null. */
export function soundResult(answer: Answer): { data: any; codes: string[] } {
  const said = parsed(sound(answer).body)
  const { data, errors = [] } = said
  insist(data || errors.length > 0 || said.code, `neither data nor errors: ${JSON.stringify(said)}`)
  const codes = errors.map(({ extensions }: any) => extensions?.code)
  for (const [at, code] of codes.entries())
    insist(knownCodes.has(code), `the code ${code}: ${JSON.stringify(errors[at]).slice(0, 500)}`)
  return { data, codes }
}
