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
import { Forbidden, NotFound } from '../errors/access.ts'
import type { Context } from './context.ts'
import { scopeOf } from './field-scopes.ts'
import type { ExecutionBudget } from './limits/execution-budget.ts'
import { typenameBytes } from './limits/typename-bytes.ts'

/** How a restricted row resolves a field: 'plain' uses the resolver of the schema, a function replaces it. */
type FieldRule = 'plain' | ((row: never, args: never, context: Context) => unknown)

/**
 * The fields of rows that a viewer sees without a role, by type and field name. Any other field throws
 * NotFound, so a new field stays hidden until the policy lists it.
 */
export type FieldPolicy = Record<string, Record<string, FieldRule>>

/** The key of the policy of a row. A property, because a WeakMap costs each field of each row a look-up. */
const POLICY = Symbol('policy')

/** Returns a copy of `row` whose fields resolve only as `policy` allows. The row itself is unchanged. */
export function restrict<R extends object>(policy: FieldPolicy, row: R): R {
  return { ...row, [POLICY]: policy }
}

/**
 * Wraps the resolver of every field. The wrapper applies the policy of a restricted row, or else requires the
 * scope of the field; it counts the result against the execution budget, and resolves nothing once the budget
 * has stopped. Introspection fields are counted as well.
 */
export function withFieldPolicies(schema: GraphQLSchema): GraphQLSchema {
  for (const type of Object.values(schema.getTypeMap())) {
    if (!isObjectType(type)) continue
    for (const field of Object.values(type.getFields()))
      field.resolve = resolverOf(type.name, field)
  }
  return schema
}

type Field = GraphQLField<unknown, Context>
type Resolver = GraphQLFieldResolver<unknown, Context>

function resolverOf(type: string, field: Field): Resolver {
  const plain = field.resolve ?? defaultFieldResolver
  if (type.startsWith('__')) return counted(field, plain)
  const resolve = guarded(type, field.name, plain)
  return counted(field, type === 'Mutation' ? mutating(resolve) : resolve)
}

function guarded(type: string, field: string, plain: Resolver): Resolver {
  const scope = scopeOf(type, field)
  return (row, args, context, info) => {
    const policy = (row as { [POLICY]?: FieldPolicy } | null | undefined)?.[POLICY]
    if (policy) return resolveByPolicy(policy, { type, field, plain }, [row, args, context, info])
    if (scope && context.viewer && !context.viewer.scopes.has(scope))
      throw new Forbidden({ missingScopes: [scope] })
    return plain(row, args, context, info)
  }
}

type Guarded = { type: string; field: string; plain: Resolver }

function resolveByPolicy(
  policy: FieldPolicy,
  { type, field, plain }: Guarded,
  call: Parameters<Resolver>,
) {
  const rule = policy[type]?.[field]
  if (!rule) throw new NotFound(`${type}.${field}`, `${type}.${field} is not available here`)
  const [row, args, context] = call
  return rule === 'plain' ? plain(...call) : rule(row as never, args as never, context)
}

const mutating =
  (resolve: Resolver): Resolver =>
  (row, args, context, info) =>
    context.budget.mutate(() => resolve(row, args, context, info))

function counted({ type }: Field, resolve: Resolver): Resolver {
  const count = counterOf(type)
  return (row, args, context, info) => {
    const { budget } = context
    // null, because one error per remaining field would take more memory than the values.
    if (budget.stopped) return null
    budget.countField((info.path.key as string).length)
    const value = resolve(row, args, context, info)
    if (value instanceof Promise) return value.then((value) => count(budget, value, info))
    return count(budget, value, info)
  }
}

const NUMBER_BYTES = 10

type Count = (budget: ExecutionBudget, value: unknown, info: GraphQLResolveInfo) => void

function counterOf(type: GraphQLOutputType) {
  const count = isLeafType(getNamedType(type)) ? countLeaves : countObjects
  return <T>(budget: ExecutionBudget, value: T, info: GraphQLResolveInfo): T => {
    count(budget, value, info)
    return value
  }
}

const countLeaves: Count = (budget, value) => {
  if (!Array.isArray(value)) return budget.countBytes(jsonBytes(value))
  for (const item of value) budget.countBytes(jsonBytes(item))
}

const countObjects: Count = (budget, value, info) => {
  if (value == null) return
  const count = Array.isArray(value) ? value.length : 1
  budget.countNodes(count)
  // The graphql library resolves __typename itself, without this wrapper.
  for (const { selectionSet } of info.fieldNodes)
    if (selectionSet) budget.countBytes(count * typenameBytes(selectionSet, info.fragments))
}

/** Text that JSON encodes without escapes, one byte per character. */
const PLAIN_TEXT = /^[ !#-[\]-~]*$/

function jsonBytes(value: unknown): number {
  if (typeof value === 'string' && PLAIN_TEXT.test(value)) return value.length
  if (typeof value === 'number' || typeof value === 'boolean') return NUMBER_BYTES
  return Buffer.byteLength(JSON.stringify(value) ?? '')
}
