import fc from 'fast-check'
import { query } from '../gql.ts'
import { mutated, text } from '../inputs/texts.ts'
import type { Subject } from '../runs.ts'
import { assertInvariant } from '../verify-answer.ts'

const words = fc.constantFrom(
  'plate',
  '"first run"',
  '-gone',
  'straße',
  '研究',
  'x-y_z',
  'OR',
  'NEAR(a, 2)',
  'name:a',
  '*',
  '“été”',
)
const queries = fc.oneof(
  fc.array(fc.oneof(words, mutated(words), text), { maxLength: 5 }).map((all) => all.join(' ')),
  fc.integer({ min: 30, max: 34 }).map((count) => 'w '.repeat(count)),
  fc.integer({ min: 998, max: 1002 }).map((length) => 'a'.repeat(length)),
)

const globPiece = fc.constantFrom(
  '*',
  '**',
  '**/',
  '?',
  '{a,b}',
  '{',
  '}',
  ',',
  '\\',
  '/',
  '[a]',
  'Raw data/',
  'deep',
  '.txt',
  'é',
)
const globs = fc.oneof(
  fc.array(fc.oneof(globPiece, text), { maxLength: 12 }).map((all) => all.join('')),
  mutated(fc.constantFrom('Raw data/**/*.csv', 'raw*/{deep,x}/**', '**/?b_c-d.e')),
  fc.nat(300).map((depth) => `${'{a,'.repeat(depth)}${'}'.repeat(depth)}`),
  fc.nat(500).map((times) => '**/'.repeat(times)),
  fc.nat(999).map((times) => `${'*a'.repeat(times / 2)}`),
)

const atom = fc.constantFrom(
  'a',
  '.',
  '\\d',
  '[a-z]',
  '[^/]',
  '\\p{L}',
  '(?:x|y)',
  '\\b',
  '^',
  '$',
  '(a)',
  '\\pN',
  '[[:alpha:]]',
  '(?i)',
)
const times = fc.constantFrom('*', '+', '?', '*?', '{2}', '{0,1000}', '{1001}', '{,3}', '**', '')
const regexes = fc.oneof(
  fc.array(fc.tuple(atom, times), { maxLength: 8 }).map((all) => all.flat().join('')),
  mutated(fc.constantFrom('^Raw data/.*\\.csv$', '(a|b)*c', '^(?i)raw', '\\Qx\\E.*', '(?P<n>x)')),
  fc.nat(400).map((depth) => `${'('.repeat(depth)}a${')*'.repeat(depth)}`),
  fc.constantFrom(
    '(a+)+$',
    '(a|a)*b',
    '((a{100}){10}){2}',
    '(.*)(.*)(.*)(.*)(.*)x',
    '(?=a)',
    '\\1',
    '[z-a]',
    '\\x{110000}',
    'x{2}{3}{4}{5}',
  ),
  text,
)

type SearchCase = {
  query: string
  glob: string | null
  regex: string | null
  by: 'search' | 'entries'
}
const optional = (arbitrary: fc.Arbitrary<string>) => fc.option(arbitrary, { freq: 2 })

/**
 * Search queries, globs and regexes: each is accepted or rejected quickly, and results are consistent and
 * escaped.
 */
export const searches: Subject<SearchCase> = {
  name: 'searches and patterns',
  rows: 'S17, S18',
  cases: () =>
    fc.record({
      query: queries,
      glob: optional(globs),
      regex: optional(regexes),
      by: fc.constantFrom('search', 'entries'),
    }),
  async check(server, { query: words, glob, regex, by }) {
    const filter = {
      ...(glob !== null && { pathGlob: glob }),
      ...(regex !== null && { pathRegex: regex }),
    }
    const fields = 'totalCount nodes { path } pageInfo { hasNextPage endCursor }'
    const search = `search(first: 20, query: $query, filter: $filter) { edges { score highlights { field text } } ${fields} }`
    const entries = `entries(first: 20, filter: $filter) { ${fields} }`
    const document = `query ($id: ID!, $filter: EntryFilter, $query: String!) {
      workspace(by: { id: $id }) { name ${by === 'search' ? search : `${entries} tags(first: 5, nameContains: $query) { totalCount }`} } }`
    const { data } = await query(server, document, { id: server.workspaceId, filter, query: words })
    const found = data?.workspace?.[by]
    if (!found) return false
    assertInvariant(
      found.totalCount >= found.nodes.length,
      'totalCount is less than the number of nodes',
    )
    for (const { highlights } of found.edges ?? [])
      for (const { text } of highlights) assertEscaped(text)
    return true
  },
}

const assertEscaped = (html: string) =>
  assertInvariant(!/<(?!\/?mark>)/.test(html), `unescaped highlight: ${html}`)
