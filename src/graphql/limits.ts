import { complexityFromQuery } from '@pothos/plugin-complexity'
import {
  type DocumentNode,
  type ExecutionArgs,
  type FragmentDefinitionNode,
  GraphQLError,
  getOperationAST,
  Kind,
  type OperationDefinitionNode,
  type ParseOptions,
  parse,
  type SelectionNode,
  type SelectionSetNode,
  type Source,
  validate,
} from 'graphql'
import { QueryTooComplex } from '../errors.ts'

/** What a document may hold, whatever its fields cost. A fragment counts as often as it is spread. */
const documentLimits = {
  tokens: 4000,
  depth: 24,
  fields: 1000,
  aliases: 100,
  directives: 100,
  fragments: 50,
}

/** An answer repeats an alias in each of its objects. */
const MAX_ALIAS_LENGTH = 256

type Size = Record<'depth' | 'fields' | 'aliases' | 'directives', number>
type Fragments = Map<string, { definition: FragmentDefinitionNode; size?: Size }>
type Directed = { readonly directives?: readonly unknown[] | undefined }

/** graphql's parse; throws QueryTooComplex at the token beyond the limit, and where brackets nest too deep for it. */
export function parseWithin(source: string | Source, options: ParseOptions = {}): DocumentNode {
  try {
    return parse(source, { ...options, maxTokens: documentLimits.tokens })
  } catch (error) {
    if (isTooLong(error))
      throw new QueryTooComplex(`this document has more than ${documentLimits.tokens} tokens`)
    // The stack's end: the parser is recursive, and so would be whatever reads the document after it.
    throw error instanceof RangeError
      ? new QueryTooComplex('this document nests too deeply')
      : error
  }
}

const isTooLong = (error: unknown) =>
  error instanceof GraphQLError &&
  error.message.includes(`more than ${documentLimits.tokens} tokens`)

/** graphql's validate, which gives up after ten errors: a hundred take longer to word than all else takes. */
export const validateCapped: typeof validate = (schema, document, rules, options) =>
  validate(schema, document, rules, { ...options, maxErrors: 10 })

/** What takes no variables costs what it cost before. */
const costs = new WeakMap<OperationDefinitionNode, number>()

/** The points that an operation costs, with its variables; 1 for one that cannot be run, as execution will say. */
export function costOf(args: ExecutionArgs): number {
  const operation = getOperationAST(args.document, args.operationName)
  if (!operation || operation.variableDefinitions?.length) return countCost(args)
  const cost = costs.get(operation) ?? countCost(args)
  costs.set(operation, cost)
  return cost
}

function countCost({ schema, document, operationName, ...args }: ExecutionArgs): number {
  // complexityFromQuery takes the first operation, which need not be the one that was asked for.
  const asked = getOperationAST(document, operationName)
  const definitions = document.definitions.filter(
    (definition) => definition === asked || definition.kind === Kind.FRAGMENT_DEFINITION,
  )
  const query = { ...document, definitions }
  const variables = { ...args.variableValues }
  try {
    const { complexity } = complexityFromQuery(query, {
      schema,
      ctx: args.contextValue as object,
      variables,
    })
    return Math.max(Math.ceil(complexity), 1)
  } catch {
    return 1
  }
}

/** Documents that were walked through and found to be within the limits. */
const harmless = new WeakSet<DocumentNode>()

/** Throws QueryTooComplex for a document beyond a limit. One walk for each, in time linear to its tokens. */
export function checkDocumentLimits(document: DocumentNode): void {
  if (harmless.has(document)) return
  refuseLarge(document)
  harmless.add(document)
}

function refuseLarge({ definitions }: DocumentNode) {
  const fragments: Fragments = new Map()
  for (const definition of definitions)
    if (definition.kind === Kind.FRAGMENT_DEFINITION)
      fragments.set(definition.name.value, { definition })
  refuseBeyond('fragments', fragments.size)
  for (const definition of definitions) {
    if (definition.kind !== Kind.OPERATION_DEFINITION) continue
    const variables = (definition.variableDefinitions ?? []).map(ofDirectives)
    const size = sum([
      ofDirectives(definition),
      ...variables,
      sizeOf(definition.selectionSet, fragments),
    ])
    for (const [what, much] of Object.entries(size)) refuseBeyond(what as keyof Size, much)
  }
}

function refuseBeyond(what: keyof typeof documentLimits, much: number) {
  const most = documentLimits[what]
  if (much > most)
    throw new QueryTooComplex(
      `this document has ${what === 'depth' ? 'the depth' : `${what}:`} ${much}; at most ${most} is read`,
    )
}

function sizeOf(set: SelectionSetNode | undefined, fragments: Fragments): Size {
  return sum((set?.selections ?? []).map((selection) => ofSelection(selection, fragments)))
}

function ofSelection(selection: SelectionNode, fragments: Fragments): Size {
  if (selection.kind === Kind.FRAGMENT_SPREAD)
    return sum([ofDirectives(selection), ofFragment(selection.name.value, fragments)])
  const inner = sum([ofDirectives(selection), sizeOf(selection.selectionSet, fragments)])
  if (selection.kind === Kind.INLINE_FRAGMENT) return inner
  const aliases = inner.aliases + (selection.alias ? 1 : 0)
  refuseLongAlias(selection.alias?.value.length ?? 0)
  return { ...inner, aliases, depth: inner.depth + 1, fields: inner.fields + 1 }
}

function refuseLongAlias(length: number) {
  if (length > MAX_ALIAS_LENGTH)
    throw new QueryTooComplex(
      `this document has an alias of ${length} characters; at most ${MAX_ALIAS_LENGTH} are read`,
    )
}

/** Measured once. One that spreads itself counts as nothing inside itself; validation refuses it later. */
function ofFragment(name: string, fragments: Fragments): Size {
  const fragment = fragments.get(name)
  if (!fragment) return nothing
  if (fragment.size) return fragment.size
  fragment.size = nothing
  const { definition } = fragment
  fragment.size = sum([ofDirectives(definition), sizeOf(definition.selectionSet, fragments)])
  return fragment.size
}

const nothing: Size = { depth: 0, fields: 0, aliases: 0, directives: 0 }

const ofDirectives = ({ directives = [] }: Directed): Size => ({
  ...nothing,
  directives: directives.length,
})

const sum = (sizes: Size[]): Size =>
  sizes.reduce(
    (a, b) => ({
      depth: Math.max(a.depth, b.depth),
      fields: a.fields + b.fields,
      aliases: a.aliases + b.aliases,
      directives: a.directives + b.directives,
    }),
    nothing,
  )
