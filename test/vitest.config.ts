import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { defineConfig, type TestProjectConfiguration } from 'vitest/config'
import { AuthorisationReporter } from './guards/authorisation/authorisation-reporter.ts'
import { FaultsReporter } from './support/faults-reporter.ts'
import { SeedsReporter } from './support/seeds-reporter.ts'

/** Files that do not run on PostgreSQL: their subject does not depend on the database. */
const sameOnBoth = [
  'start',
  'server-lock',
  'backup',
  'architecture',
  'audits',
  'graphiql',
  'guards/schema/errors',
  'readme',
  'docs',
  'docs-commands',
  's3-docs',
  'schema',
  'seeds',
  'faults',
  'packages',
  'language',
  ...['admin', 'archives', 'browser', 'links', 'logs', 'network', 'requests'].map(
    (of) => `attacks-${of}`,
  ),
  'keyset',
  // The same statements on both, and long.
  'authorisation',
  'authorisation-one',
  'authorisation-time',
  'durability-limits',
  'disk-full',
  'pressure',
  'restarts',
]

/**
 * Files of test:full: they start, kill or freeze processes, wait for real time, draw at random,
 * or fill disks. All others run in `npm test`, on SQLite.
 */
const slow = [
  'clients/*',
  ...[
    'admin',
    'attacks-restarts',
    'auto-confirm',
    'backup',
    'big-folders',
    'contention',
    'disk-full',
    'docs-commands',
  ],
  ...['drain', 'durability', 'durability-limits', 'fault-points', 'fsck', 'fuzz', 'history'],
  ...['long-confirms', 'model', 'pressure', 'quarantine', 'restarts', 'scrub', 'search-cost'],
  ...[
    'server-lock',
    'signing-keys',
    'stalled-clients',
    'start',
    'store',
    'uploads-killed',
    'usage',
  ],
].map((name) => `**/${name}.test.ts`)

/** Files that change modules of the server, here the schema builder: each gets a copy of its own. */
const isolated = ['**/keyset.test.ts']

const sqlite: TestProjectConfiguration = {
  extends: true,
  test: { name: 'sqlite', exclude: [...slow, ...isolated] },
}
const sqliteIsolated: TestProjectConfiguration = {
  extends: true,
  test: { name: 'sqlite-isolated', include: isolated, isolate: true },
}
const sqliteSlow: TestProjectConfiguration = {
  extends: true,
  test: { name: 'sqlite-slow', include: slow },
}
const postgres: TestProjectConfiguration = {
  extends: true,
  test: {
    name: 'postgres',
    include: ['**/{stories,database,guards}/**/*.test.ts'],
    exclude: sameOnBoth.map((name) => `**/${name}.test.ts`),
    globalSetup: join(import.meta.dirname, 'support/databases-setup.ts'),
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
}

export default defineConfig({
  // Without this Vite loads a second copy of graphql and its types are strangers to Pothos's.
  ssr: { resolve: { conditions: ['module-sync', 'node', 'default'] } },
  test: {
    dir: import.meta.dirname,
    // A worker runs many files with one copy of the modules, whose loading took half of the time.
    isolate: false,
    testTimeout: 30_000,
    hookTimeout: 30_000,
    // What comes by itself comes soon, unless others have the machine.
    expect: { poll: { timeout: 10_000 } },
    // They wait for disks, databases and clocks more than they reckon.
    maxWorkers: availableParallelism() + 1,
    // Processes, sockets and clocks of a machine that has other things to do: what fails twice has failed.
    retry: process.env.CI ? 1 : 0,
    reporters: ['default', new SeedsReporter(), new FaultsReporter(), new AuthorisationReporter()],
    // `npm test` and `npm run test:full` have no file in common.
    projects: process.env.TEST_LANE === 'full' ? [sqliteSlow, postgres] : [sqlite, sqliteIsolated],
  },
})
