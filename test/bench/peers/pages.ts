import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import SqliteFile from 'better-sqlite3'
import { Pool, types } from 'pg'

// A minimal server of folder pages: node:http, a prepared statement and JSON.stringify, without permissions,
// cursors or a query language. GET /FOLDER?KIND&FIRST reads the database given as the first argument, a path
// or a postgres:// URL.

type Row = { id: string; name: string; size: number; updatedAt: number; tags: string }
type Read = (folder: string, kind: string, first: number) => Row[] | Promise<Row[]>

const [database = ''] = process.argv.slice(2)
const read = database.startsWith('postgres:') ? onPostgres(database) : onSqlite(database)

function onSqlite(path: string): Read {
  const db = new SqliteFile(path, { readonly: true })
  db.pragma('mmap_size = 1073741824')
  const page = db.prepare<[string, string, number], Row>(`
    SELECT "id", "name", "size", "updatedAt", (
      SELECT json_group_array(json_object('name', t."name") ORDER BY t."nameKey") FROM "entryTags" et JOIN "tags" t ON t."id" = et."tagId"
      WHERE et."entryId" = e."id") AS "tags"
    FROM "entries" e WHERE "parentId" = ? AND "kind" = ? ORDER BY "nameKey", "id" LIMIT ?`)
  return (...wanted) => page.all(...wanted)
}

function onPostgres(connectionString: string): Read {
  types.setTypeParser(types.builtins.INT8, Number)
  types.setTypeParser(types.builtins.JSON, (text) => text)
  const pool = new Pool({ connectionString, max: 10 })
  const text = `
    SELECT "id", "name", "size", "updatedAt", coalesce((
      SELECT json_agg(json_build_object('name', t."name") ORDER BY t."nameKey") FROM "entryTags" et JOIN "tags" t ON t."id" = et."tagId"
      WHERE et."entryId" = e."id"), '[]') AS "tags"
    FROM "entries" e WHERE "parentId" = $1 AND "kind" = $2 ORDER BY "nameKey", "id" LIMIT $3`
  return async (...values) => (await pool.query<Row>({ name: 'page', text, values })).rows
}

const nodeOf = ({ id, name, size, updatedAt, tags }: Row) => ({
  id,
  name,
  updatedAt: new Date(updatedAt).toISOString(),
  tags: JSON.parse(tags),
  size,
})

const server = createServer(async ({ url = '' }, res) => {
  const [, folder = '', kind = '', first] = url.split(/[/?&]/)
  const nodes = (await read(folder, kind, Number(first))).map(nodeOf)
  const body = JSON.stringify({ data: { node: { children: { nodes } } } })
  res.writeHead(200, {
    'Content-Type': 'application/json',
    'Content-Length': Buffer.byteLength(body),
  })
  res.end(body)
})
server.listen(0, '127.0.0.1', () =>
  console.log(`localhost:${(server.address() as AddressInfo).port}`),
)
process.once('SIGTERM', () => process.exit(0))
