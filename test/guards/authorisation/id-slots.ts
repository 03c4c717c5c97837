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

/** Returns the path of every position of an id in an input, for example `entries[].entry.id`. */
export function idSlots(type: GraphQLInputType, path: string): string[] {
  if (isNonNullType(type)) return idSlots(type.ofType, path)
  if (isListType(type)) return idSlots(type.ofType, `${path}[]`)
  if (isInputObjectType(type))
    return Object.values(type.getFields()).flatMap((field) =>
      idSlots(field.type, `${path}.${field.name}`),
    )
  return type.name === 'ID' ? [path] : []
}

/** Whether `input` has a value in this slot. */
export const fills = (input: unknown, slot: string) => filled(input, stepsOf(slot))

/** Returns `mine` with the value of `theirs` in one slot. A path is replaced together with its workspace. */
export const withIdIn = (mine: unknown, theirs: unknown, slot: string) =>
  replaceAt(mine, theirs, stepsOf(slot.replace(/\.path\.workspaceId$/, '.path')))

/** Returns `mine` with `value` in one slot; objects and lists that lead to it are created where needed. */
export const withValueIn = (mine: unknown, value: unknown, slot: string) =>
  placeAt(mine, value, stepsOf(slot))

const stepsOf = (slot: string) =>
  slot.split('.').flatMap((step) => (step.endsWith('[]') ? [step.slice(0, -2), '[]'] : [step]))

function filled(input: any, [step, ...rest]: string[]): boolean {
  if (input == null) return false
  if (step === undefined) return true
  return step === '[]' ? filled(input[0], rest) : filled(input[step], rest)
}

function replaceAt(mine: any, theirs: any, [step, ...rest]: string[]): any {
  if (step === undefined) return theirs
  if (step === '[]') return mine.map((item: unknown, i: number) => replaceAt(item, theirs[i], rest))
  return { ...mine, [step]: replaceAt(mine[step], theirs[step], rest) }
}

function placeAt(mine: any, value: unknown, [step, ...rest]: string[]): any {
  if (step === undefined) return value
  if (step !== '[]') return { ...mine, [step]: placeAt(mine?.[step], value, rest) }
  const [first, ...others] = mine ?? []
  return [placeAt(first, value, rest), ...others]
}

/**
 * Returns a selection of all fields of `type` without required arguments: scalars, and `depth` levels
 * of objects. Fields of errors are aliased with the type: ForbiddenError_missingScopes.
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
    const hasRequiredArguments = args.some(
      (arg: any) => isNonNullType(arg.type) && arg.defaultValue === undefined,
    )
    if (hasRequiredArguments || /Connection$/.test(below.name)) return []
    if (hasFields && depth === 1) return []
    const selection = hasFields ? selectionOf(of, depth - 1) : ''
    // Fields of two errors may have one name and two types.
    return [`${isError ? `${type.name}_${name}: ` : ''}${name} ${selection}`]
  })
  return `{ __typename ${fields.join(' ')} }`
}
