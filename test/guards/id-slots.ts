import {
  type GraphQLInputType,
  type GraphQLOutputType,
  getNamedType,
  isInputObjectType,
  isInterfaceType,
  isListType,
  isNonNullType,
  isObjectType,
  isUnionType,
} from 'graphql'

/** Every place in an input where an id goes: `entries[].entry.id`. */
export function idSlots(type: GraphQLInputType, path: string): string[] {
  if (isNonNullType(type)) return idSlots(type.ofType, path)
  if (isListType(type)) return idSlots(type.ofType, `${path}[]`)
  if (isInputObjectType(type))
    return Object.values(type.getFields()).flatMap((field) =>
      idSlots(field.type, `${path}.${field.name}`),
    )
  return type.name === 'ID' ? [path] : []
}

/** Whether `input` fills this slot. */
export const fills = (input: unknown, slot: string) => filled(input, stepsOf(slot))

/** `mine` with what `theirs` has in one slot. A path goes with its workspace. */
export const graft = (mine: unknown, theirs: unknown, slot: string) =>
  grafted(mine, theirs, stepsOf(slot.replace(/\.path\.workspaceId$/, '.path')))

const stepsOf = (slot: string) =>
  slot.split('.').flatMap((step) => (step.endsWith('[]') ? [step.slice(0, -2), '[]'] : [step]))

function filled(input: any, [step, ...rest]: string[]): boolean {
  if (input == null) return false
  if (step === undefined) return true
  return step === '[]' ? filled(input[0], rest) : filled(input[step], rest)
}

function grafted(mine: any, theirs: any, [step, ...rest]: string[]): any {
  if (step === undefined) return theirs
  if (step === '[]') return mine.map((item: unknown, i: number) => grafted(item, theirs[i], rest))
  return { ...mine, [step]: grafted(mine[step], theirs[step], rest) }
}

/**
 * A selection of all that `type` shows without being asked for more: scalars, and what is below them, `depth` types down.
 * The fields of errors bear the name of the type: ForbiddenError_missingScopes.
 */
export function selectionOf(type: GraphQLOutputType, depth = 2): string {
  const named = getNamedType(type)
  if (isUnionType(named)) {
    const members = named
      .getTypes()
      .map((member) => `... on ${member.name} ${fieldsOf(member, depth)}`)
    return `{ __typename ... on UserError { code message path } ${members.join(' ')} }`
  }
  return isObjectType(named) || isInterfaceType(named) ? fieldsOf(named, depth) : ''
}

function fieldsOf(type: any, depth: number): string {
  const isError = type.getInterfaces().some((known: { name: string }) => known.name === 'UserError')
  const fields = Object.values<any>(type.getFields()).flatMap(({ name, args, type: of }) => {
    const below: any = getNamedType(of)
    const hasFields = isObjectType(below) || isInterfaceType(below) || isUnionType(below)
    const mustBeAsked = args.some(
      (arg: any) => isNonNullType(arg.type) && arg.defaultValue === undefined,
    )
    if (mustBeAsked || /Connection$/.test(below.name)) return []
    if (hasFields && depth === 1) return []
    const selection = hasFields ? selectionOf(of, depth - 1) : ''
    // Two errors may have fields of one name and two types.
    return [`${isError ? `${type.name}_${name}: ` : ''}${name} ${selection}`]
  })
  return `{ __typename ${fields.join(' ')} }`
}
