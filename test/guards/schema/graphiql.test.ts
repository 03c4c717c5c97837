import { parse, validate } from 'graphql'
import { expect, test } from 'vitest'
import { steps } from '../../../src/http/graphql/graphiql-examples.ts'
import { schema } from '../../../src/schema.ts'

test.each(steps.map(({ query }) => query))('GraphiQL opens with a valid operation: %s', (query) => {
  expect(validate(schema, parse(query))).toEqual([])
})

test('has a tab for each main task', () => {
  const names = steps.map(({ query }) => /(?:mutation|query) (\w+)/.exec(query)?.[1])
  expect(names).toEqual([
    'CreateWorkspace',
    'CreateUpload',
    'ConfirmUpload',
    'List',
    'Trash',
    'Restore',
  ])
})
