import {
  type GraphQLObjectType,
  getNamedType,
  isInterfaceType,
  isObjectType,
  isUnionType,
} from 'graphql'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { apiScopes } from '../../../src/context.ts'
import { createMetrics } from '../../../src/http/ops/metrics.ts'
import { createRoutes } from '../../../src/http/routes.ts'
import { schema } from '../../../src/schema.ts'
import { startTestServer, type TestServer } from '../../support/servers/test-server.ts'
import {
  type Case,
  endpointCases,
  mutationCase,
  nodeCase,
  queryCases,
  subscriptionCase,
  workspaceCase,
} from './authorisation-cases.ts'
import {
  type Cell,
  endpointRules,
  expected,
  mutationRules,
  nodeRules,
  queryRules,
  type Rule,
  subscriptionRules,
  workspaceRules,
} from './authorisation-contract.ts'
import { type Column, inviteAll } from './authorisation-people.ts'
import { selectionOf } from './id-slots.ts'

let later = 0
let holdall: TestServer
let columns: Column[]
beforeAll(async () => {
  holdall = await startTestServer({
    now: () => Date.now() + later,
    env: { METRICS_TOKEN: 'a-token-for-prometheus' },
  })
  columns = await inviteAll(holdall, (ms) => {
    later += ms
  })
})
afterAll(() => holdall?.[Symbol.asyncDispose]())

const fieldsOf = (type: string) => (schema.getType(type) as GraphQLObjectType).getFields()
const mutationFields = fieldsOf('Mutation')

const cells: Record<string, Cell> = {
  UNAUTHENTICATED: '401',
  FORBIDDEN: '403',
  NOT_FOUND: '404',
  401: '401',
  403: '403',
  404: '404',
}
/** Returns the cell for the results of an actor. Any result that is not in `cells` means allowed. */
const cellFor = (results: (string | number)[]) => {
  const all = new Set(results.map((one) => cells[one] ?? '✓'))
  return all.size === 1 ? ([...all][0] ?? '?') : [...all].join('+')
}

/** Tries the actors that must be refused first, because the others may change the objects. */
async function row(rule: Rule, tried: Case, isEndpoint = false) {
  const wanted = columns.map((column) => expected(rule, column, isEndpoint))
  const results = columns.map(() => '')
  const inOrder = [...columns.keys()].sort((a, b) => +(wanted[a] === '✓') - +(wanted[b] === '✓'))
  for (const i of inOrder) {
    const column = columns[i] as Column
    const answers = await tried(holdall, column, wanted[i] === '✓')
    expect(answers.filter((one) => one === 'INTERNAL_SERVER_ERROR' || Number(one) >= 500)).toEqual(
      [],
    )
    results[i] = cellFor(answers)
  }
  const named = (values: string[]) => columns.map(({ name }, i) => `${name} ${values[i]}`)
  expect(named(results)).toEqual(named(wanted))
  return { columns: columns.map(({ name, says }) => ({ name, says })), cells: results }
}

/** The reporter prints one table of all rows if this guard runs alone. */
async function checkRow({ meta }: { meta: object }, ...of: Parameters<typeof row>) {
  Object.assign(meta, { authorisation: await row(...of) })
}

describe('S8, S9: node(id:) of a', () => {
  test.for(Object.entries(nodeRules))('%s', ([name, rule], { task }) =>
    checkRow(task, rule, nodeCase(name)),
  )
})

describe('S8: a query', () => {
  test.for(Object.entries(queryRules))('%s', ([name, rule], { task }) =>
    checkRow(task, rule, queryCases[name] as Case),
  )
})

describe('S8: Workspace.', () => {
  test.for(Object.entries(workspaceRules))('%s', ([name, rule], { task }) =>
    checkRow(task, rule, workspaceCase(name, selectionFor(name))),
  )
})

describe('S37: a subscription', () => {
  test.for(Object.entries(subscriptionRules))('%s', ([name, rule], { task }) =>
    checkRow(task, rule, subscriptionCase(name)),
  )
})

describe('S8, S10, S39: the endpoint', () => {
  test.for(Object.entries(endpointRules))('%s', ([name, rule], { task }) =>
    checkRow(task, rule, endpointCases[name] as Case, true),
  )
})

describe('S8: a mutation', () => {
  test.for(Object.entries(mutationRules))('%s', ([name, rule], { task }) =>
    checkRow(task, rule, mutationCase(name, 'results' in payloadOf(name))),
  )
})

const payloadOf = (name: string) => fieldsOf(`${name[0]?.toUpperCase()}${name.slice(1)}Payload`)

const needed: Record<string, string> = {
  entryByPath: '(path: "nothing")',
  search: '(query: "here")',
  table: '(name: "plates")',
}
function selectionFor(field: string) {
  const { type } = fieldsOf('Workspace')[field] ?? {}
  const isUnion = isUnionType(getNamedType(type))
  return `${field}${needed[field] ?? ''} ${isUnion ? '{ __typename }' : shallow(type as never)}`
}
const shallow = (type: never) => selectionOf(type, 1).replace(/\b(edges|nodes)\b/g, '')

describe('the table of permissions', () => {
  test('has a row for each operation', () => {
    expect(Object.keys(mutationRules).sort()).toEqual(Object.keys(mutationFields).sort())
    expect(Object.keys(queryRules).sort()).toEqual(Object.keys(fieldsOf('Query')).sort())
    expect(Object.keys(subscriptionRules).sort()).toEqual(
      Object.keys(fieldsOf('Subscription')).sort(),
    )
    const nodeTypes = schema.getPossibleTypes(schema.getType('Node') as never)
    expect(Object.keys(nodeRules).sort()).toEqual(nodeTypes.map(({ name }) => name).sort())
    const held = Object.values(fieldsOf('Workspace')).filter(({ type }) => isAnObject(type))
    expect(Object.keys(workspaceRules).sort()).toEqual(held.map(({ name }) => name).sort())
  })

  test('has a row for each endpoint', () => {
    const routes = createRoutes(holdall.app, createMetrics(holdall.app)).map(({ name }) => name)
    const endpoints = new Set(Object.keys(endpointRules).map((name) => name.split(' ')[0]))
    expect([...endpoints].sort()).toEqual(routes.filter((name) => name !== 'none').sort())
  })

  test('agrees with the schema about each mutation and list', () => {
    const declared = [
      ...Object.entries(mutationRules).map(([name, rule]) => [mutationFields[name], rule]),
      ...Object.entries(workspaceRules).map(([name, rule]) => [fieldsOf('Workspace')[name], rule]),
    ]
    for (const [field, { who, scope, flags }] of declared as [
      { name: string; description?: string },
      Rule,
    ][]) {
      const { name, description = '' } = field
      const scopes = apiScopes.filter((one) => description.includes(one))
      const wanted = flags.includes('reads') ? ['FILES_READ', scope] : [scope]
      if (scope !== 'FILES_READ') expect([name, ...scopes]).toEqual([name, ...wanted])
      if (who === 'EDITOR') expect(description).toMatch(/EDITOR/)
      if (who === 'OWNER') expect(description).toMatch(/OWNER|that you own|Scope TOKENS_WRITE/)
      if (who === 'VIEWER' && name !== 'table')
        expect([name, description]).toEqual([
          name,
          expect.stringMatching(/members|Requires role VIEWER/i),
        ])
    }
  })
})

const isAnObject = (type: unknown) => {
  const named = getNamedType(type as never)
  return isObjectType(named) || isInterfaceType(named) || isUnionType(named)
}
