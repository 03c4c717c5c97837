import { type Kysely, sql } from 'kysely'

/** Issuer and parent of each token, service accounts, and the activity log of the server. */
export async function up(db: Kysely<unknown>) {
  await users(db)
  await tokens(db)
  await serverActivity(db)
}

async function users(db: Kysely<unknown>) {
  await db.schema
    .alterTable('users')
    .addColumn('kind', 'text', (c) => c.notNull().defaultTo('PERSON'))
    .execute()
  await db.schema
    .alterTable('users')
    .addColumn('workspaceId', 'text', (c) => c.references('workspaces.id'))
    .execute()
  // Stored by name: after a clock went back, a later user must not become the first one.
  await sql`INSERT INTO "settings" ("name", "value")
    SELECT 'firstOwner', "id" FROM "users" ORDER BY "createdAt", "id" LIMIT 1`.execute(db)
}

async function tokens(db: Kysely<unknown>) {
  await db.schema
    .alterTable('apiTokens')
    .addColumn('issuerId', 'text', (c) => c.references('users.id'))
    .execute()
  await db.schema
    .alterTable('apiTokens')
    .addColumn('parentId', 'text', (c) => c.references('apiTokens.id'))
    .execute()
  await db.schema
    .createIndex('apiTokens_userId_createdAt_id')
    .on('apiTokens')
    .columns(['userId', 'createdAt', 'id'])
    .execute()
  await db.schema
    .createIndex('apiTokens_only_parentId')
    .on('apiTokens')
    .columns(['parentId'])
    .where(sql<boolean>`"parentId" IS NOT NULL`)
    .execute()
  // Earlier versions kept these tokens valid; they must not work again if the member is added again.
  await sql`UPDATE "apiTokens" SET "revokedAt" = ${Date.now()}
    WHERE "revokedAt" IS NULL AND "workspaceId" IS NOT NULL AND NOT EXISTS (
      SELECT 1 FROM "members" m
      WHERE m."workspaceId" = "apiTokens"."workspaceId" AND m."userId" = "apiTokens"."userId"
    )`.execute(db)
}

async function serverActivity(db: Kysely<unknown>) {
  await db.schema
    .createTable('serverActivity')
    .addColumn('id', 'text', (c) => c.primaryKey())
    .addColumn('action', 'text', (c) => c.notNull())
    .addColumn('actorId', 'text')
    .addColumn('tokenId', 'text')
    .addColumn('at', 'bigint', (c) => c.notNull())
    .addColumn('details', 'text', (c) => c.notNull())
    .execute()
  await db.schema
    .createIndex('serverActivity_at_id')
    .on('serverActivity')
    .columns(['at', 'id'])
    .execute()
}
