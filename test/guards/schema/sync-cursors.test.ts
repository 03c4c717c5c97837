import { getNamedType, isObjectType, isUnionType } from 'graphql'
import { expect, test } from 'vitest'
import { schema } from '../../../src/schema.ts'

/** Mutations of tokens, which may be valid for all workspaces of their user. */
const withoutWorkspace = ['createApiToken', 'revokeAllApiTokens', 'revokeApiToken']

const payloadOf = (type: unknown) =>
  isUnionType(type) ? type.getTypes().find(({ name }) => name.endsWith('Payload')) : type

test('the payload of every mutation of one workspace has a syncCursor', () => {
  const mutations = Object.values(schema.getMutationType()?.getFields() ?? {})
  expect(mutations.length).toBeGreaterThan(30)
  const missing = mutations.filter(({ type }) => {
    const payload = payloadOf(getNamedType(type))
    return !isObjectType(payload) || !('syncCursor' in payload.getFields())
  })
  expect(missing.map(({ name }) => name).sort()).toEqual(withoutWorkspace)
})
