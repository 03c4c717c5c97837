import { randomBytes } from 'node:crypto'
import { type Kysely, sql } from 'kysely'

/**
 * Signing keys of URLs and cursors, so that keys can be replaced while older ones stay valid. The secret of
 * earlier versions becomes the key without an id, because its signatures contain none.
 */
export async function up(db: Kysely<unknown>) {
  await db.schema
    .createTable('signingKeys')
    .addColumn('id', 'text', (c) => c.primaryKey())
    .addColumn('secret', 'text', (c) => c.notNull())
    .addColumn('createdAt', 'bigint', (c) => c.notNull())
    .addColumn('activeFrom', 'bigint', (c) => c.notNull())
    .execute()
  const { rows } = await sql<{ value: string }>`
    delete from "settings" where "name" = 'secret' returning "value"
  `.execute(db)
  const id = rows[0] ? '' : `k${randomBytes(4).toString('hex')}`
  const secret = rows[0]?.value ?? randomBytes(32).toString('hex')
  await sql`
    insert into "signingKeys" ("id", "secret", "createdAt", "activeFrom")
    values (${id}, ${secret}, ${Date.now()}, 0)
  `.execute(db)
}
