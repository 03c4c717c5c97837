import { sql } from 'kysely'
import { expect, test } from 'vitest'
import { readConfig } from '../../../src/config/config.ts'
import { openDatabase } from '../../../src/database/database.ts'
import { databaseOf, emptyFolder, startProcess } from '../../support/servers/process.ts'

const token = 'chosen-by-the-operator-2025'
type Query = { query: string; operationName?: string }

/** Starts a server without the table of members, so that a query of a member's data is an internal error. */
async function startWithoutMembers() {
  const dir = await emptyFolder()
  const server = await startProcess({ DATA_DIR: dir, ADMIN_TOKEN: token })
  const db = openDatabase(readConfig({ DATA_DIR: dir, ...databaseOf(dir) }).database)
  await sql`ALTER TABLE members RENAME TO lost`.execute(db).finally(() => db.destroy())

  /** Sends a request. Returns the code of its error and the lines of the log that have its id. */
  return async (body: Query) => {
    const requestId = crypto.randomUUID()
    const headers = {
      authorization: `Bearer ${token}`,
      'content-type': 'application/json',
      'x-request-id': requestId,
    }
    const init = { method: 'POST', headers, body: JSON.stringify(body) }
    const response = await fetch(`${server.url}/graphql`, init)
    const { errors } = (await response.json()) as { errors: { extensions: { code: string } }[] }
    const lines = () => server.output.err.split('\n').filter((line) => line.includes(requestId))
    await expect.poll(() => lines().length).toBeGreaterThan(0)
    return { code: errors[0]?.extensions.code, lines: lines().map((line) => JSON.parse(line)) }
  }
}

const selection = '{ viewer { workspaces { totalCount } } }'
const many = Array.from({ length: 90 }, (_, i) => `a${i}: serverInfo { version }`).join(' ')

test('the log line of an internal error names the operation, or its root fields', async () => {
  const send = await startWithoutMembers()
  const cases: [Query, unknown][] = [
    [{ query: `query Sidebar ${selection}` }, 'Sidebar'],
    [{ query: `query A { __typename } query B ${selection}`, operationName: 'B' }, 'B'],
    [
      {
        query: `{ a: viewer { workspaces { totalCount } } ... { __typename } ...F } fragment F on Query { __typename }`,
      },
      'viewer, __typename, ...F',
    ],
    [{ query: `query ${'Long'.repeat(1000)} ${selection}` }, `${'Long'.repeat(25)}…`],
    [
      { query: `{ viewer { workspaces { totalCount } } ${many} }` },
      expect.stringMatching(/^viewer(, serverInfo)+.{0,12}…$/),
    ],
  ]
  for (const [query, operation] of cases) {
    const { code, lines } = await send(query)
    expect(code).toBe('INTERNAL_SERVER_ERROR')
    expect(lines).toMatchObject([{ level: 50, operation }])
  }
})
