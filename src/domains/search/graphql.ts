import { budgetOf } from '../../database/query/work-budget.ts'
import { builder } from '../../graphql/builder.ts'
import { defaultPageSize, listCost, pageCost } from '../../graphql/costs.ts'
import { parsePageArgs } from '../../graphql/pages.ts'
import { Entry, loadParent, readFilter } from '../entries/graphql.ts'
import { EntryFilterInput } from '../entries/inputs.ts'
import { loadTags } from '../tags/graphql.ts'
import { requireRead, Workspace } from '../workspaces/graphql.ts'
import { type Highlight, highlightsOf, MAX_HIGHLIGHTS } from './highlights.ts'
import { textsOf } from './match.ts'
import { parseQuery, type Query } from './query.ts'
import { type Hit, searchPage } from './reads.ts'
import { countFound } from './scan.ts'
import './writes.ts'

const SearchHighlight = builder.objectRef<Highlight>('SearchHighlight').implement({
  fields: (t) => ({
    field: t.exposeString('field', { description: 'name, tags, description, metadata or path.' }),
    text: t.exposeString('text', {
      description:
        'The text, or 200 characters of it, as HTML: what was found stands in <mark>, all else is escaped.',
    }),
  }),
})

const SearchEdge = builder.edgeObject({ type: Entry, name: 'SearchEdge' })
type Edge = Hit & { query: Query }
builder.objectFields(SearchEdge, (t) => ({
  score: t.float({
    description:
      '1 is best. What has all words in its name comes first, whole words before beginnings; then what needs its tags for it, its description, its metadata, and last the names of the folders above. The newest first among equals.',
    resolve: (edge) => (edge as Edge).score,
  }),
  highlights: t.field({
    type: [SearchHighlight],
    complexity: listCost(MAX_HIGHLIGHTS),
    resolve: async (edge, _, context) => {
      const { node, query } = edge as Edge
      const tags = (await loadTags(context, node.id)) ?? []
      const folder = await loadParent(node, context)
      const names = tags.map(({ name }) => name)
      const texts = textsOf(node, { tags: names, folderPath: folder?.path ?? null })
      return highlightsOf(query, texts, budgetOf(context).isSpent)
    },
  }),
}))

const SearchConnection = builder.connectionObject(
  { type: Entry, name: 'SearchConnection' },
  SearchEdge,
)

builder.objectField(Workspace, 'search', (t) =>
  t.field({
    type: SearchConnection,
    description:
      'Entries by words of their names, tags, descriptions, metadata and the folders above them, without regard to case and diacritics. All words must be there; "a phrase" in this order; -word must not. The last word may be the beginning of one. One request looks at up to 20,000 entries that a filter refuses, or for one second: a page then ends before it is full, says hasNextPage, and goes on from its endCursor. totalCount stops at 10,000.',
    args: {
      query: t.arg.string({ required: true }),
      filter: t.arg({ type: EntryFilterInput }),
      first: t.arg.int(),
      after: t.arg.string(),
    },
    complexity: ({ first }) => pageCost({ first }, defaultPageSize, 10),
    resolve: async ({ id: workspaceId }, { query: text, filter, ...args }, context) => {
      await requireRead(context, workspaceId)
      const { first, after } = parsePageArgs(args)
      const query = parseQuery(text)
      const chosen = await readFilter(context, workspaceId, filter)
      const search = { workspaceId, query, filter: chosen, budget: budgetOf(context) }
      const { edges, hasNextPage, endCursor } = await searchPage(context.db, search, {
        first: first ?? defaultPageSize,
        after,
      })
      return {
        edges: edges.map((edge) => ({ ...edge, query })),
        pageInfo: {
          hasNextPage,
          hasPreviousPage: after != null,
          startCursor: edges[0]?.cursor ?? null,
          endCursor,
        },
        totalCount: () => countFound(context.db, search),
      }
    },
  }),
)
