import { closeSync, fsyncSync, openSync } from 'node:fs'
import Sqlite from 'better-sqlite3'

/**
 * Where entries are inserted: `folders` folders in one folder with `files` files each; without folders, the
 * files are in the folder itself. `needles` of the files, at least one, are named "needle", the others plate,
 * scan, report and sample.
 */
export type Plot = {
  workspaceId: string
  folderId: string
  folders: number
  files: number
  needles?: number
}

/**
 * Inserts rows with everything that the server stores for them (paths, totals, kinds, search), but no bytes,
 * into a database that no other process has open. Takes some minutes for five million; an interrupted run
 * leaves the database unusable.
 */
export function plant(path: string, plots: readonly Plot[]): void {
  const db = new Sqlite(path)
  for (const pragma of fastPragmas) db.pragma(pragma)
  const indexes = db
    .prepare(`SELECT "name", "sql" FROM "sqlite_master" WHERE "type" = 'index' AND "tbl_name" = 'entries'
      AND "sql" IS NOT NULL`)
    .all() as { name: string; sql: string }[]
  // Creating the indexes after the rows takes a third of the time.
  for (const { name } of indexes) db.exec(`DROP INDEX "${name}"`)
  for (const [number, plot] of plots.entries()) plantOne(db, { ...plot, number })
  for (const { sql } of indexes) db.exec(sql)
  db.pragma('journal_mode = WAL')
  db.close()
  sync(path)
}

/** Otherwise the first commit would wait for the remaining writes. */
function sync(path: string) {
  const file = openSync(path, 'r+')
  fsyncSync(file)
  closeSync(file)
}

const fastPragmas = [
  'journal_mode = OFF',
  'synchronous = OFF',
  'foreign_keys = OFF',
  'locking_mode = EXCLUSIVE',
  'cache_size = -1048576',
]

function plantOne(db: Sqlite.Database, plot: Plot & { number: number }) {
  const { needles = 0, ...rest } = plot
  const count = Math.max(1, plot.folders) * plot.files
  const values = { needles: 0, ...rest, every: Math.floor(count / Math.max(1, needles)) }
  for (const sql of [...(plot.folders ? [foldersOf] : []), filesOf, kindsOf]) {
    db.prepare(sql).run(values)
  }
  if (plot.folders) db.prepare(leavesOf).run(values)
  for (const sql of [totalsOf, usedOf, documentsOf, wordsOf]) db.prepare(sql).run(values)
}

/**
 * Ids like those of the server, with sixteen counting digits, so that the ids of one plot are consecutive.
 */
const idOf = (prefix: string, n: string) =>
  `'${prefix}_' || printf('%012x%04x%016x', 1700000000000, :number, ${n})`
const between = (prefix: string) => `BETWEEN ${idOf(prefix, '0')} AND ${idOf(prefix, '1 << 60')}`
const upTo = (name: string, limit: string) =>
  `${name}(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM ${name} WHERE i + 1 < ${limit})`

const foldersOf = `WITH RECURSIVE ${upTo('n', ':folders')}
  INSERT INTO "entries" ("id", "workspaceId", "kind", "parentId", "name", "nameKey", "path", "pathKey", "createdAt", "updatedAt")
  SELECT ${idOf('fld', 'i')}, :workspaceId, 'folder', p."id", printf('series-%07d', i), printf('series-%07d', i),
    CASE p."path" WHEN '' THEN '' ELSE p."path" || '/' END || printf('series-%07d', i),
    p."pathKey" || printf('series-%07d', i) || '/', 1700000000000 + i, 1700000000000 + i
  FROM n JOIN "entries" p ON p."id" = :folderId`

const filesOf = `WITH RECURSIVE ${upTo('f', 'max(1, :folders)')}, ${upTo('k', ':files')},
  n(i, "parentId") AS (SELECT f.i * :files + k.i, CASE :folders WHEN 0 THEN :folderId ELSE ${idOf('fld', 'f.i')} END
    FROM f CROSS JOIN k),
  named(i, "parentId", "name", "isTable") AS (SELECT i, "parentId", CASE WHEN i % :every = 0 THEN 'needle'
    WHEN i % 4 = 0 THEN 'plate' WHEN i % 4 = 1 THEN 'scan' WHEN i % 4 = 2 THEN 'report' ELSE 'sample' END
    || printf('-%07d', i), i % 2 = 0 OR i % :every = 0 FROM n)
  INSERT INTO "entries" ("id", "workspaceId", "kind", "parentId", "name", "nameKey", "size", "mediaType", "mediaKind",
    "createdAt", "updatedAt")
  SELECT ${idOf('file', 'i')}, :workspaceId, 'file', "parentId", "name" || iif("isTable", '.csv', '.png'),
    "name" || iif("isTable", '.csv', '.png'), 1 + i * 31 % 1000,
    iif("isTable", 'text/csv', 'image/png'), iif("isTable", 'SPREADSHEET', 'IMAGE'),
    1700000000000 + i * 7919 % 1000003, 1700000000000 + i * 104729 % 1000003
  FROM named`

const kindsOf = `INSERT INTO "folderKinds" ("folderId", "mediaKind", "bytes", "fileCount")
  SELECT "parentId", "mediaKind", sum("size"), count(*) FROM "entries" WHERE "id" ${between('file')} GROUP BY 1, 2`

const leavesOf = `UPDATE "entries" SET "size" = k."bytes", "fileCount" = k."fileCount"
  FROM (SELECT "folderId", sum("bytes") AS "bytes", sum("fileCount") AS "fileCount" FROM "folderKinds" GROUP BY 1) k
  WHERE k."folderId" = "entries"."id" AND "id" ${between('fld')}`

const totalsOf = `WITH RECURSIVE up("id", "parentId") AS (
    SELECT "id", "parentId" FROM "entries" WHERE "id" = :folderId
    UNION ALL SELECT e."id", e."parentId" FROM "entries" e JOIN up ON e."id" = up."parentId")
  UPDATE "entries" SET "size" = "size" + s."bytes", "fileCount" = "fileCount" + s."files",
    "folderCount" = "folderCount" + :folders
  FROM (SELECT sum("size") AS "bytes", count(*) AS "files" FROM "entries" WHERE "id" ${between('file')}) s
  WHERE "id" IN (SELECT "id" FROM up)`

const usedOf = `UPDATE "workspaces" SET "usedBytes" = r."size" FROM "entries" r
  WHERE r."id" = "rootId" AND "workspaces"."id" = :workspaceId`

const isPlanted = `(e."id" ${between('fld')} OR e."id" ${between('file')})`

const documentsOf = `INSERT INTO "searchDocuments" ("id") SELECT e."id" FROM "entries" e WHERE ${isPlanted}`

/** Must match search-document.ts and search-sqlite.ts. */
const wordsIn = (letter: string) => {
  const mark = `'${letter}' || substr(e."workspaceId", -12) || '_'`
  return `${mark} || replace(replace(e."name", '-', ' ' || ${mark}), '.', ' ' || ${mark}) || ' _ '`
}
const wordsOf = `INSERT INTO "searchWords" ("rowid", "words")
  SELECT d."number", ${wordsIn('n')} || CASE e."kind" WHEN 'folder' THEN ${wordsIn('f')} ELSE '' END
    || e."kind" || replace(e."workspaceId", '_', '') || ' ' || replace(e."parentId", '_', '')
  FROM "entries" e JOIN "searchDocuments" d ON d."id" = e."id" WHERE ${isPlanted}`
