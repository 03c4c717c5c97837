import { sql } from 'kysely'
import { expect, onTestFinished, test } from 'vitest'
import { createWorkspace, entryByPath, uploadFile } from '../support/client.ts'
import { database } from '../support/databases.ts'
import { openHouse } from '../support/test-server.ts'

/** One connection, which so has everything that was asked before. */
const oneConnection = { DATABASE_POOL: '1' }

test.skipIf(database === 'SQLite').each([
  ['by a table that has another column than before', 'alter table "entries" add "later" integer'],
  ['by a pooler that gives each transaction another connection', 'deallocate all'],
])(
  'statements that a connection keeps are no fault when they are overtaken: %s',
  async (_, overtakes) => {
    const house = await openHouse({ env: oneConnection })
    onTestFinished(() => house[Symbol.asyncDispose]())
    const { id: workspaceId } = await createWorkspace(house)
    const put = (name: string) => uploadFile(house, { workspaceId, name, bytes: name })
    // PostgreSQL keeps a plan for good from the sixth time on.
    for (let n = 0; n < 8; n++) await put(`before ${n}`)
    await sql.raw(overtakes).execute(house.app.db)
    await put('after')
    expect(await entryByPath(house, workspaceId, 'after')).toMatchObject({ name: 'after' })
    await sql.raw(overtakes.replace('later', 'last')).execute(house.app.db)
    expect(await entryByPath(house, workspaceId, 'before 3')).toMatchObject({ name: 'before 3' })
  },
)
