import { type GraphQLFieldResolver, type GraphQLSchema, isObjectType } from 'graphql'
import { NotFound } from '../errors.ts'
import type { Context } from './context.ts'

/** A field as it is shown under a sight: 'plain' is as everybody sees it. */
type Shown = 'plain' | ((row: never, args: never, context: Context) => unknown)

/**
 * What somebody sees of rows that are not theirs by any role: type by type and field by field. Whatever is not named is
 * NotFound, so that a field that is added elsewhere tomorrow shows nothing here until somebody has thought of it.
 */
export type Sight = Record<string, Record<string, Shown>>

const sights = new WeakMap<object, Sight>()

/** A copy of `row` that is only seen through `sight`; the row itself, which others may share, stays what it is. */
export function seenThrough<R extends object>(sight: Sight, row: R): R {
  const copy = { ...row }
  sights.set(copy, sight)
  return copy
}

/** Makes every field of the schema ask whether its row is seen through a sight. */
export function withSights(schema: GraphQLSchema): GraphQLSchema {
  for (const type of Object.values(schema.getTypeMap())) {
    if (!isObjectType(type) || type.name.startsWith('__')) continue
    for (const field of Object.values(type.getFields()))
      if (field.resolve) field.resolve = guarded(type.name, field.name, field.resolve)
  }
  return schema
}

type Resolver = GraphQLFieldResolver<unknown, Context>

function guarded(type: string, field: string, plain: Resolver): Resolver {
  return (row, args, context, info) => {
    const sight = typeof row === 'object' && row !== null ? sights.get(row) : undefined
    if (!sight) return plain(row, args, context, info)
    const shown = sight[type]?.[field]
    if (!shown) throw new NotFound(`${type}.${field}`, `${type}.${field} is not shown here`)
    return shown === 'plain'
      ? plain(row, args, context, info)
      : shown(row as never, args as never, context)
  }
}
