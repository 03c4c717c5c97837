import { sql } from 'kysely'
import { readConfig } from '../../src/config/config.ts'
import { type Db, openDatabase } from '../../src/database/database.ts'
import { createFolder, createWorkspace } from '../support/client.ts'
import { manyFiles } from '../support/disk/many-files.ts'
import type { Server } from '../support/servers/fleet.ts'

export const FOLDERS = 20
export const EACH = 10
const FILES = 100_000
const TAGS = ['raw', 'checked', 'shared', 'old', 'new']

/**
 * Inserts a folder of 100,000 files with two tags each, and a folder of twenty folders with ten such files
 * each; rows only.
 */
export async function layOut(
  { holdall }: Server,
  env: { DATA_DIR: string; DATABASE_URL?: string },
) {
  const { id: workspaceId } = await createWorkspace(holdall)
  const large = await createFolder(holdall, { workspaceId, name: 'large', tags: TAGS })
  const nested = await createFolder(holdall, { workspaceId, name: 'nested' })
  const folders: string[] = []
  for (let n = 0; n < FOLDERS; n++) {
    const input = { workspaceId, folder: { id: nested.id }, name: `folder ${n}` }
    folders.push((await createFolder(holdall, input)).id)
  }
  const db = openDatabase(readConfig(env).database)
  await manyFiles({ workspaceId, folderId: large.id }, FILES + FOLDERS * EACH).execute(db)
  await tagAll(db)
  for (const folder of folders) await moveSome(db, large.id, folder)
  await sql`ANALYZE`.execute(db)
  await db.destroy()
  return { large: large.id, nested: nested.id, folder: folders[0] as string }
}

const tagAll = (db: Db) =>
  sql`INSERT INTO "entryTags" ("entryId", "tagId")
    SELECT "id", t."tagId" FROM "entries" JOIN (
      SELECT "id" AS "tagId", row_number() OVER (ORDER BY "nameKey") - 1 AS n FROM "tags"
    ) t ON t.n IN ("size" % 5, ("size" + 1) % 5) WHERE "kind" = 'file'`.execute(db)

const moveSome = (db: Db, from: string, to: string) =>
  sql`UPDATE "entries" SET "parentId" = ${to} WHERE "id" IN (
    SELECT "id" FROM "entries" WHERE "parentId" = ${from} ORDER BY "nameKey" LIMIT ${EACH})`.execute(
    db,
  )
