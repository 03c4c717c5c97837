import SchemaBuilder from '@pothos/core'
import ComplexityPlugin from '@pothos/plugin-complexity'
import ErrorsPlugin from '@pothos/plugin-errors'
import RelayPlugin from '@pothos/plugin-relay'
import { QueryTooComplex } from '../errors/input.ts'
import type { Context } from './context.ts'
import './default-values-plugin.ts'
import {
  defaultPageSize,
  listCost,
  maxPageSize,
  pageCost,
  UNDECLARED_LIST,
} from './limits/costs.ts'
import './limits/input-limits-plugin.ts'

type Same<T> = { Input: T; Output: T }

/** The schema builder with which every domain declares its types. */
export const builder = new SchemaBuilder<{
  Context: Context
  DefaultFieldNullability: false
  DefaultEdgesNullability: false
  DefaultNodeNullability: false
  Connection: { totalCount: () => Promise<number> }
  Scalars: {
    ID: Same<string>
    DateTime: Same<number>
    URL: Same<string>
    ByteCount: Same<number>
    SyncCursor: Same<string>
    JSONObject: Same<Record<string, unknown>>
  }
}>({
  // The limits come after the errors plugin, so that a rejected argument becomes a member of the result
  // union.
  plugins: [RelayPlugin, ErrorsPlugin, ComplexityPlugin, 'inputLimits', 'defaultValues'],
  defaultFieldNullability: false,
  errors: {
    directResult: true,
    defaultTypes: [],
    defaultUnionOptions: {
      name: ({ fieldName }) => `${fieldName[0]?.toUpperCase()}${fieldName.slice(1)}Result`,
    },
  },
  complexity: {
    defaultComplexity: 1,
    defaultListMultiplier: UNDECLARED_LIST,
    limit: ({ limits }) => ({ complexity: limits.maxQueryCost, depth: 24, breadth: 2000 }),
    complexityError: (kind, { depth, complexity, breadth, maxDepth, maxComplexity, maxBreadth }) =>
      new QueryTooComplex(
        `query has ${kind.toLowerCase()} ${{ Depth: depth, Complexity: complexity, Breadth: breadth }[kind]} ` +
          `(limit ${{ Depth: maxDepth, Complexity: maxComplexity, Breadth: maxBreadth }[kind]})`,
      ),
  },
  relay: {
    clientMutationId: 'omit',
    cursorType: 'String',
    // The field that returns the page has already counted its items.
    nodesOnConnection: { complexity: listCost(1), description: 'The objects of this page.' },
    edgesFieldOptions: {
      complexity: listCost(1, 0),
      description: 'The objects of this page, each with its cursor.',
    },
    nodeFieldOptions: { nullable: false, complexity: 0, description: 'The object itself.' },
    cursorFieldOptions: {
      description: 'The opaque position of this object in the list, for `after` and `before`.',
    },
    defaultConnectionFieldOptions: { complexity: (args) => pageCost(args) },
    pageInfoFieldOptions: {
      complexity: 0,
      description: 'The position of this page in the whole list.',
    },
    pageInfoTypeOptions: { description: 'The position of a page in the whole list.' },
    hasNextPageFieldOptions: { description: 'Whether the list continues after this page.' },
    hasPreviousPageFieldOptions: { description: 'Whether the list has objects before this page.' },
    startCursorFieldOptions: {
      description: 'The cursor of the first object of the page, or null if the page is empty.',
    },
    endCursorFieldOptions: {
      description:
        'The cursor from which the next page continues, or null if there is nothing to continue from.',
    },
    firstArgOptions: {
      description: `Maximum number of objects to return from the start of the list, from 1 to ${maxPageSize}; ${defaultPageSize} unless the field states another default.`,
    },
    lastArgOptions: {
      description: `Maximum number of objects to return from the end of the list, from 1 to ${maxPageSize}; cannot be combined with \`first\`.`,
    },
    afterArgOptions: { description: 'Returns only objects after this cursor.' },
    beforeArgOptions: { description: 'Returns only objects before this cursor.' },
    nodeQueryOptions: false,
    nodesQueryOptions: false,
  },
})

builder.queryType({ description: 'Fields that read.' })
builder.mutationType({
  description:
    'Fields that write; each takes one input and returns a union of its payload and the errors that a caller can act on.',
})
builder.subscriptionType({ description: 'Fields that return a stream of events.' })

export type SchemaTypes = typeof builder.$inferSchemaTypes
