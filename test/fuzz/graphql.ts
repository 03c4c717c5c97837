import fc from 'fast-check'
import { bombOf } from './bombs.ts'
import { type Document, documentOf } from './documents.ts'
import type { Ground } from './fuzz-server.ts'
import type { Subject } from './runs.ts'
import { Tape, tapes } from './tape.ts'
import { near } from './texts.ts'
import { soundResult } from './verify-answer.ts'
import { ask } from './wire.ts'

type Case = {
  kind: 'right' | 'bent' | 'bomb' | 'envelope'
  tape: number[]
  bent: string | null
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
const kinds = fc.constantFrom('right', 'right', 'right', 'bomb', 'envelope', 'bent')

/** Documents that are right, nearly right, too much, or wrapped wrongly: each has a result, and errors have known codes. */
export const documents: Subject<Case> = {
  name: 'GraphQL documents',
  rows: 'S15, S34',
  cases: (ground) =>
    fc
      .record({
        kind: kinds,
        tape: tapes,
        type: types,
        isGet: fc.nat(20).map((number) => number === 20),
      })
      .chain((one) => {
        const { query } = documentOf(new Tape(one.tape), ground)
        const bent = one.kind === 'bent' ? near(fc.constant(query)) : fc.constant(null)
        return bent.map((bent) => ({ ...one, bent })) as fc.Arbitrary<Case>
      }),
  async check(ground, one) {
    const { body, path, type } = requestOf(ground, one)
    const headers = {
      'content-type': type,
      accept: 'application/graphql-response+json',
      'graphql-require-preflight': '1',
    }
    const answer = await ask(ground, {
      method: one.isGet ? 'GET' : 'POST',
      path,
      headers,
      body: one.isGet ? undefined : body,
    })
    if (/event-stream|multipart/.test(String(answer.headers['content-type']))) return false
    return soundResult(answer).data != null
  },
}

function requestOf(ground: Ground, { kind, tape: numbers, bent, type, isGet }: Case) {
  const tape = new Tape(numbers)
  const document = kind === 'bomb' ? bombOf(tape) : documentOf(tape, ground)
  const said = bent === null ? document : { ...document, query: bent }
  const body = kind === 'envelope' ? envelopeOf(said, tape) : JSON.stringify(said)
  if (!isGet) return { body, type, path: '/graphql' }
  const params = new URLSearchParams({
    query: said.query.slice(0, 5000),
    variables: JSON.stringify(said.variables).slice(0, 5000),
  })
  return { body, type, path: `/graphql?${params}` }
}

const odd: unknown[] = [null, 1, '', 'x', [], [1], {}, { a: 1 }, true, '\ud800', '{}']
/** The document in JSON that says too little, too much, or something else. */
function envelopeOf({ query, variables }: Document, tape: Tape): string {
  const whole = { query, variables, operationName: 'Q', extensions: {} }
  const key = tape.pick(['query', 'variables', 'operationName', 'extensions', '__proto__', 'id'])
  const json = JSON.stringify({ ...whole, [key]: tape.pick(odd) })
  const ways = [
    () => json,
    () => `[${json}]`,
    () => `[${Array(12).fill(json).join()}]`,
    () => `\ufeff${json}`,
    () => json.slice(0, tape.number(json.length)),
    () => json.replace('{', '{"query":"{__typename}",'),
    () => `${json} ${json}`,
    () => JSON.stringify(tape.pick(odd)),
    () => '['.repeat(tape.pick([10, 100_000])),
    () => json.replace(/"variables":\{/, '"variables":{"a":1e999,'),
    () => json.replace(/\{/g, '{"__proto__":{"toString":1},'),
  ]
  return tape.pick(ways)()
}
