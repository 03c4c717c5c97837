import { sql } from 'kysely'
import { expect, onTestFinished, test } from 'vitest'
import { createWorkspace, entryByPath, uploadFile } from '../support/client.ts'
import { database } from '../support/databases.ts'
import { startTestServer } from '../support/servers/test-server.ts'

/** A single connection, which has prepared every earlier statement. */
const oneConnection = { DATABASE_POOL: '1' }

test.skipIf(database === 'SQLite').each([
  ['by a table that has another column than before', 'alter table "entries" add "later" integer'],
  ['by a pooler that gives each transaction another connection', 'deallocate all'],
])(
  'statements that a connection keeps are no fault when they are overtaken: %s',
  async (_, overtakes) => {
    const holdall = await startTestServer({ env: oneConnection })
    onTestFinished(() => holdall[Symbol.asyncDispose]())
    const { id: workspaceId } = await createWorkspace(holdall)
    const put = (name: string) => uploadFile(holdall, { workspaceId, name, bytes: name })
    // PostgreSQL switches to a generic plan after the fifth execution.
    for (let n = 0; n < 8; n++) await put(`before ${n}`)
    await sql.raw(overtakes).execute(holdall.app.db)
    await put('after')
    expect(await entryByPath(holdall, workspaceId, 'after')).toMatchObject({ name: 'after' })
    await sql.raw(overtakes.replace('later', 'last')).execute(holdall.app.db)
    expect(await entryByPath(holdall, workspaceId, 'before 3')).toMatchObject({ name: 'before 3' })
  },
)
