import type { LinkableColumn } from '../../config/settings-server.ts'
import { StartupError } from '../../config/startup-error.ts'
import type { ServiceContext } from '../../context.ts'
import type { Db } from '../../database/database.ts'
import type { Row } from '../../database/tables.ts'
import { type Tx, transact } from '../../database/transaction.ts'
import {
  createUserTable,
  describeTable,
  KEY_COLUMN,
  nameExists,
  systemTables,
} from '../../database/user-tables/tables.ts'
import type { TableDescription, UserColumn } from '../../database/user-tables/user-table.ts'
import { InvalidInput } from '../../errors/input.ts'
import { record } from '../activity/writes.ts'
import { requireInputWorkspace } from '../workspaces/reads.ts'
import { inWorkspaceTransaction } from '../workspaces/transaction.ts'
import { type Table, tablesOf } from './reads.ts'
import { checkTable, isName, MAX_TABLES, type NewColumn, nameKeyOf, sqlNameOf } from './rules.ts'

/** The access that writing rows requires, in addition to the access that the files require. */
export const toWriteRows = { scope: 'TABLES_WRITE', role: 'EDITOR' } as const

type NewTable = { workspaceId: string; name: string; columns: readonly NewColumn[] }

/**
 * Creates an SQL table that other programs can also read and write. Requires role EDITOR and scope
 * TABLES_WRITE. Throws NotFound, Forbidden, InvalidInput.
 */
export async function createTable(
  ctx: ServiceContext,
  { workspaceId, name, columns }: NewTable,
): Promise<Table> {
  return inWorkspaceTransaction(ctx, workspaceId, async (s) => {
    await requireInputWorkspace(s.tx, s.viewer, workspaceId, toWriteRows)
    checkTable(name, columns, KEY_COLUMN)
    const sqlName = sqlNameOf(workspaceId, name)
    await assertNameFree(s.tx, { workspaceId, name, sqlName })
    const table = {
      name,
      sqlName,
      keyColumn: KEY_COLUMN,
      columns: columns.map(columnOf),
      letIn: false,
    }
    await createUserTable(s.tx, table)
    await s.tx
      .insertInto('userTables')
      .values({ ...registrationOf(table), workspaceId, letIn: 0, createdAt: s.now() })
      .execute()
    const details = { table: name, sqlName }
    await record(s, { workspaceId, action: 'TABLE_CREATED', details })
    return { ...table, workspaceId, shared: false }
  })
}

const columnOf = ({ name, type, nullable }: NewColumn): UserColumn => ({ name, type, nullable })

const registrationOf = (table: Omit<Table, 'workspaceId' | 'shared' | 'letIn'>) => ({
  sqlName: table.sqlName,
  name: table.name,
  nameKey: nameKeyOf(table.name),
  keyColumn: table.keyColumn,
  columns: JSON.stringify(table.columns),
})

type TableNames = { workspaceId: string; name: string; sqlName: string }

async function assertNameFree(tx: Tx, { workspaceId, name, sqlName }: TableNames) {
  const rejected = (path: string, message: string) => new InvalidInput({ path: [path], message })
  const tables = await tablesOf(tx, workspaceId)
  if (tables.some((table) => nameKeyOf(table.name) === nameKeyOf(name))) {
    throw rejected('name', 'the workspace has a table of this name')
  }
  // A table that another program dropped is still registered, so that its rows in the trash cannot be
  // restored into a new table.
  const known = await tx
    .selectFrom('userTables')
    .select('sqlName')
    .where('sqlName', '=', sqlName)
    .executeTakeFirst()
  if (known || (await nameExists(tx, sqlName))) throw rejected('name', 'this name is taken')
  if (tables.length >= MAX_TABLES) {
    throw rejected('workspaceId', `a workspace has at most ${MAX_TABLES} tables`)
  }
}

/**
 * Registers the tables of LINKABLE_TABLES. Looks up each name in the system catalog of the database. A table
 * that is set for no workspace is shared (see Table). Throws StartupError for a table that does not exist,
 * belongs to the server or has no INTEGER PRIMARY KEY, for a path column that is not a text column, and for
 * an unknown column or workspace.
 */
export async function registerTables(
  { db, now }: { db: Db; now: () => number },
  linkable: readonly LinkableColumn[],
): Promise<void> {
  const byTable = Map.groupBy(linkable, ({ table }) => nameKeyOf(table))
  const own = byTable.size > 0 ? await systemTables() : new Set<string>()
  await transact(db, async (tx) => {
    await tx.deleteFrom('userTables').where('letIn', '=', 1).execute()
    for (const columns of byTable.values()) {
      const table = await describeLinkable(tx, own, columns)
      await tx
        .insertInto('userTables')
        .values({ ...table, letIn: 1, createdAt: now() })
        .execute()
    }
  })
}

type Registration = Omit<Row<'userTables'>, 'letIn' | 'createdAt'>

async function describeLinkable(
  tx: Tx,
  own: ReadonlySet<string>,
  linkable: readonly LinkableColumn[],
): Promise<Registration> {
  const { table: named = '', workspace: slug = null } = linkable[0] ?? {}
  const rejected = (sentence: string) => new StartupError(`LINKABLE_TABLES names ${sentence}`)
  if (linkable.some(({ workspace }) => workspace !== slug)) {
    throw rejected(
      `${named} for two workspaces; a table can belong to one workspace, or to all without @.`,
    )
  }
  if (own.has(nameKeyOf(named)) || (await isServerTable(tx, named))) {
    throw rejected(`${named}, which is a table of the server; only other tables can be linked.`)
  }
  const found = await describeTable(tx, named)
  if (!found) throw rejected(`${named}, which is not a table of the database.`)
  const { name, sqlName, keyColumn } = found
  if (keyColumn === null || !isName(keyColumn)) {
    throw rejected(`${named}, which has no INTEGER PRIMARY KEY.`)
  }
  const paths = linkable.map(({ column }) => column)
  const extras = linkable.flatMap(({ extras }) => extras)
  const columns = found.columns.map((column) => toLinkableColumn(column, { paths, extras }, found))
  const isVisible = (name: string) => columns.some((column) => column.name === name && column.type)
  const missing = paths.find((path) => !isVisible(path))
  if (missing) throw rejected(`${named}.${missing}, which is not a text column of that table.`)
  const unknown = extras.find((extra) => !isVisible(extra))
  if (unknown)
    throw rejected(
      `${named}.${unknown}, which is not a column of that table or has an unsupported type.`,
    )
  const workspaceId = slug === null ? null : await workspaceIdOf(tx, slug)
  if (workspaceId === undefined) throw rejected(`the workspace ${slug}, which does not exist.`)
  return { ...registrationOf({ name, sqlName, keyColumn, columns }), workspaceId }
}

type NamedColumns = { paths: readonly string[]; extras: readonly string[] }

/**
 * Returns a column of a linkable table. A column that the setting does not name gets no type: it is stored
 * with deleted rows, but neither shown nor written.
 */
function toLinkableColumn(
  column: UserColumn,
  named: NamedColumns,
  { textColumns }: TableDescription,
): UserColumn {
  if (named.paths.includes(column.name))
    return { ...column, type: textColumns.includes(column.name) ? 'FILE_PATH' : null }
  return named.extras.includes(column.name) ? column : { ...column, type: null }
}

async function isServerTable(tx: Tx, named: string): Promise<boolean> {
  const made = tx.selectFrom('userTables').select('sqlName').where('letIn', '=', 0)
  return (await made.where('sqlName', '=', nameKeyOf(named)).executeTakeFirst()) !== undefined
}

async function workspaceIdOf(tx: Tx, slug: string): Promise<string | undefined> {
  const row = await tx
    .selectFrom('workspaces')
    .select('id')
    .where('slug', '=', slug)
    .executeTakeFirst()
  return row?.id
}
