import SchemaBuilder, {
  BasePlugin,
  type PothosInputFieldConfig,
  type PothosOutputFieldConfig,
  type SchemaTypes as Types,
} from '@pothos/core'
import {
  type GraphQLFieldResolver,
  type GraphQLInputType,
  type GraphQLResolveInfo,
  getNullableType,
  isInputObjectType,
  isListType,
} from 'graphql'

/**
 * Makes every argument and input field with a default nullable, because some client generators cannot omit a
 * value of a type like `Int! = 3600`. Resolvers receive the default in place of null, so the declaration has
 * `required: true` for the type of the resolver's argument.
 */
class DefaultValuesPlugin<T extends Types> extends BasePlugin<T> {
  override onInputFieldConfig(config: PothosInputFieldConfig<T>): PothosInputFieldConfig<T> {
    if (config.defaultValue === undefined) return config
    return { ...config, type: { ...config.type, required: false } }
  }

  override wrapResolve(resolve: Resolver<T>, { args }: PothosOutputFieldConfig<T>): Resolver<T> {
    return Object.keys(args).length > 0 ? withDefaults(resolve) : resolve
  }

  override wrapSubscribe(subscribe: Resolver<T> | undefined): Resolver<T> | undefined {
    return subscribe && withDefaults(subscribe)
  }
}

type Resolver<T extends Types> = GraphQLFieldResolver<unknown, T['Context'], object>

const withDefaults =
  <Context>(
    resolve: GraphQLFieldResolver<unknown, Context, object>,
  ): GraphQLFieldResolver<unknown, Context, object> =>
  (parent, args, context, info) =>
    resolve(parent, replaceNulls(declaredArguments(info), args), context, info)

const declaredArguments = ({ parentType, fieldName }: GraphQLResolveInfo) =>
  parentType.getFields()[fieldName]?.args ?? []

type Declared = { name: string; type: GraphQLInputType; defaultValue?: unknown }

/** Returns `values` with the declared default in place of each null, at every depth. */
function replaceNulls(declared: readonly Declared[], values: object): object {
  const replaced: Record<string, unknown> = { ...values }
  for (const { name, type, defaultValue } of declared) {
    const value = replaced[name]
    if (value === undefined) continue
    replaced[name] = value === null ? (defaultValue ?? null) : replaceWithin(type, value)
  }
  return replaced
}

function replaceWithin(type: GraphQLInputType, value: unknown): unknown {
  if (value == null) return value
  const nullable = getNullableType(type)
  if (isListType(nullable) && Array.isArray(value))
    return value.map((item) => replaceWithin(nullable.ofType, item))
  if (!isInputObjectType(nullable)) return value
  return replaceNulls(Object.values(nullable.getFields()), value)
}

SchemaBuilder.registerPlugin('defaultValues', DefaultValuesPlugin)

declare global {
  export namespace PothosSchemaTypes {
    interface Plugins<Types extends SchemaTypes> {
      defaultValues: DefaultValuesPlugin<Types>
    }
  }
}

type SchemaTypes = Types
