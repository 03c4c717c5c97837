import type { Document } from './documents.ts'
import type { Tape } from './tape.ts'
import { deep } from './values.ts'

const edges = [1, 5, 23, 24, 25, 49, 50, 51, 99, 100, 101, 999, 1000, 1001, 4000, 20_000]
const times = (count: number, render: (index: number) => string) =>
  Array.from({ length: count }, (_, index) => render(index)).join(' ')
const nested = (count: number, open: string, inner: string, close: string) =>
  open.repeat(count) + inner + close.repeat(count)
const of = (query: string, variables: Record<string, unknown> = {}): Document => ({
  query,
  variables,
})

const inFolder = (inner: string) => `{ viewer { workspaces { nodes { root { ${inner} } } } } }`

/** Documents whose depth, width, length or number of fragment cycles grows with `count`. */
const bombs: ((count: number) => Document)[] = [
  (n) => of(inFolder(nested(n, 'parent { ', 'id', ' }'))),
  (n) =>
    of(
      inFolder(
        nested(
          Math.min(n, 1000),
          'children(first: 100) { nodes { ... on Folder { ',
          'id',
          ' } } }',
        ),
      ),
    ),
  (n) => of(`{ ${times(n, (index) => `a${index}: __typename`)} }`),
  (n) => of(`{ ${times(n, () => 'viewer { user { id } }')} }`),
  (n) => of(`{ __typename ${times(n, () => '@include(if: true)')} }`),
  (n) =>
    of(
      `{ ...F0 } ${times(n, (index) => `fragment F${index} on Query { ...F${(index + 1) % n} }`)}`,
    ),
  (n) =>
    of(
      `{ ...F0 } ${times(n, (index) => `fragment F${index} on Query { ${index + 1 < n ? `...F${index + 1} ...F${index + 1}` : '__typename'} }`)}`,
    ),
  (n) => of(`{ ...F } fragment F on Query { ${times(n, () => '...F')} }`),
  (n) => of(`query (${times(n, (index) => `$v${index}: Int`)}) { __typename }`),
  (n) => of(`{ nodes(ids: [${times(n, () => '"x",')}]) { id } }`),
  (n) => of('query ($ids: [ID!]!) { nodes(ids: $ids) { id } }', { ids: Array(n).fill('x') }),
  (n) => of(`{ nodes(ids: ${nested(n, '[', '"x"', ']')}) { id } }`),
  (n) =>
    of('query ($ids: [ID!]!) { nodes(ids: $ids) { id } }', { ids: deepList(Math.min(n, 4000)) }),
  (n) =>
    of('mutation ($input: CreateFolderInput!) { createFolder(input: $input) { __typename } }', {
      input: { name: 'x', metadata: deep(Math.min(n, 4000)) },
    }),
  (n) => of('{ __typename }', { unknown: deep(Math.min(n, 4000)) }),
  (n) => of(`{ node(id: "${'x'.repeat(n * 10)}") { id } }`),
  (n) => of(`{ __typename } ${times(n, (index) => `query Q${index} { __typename }`)}`),
  (n) =>
    of(
      `{ __schema { types { ${nested(Math.min(n, 200), 'fields { type { ', 'name', ' } }')} } } }`,
    ),
  (n) => of(`# ${'x'.repeat(n)}\n{ __typename }`),
  (n) => of(nested(n, '{ a', '', '}')),
  (n) => of(`{ ${times(n, () => '... on Query { ... { __typename } }')} }`),
  (n) =>
    of(
      `mutation { ${times(n, (index) => `a${index}: createFolder(input: { name: "x" }) { __typename }`)} }`,
    ),
  (n) =>
    of(
      `{ shared(token: "x", password: "y") { entry { id } } ${times(n, (index) => `a${index}: shared(token: "x", password: "${index}") { entry { id } }`)} }`,
    ),
]

const deepList = (levels: number): unknown => (levels === 0 ? 'x' : [deepList(levels - 1)])

/** Draws a document near the limits or far above them. */
export const bombOf = (tape: Tape): Document => tape.pick(bombs)(tape.pick(edges) + tape.number(2))
