import SchemaBuilder from '@pothos/core'
import ComplexityPlugin from '@pothos/plugin-complexity'
import ErrorsPlugin from '@pothos/plugin-errors'
import RelayPlugin from '@pothos/plugin-relay'
import { QueryTooComplex } from '../errors.ts'
import type { Context } from './context.ts'
import { listCost, pageCost, UNDECLARED_LIST } from './costs.ts'
import './input-limits-plugin.ts'

type Same<T> = { Input: T; Output: T }

/** What every domain declares its types with. */
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
  // Limits come behind errors: what they refuse is an answer of the mutation's union.
  plugins: [RelayPlugin, ErrorsPlugin, ComplexityPlugin, 'inputLimits'],
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
        `this query has the ${kind} ${{ Depth: depth, Complexity: complexity, Breadth: breadth }[kind]}; ` +
          `at most ${{ Depth: maxDepth, Complexity: maxComplexity, Breadth: maxBreadth }[kind]} is answered`,
      ),
  },
  relay: {
    clientMutationId: 'omit',
    cursorType: 'String',
    // The field that gives the page has counted its items.
    nodesOnConnection: { complexity: listCost(1) },
    edgesFieldOptions: { complexity: listCost(1, 0) },
    nodeFieldOptions: { nullable: false, complexity: 0 },
    defaultConnectionFieldOptions: { complexity: (args) => pageCost(args) },
    pageInfoFieldOptions: { complexity: 0 },
    nodeQueryOptions: false,
    nodesQueryOptions: false,
  },
})

builder.queryType()
builder.mutationType()
builder.subscriptionType()

export type SchemaTypes = typeof builder.$inferSchemaTypes
