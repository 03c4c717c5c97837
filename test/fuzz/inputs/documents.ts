import {
  type GraphQLArgument,
  type GraphQLField,
  type GraphQLNamedType,
  getNamedType,
  isCompositeType,
  isNonNullType,
  isObjectType,
  isUnionType,
} from 'graphql'
import { schema } from '../../../src/schema.ts'
import type { FuzzServer } from '../fuzz-server.ts'
import type { Tape } from './tape.ts'
import { valueFor } from './values.ts'

/** A document and its variables. */
export type Document = { query: string; variables: Record<string, unknown> }

const MAX_FIELD_COUNT = 60

/** Draws a valid operation: fields, fragments, directives, and arguments as literals or variables. */
export function documentOf(tape: Tape, server: FuzzServer): Document {
  const kind = tape.pick(['query', 'query', 'mutation'] as const)
  const root = (
    kind === 'query' ? schema.getQueryType() : schema.getMutationType()
  ) as GraphQLNamedType
  const state: State = { tape, server, declared: [], variables: {}, fragments: [], fields: 0 }
  const selection = selectionOf(root, state, 0)
  const declared = state.declared.length > 0 ? `(${state.declared.join(', ')})` : ''
  const query = [`${kind} Q${declared} ${selection}`, ...state.fragments].join('\n')
  return { query, variables: state.variables }
}

type State = {
  tape: Tape
  server: FuzzServer
  declared: string[]
  variables: Record<string, unknown>
  fragments: string[]
  fields: number
}

function selectionOf(type: GraphQLNamedType, state: State, depth: number): string {
  const { tape } = state
  const parts = ['__typename']
  if (isUnionType(type) || (!isObjectType(type) && isCompositeType(type)))
    parts.push(...membersOf(type, state, depth))
  if (!isUnionType(type)) {
    const fields = Object.values((type as { getFields: () => Record<string, Field> }).getFields())
    const count = depth === 0 ? 1 + tape.number(2) : 1 + tape.number(4)
    for (let i = 0; i < count; i++) parts.push(fieldOf(tape.pick(fields), state, depth))
  }
  return `{ ${parts.join(' ')} }`
}
type Field = GraphQLField<unknown, unknown>

function membersOf(type: GraphQLNamedType, state: State, depth: number): string[] {
  const members = isCompositeType(type) && !isObjectType(type) ? schema.getPossibleTypes(type) : []
  const { tape } = state
  return Array.from({ length: Math.min(members.length, 1 + tape.number(2)) }, (_, i) => {
    // The first member of a union is the payload of the mutation, if it has one.
    const payload = members.find(({ name }) => name.endsWith('Payload'))
    const member = i === 0 && payload ? payload : tape.pick(members)
    if (!tape.once(6))
      return `... on ${member.name}${directive(state)} ${selectionOf(member, state, depth + 1)}`
    const name = `F${state.fragments.length}`
    const at = state.fragments.push('') - 1
    state.fragments[at] =
      `fragment ${name} on ${member.name} ${selectionOf(member, state, depth + 1)}`
    return `...${name}${directive(state)}`
  })
}

/** Selects a field under a unique alias, because fields with the same alias must be equal. */
function fieldOf(field: Field, state: State, depth: number): string {
  const below = getNamedType(field.type)
  const isLeaf = !isCompositeType(below)
  if (!isLeaf && (depth > 6 || state.fields > MAX_FIELD_COUNT)) return ''
  const name = `a${state.fields++}`
  const argumentList = field.args
    .filter((arg) => isRequired(arg) || state.tape.number(3) === 1)
    .map((arg) => argumentOf(arg, state))
  const args = argumentList.length > 0 ? `(${argumentList.join(', ')})` : ''
  return `${name}: ${field.name}${args}${directive(state)} ${isLeaf ? '' : selectionOf(below, state, depth + 1)}`
}

const isRequired = (arg: GraphQLArgument) =>
  isNonNullType(arg.type) && arg.defaultValue === undefined && arg.default === undefined

function argumentOf({ name, type }: GraphQLArgument, state: State): string {
  const value = valueFor(type, name, state.server, state.tape)
  if (state.tape.once(3) && !hasEnum(type)) return `${name}: ${literal(value)}`
  const variable = `v${state.declared.length}`
  // A nullable variable in a non-null position without a default is invalid.
  const declared = state.tape.once(25) ? String(type).replace(/!$/, '') : String(type)
  state.declared.push(`$${variable}: ${declared}`)
  if (!state.tape.once(30)) state.variables[variable] = value
  return `${name}: $${variable}`
}

const hasEnum = (type: unknown) => /Order|Filter|Input|Disposition|Status/.test(String(type))

function directive({ tape, declared, variables }: State): string {
  if (!tape.once(15)) return ''
  const variable = `b${declared.length}`
  declared.push(`$${variable}: Boolean!`)
  variables[variable] = tape.once(20) ? null : tape.pick([true, false])
  const name = tape.once(20) ? 'defer' : tape.pick(['include', 'skip'])
  return ` @${name}(if: $${variable})`
}

/** Formats a value as a GraphQL literal. */
function literal(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(literal).join(', ')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  return `{${Object.entries(value)
    .map(([key, inner]) => `${key}: ${literal(inner)}`)
    .join(', ')}}`
}
