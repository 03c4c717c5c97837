import { randomUUID } from 'node:crypto'
import type { ColumnDefinitionBuilder, Kysely } from 'kysely'

const required = (column: ColumnDefinitionBuilder) => column.notNull()

/** The store that belongs to this database, how often that was verified, and the objects in quarantine. */
export async function up(db: Kysely<unknown>) {
  await db.schema
    .createTable('installation')
    .addColumn('id', 'text', (c) => c.primaryKey())
    .addColumn('starts', 'bigint', required)
    .addColumn('acceptedUpTo', 'text')
    .addColumn('pausedAt', 'bigint')
    .addColumn('pausedBecause', 'text')
    .addColumn('refusedAt', 'bigint')
    .addColumn('refusedObjects', 'bigint', (c) => c.notNull().defaultTo(0))
    .execute()
  const first = { id: randomUUID(), starts: 0 }
  await (db as Kysely<{ installation: typeof first }>)
    .insertInto('installation')
    .values(first)
    .execute()
  await db.schema
    .createTable('storeStamps')
    .addColumn('stamp', 'text', (c) => c.primaryKey())
    .addColumn('number', 'bigint', required)
    .execute()
  await db.schema
    .createTable('quarantine')
    .addColumn('key', 'text', required)
    .addColumn('place', 'text', required)
    .addColumn('size', 'bigint', required)
    .addColumn('foundAt', 'bigint', required)
    .addColumn('ageMs', 'bigint', required)
    .addColumn('observedAt', 'bigint', required)
    .addPrimaryKeyConstraint('quarantine_pk', ['key', 'place'])
    .execute()
}
