import { type GraphQLSchema, isAbstractType, isObjectType } from 'graphql'

const sorted = (names: string[]) => names.toSorted((a, b) => (a < b ? -1 : 1))

/** Returns the object types of each interface and union, for `possibleTypes` of Apollo Client's cache. */
export function possibleTypes(schema: GraphQLSchema): Record<string, string[]> {
  const entries = Object.values(schema.getTypeMap())
    .filter(isAbstractType)
    .map(
      (type) => [type.name, sorted(schema.getPossibleTypes(type).map(({ name }) => name))] as const,
    )
  return Object.fromEntries(entries.toSorted(([a], [b]) => (a < b ? -1 : 1)))
}

/**
 * Returns the object types whose objects a normalising cache must store inside their parent: they have
 * no id of their own.
 */
export function keylessTypes(schema: GraphQLSchema): string[] {
  const roots = [schema.getQueryType(), schema.getMutationType(), schema.getSubscriptionType()]
  const keyless = Object.values(schema.getTypeMap()).filter(
    (type) =>
      isObjectType(type) &&
      !type.name.startsWith('__') &&
      !roots.includes(type) &&
      // The id of an error is that of another object.
      (!type.getFields().id || type.getInterfaces().some(({ name }) => name === 'UserError')),
  )
  return sorted(keyless.map(({ name }) => name))
}
