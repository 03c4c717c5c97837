import { type LinkableColumn, StartupError } from '../../config.ts'
import { inTransaction, type ServiceContext } from '../../context.ts'
import type { Db } from '../../database/database.ts'
import type { Row } from '../../database/tables.ts'
import { type Tx, transact } from '../../database/transaction.ts'
import {
  createUserTable,
  describeTable,
  KEY_COLUMN,
  nameExists,
  systemTables,
  type TableDescription,
  type UserColumn,
} from '../../database/user-tables/tables.ts'
import { InvalidInput } from '../../errors.ts'
import { record } from '../activity/writes.ts'
import { requireInputWorkspace } from '../workspaces/reads.ts'
import { type Table, tablesOf } from './reads.ts'
import { checkTable, isName, MOST_TABLES, type NewColumn, nameKeyOf, sqlNameOf } from './rules.ts'

/** What writing rows asks of the viewer, beside what the files ask. */
export const toWriteRows = { scope: 'TABLES_WRITE', role: 'EDITOR' } as const

type NewTable = { workspaceId: string; name: string; columns: readonly NewColumn[] }

/** Makes a table that other programs can read and write, too. EDITOR, scope TABLES_WRITE; InvalidInput for what is no name. */
export async function createTable(
  ctx: ServiceContext,
  { workspaceId, name, columns }: NewTable,
): Promise<Table> {
  return inTransaction(ctx, async (s) => {
    await requireInputWorkspace(s.tx, s.viewer, workspaceId, toWriteRows)
    checkTable(name, columns, KEY_COLUMN)
    const sqlName = sqlNameOf(workspaceId, name)
    await refuseTaken(s.tx, { workspaceId, name, sqlName })
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
      .values({ ...entryOf(table), workspaceId, letIn: 0, createdAt: s.now() })
      .execute()
    const details = { table: name, sqlName }
    await record(s, { workspaceId, action: 'TABLE_CREATED', details })
    return { ...table, workspaceId, shared: false }
  })
}

const columnOf = ({ name, type, nullable }: NewColumn): UserColumn => ({ name, type, nullable })

const entryOf = (table: Omit<Table, 'workspaceId' | 'shared' | 'letIn'>) => ({
  sqlName: table.sqlName,
  name: table.name,
  nameKey: nameKeyOf(table.name),
  keyColumn: table.keyColumn,
  columns: JSON.stringify(table.columns),
})

type Naming = { workspaceId: string; name: string; sqlName: string }

async function refuseTaken(tx: Tx, { workspaceId, name, sqlName }: Naming) {
  const refuse = (path: string, message: string) => new InvalidInput({ path: [path], message })
  const tables = await tablesOf(tx, workspaceId)
  if (tables.some((table) => nameKeyOf(table.name) === nameKeyOf(name))) {
    throw refuse('name', 'the workspace has a table of this name')
  }
  // What another program dropped is still in the catalogue: its rows in the trash may not come back to another table.
  const known = await tx
    .selectFrom('userTables')
    .select('sqlName')
    .where('sqlName', '=', sqlName)
    .executeTakeFirst()
  if (known || (await nameExists(tx, sqlName))) throw refuse('name', 'this name is taken')
  if (tables.length >= MOST_TABLES) {
    throw refuse('workspaceId', `a workspace has at most ${MOST_TABLES} tables`)
  }
}

/**
 * Brings the catalogue to what LINKABLE_TABLES allows now. Each name is looked up in the database's own catalogue; StartupError
 * for a table that is not there or is the house's own, for one whose rows have no INTEGER PRIMARY KEY, and for a column that
 * is no text. A table that is let in without a workspace is shared: see Table.
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
      const table = await lookedUp(tx, own, columns)
      await tx
        .insertInto('userTables')
        .values({ ...table, letIn: 1, createdAt: now() })
        .execute()
    }
  })
}

type Entry = Omit<Row<'userTables'>, 'letIn' | 'createdAt'>

async function lookedUp(
  tx: Tx,
  own: ReadonlySet<string>,
  linkable: readonly LinkableColumn[],
): Promise<Entry> {
  const { table: named = '', workspace: slug = null } = linkable[0] ?? {}
  const refuse = (sentence: string) => new StartupError(`LINKABLE_TABLES names ${sentence}`)
  if (linkable.some(({ workspace }) => workspace !== slug)) {
    throw refuse(`${named} for two workspaces; it is for one, or without @ for all.`)
  }
  if (own.has(nameKeyOf(named)) || (await isMade(tx, named))) {
    throw refuse(`${named}, a table of the server's own; only your own tables can be let in.`)
  }
  const found = await describeTable(tx, named)
  if (!found) throw refuse(`${named}, which is no table of the database.`)
  const { name, sqlName, keyColumn } = found
  if (keyColumn === null || !isName(keyColumn)) {
    throw refuse(`${named}, whose rows have no INTEGER PRIMARY KEY to be known by.`)
  }
  const paths = linkable.map(({ column }) => column)
  const extras = linkable.flatMap(({ extras }) => extras)
  const columns = found.columns.map((column) => asNamed(column, { paths, extras }, found))
  const isOpen = (name: string) => columns.some((column) => column.name === name && column.type)
  const missing = paths.find((path) => !isOpen(path))
  if (missing) throw refuse(`${named}.${missing}, which is no text column of that table.`)
  const unknown = extras.find((extra) => !isOpen(extra))
  if (unknown)
    throw refuse(`${named}.${unknown}, which is no column of that table that can be shown.`)
  const workspaceId = slug === null ? null : await workspaceOf(tx, slug)
  if (workspaceId === undefined) throw refuse(`the workspace ${slug}, which is not there.`)
  return { ...entryOf({ name, sqlName, keyColumn, columns }), workspaceId }
}

type Named = { paths: readonly string[]; extras: readonly string[] }

/** Columns that the setting does not name are kept with their rows, and neither shown nor written. */
function asNamed(column: UserColumn, named: Named, { textColumns }: TableDescription): UserColumn {
  if (named.paths.includes(column.name))
    return { ...column, type: textColumns.includes(column.name) ? 'FILE_PATH' : null }
  return named.extras.includes(column.name) ? column : { ...column, type: null }
}

async function isMade(tx: Tx, named: string): Promise<boolean> {
  const made = tx.selectFrom('userTables').select('sqlName').where('letIn', '=', 0)
  return (await made.where('sqlName', '=', nameKeyOf(named)).executeTakeFirst()) !== undefined
}

async function workspaceOf(tx: Tx, slug: string): Promise<string | undefined> {
  const row = await tx
    .selectFrom('workspaces')
    .select('id')
    .where('slug', '=', slug)
    .executeTakeFirst()
  return row?.id
}
