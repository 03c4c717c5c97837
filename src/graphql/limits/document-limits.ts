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
import { QueryTooComplex } from '../../errors/input.ts'

/** Limits of a document, independent of the cost of its fields. A fragment counts once per spread. */
const documentLimits = {
  tokens: 4000,
  depth: 24,
  fields: 1000,
  aliases: 100,
  directives: 100,
  fragments: 50,
}

/** The response repeats an alias in every object, so a long alias multiplies. */
const MAX_ALIAS_LENGTH = 256

type Size = Record<'depth' | 'fields' | 'aliases' | 'directives', number>
type Fragments = Map<string, { definition: FragmentDefinitionNode; size?: Size }>
type Directed = { readonly directives?: readonly unknown[] | undefined }

/** Parses a document. Throws QueryTooComplex if it has too many tokens or nests too deeply. */
export function parseWithin(source: string | Source, options: ParseOptions = {}): DocumentNode {
  try {
    return parse(source, { ...options, maxTokens: documentLimits.tokens })
  } catch (error) {
    if (isTokenLimitError(error))
      throw new QueryTooComplex(`document has more than ${documentLimits.tokens} tokens`)
    // A stack overflow: the parser is recursive, as is every later visitor of the document.
    throw error instanceof RangeError ? new QueryTooComplex('document nests too deeply') : error
  }
}

const isTokenLimitError = (error: unknown) =>
  error instanceof GraphQLError &&
  error.message.includes(`more than ${documentLimits.tokens} tokens`)

/**
 * Validates a document and stops after ten errors, because formatting a hundred takes longer than the rest.
 */
export const validateCapped: typeof validate = (schema, document, rules, options) =>
  validate(schema, document, rules, { ...options, maxErrors: 10 })

/** Costs of operations without variables, which are always the same. */
const costs = new WeakMap<OperationDefinitionNode, number>()

/**
 * Returns the cost of an operation with its variables, or 1 if it cannot be executed; execution then reports
 * the error.
 */
export function costOf(args: ExecutionArgs): number {
  const operation = getOperationAST(args.document, args.operationName)
  if (!operation || operation.variableDefinitions?.length) return countCost(args)
  const cost = costs.get(operation) ?? countCost(args)
  costs.set(operation, cost)
  return cost
}

function countCost({ schema, document, operationName, ...args }: ExecutionArgs): number {
  // complexityFromQuery evaluates the first operation, which need not be the requested one.
  const requested = getOperationAST(document, operationName)
  const definitions = document.definitions.filter(
    (definition) => definition === requested || definition.kind === Kind.FRAGMENT_DEFINITION,
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

/** Documents that have passed the checks. */
const checkedDocuments = new WeakSet<DocumentNode>()

/** Throws QueryTooComplex if a document exceeds a limit. Takes linear time, once per document. */
export function checkDocumentLimits(document: DocumentNode): void {
  if (checkedDocuments.has(document)) return
  assertWithinLimits(document)
  checkedDocuments.add(document)
}

function assertWithinLimits({ definitions }: DocumentNode) {
  const fragments: Fragments = new Map()
  for (const definition of definitions)
    if (definition.kind === Kind.FRAGMENT_DEFINITION)
      fragments.set(definition.name.value, { definition })
  assertWithinLimit('fragments', fragments.size)
  for (const definition of definitions) {
    if (definition.kind !== Kind.OPERATION_DEFINITION) continue
    const variables = (definition.variableDefinitions ?? []).map(sizeOfDirectives)
    const size = sum([
      sizeOfDirectives(definition),
      ...variables,
      sizeOf(definition.selectionSet, fragments),
    ])
    for (const [kind, count] of Object.entries(size)) assertWithinLimit(kind as keyof Size, count)
  }
}

function assertWithinLimit(kind: keyof typeof documentLimits, count: number) {
  const limit = documentLimits[kind]
  if (count <= limit) return
  const size = kind === 'depth' ? `depth ${count}` : `${count} ${kind}`
  const verb = kind === 'fields' ? 'selects' : 'has'
  throw new QueryTooComplex(`document ${verb} ${size} (limit ${limit})`)
}

function sizeOf(set: SelectionSetNode | undefined, fragments: Fragments): Size {
  return sum((set?.selections ?? []).map((selection) => sizeOfSelection(selection, fragments)))
}

function sizeOfSelection(selection: SelectionNode, fragments: Fragments): Size {
  if (selection.kind === Kind.FRAGMENT_SPREAD)
    return sum([sizeOfDirectives(selection), sizeOfFragment(selection.name.value, fragments)])
  const inner = sum([sizeOfDirectives(selection), sizeOf(selection.selectionSet, fragments)])
  if (selection.kind === Kind.INLINE_FRAGMENT) return inner
  const aliases = inner.aliases + (selection.alias ? 1 : 0)
  assertAliasLength(selection.alias?.value.length ?? 0)
  return { ...inner, aliases, depth: inner.depth + 1, fields: inner.fields + 1 }
}

function assertAliasLength(length: number) {
  if (length > MAX_ALIAS_LENGTH)
    throw new QueryTooComplex(
      `document has an alias of ${length} characters (limit ${MAX_ALIAS_LENGTH})`,
    )
}

/** Measures a fragment once. A recursive spread counts as nothing; validation rejects it later. */
function sizeOfFragment(name: string, fragments: Fragments): Size {
  const fragment = fragments.get(name)
  if (!fragment) return zeroSize
  if (fragment.size) return fragment.size
  fragment.size = zeroSize
  const { definition } = fragment
  fragment.size = sum([sizeOfDirectives(definition), sizeOf(definition.selectionSet, fragments)])
  return fragment.size
}

const zeroSize: Size = { depth: 0, fields: 0, aliases: 0, directives: 0 }

const sizeOfDirectives = ({ directives = [] }: Directed): Size => ({
  ...zeroSize,
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
    zeroSize,
  )
