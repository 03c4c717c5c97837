import { CompiledQuery, type DatabaseConnection, type QueryResult } from 'kysely'
import type { Db } from '../../../src/database/database.ts'
import type { SqliteConnections } from '../../../src/database/sqlite/connections.ts'
import { transact } from '../../../src/database/transaction.ts'
import { database } from '../../support/databases.ts'

/**
 * Returns every statement that the database receives while `fn` runs, on any connection, including those that
 * bypass Kysely.
 */
export async function statementsOf(db: Db, fn: () => Promise<unknown>): Promise<CompiledQuery[]> {
  const seen: CompiledQuery[] = []
  const connections = await db
    .getExecutor()
    .provideConnection(async (one) => Object.getPrototypeOf(one) as DatabaseConnection)
  const { executeQuery } = connections
  connections.executeQuery = function <R>(query: CompiledQuery, ...more: unknown[]) {
    seen.push(query)
    return executeQuery.call(this, query, ...(more as [])) as Promise<QueryResult<R>>
  }
  const { connections: sqlite } = db.getExecutor().adapter as { connections?: SqliteConnections }
  const select = sqlite?.select
  if (sqlite && select) {
    sqlite.select = (query) => {
      seen.push(query as CompiledQuery)
      return select(query)
    }
  }
  try {
    await fn()
  } finally {
    connections.executeQuery = executeQuery
    if (sqlite && select) sqlite.select = select
  }
  return seen
}

/** Returns the steps in the plans of these statements that grow with the tables, in SQLite's words. */
export async function slowSteps(
  db: Db,
  statements: CompiledQuery[],
  isBad = isSlow,
): Promise<string[]> {
  const slow: string[] = []
  for (const statement of statements.filter(hasPlan)) {
    const steps = await stepsIn[database](db, statement)
    slow.push(...steps.filter(isBad).map((step) => `${step} ⇐ ${statement.sql}`))
  }
  return slow
}

export const hasPlan = ({ sql }: CompiledQuery) =>
  /^(select|insert|update|delete|with)\b/i.test(sql)
export const isSlow = (step: string) =>
  (/^SCAN\b/.test(step) && !harmless.test(step)) || /USE TEMP B-TREE/.test(step)
/**
 * Scans that are harmless. For a virtual table SQLite always reports SCAN; M is a MATCH, = a lookup by rowid.
 * Signing keys are few.
 */
const harmless = /^SCAN (CONSTANT ROW|signingKeys$|\(subquery|\w+ VIRTUAL TABLE INDEX \d+:[M=])/

const stepsIn = {
  async SQLite(db: Db, { sql, parameters }: CompiledQuery): Promise<string[]> {
    const query = CompiledQuery.raw(`EXPLAIN QUERY PLAN ${sql}`, [...parameters])
    const { rows } = await db.executeQuery<{ detail: string }>(query)
    return rows.map(({ detail }) => detail)
  },

  /**
   * PostgreSQL prefers to scan tables of a few hundred rows; these settings make it scan and sort only
   * if it must.
   */
  PostgreSQL(db: Db, { sql, parameters }: CompiledQuery): Promise<string[]> {
    return transact(db, async (tx) => {
      for (const way of ['seqscan', 'sort', 'hashjoin', 'mergejoin']) {
        await tx.executeQuery(CompiledQuery.raw(`set local enable_${way} = off`))
      }
      const query = CompiledQuery.raw(`explain (format json) ${sql}`, [...parameters])
      const { rows } = await tx.executeQuery<{ 'QUERY PLAN': { Plan: Node }[] }>(query)
      return rows[0]?.['QUERY PLAN'].flatMap(({ Plan }) => stepNames(Plan)) ?? []
    })
  },
}

type Node = {
  'Node Type': string
  'Relation Name'?: string
  'Index Name'?: string
  'Index Cond'?: string
  Plans?: Node[]
}

function stepNames(node: Node): string[] {
  const { 'Node Type': type, 'Relation Name': table, 'Index Name': index } = node
  const below = (node.Plans ?? []).flatMap(stepNames)
  if (type === 'Seq Scan') return [`SCAN ${table}`, ...below]
  if (type.includes('Index') && !node['Index Cond']) return [`SCAN ${table} by ${index}`, ...below]
  // An Incremental Sort reads an index in order and sorts only its equal keys; under a unique name
  // there are none.
  if (type === 'Sort') return ['USE TEMP B-TREE FOR ORDER BY', ...below]
  return [`${type} ${table ?? ''} ${index ?? ''}`, ...below]
}

/**
 * PostgreSQL plans by its statistics, and on small tables any index is good enough. 50 other workspaces
 * with 1,000 entries each give realistic sizes. SQLite has never run ANALYZE, so its indexes alone
 * decide.
 */
export async function analyzeTables(db: Db): Promise<void> {
  if (database === 'SQLite') return
  for (const statement of [...others, 'analyze'])
    await db.executeQuery(CompiledQuery.raw(statement))
}

const others = [
  `insert into workspaces (id, name, slug, visibility, "trashRetentionDays", "autoFile", "rootId", "createdAt")
    select 'ws' || w, 'w', 'slug' || w, 'PRIVATE', 30, 0, 'fld' || w || '_0', 0 from generate_series(1, 50) w`,
  `insert into entries (id, "workspaceId", kind, "parentId", name, "nameKey", path, "pathKey", "createdAt", "updatedAt")
    select 'fld' || w || '_' || f, 'ws' || w, 'folder', case f when 0 then null else 'fld' || w || '_0' end,
      'f' || f, 'f' || f, 'f' || f, 'f' || f || '/', w * f, w + f
    from generate_series(1, 50) w, generate_series(0, 50) f`,
  `insert into entries (id, "workspaceId", kind, "parentId", name, "nameKey", size, sha256, "createdAt", "updatedAt")
    select 'file' || w || '_' || f, 'ws' || w, 'file', 'fld' || w || '_' || f % 51, 'n' || f, 'n' || f, f, md5('' || f * w), w * f, w + f
    from generate_series(1, 50) w, generate_series(1, 1000) f`,
  `insert into tags (id, "workspaceId", name, "nameKey", "createdAt")
    select 'tag' || w || '_' || t, 'ws' || w, 't' || t, 't' || t, 0 from generate_series(1, 50) w, generate_series(1, 100) t`,
  `insert into uploads (id, "workspaceId", "createdBy", status, name, path, "onConflict", "createdAt", "expiresAt")
    select 'upl' || w || '_' || u, 'ws' || w, 'usr' || w, case u % 10 when 0 then 'CREATED' else 'COMPLETE' end, 'u' || u, '', 'FAIL', u, 9000000000000
    from generate_series(1, 50) w, generate_series(1, 200) u`,
]
