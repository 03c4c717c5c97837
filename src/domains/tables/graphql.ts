import { idInWorkspace } from '../../database/ids.ts'
import type { ColumnType } from '../../database/tables.ts'
import { cellsOf, type RawRow } from '../../database/user-tables/rows.ts'
import { InvalidState, RowRejected } from '../../errors/entries.ts'
import { InvalidInput } from '../../errors/input.ts'
import { builder } from '../../graphql/builder.ts'
import type { Context } from '../../graphql/context.ts'
import { listCost } from '../../graphql/limits/costs.ts'
import { NodeInWorkspace, nodeTypeInWorkspace } from '../../graphql/nodes.ts'
import { connectionOf, page } from '../../graphql/pages.ts'
import { workspaceMutation } from '../activity/graphql.ts'
import { loadEntry, loadParent } from '../entries/graphql.ts'
import { entryByPath, type FileRow, trashRootOf } from '../entries/reads.ts'
import { File } from '../files/graphql.ts'
import { Workspace } from '../workspaces/graphql.ts'
import { requireAccess } from '../workspaces/reads.ts'
import { linkRow } from './links.ts'
import {
  linksOfRows,
  type RowLinkRow,
  rowByKey,
  rowsList,
  type Table,
  type TableRow,
  tablesOf,
} from './reads.ts'
import { MAX_COLUMNS, MAX_PATH_COLUMNS, MAX_TABLES, pathColumns, shownColumns } from './rules.ts'
import { decodeCells } from './values.ts'
import { createTable } from './writes.ts'
import './sync-paths.ts'

/** Tables are visible to members only, even if the workspace is PUBLIC. */
const memberAccess = { scope: 'FILES_READ', role: 'VIEWER' } as const

const ColumnTypeEnum = builder.enumType('ColumnType', {
  description: 'The type of a table column.',
  values: {
    TEXT: { description: 'Text without the character U+0000.' },
    INTEGER: { description: 'Whole numbers from -(2^53-1) to 2^53-1.' },
    REAL: { description: 'Double-precision floating-point numbers.' },
    BOOLEAN: { description: 'True or false.' },
    TIMESTAMP: {
      description: 'Times stored in UTC with milliseconds, such as 2025-01-31T09:30:00.000Z.',
    },
    JSON: { description: 'Any JSON value.' },
    FILE_PATH: { description: 'The path of a file, in the form of Entry.path.' },
  } satisfies Record<ColumnType, object>,
})

/**
 * Low, because a workspace can have 10,000 columns, which are loaded with their tables and need no extra
 * query.
 */
const COLUMN_FIELD_COST = 0.25

type Column = ReturnType<typeof shownColumns>[number]
const TableColumn = builder.objectRef<Column>('TableColumn').implement({
  description: 'A column of a table.',
  fields: (t) => ({
    name: t.exposeString('name', {
      complexity: COLUMN_FIELD_COST,
      description: 'The name of the column.',
    }),
    type: t.expose('type', {
      type: ColumnTypeEnum,
      complexity: COLUMN_FIELD_COST,
      description: 'The type of the column.',
    }),
    nullable: t.exposeBoolean('nullable', {
      complexity: COLUMN_FIELD_COST,
      description: 'True if the column accepts null.',
    }),
    isFilePath: t.boolean({
      complexity: COLUMN_FIELD_COST,
      description: 'True if the column has the type FILE_PATH.',
      resolve: ({ type }) => type === 'FILE_PATH',
    }),
  }),
})

/** A row with a loader of its links. The first call of any row loads the links of all rows of the page. */
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

/** Converts one row to the shape that TableRowType resolves. */
export const shownRow = (context: Context, { table, row }: TableRow): ShownRow =>
  shownRows(context, table, [row])[0] as ShownRow

/** The name of a table in the database, in characters that an id may contain. */
const keyOfTable = ({ sqlName }: Table) => Buffer.from(sqlName).toString('base64url')
const tableId = (table: Table) => idInWorkspace('tbl', table.workspaceId, keyOfTable(table))
const keyOfRow = ({ table, row }: TableRow) => `${keyOfTable(table)}.${row.key}`
const rowId = (shown: TableRow) => idInWorkspace('row', shown.table.workspaceId, keyOfRow(shown))

type Linked = { column: string; file: FileRow | null }
const LinkedFile = builder.objectRef<Linked>('LinkedFile').implement({
  description: 'The file that a FILE_PATH cell points to.',
  fields: (t) => ({
    column: t.exposeString('column', { description: 'The name of the FILE_PATH column.' }),
    file: t.expose('file', {
      type: File,
      nullable: true,
      description: 'The file, or null if no file outside the trash has the path.',
    }),
  }),
})

export const TableRowType = builder.objectRef<ShownRow>('TableRow').implement({
  description: 'A row of a table.',
  interfaces: [NodeInWorkspace],
  fields: (t) => ({
    id: t.id({ description: 'The id of the row.', resolve: rowId }),
    values: t.field({
      type: 'JSONObject',
      description: 'The values of the row by column name.',
      resolve: ({ table, row }) => decodeCells(table, cellsOf(table, row)),
    }),
    files: t.field({
      type: [LinkedFile],
      description: 'The files that the FILE_PATH columns of the row point to.',
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
      return { column, file: file?.kind === 'file' && (await isLive(file, context)) ? file : null }
    }),
  )
}

/** Returns the entry at a path, or null if another program wrote an invalid path. */
async function entryAt({ db }: Context, workspaceId: string, path: string) {
  return entryByPath(db, workspaceId, path).catch((error) => {
    if (error instanceof InvalidInput) return null
    throw error
  })
}

const isLive = async (file: FileRow, context: Context) =>
  !trashRootOf(file, await loadParent(file, context))

const TableType = builder.objectRef<Table>('Table').implement({
  description: 'An SQL table of the database, which other programs can also read and write.',
  interfaces: [NodeInWorkspace],
  fields: (t) => ({
    id: t.id({ description: 'The id of the table in the workspace.', resolve: tableId }),
    name: t.exposeString('name', { description: 'The name of the table in the workspace.' }),
    sqlName: t.exposeString('sqlName', { description: 'The name of the table in the database.' }),
    columns: t.field({
      type: [TableColumn],
      description: 'The columns of the table.',
      complexity: listCost(MAX_COLUMNS),
      resolve: shownColumns,
    }),
    rows: t.connection(
      {
        type: TableRowType,
        description:
          'The rows of the table, sorted by key. Of an operator table that all workspaces share, only the rows that this workspace linked.',
        args: {
          where: t.arg({
            type: 'JSONObject',
            description:
              'Return only rows whose columns have these values; this scans the whole table.',
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

async function loadTables({ db, viewer }: Context, workspaceId: string): Promise<Table[]> {
  await requireAccess(db, viewer, workspaceId, memberAccess)
  return tablesOf(db, workspaceId)
}

nodeTypeInWorkspace('tbl', 'Table', async (workspaceId, keys, context) => {
  const tables = await loadTables(context, workspaceId)
  return keys.map((key) => tables.find((table) => keyOfTable(table) === key))
})

nodeTypeInWorkspace('row', 'TableRow', async (workspaceId, keys, context) => {
  const tables = await loadTables(context, workspaceId)
  return Promise.all(
    keys.map(async (key) => {
      const [tableKey, rowKey] = key.split('.')
      const table = tables.find((table) => keyOfTable(table) === tableKey)
      const row = table && (await rowByKey(context.db, table, Number(rowKey)))
      return row && keyOfRow({ table, row }) === key ? shownRow(context, { table, row }) : null
    }),
  )
})

builder.objectFields(Workspace, (t) => ({
  tables: t.field({
    type: [TableType],
    description:
      'The tables whose rows can link files, sorted by name. Requires role VIEWER and scope FILES_READ.',
    complexity: listCost(MAX_TABLES),
    resolve: ({ id }, _, context) => loadTables(context, id),
  }),
  table: t.field({
    type: TableType,
    nullable: true,
    description:
      'A table by its name, or null if it does not exist. Requires role VIEWER and scope FILES_READ.',
    args: { name: t.arg.string({ required: true, description: 'The name of the table.' }) },
    resolve: async ({ id }, { name }, context) =>
      (await loadTables(context, id)).find((table) => table.name === name) ?? null,
  }),
}))

export const RowLinkInput = builder.inputType('RowLink', {
  description:
    'A table row that receives the path of a file: a new row, or with `key` the existing rows that match. Requires role EDITOR and scope TABLES_WRITE.',
  fields: (t) => ({
    table: t.string({ required: true, description: 'The name of the table.' }),
    column: t.string({
      required: true,
      description: 'The FILE_PATH column that receives the path.',
    }),
    values: t.field({ type: 'JSONObject', description: 'Values for other columns.' }),
    key: t.field({
      type: 'JSONObject',
      description: 'Update the rows whose columns have these values instead of inserting a row.',
    }),
  }),
})

export const RowUnlinkInput = builder.inputType('RowUnlink', {
  description:
    'Table rows to delete together with a trashed entry: those whose `column` contains the path of the entry or of an entry below it. Requires role EDITOR and scope TABLES_WRITE.',
  fields: (t) => ({
    table: t.string({ required: true, description: 'The name of the table.' }),
    column: t.string({
      required: true,
      description: 'The FILE_PATH column that contains the path.',
    }),
  }),
})

workspaceMutation('createTable', {
  description: 'Creates an SQL table. Requires role EDITOR and scope TABLES_WRITE.',
  input: builder.inputType('CreateTableInput', {
    description: 'The input of createTable.',
    fields: (t) => ({
      workspaceId: t.id({ required: true, description: 'The ID of the workspace.' }),
      name: t.string({
        required: true,
        description:
          'The name of the table: 1 to 63 letters, digits and underscores, not starting with a digit.',
      }),
      columns: t.field({
        type: [
          builder.inputType('ColumnInput', {
            description: 'A column of a new table.',
            fields: (t) => ({
              name: t.string({
                required: true,
                description:
                  'The name of the column: 1 to 63 letters, digits and underscores, not starting with a digit.',
              }),
              type: t.field({
                type: ColumnTypeEnum,
                required: true,
                description: 'The type of the column.',
              }),
              nullable: t.boolean({
                required: true,
                defaultValue: true,
                description: 'Whether the column accepts null.',
              }),
            }),
          }),
        ],
        required: true,
        description: 'The columns of the table, from 1 to 100, at most 20 of them FILE_PATH.',
      }),
    }),
  }),
  payload: builder.objectRef<{ table: Table }>('CreateTablePayload').implement({
    description: 'The result of createTable.',
    fields: (t) => ({ table: t.expose('table', { type: TableType, description: 'The table.' }) }),
  }),
  workspaceIdOf: ({ table }) => table.workspaceId,
  resolve: async (input, context) => ({ table: await createTable(context, input) }),
})

workspaceMutation('linkRow', {
  description:
    'Writes the path of an existing file into a table row. Requires role EDITOR and scope TABLES_WRITE.',
  input: builder.inputType('LinkRowInput', {
    description: 'The input of linkRow.',
    fields: (t) => ({
      fileId: t.id({ required: true, description: 'The ID of the file.' }),
      link: t.field({
        type: RowLinkInput,
        required: true,
        description: 'The row that receives the path of the file.',
      }),
    }),
  }),
  payload: builder.objectRef<{ row: ShownRow; file: FileRow }>('LinkRowPayload').implement({
    description: 'The result of linkRow.',
    fields: (t) => ({
      row: t.expose('row', {
        type: TableRowType,
        description: 'The linked row, the first one if several match.',
      }),
      file: t.expose('file', { type: File, description: 'The file.' }),
    }),
  }),
  errors: [InvalidState, RowRejected],
  workspaceIdOf: ({ file }) => file.workspaceId,
  resolve: async (input, context) => {
    const { file, ...linked } = await linkRow(context, input)
    return { file, row: shownRow(context, linked) }
  },
})
