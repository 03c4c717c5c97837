import type { ColumnType } from '../../database/tables.ts'
import { cellsOf, type RawRow } from '../../database/user-tables/rows.ts'
import { InvalidInput, InvalidState, RowRejected } from '../../errors.ts'
import { builder } from '../../graphql/builder.ts'
import type { Context } from '../../graphql/context.ts'
import { listCost } from '../../graphql/costs.ts'
import { mutation } from '../../graphql/mutations.ts'
import { connectionOf, page } from '../../graphql/pages.ts'
import { currentSyncCursor } from '../activity/reads.ts'
import { loadEntry, loadParent } from '../entries/graphql.ts'
import { type EntryRow, entryByPath, trashRootOf } from '../entries/reads.ts'
import { File } from '../files/graphql.ts'
import { Workspace } from '../workspaces/graphql.ts'
import { requireAccess } from '../workspaces/reads.ts'
import { linkRow } from './links.ts'
import {
  linksOfRows,
  type RowLinkRow,
  rowsList,
  type Table,
  type TableRow,
  tablesOf,
} from './reads.ts'
import { MAX_COLUMNS, MAX_PATH_COLUMNS, MOST_TABLES, pathColumns, shownColumns } from './rules.ts'
import { decodeCells } from './values.ts'
import { createTable } from './writes.ts'
import './sync-paths.ts'

/** Tables are the members' business, also where everybody may read the files. */
const need = { scope: 'FILES_READ', role: 'VIEWER' } as const

const ColumnTypeEnum = builder.enumType('ColumnType', {
  values: {
    TEXT: {},
    INTEGER: { description: 'Whole numbers from -(2^53-1) to 2^53-1.' },
    REAL: {},
    BOOLEAN: {},
    TIMESTAMP: { description: 'Kept in UTC with milliseconds: 2025-01-31T09:30:00.000Z.' },
    JSON: {},
    FILE_PATH: { description: 'The path of a file, as Entry.path says it.' },
  } satisfies Record<ColumnType, object>,
})

/** A workspace can have 10,000 columns, which come with their tables and are not looked up. */
const OF_A_COLUMN = 0.25

type Column = ReturnType<typeof shownColumns>[number]
const TableColumn = builder.objectRef<Column>('TableColumn').implement({
  fields: (t) => ({
    name: t.exposeString('name', { complexity: OF_A_COLUMN }),
    type: t.expose('type', { type: ColumnTypeEnum, complexity: OF_A_COLUMN }),
    nullable: t.exposeBoolean('nullable', { complexity: OF_A_COLUMN }),
    isFilePath: t.boolean({
      complexity: OF_A_COLUMN,
      description: "True where the column holds a file's path.",
      resolve: ({ type }) => type === 'FILE_PATH',
    }),
  }),
})

/** A row, and the links of its cells; asked for by one row, they are read for its whole page. */
type ShownRow = TableRow & { links: () => Promise<RowLinkRow[]> }

function shownRows({ db }: Context, table: Table, rows: readonly RawRow[]): ShownRow[] {
  const keys = rows.map(({ key }) => key)
  let read: Promise<RowLinkRow[]> | undefined
  const links = async (row: RawRow) => {
    read ??= linksOfRows(db, table, keys)
    return (await read).filter(({ rowKey }) => rowKey === row.key)
  }
  return rows.map((row) => ({ table, row, links: () => links(row) }))
}

/** One row as TableRowType takes it. */
export const shownRow = (context: Context, { table, row }: TableRow): ShownRow =>
  shownRows(context, table, [row])[0] as ShownRow

type Linked = { column: string; file: EntryRow | null }
const LinkedFile = builder.objectRef<Linked>('LinkedFile').implement({
  fields: (t) => ({
    column: t.exposeString('column'),
    file: t.expose('file', {
      type: File,
      nullable: true,
      description: 'Null where no living file has the path.',
    }),
  }),
})

export const TableRowType = builder.objectRef<ShownRow>('TableRow').implement({
  fields: (t) => ({
    id: t.id({ resolve: ({ table, row }) => `${table.sqlName}:${row.key}` }),
    values: t.field({
      type: 'JSONObject',
      resolve: ({ table, row }) => decodeCells(table, cellsOf(table, row)),
    }),
    files: t.field({
      type: [LinkedFile],
      description: "The files that this row's FILE_PATH columns point to.",
      complexity: listCost(MAX_PATH_COLUMNS, 5),
      resolve: filesOf,
    }),
  }),
})

async function filesOf(shown: ShownRow, _: unknown, context: Context): Promise<Linked[]> {
  const { table, row } = shown
  const cells = cellsOf(table, row)
  const filled = pathColumns(table).filter((column) => cells[column] !== null)
  const links = await shown.links()
  return Promise.all(
    filled.map(async (column) => {
      const path = String(cells[column])
      const link = links.find((known) => known.column === column && known.path === path)
      const file = link
        ? await loadEntry(context, link.fileId)
        : await entryAt(context, table.workspaceId, path)
      return { column, file: file && (await isLivingFile(file, context)) ? file : null }
    }),
  )
}

/** Another program may have written what is no path. */
async function entryAt({ db }: Context, workspaceId: string, path: string) {
  return entryByPath(db, workspaceId, path).catch((error) => {
    if (error instanceof InvalidInput) return null
    throw error
  })
}

const isLivingFile = async (entry: EntryRow, context: Context) =>
  entry.kind === 'file' && !trashRootOf(entry, await loadParent(entry, context))

const TableType = builder.objectRef<Table>('Table').implement({
  description: 'A real table of the database, which other programs can read and write, too.',
  fields: (t) => ({
    name: t.exposeString('name'),
    sqlName: t.exposeString('sqlName', { description: 'What the database calls it.' }),
    columns: t.field({
      type: [TableColumn],
      complexity: listCost(MAX_COLUMNS),
      resolve: shownColumns,
    }),
    rows: t.connection(
      {
        type: TableRowType,
        description:
          "Oldest first. Of an operator's table that all workspaces share, the rows that this one linked.",
        args: {
          where: t.arg({
            type: 'JSONObject',
            description: 'Values that columns must have; all rows are looked at for that.',
          }),
        },
        resolve: async (table, { where, ...args }, context) => {
          const { edges, ...found } = await page(args, rowsList(context.db, table, where))
          const rows = shownRows(
            context,
            table,
            edges.map(({ node }) => node),
          )
          const shown = edges.map(({ cursor }, i) => ({ cursor, node: rows[i] as ShownRow }))
          return { ...found, edges: shown }
        },
      },
      ...connectionOf(TableRowType, 'TableRow'),
    ),
  }),
})

async function tablesFor({ db, viewer }: Context, workspaceId: string): Promise<Table[]> {
  await requireAccess(db, viewer, workspaceId, need)
  return tablesOf(db, workspaceId)
}

builder.objectFields(Workspace, (t) => ({
  tables: t.field({
    type: [TableType],
    description: 'Tables whose rows can hold paths of files, by name. Members only.',
    complexity: listCost(MOST_TABLES),
    resolve: ({ id }, _, context) => tablesFor(context, id),
  }),
  table: t.field({
    type: TableType,
    nullable: true,
    args: { name: t.arg.string({ required: true }) },
    resolve: async ({ id }, { name }, context) =>
      (await tablesFor(context, id)).find((table) => table.name === name) ?? null,
  }),
}))

export const RowLinkInput = builder.inputType('RowLink', {
  description:
    "Insert a row whose `column` is the file's path, `values` filling other columns; or, with `key`, set them in the rows that match. Scope TABLES_WRITE.",
  fields: (t) => ({
    table: t.string({ required: true }),
    column: t.string({ required: true, description: 'A FILE_PATH column.' }),
    values: t.field({ type: 'JSONObject' }),
    key: t.field({ type: 'JSONObject', description: 'Values that columns of the rows have.' }),
  }),
})

export const RowUnlinkInput = builder.inputType('RowUnlink', {
  description:
    'Rows whose `column` holds the path of what is trashed, or of anything below it. Scope TABLES_WRITE.',
  fields: (t) => ({
    table: t.string({ required: true }),
    column: t.string({ required: true, description: 'A FILE_PATH column.' }),
  }),
})

mutation('createTable', {
  description: 'Makes a real SQL table. EDITOR, scope TABLES_WRITE.',
  input: builder.inputType('CreateTableInput', {
    fields: (t) => ({
      workspaceId: t.id({ required: true }),
      name: t.string({ required: true, description: 'Letters, digits and "_", no digit first.' }),
      columns: t.field({
        type: [
          builder.inputType('ColumnInput', {
            fields: (t) => ({
              name: t.string({ required: true }),
              type: t.field({ type: ColumnTypeEnum, required: true }),
              nullable: t.boolean({ required: true, defaultValue: true }),
            }),
          }),
        ],
        required: true,
      }),
    }),
  }),
  payload: builder
    .objectRef<{ table: Table }>('CreateTablePayload')
    .implement({ fields: (t) => ({ table: t.expose('table', { type: TableType }) }) }),
  resolve: async (input, context) => ({ table: await createTable(context, input) }),
})

mutation('linkRow', {
  description: 'Writes the path of a file into a row. EDITOR, scope TABLES_WRITE.',
  input: builder.inputType('LinkRowInput', {
    fields: (t) => ({
      fileId: t.id({ required: true }),
      link: t.field({ type: RowLinkInput, required: true }),
    }),
  }),
  payload: builder.objectRef<{ row: ShownRow; file: EntryRow }>('LinkRowPayload').implement({
    fields: (t) => ({
      row: t.expose('row', { type: TableRowType, description: 'The first, where many match.' }),
      file: t.expose('file', { type: File }),
      syncCursor: t.field({
        type: 'SyncCursor',
        resolve: ({ file }, _, context) => currentSyncCursor(context, file.workspaceId),
      }),
    }),
  }),
  errors: [InvalidState, RowRejected],
  resolve: async (input, context) => {
    const { file, ...linked } = await linkRow(context, input)
    return { file, row: shownRow(context, linked) }
  },
})
