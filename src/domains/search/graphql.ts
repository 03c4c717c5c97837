import { budgetOf } from '../../database/query/work-budget.ts'
import { builder } from '../../graphql/builder.ts'
import { defaultPageSize, listCost, pageCost } from '../../graphql/limits/costs.ts'
import { parsePageArgs } from '../../graphql/pages.ts'
import { Entry, loadParent, readFilter } from '../entries/graphql.ts'
import { EntryFilterInput } from '../entries/inputs.ts'
import { loadTags } from '../tags/graphql.ts'
import { requireRead, Workspace } from '../workspaces/graphql.ts'
import { type Highlight, highlightsOf, MAX_HIGHLIGHTS } from './highlights.ts'
import { textsOf } from './match.ts'
import { parseQuery, type Query } from './query.ts'
import { type Hit, searchPage } from './reads.ts'
import { countMatches } from './scan.ts'
import './writes.ts'

const SearchHighlight = builder.objectRef<Highlight>('SearchHighlight').implement({
  description: 'A text of an entry that contains words of the query.',
  fields: (t) => ({
    field: t.exposeString('field', {
      description: 'The field of the text: name, tags, description, metadata or path.',
    }),
    text: t.exposeString('text', {
      description:
        'The text, or an excerpt of about 200 characters, as escaped HTML with matches in <mark> elements.',
    }),
  }),
})

const SearchEdge = builder.edgeObject({
  type: Entry,
  name: 'SearchEdge',
  description: 'A search result.',
})
type Edge = Hit & { query: Query }
builder.objectFields(SearchEdge, (t) => ({
  score: t.float({
    description:
      'Relevance of at most 1, which is best. Entries with all words in the name rank first, whole words before prefixes, followed by matches that need tags, description, metadata or folder names, in this order; equal results are sorted newest first.',
    resolve: (edge) => (edge as Edge).score,
  }),
  highlights: t.field({
    type: [SearchHighlight],
    description: 'Texts of the entry that contain words of the query, at most 10.',
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
  { type: Entry, name: 'SearchConnection', description: 'A page of search results.' },
  SearchEdge,
)

builder.objectField(Workspace, 'search', (t) =>
  t.field({
    type: SearchConnection,
    description:
      'Searches entries by words in names, tags, descriptions, metadata and folder names, without regard to case and diacritics. One request evaluates at most 20,000 entries against the filter and takes at most one second: a page may then have fewer entries with hasNextPage true, and reading continues from its endCursor. totalCount stops at 10,000. Requires scope FILES_READ.',
    args: {
      query: t.arg.string({
        required: true,
        description:
          'Words that must all occur, "phrases" whose words must follow each other, and excluded -words; the last word also matches as a prefix. At most 1000 characters and 32 words and phrases.',
      }),
      filter: t.arg({ type: EntryFilterInput, description: 'Conditions that entries must meet.' }),
      first: t.arg.int({ description: 'Page size, from 1 to 100, 20 by default.' }),
      after: t.arg.string({ description: 'Cursor after which the page starts.' }),
      last: t.arg.int({
        description:
          'Maximum number of results to return from the end of the list, from 1 to 100; cannot be combined with `first`. All results before are read, so the limits of one request may end the page early.',
      }),
      before: t.arg.string({ description: 'Returns only results before this cursor.' }),
    },
    complexity: (args) => pageCost(args, defaultPageSize, 10),
    resolve: async ({ id: workspaceId }, { query: text, filter, ...args }, context) => {
      await requireRead(context, workspaceId)
      const request = parsePageArgs(args)
      const query = parseQuery(text)
      const parsed = await readFilter(context, workspaceId, filter)
      const search = { workspaceId, query, filter: parsed, budget: budgetOf(context) }
      const { edges, ...pageInfo } = await searchPage(context.db, search, request)
      return {
        edges: edges.map((edge) => ({ ...edge, query })),
        pageInfo,
        totalCount: () => countMatches(context.db, search),
      }
    },
  }),
)
