import { databaseUrl, onServer } from '../../support/databases-setup.ts'
import { startPostgres } from '../../support/servers/postgres-server.ts'
import type { Row } from '../table.ts'
import { compare, withLibrary } from './pages.ts'

export const pagesOnPostgres: Row = {
  name: 'P13',
  async measure(rounds) {
    await using server = await startPostgres()
    await onServer(server.url, 'create database bench')
    const DATABASE_URL = databaseUrl(server.url, 'bench')
    return await withLibrary({ DATABASE_URL }, async ({ one, bareOne }) => [
      await compare('a page of 20 of 100,000, PostgreSQL', { ours: one, theirs: bareOne, rounds }),
    ])
  },
}
