import { globSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { describe, expect, test } from 'vitest'
import { root } from '../support/project-root.ts'

type Import = { from: string; to: string; names: string; typeOnly: boolean }
type Rule = { says: string; broken: (line: Import) => boolean; such: [from: string, to: string][] }
const read = (file: string) => readFileSync(join(root, file), 'utf8')
const sources = globSync('src/**/*.ts', { cwd: root }).sort()

/** The layers, lowest first: a file may import its own layer and any lower one. */
const floors = [
  [
    'src/errors',
    'src/config',
    'src/log.ts',
    'src/names.ts',
    'src/date-time.ts',
    'src/json-object.ts',
    'src/fsync.ts',
    'src/concurrency',
  ],
  ['src/signing', 'src/run-command.ts'],
  ['src/database', 'src/blobs'],
  ['src/context.ts'],
  ['src/fsck/check.ts'],
  ['src/graphql', 'src/jobs'],
  ['src/domains'],
  ['src/schema.ts', 'src/app.ts', 'src/fsck/inspect.ts', 'src/backup'],
  ['src/http'],
  ['src/main.ts', 'src/fsck.ts', 'src/admin.ts', 'src/keys.ts', 'src/backup.ts', 'src/restore.ts'],
]

/** The files that may import each package; a package that is missing here may be imported by none. */
const homes: Record<string, string[]> = {
  'better-sqlite3': ['src/database'],
  pg: ['src/database'],
  'kysely/migration': ['src/database'],
  kysely: ['src/database', 'src/jobs', 'src/domains'],
  uuid: ['src/database', 'src/http/request-context.ts'],
  '@tus/server': ['src/http', 'src/blobs'],
  '@aws-sdk/client-s3': ['src/blobs'],
  '@aws-sdk/s3-request-presigner': ['src/blobs'],
  '@smithy/node-http-handler': ['src/blobs'],
  'graphql-yoga': ['src/http'],
  '@graphql-yoga/plugin-csrf-prevention': ['src/http'],
  '@graphql-yoga/render-graphiql': ['src/http'],
  'content-disposition': ['src/http'],
  busboy: ['src/http/upload/form-parser.ts'],
  'prom-client': ['src/http/ops/metrics.ts'],
  'rate-limiter-flexible': ['src/database/rate-limit/limiter.ts'],
  graphql: ['src/graphql', 'src/http', 'src/schema.ts'],
  dataloader: ['src/graphql'],
  '@pothos/core': ['src/graphql'],
  '@pothos/plugin-complexity': ['src/graphql'],
  '@pothos/plugin-errors': ['src/graphql'],
  '@pothos/plugin-relay': ['src/graphql'],
  'file-type': ['src/domains/files'],
  mime: ['src/domains/files'],
  re2js: ['src/domains/entries/patterns/patterns.ts'],
  zod: ['src/config', 'src/backup/manifest.ts', 'src/jobs/job-kind.ts'],
  pino: ['src/log.ts'],
}

const imports = sources.flatMap((from) => importsOf(from, read(from)))
const inDependencyOrder = imports
  .filter(({ from, to }) => from === 'src/schema.ts' && domainOf(to))
  .map(({ to }) => domainOf(to))

const writing =
  /(?:insertInto|updateTable|deleteFrom|replaceInto)\(\s*'(\w+)|(?:UPDATE|INSERT INTO|DELETE FROM) "?(\w+)/g
const writesRows = (file: string) => read(file).search(writing) !== -1

const rules: Rule[] = [
  {
    says: 'a file imports its own layer and lower ones only',
    broken: ({ from, to }) =>
      isSourceFile(to) &&
      (floorOf(to) > floorOf(from) ||
        (floorOf(to) === floorOf(from) && placeOf(to) !== placeOf(from))),
    such: [
      ['src/database/query/keyset.ts', 'src/blobs/blob-store.ts'],
      ['src/blobs/disk.ts', 'src/database/tables.ts'],
      ['src/blobs/disk.ts', 'src/context.ts'],
      ['src/graphql/pages.ts', 'src/jobs/queue.ts'],
      ['src/jobs/runner.ts', 'src/graphql/context.ts'],
      ['src/jobs/runner.ts', 'src/domains/trash/writes.ts'],
      ['src/graphql/nodes.ts', 'src/domains/files/reads.ts'],
      ['src/domains/files/reads.ts', 'src/http/server.ts'],
    ],
  },
  {
    says: 'a domain imports only domains that schema.ts lists before it',
    broken: ({ from, to }) => bothInDomains(from, to) && ageOf(to) > ageOf(from),
    such: [['src/domains/accounts/reads.ts', 'src/domains/workspaces/reads.ts']],
  },
  {
    says: 'graphql imports writes, jobs and checks; these import reads; reads import rules; also those of other domains',
    broken: ({ from, to }) => bothInDomains(from, to) && rankOf(to) > rankOf(from),
    such: [
      ['src/domains/files/rules.ts', 'src/domains/files/reads.ts'],
      ['src/domains/files/reads.ts', 'src/domains/files/writes.ts'],
      ['src/domains/files/reads.ts', 'src/domains/files/copy.ts'],
      ['src/domains/files/writes.ts', 'src/domains/accounts/graphql.ts'],
      ['src/domains/files/writes.ts', 'src/domains/files/jobs.ts'],
    ],
  },
  {
    says: 'graphql.ts is imported by graphql.ts of higher layers and by schema.ts only',
    broken: ({ from, to }) =>
      roleOf(to) === 'graphql' && rankOf(from) !== 4 && from !== 'src/schema.ts',
    such: [
      ['src/http/tus.ts', 'src/domains/uploads/graphql.ts'],
      ['src/app.ts', 'src/domains/accounts/graphql.ts'],
    ],
  },
  {
    says: 'HTTP handlers call reads and writes, and run no jobs',
    broken: ({ from, to }) => from.startsWith('src/http/') && roleOf(to) === 'jobs',
    such: [['src/http/tus.ts', 'src/domains/uploads/jobs.ts']],
  },
  {
    says: 'checks.ts is imported by fsck only',
    broken: ({ from, to }) => roleOf(to) === 'checks' && from !== 'src/fsck/inspect.ts',
    such: [
      ['src/domains/files/jobs.ts', 'src/domains/files/checks.ts'],
      ['src/http/ops/health.ts', 'src/domains/files/checks.ts'],
      ['src/app.ts', 'src/domains/uploads/checks.ts'],
    ],
  },
  {
    says: 'rules.ts imports nothing asynchronous',
    broken: ({ from, to, typeOnly }) =>
      roleOf(from) === 'rules' &&
      !typeOnly &&
      /^kysely|^node:fs|^src\/(database|blobs|jobs|graphql)\//.test(to),
    such: [['src/domains/files/rules.ts', 'src/database/query/keyset.ts']],
  },
  {
    says: 'each package is imported in its own folder only',
    broken: ({ from, to, typeOnly }) =>
      isPackage(to) &&
      !ownerOf(to).some((home) => within(from, home)) &&
      !(typeOnly && to.startsWith('@pothos/')),
    such: [
      ['src/domains/files/graphql.ts', '@pothos/core'],
      ['src/app.ts', 'pino'],
      ['src/http/tus.ts', 'kysely'],
      ['src/http/server.ts', 'prom-client'],
      ['src/http/server.ts', 'left-pad'],
    ],
  },
  {
    says: 'only database/ depends on the database engine',
    broken: ({ from, to, names }) =>
      to === 'kysely' && /Dialect|Adapter|Driver/.test(names) && !within(from, 'src/database'),
    such: [['src/domains/files/reads.ts', 'kysely']],
  },
  {
    says: 'only database/ distinguishes the databases; app.ts opens them',
    broken: ({ from, to, names }) =>
      !within(from, 'src/database') &&
      (/\bisPostgres\b/.test(names) ||
        (/^src\/database\/(sqlite|postgres)\//.test(to) && from !== 'src/app.ts')),
    such: [
      ['src/backup/restore.ts', 'src/database/sqlite/snapshot.ts'],
      ['src/http/ops/health.ts', 'src/database/postgres/listener.ts'],
    ],
  },
]

describe.each(rules)('$says', ({ broken, such }) => {
  test('holds in every file', () => {
    expect(imports.filter(broken).map(show)).toEqual([])
  })

  test.each(such)('reports an import of %s → %s', (from, to) => {
    expect(broken({ from, to, names: '{ SqliteDialect }', typeOnly: false })).toBe(true)
  })
})

test('every source file belongs to a layer, and every domain to schema.ts', () => {
  expect(sources.filter((file) => floorOf(file) === -1)).toEqual([])
  expect(sources.filter((file) => domainOf(file) && ageOf(file) === -1)).toEqual([])
})

test('no file imports itself through others, not even for a type', () => {
  const targets = (file: string) => imports.filter(({ from }) => from === file).map(({ to }) => to)
  const reachable = (start: string) => {
    const seen = new Set<string>()
    const open = targets(start)
    for (let file = open.pop(); file !== undefined; file = open.pop()) {
      if (seen.has(file)) continue
      seen.add(file)
      open.push(...targets(file))
    }
    return seen
  }
  expect(sources.filter((file) => reachable(file).has(file))).toEqual([])
})

test('rules.ts is synchronous', () => {
  const waiting = sources.filter(
    (f) => roleOf(f) === 'rules' && /\bawait\b|\basync\b/.test(read(f)),
  )
  expect(waiting).toEqual([])
})

test('each table is written by one module', () => {
  const writers: Record<string, Set<string>> = {}
  for (const file of sources)
    for (const [, built, raw] of read(file).matchAll(writing)) {
      const table = built ?? raw ?? ''
      writers[table] = (writers[table] ?? new Set()).add(domainOf(file) ?? placeOf(file) ?? file)
    }
  const shared = Object.entries(writers).filter(([, places]) => places.size > 1)
  expect(shared).toEqual([])
  expect(Object.keys(writers).length).toBeGreaterThan(5)
})

test('only the entry points read the environment', () => {
  const reading = sources.filter((file) => read(file).includes('process.env'))
  expect(reading).toEqual([
    'src/admin.ts',
    'src/backup.ts',
    'src/fsck.ts',
    'src/keys.ts',
    'src/main.ts',
    'src/restore.ts',
  ])
})

test('only database/, its settings and app.ts ask for the kind of the database', () => {
  const kinds =
    /\b(?:isPostgres|PostgresAdapter|SqliteAdapter)\b|\bkind [!=]== '(?:sqlite|postgres)'/
  const asking = sources.filter((file) => !within(file, 'src/database') && kinds.test(read(file)))
  expect(asking).toEqual(['src/app.ts', 'src/config/config.ts'])
})

test('the guard reads the source files', () => {
  const lines = sources.map((file) => [...read(file).matchAll(/^import\b(?!\()/gm)].length)
  const seen = sources.map(
    (file) => imports.filter((i) => i.from === file && i.names !== '').length,
  )
  expect(seen).toEqual(lines)
  expect(imports.length).toBeGreaterThan(30)
  expect(imports.filter(({ to }) => isSourceFile(to) && !sources.includes(to)).map(show)).toEqual(
    [],
  )
  expect(inDependencyOrder.length).toBeGreaterThan(5)
})

test('the guard recognises every form of import', () => {
  const text = [
    "import type { A } from './a.ts'",
    "import {\n  type B,\n  b,\n} from './b.ts'",
    "import './c.ts'",
    "export { d } from './d.ts'",
    "const e = await import('./e.ts')",
    "import * as f from 'f'",
  ].join('\n')
  expect(importsOf('src/x/y.ts', text).map(({ to, typeOnly }) => [to, typeOnly])).toEqual([
    ['src/x/a.ts', true],
    ['src/x/b.ts', false],
    ['src/x/c.ts', false],
    ['f', false],
    ['src/x/d.ts', false],
    ['src/x/e.ts', false],
  ])
})

function importsOf(from: string, text: string): Import[] {
  const statements = [
    ...text.matchAll(/^(import\b[^'"();]*)['"]([^'"]+)['"]/gm),
    ...text.matchAll(/^()export\s+(?:type\s+)?(?:\*|\{[^}]*\})[^'"{}]*?from\s+['"]([^'"]+)['"]/gm),
    ...text.matchAll(/()\bimport\(\s*['"]([^'"]+)['"]/g),
  ]
  return statements.map(([, names = '', target = '']) => ({
    from,
    to: target.startsWith('.') ? relative(root, join(root, from, '..', target)) : target,
    names,
    typeOnly: /^import type\b/.test(names),
  }))
}

function within(file: string, place: string) {
  return file === place || file.startsWith(`${place}/`)
}
function floorOf(file: string) {
  return floors.findIndex((floor) => floor.some((place) => within(file, place)))
}
function placeOf(file: string) {
  return floors.flat().find((place) => within(file, place))
}
function domainOf(file: string) {
  return /^src\/domains\/([\w-]+)\//.exec(file)?.[1]
}
function bothInDomains(from: string, to: string) {
  return Boolean(domainOf(from) && domainOf(to))
}
function ageOf(file: string) {
  return inDependencyOrder.indexOf(domainOf(file))
}
function roleOf(file: string) {
  return /^src\/domains\/[\w-]+\/([\w-]+)\.ts$/.exec(file)?.[1]
}
/**
 * Returns the layer of a file within its domain. A file with another name, such as files/copy.ts, is in the
 * layer of what it does and imports: reads, writes, or types.
 */
function rankOf(file: string): number {
  const role = { rules: 0, reads: 1, writes: 2, jobs: 3, checks: 3, graphql: 4 }[roleOf(file) ?? '']
  if (role !== undefined || !sources.includes(file)) return role ?? 2
  const used = imports.filter(({ from }) => from === file).map(({ to }) => to)
  if (used.some((to) => within(to, 'src/graphql'))) return 4
  const needed = used.filter((to) => domainOf(to)).map(rankOf)
  return Math.max(writesRows(file) ? 2 : 1, ...needed)
}
function isSourceFile(to: string) {
  return to.startsWith('src/')
}
function isPackage(to: string) {
  return !/^(src|migrations)\/|^node:|^package\.json$/.test(to)
}
function ownerOf(specifier: string) {
  const name = /^(?:@[^/]+\/)?[^/]+/.exec(specifier)?.[0] ?? ''
  return homes[specifier] ?? homes[name] ?? []
}
function show({ from, to }: Import) {
  return `${from} → ${to}`
}
