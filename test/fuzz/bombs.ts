import type { Document } from './documents.ts'
import type { Tape } from './tape.ts'
import { deep } from './values.ts'

const edges = [1, 5, 23, 24, 25, 49, 50, 51, 99, 100, 101, 999, 1000, 1001, 4000, 20_000]
const times = (count: number, piece: (at: number) => string) =>
  Array.from({ length: count }, (_, at) => piece(at)).join(' ')
const nested = (count: number, open: string, inner: string, close: string) =>
  open.repeat(count) + inner + close.repeat(count)
const of = (query: string, variables: Record<string, unknown> = {}): Document => ({
  query,
  variables,
})

const inFolder = (inner: string) => `{ viewer { workspaces { nodes { root { ${inner} } } } } }`

/** Documents that grow with a number: deep, broad, circular, long. */
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
  (n) => of(`{ ${times(n, (at) => `a${at}: __typename`)} }`),
  (n) => of(`{ ${times(n, () => 'viewer { user { id } }')} }`),
  (n) => of(`{ __typename ${times(n, () => '@include(if: true)')} }`),
  (n) => of(`{ ...F0 } ${times(n, (at) => `fragment F${at} on Query { ...F${(at + 1) % n} }`)}`),
  (n) =>
    of(
      `{ ...F0 } ${times(n, (at) => `fragment F${at} on Query { ${at + 1 < n ? `...F${at + 1} ...F${at + 1}` : '__typename'} }`)}`,
    ),
  (n) => of(`{ ...F } fragment F on Query { ${times(n, () => '...F')} }`),
  (n) => of(`query (${times(n, (at) => `$v${at}: Int`)}) { __typename }`),
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
  (n) => of(`{ __typename } ${times(n, (at) => `query Q${at} { __typename }`)}`),
  (n) =>
    of(
      `{ __schema { types { ${nested(Math.min(n, 200), 'fields { type { ', 'name', ' } }')} } } }`,
    ),
  (n) => of(`# ${'x'.repeat(n)}\n{ __typename }`),
  (n) => of(nested(n, '{ a', '', '}')),
  (n) => of(`{ ${times(n, () => '... on Query { ... { __typename } }')} }`),
  (n) =>
    of(
      `mutation { ${times(n, (at) => `a${at}: createFolder(input: { name: "x" }) { __typename }`)} }`,
    ),
  (n) =>
    of(
      `{ shared(token: "x", password: "y") { entry { id } } ${times(n, (at) => `a${at}: shared(token: "x", password: "${at}") { entry { id } }`)} }`,
    ),
]

const deepList = (levels: number): unknown => (levels === 0 ? 'x' : [deepList(levels - 1)])

export const bombOf = (tape: Tape): Document => tape.pick(bombs)(tape.pick(edges) + tape.number(2))
