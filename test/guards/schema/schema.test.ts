import {
  buildSchema,
  type GraphQLInputType,
  getNamedType,
  isInputObjectType,
  isNonNullType,
  isObjectType,
} from 'graphql'
import { expect, test } from 'vitest'
import { printedSchema, schema } from '../../../src/schema.ts'
import { keylessTypes, possibleTypes } from './client-files.ts'

test('schema.graphql matches the code (npm test -- -u writes it)', async () => {
  await expect(printedSchema).toMatchFileSnapshot('../../../schema.graphql')
})

test('the files for the caches of clients match the schema (npm test -- -u writes them)', async () => {
  const asJson = (value: unknown) => `${JSON.stringify(value, null, 2)}\n`
  await expect(asJson(possibleTypes(schema))).toMatchFileSnapshot('../../../possibleTypes.json')
  await expect(asJson(keylessTypes(schema))).toMatchFileSnapshot('../../../keylessTypes.json')
})

test('schema.graphql defines @oneOf for parsers without that directive', () => {
  expect(printedSchema).toMatch(/^directive @oneOf on INPUT_OBJECT$/m)
  expect(buildSchema(printedSchema).getType('EntryRef')).toMatchObject({ isOneOf: true })
})

test('no description ends a comment of generated Java or TypeScript', () => {
  expect(printedSchema).not.toContain('*/')
})

test('every argument and input field with a default is nullable', () => {
  const types = Object.values(schema.getTypeMap()).filter(({ name }) => !name.startsWith('__'))
  const inputs: { name: string; type: GraphQLInputType; defaultValue?: unknown }[] = [
    ...types.filter(isInputObjectType).flatMap((type) => Object.values(type.getFields())),
    ...types
      .filter(isObjectType)
      .flatMap((type) => Object.values(type.getFields()).flatMap(({ args }) => args)),
  ]
  const required = inputs.filter(
    ({ type, defaultValue }) => defaultValue !== undefined && isNonNullType(type),
  )
  expect(required.map(({ name, type }) => `${name}: ${type}`)).toEqual([])
})

test('edges of pages hold Nodes, except of rows that are not objects of their own', () => {
  const edges = Object.values(schema.getTypeMap()).filter(({ name }) => name.endsWith('Edge'))
  const withoutNode = edges.flatMap((edge) => {
    const node = isObjectType(edge) ? getNamedType(edge.getFields().node?.type) : null
    const interfaces = node && 'getInterfaces' in node ? node.getInterfaces() : []
    return interfaces.some(({ name }) => name === 'Node') ? [] : [edge.name]
  })
  expect(withoutNode).toEqual(['DuplicateEdge', 'ServerEventEdge'])
})
