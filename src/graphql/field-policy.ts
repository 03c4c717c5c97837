import {
  defaultFieldResolver,
  type GraphQLField,
  type GraphQLFieldResolver,
  type GraphQLOutputType,
  type GraphQLResolveInfo,
  type GraphQLSchema,
  getNamedType,
  isLeafType,
  isObjectType,
} from 'graphql'
import { Forbidden, NotFound } from '../errors.ts'
import type { ExecutionBudget } from './budget.ts'
import type { Context } from './context.ts'
import { scopeOf } from './field-scopes.ts'
import { typenameBytes } from './typename-bytes.ts'

/** A field as it is shown under a sight: 'plain' is as everybody sees it. */
type Shown = 'plain' | ((row: never, args: never, context: Context) => unknown)

/**
 * What somebody sees of rows that are not theirs by any role: type by type and field by field. Whatever is not named is
 * NotFound, so that a field that is added elsewhere tomorrow shows nothing here until somebody has thought of it.
 */
export type FieldPolicy = Record<string, Record<string, Shown>>

const sights = new WeakMap<object, FieldPolicy>()

/** A copy of `row` that is only seen through `sight`; the row itself, which others may share, stays what it is. */
export function restrict<R extends object>(sight: FieldPolicy, row: R): R {
  const copy = { ...row }
  sights.set(copy, sight)
  return copy
}

/**
 * Puts the one wrapper around the resolver of every field: it asks whether the row is seen through a sight,
 * and else for the scope that opens the field, counts what the field gives against the budget of its
 * execution, and resolves nothing once that has stopped. Introspection is counted, too.
 */
export function withSights(schema: GraphQLSchema): GraphQLSchema {
  for (const type of Object.values(schema.getTypeMap())) {
    if (!isObjectType(type)) continue
    for (const field of Object.values(type.getFields())) {
      const plain = field.resolve ?? defaultFieldResolver
      const resolve = type.name.startsWith('__') ? plain : guarded(type.name, field.name, plain)
      field.resolve = counted(field, type.name === 'Mutation' ? mutating(resolve) : resolve)
    }
  }
  return schema
}

type Resolver = GraphQLFieldResolver<unknown, Context>

function guarded(type: string, field: string, plain: Resolver): Resolver {
  const scope = scopeOf(type, field)
  return (row, args, context, info) => {
    const sight = typeof row === 'object' && row !== null ? sights.get(row) : undefined
    if (!sight) {
      if (scope && context.viewer && !context.viewer.scopes.has(scope))
        throw new Forbidden({ missingScopes: [scope] })
      return plain(row, args, context, info)
    }
    const shown = sight[type]?.[field]
    if (!shown) throw new NotFound(`${type}.${field}`, `${type}.${field} is not shown here`)
    return shown === 'plain'
      ? plain(row, args, context, info)
      : shown(row as never, args as never, context)
  }
}

const mutating =
  (resolve: Resolver): Resolver =>
  (row, args, context, info) =>
    context.budget.mutate(() => resolve(row, args, context, info))

function counted({ type }: GraphQLField<unknown, Context>, resolve: Resolver): Resolver {
  const count = counterOf(type)
  return (row, args, context, info) => {
    const { budget } = context
    // An error for each field that is still to come would take more memory than their values.
    if (budget.stopped) return null
    budget.countField((info.path.key as string).length)
    const value = resolve(row, args, context, info)
    if (value instanceof Promise) return value.then((value) => count(budget, value, info))
    return count(budget, value, info)
  }
}

const BYTES_OF_A_NUMBER = 10

type Count = (budget: ExecutionBudget, value: unknown, info: GraphQLResolveInfo) => void

function counterOf(type: GraphQLOutputType) {
  const countOne = isLeafType(getNamedType(type)) ? countLeaf : countObject
  return <T>(budget: ExecutionBudget, value: T, info: GraphQLResolveInfo): T => {
    if (!Array.isArray(value)) countOne(budget, value, info)
    else for (const item of value) countOne(budget, item, info)
    return value
  }
}

const countObject: Count = (budget, value, info) => {
  if (value == null) return
  budget.countNodes(1)
  // graphql resolves __typename itself.
  for (const { selectionSet } of info.fieldNodes)
    if (selectionSet) budget.countBytes(typenameBytes(selectionSet, info.fragments))
}

const countLeaf: Count = (budget, value) => budget.countBytes(jsonBytes(value))

/** Text that JSON writes as it is, a byte for each character. */
const PLAIN_TEXT = /^[ !#-[\]-~]*$/

function jsonBytes(value: unknown): number {
  if (typeof value === 'string' && PLAIN_TEXT.test(value)) return value.length
  if (typeof value === 'number') return BYTES_OF_A_NUMBER
  return Buffer.byteLength(JSON.stringify(value) ?? '')
}
