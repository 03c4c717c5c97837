import fc from 'fast-check'
import type { FuzzServer } from '../fuzz-server.ts'
import { bombOf } from '../inputs/bombs.ts'
import { type Document, documentOf } from '../inputs/documents.ts'
import { Tape, tapes } from '../inputs/tape.ts'
import { mutated } from '../inputs/texts.ts'
import type { Subject } from '../runs.ts'
import { checkResult } from '../verify-answer.ts'
import { sendRequest } from '../wire.ts'

type Case = {
  kind: 'valid' | 'mutated' | 'bomb' | 'envelope'
  tape: number[]
  mutatedQuery: string | null
  type: string
  isGet: boolean
}

const types = fc.oneof(
  { weight: 20, arbitrary: fc.constant('application/json') },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      'application/json; charset=utf-16',
      'application/graphql+json',
      'text/plain',
      'multipart/form-data',
      'application/x-www-form-urlencoded',
      '',
    ),
  },
)
const kinds = fc.constantFrom('valid', 'valid', 'valid', 'bomb', 'envelope', 'mutated')

/** Valid, mutated, oversized or wrongly wrapped documents: each has a result, and errors have known codes. */
export const documents: Subject<Case> = {
  name: 'GraphQL documents',
  rows: 'S15, S34',
  cases: (server) =>
    fc
      .record({
        kind: kinds,
        tape: tapes,
        type: types,
        isGet: fc.nat(20).map((number) => number === 20),
      })
      .chain((one) => {
        const { query } = documentOf(new Tape(one.tape), server)
        const mutatedQuery =
          one.kind === 'mutated' ? mutated(fc.constant(query)) : fc.constant(null)
        return mutatedQuery.map((mutatedQuery) => ({ ...one, mutatedQuery })) as fc.Arbitrary<Case>
      }),
  async check(server, one) {
    const { body, path, type } = requestOf(server, one)
    const headers = {
      'content-type': type,
      accept: 'application/graphql-response+json',
      'graphql-require-preflight': '1',
    }
    const answer = await sendRequest(server, {
      method: one.isGet ? 'GET' : 'POST',
      path,
      headers,
      body: one.isGet ? undefined : body,
    })
    if (/event-stream|multipart/.test(String(answer.headers['content-type']))) return false
    return checkResult(answer).data != null
  },
}

function requestOf(server: FuzzServer, { kind, tape: numbers, mutatedQuery, type, isGet }: Case) {
  const tape = new Tape(numbers)
  const document = kind === 'bomb' ? bombOf(tape) : documentOf(tape, server)
  const request = mutatedQuery === null ? document : { ...document, query: mutatedQuery }
  const body = kind === 'envelope' ? envelopeOf(request, tape) : JSON.stringify(request)
  if (!isGet) return { body, type, path: '/graphql' }
  const params = new URLSearchParams({
    query: request.query.slice(0, 5000),
    variables: JSON.stringify(request.variables).slice(0, 5000),
  })
  return { body, type, path: `/graphql?${params}` }
}

const oddValues: unknown[] = [null, 1, '', 'x', [], [1], {}, { a: 1 }, true, '\ud800', '{}']
/** Wraps the document in a JSON body with a wrong, duplicate or extra member, or in broken JSON. */
function envelopeOf({ query, variables }: Document, tape: Tape): string {
  const whole = { query, variables, operationName: 'Q', extensions: {} }
  const key = tape.pick(['query', 'variables', 'operationName', 'extensions', '__proto__', 'id'])
  const json = JSON.stringify({ ...whole, [key]: tape.pick(oddValues) })
  const variants = [
    () => json,
    () => `[${json}]`,
    () => `[${Array(12).fill(json).join()}]`,
    () => `\ufeff${json}`,
    () => json.slice(0, tape.number(json.length)),
    () => json.replace('{', '{"query":"{__typename}",'),
    () => `${json} ${json}`,
    () => JSON.stringify(tape.pick(oddValues)),
    () => '['.repeat(tape.pick([10, 100_000])),
    () => json.replace(/"variables":\{/, '"variables":{"a":1e999,'),
    () => json.replace(/\{/g, '{"__proto__":{"toString":1},'),
  ]
  return tape.pick(variants)()
}
