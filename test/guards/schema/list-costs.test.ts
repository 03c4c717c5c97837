import {
  type GraphQLField,
  type GraphQLOutputType,
  isInterfaceType,
  isListType,
  isNonNullType,
  isObjectType,
} from 'graphql'
import { expect, test } from 'vitest'
import { maxPageSize, UNDECLARED_LIST } from '../../../src/graphql/limits/costs.ts'
import { schema } from '../../../src/schema.ts'

type Field = GraphQLField<unknown, unknown>
type Cost = { field: number; multiplier: number }

const isList = (type: GraphQLOutputType): boolean =>
  isNonNullType(type) ? isList(type.ofType) : isListType(type)

const fields = Object.values(schema.getTypeMap())
  .filter((type) => isObjectType(type) || isInterfaceType(type))
  .filter(({ name }) => !name.startsWith('__'))
  .flatMap((type) =>
    Object.values(type.getFields()).map((field) => ({ name: `${type.name}.${field.name}`, field })),
  )

const lists = fields.filter(({ field }) => isList(field.type))
const paged = fields.filter(({ field }) => field.args.some(({ name }) => name === 'first'))

/** Returns the cost of a field with these arguments; a plain number multiplies nothing. */
function costOf({ extensions }: Field, given: object): Partial<Cost> {
  const declared = extensions.complexity
  if (typeof declared !== 'function') return declared as Partial<Cost>
  return declared({ ids: ['a', 'b'], ...given })
}

test('the guard finds lists and pages', () => {
  expect(lists.length).toBeGreaterThan(70)
  expect(paged.length).toBeGreaterThan(15)
})

test.each(lists)('$name declares its maximum number of items', ({ field }) => {
  const { multiplier } = costOf(field, field.name === 'parts' ? { first: 20 } : {})
  expect(multiplier).toBeGreaterThan(0)
  expect(multiplier).toBeLessThan(UNDECLARED_LIST)
})

test.each(paged)('$name costs the maximum number of items of its page', ({ field }) => {
  const largest = field.name === 'parts' ? 1000 : maxPageSize
  const multiplierOf = (first: number | null) => costOf(field, { first }).multiplier
  expect([7, 1_000_000_000, -5].map(multiplierOf)).toEqual([7, largest, 0])
})

test('the lists of an entry cost their documented maxima', () => {
  const multiplierOf = (name: string) => {
    const field = fields.find((known) => known.name === name)?.field
    return field && costOf(field, {}).multiplier
  }
  expect(multiplierOf('File.tags')).toBe(50)
  expect(multiplierOf('Folder.ancestors')).toBe(65)
  expect(multiplierOf('Workspace.entries')).toBe(100)
  expect(multiplierOf('Workspace.tables')).toBe(100)
  expect(multiplierOf('Folder.children')).toBe(20)
})
