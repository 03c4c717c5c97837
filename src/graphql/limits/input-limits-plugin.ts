import SchemaBuilder, {
  BasePlugin,
  type PothosOutputFieldConfig,
  type SchemaTypes as Types,
} from '@pothos/core'
import type { GraphQLFieldResolver, GraphQLSchema } from 'graphql'
import { isInputObjectType, isObjectType } from 'graphql'
import { checkArguments, missingLimit } from './input-limits.ts'

/**
 * Checks the arguments of every field before its resolver, and rejects a schema with an input that has no
 * limit.
 */
class InputLimitsPlugin<T extends Types> extends BasePlugin<T> {
  override wrapResolve(
    resolve: GraphQLFieldResolver<unknown, T['Context'], object>,
    { args }: PothosOutputFieldConfig<T>,
  ): GraphQLFieldResolver<unknown, T['Context'], object> {
    return Object.keys(args).length > 0 ? withCheckedArguments(resolve) : resolve
  }

  override wrapSubscribe(
    subscribe: GraphQLFieldResolver<unknown, T['Context'], object> | undefined,
  ): GraphQLFieldResolver<unknown, T['Context'], object> | undefined {
    return subscribe && withCheckedArguments(subscribe)
  }

  override afterBuild(schema: GraphQLSchema): GraphQLSchema {
    const missing = missingLimits(schema)
    if (missing.length === 0) return schema
    throw new Error(`declare limits in graphql/limits/input-limits.ts: ${missing.join('; ')}`)
  }
}

const withCheckedArguments =
  <Context>(
    resolve: GraphQLFieldResolver<unknown, Context, object>,
  ): GraphQLFieldResolver<unknown, Context, object> =>
  (parent, args, context, info) => {
    checkArguments(args, info)
    return resolve(parent, args, context, info)
  }

/** Returns the arguments and input fields of the schema that have no declared limit, each with the reason. */
export function missingLimits(schema: GraphQLSchema): string[] {
  return Object.values(schema.getTypeMap())
    .flatMap((type) => {
      if (type.name.startsWith('__')) return []
      if (isInputObjectType(type))
        return Object.values(type.getFields()).map((field) =>
          missingLimit(field.type, { owner: type.name, name: field.name }),
        )
      if (!isObjectType(type)) return []
      return Object.values(type.getFields()).flatMap(({ name, args }) =>
        args.map((arg) =>
          missingLimit(arg.type, { owner: `${type.name}.${name}`, name: arg.name }),
        ),
      )
    })
    .filter((missing) => missing !== null)
}

SchemaBuilder.registerPlugin('inputLimits', InputLimitsPlugin)

declare global {
  export namespace PothosSchemaTypes {
    interface Plugins<Types extends SchemaTypes> {
      inputLimits: InputLimitsPlugin<Types>
    }
  }
}

type SchemaTypes = Types
