import { reject } from '../refusal.ts'
import {
  type Entry,
  type Model,
  type PathColumn,
  pathColumns,
  type Row,
  type Table,
  type Taken,
} from './model-state.ts'
import { isLive, pathOf, subtreeOf } from './tree.ts'

export const tablesOf = (model: Model, workspace: number): Table[] =>
  [...model.tables.values()].filter((table) => table.workspace === workspace)

function requireTable(model: Model, workspace: number, tableName: string): Table {
  const table = tablesOf(model, workspace).find(({ name }) => name === tableName)
  return table ?? reject('ROW_REJECTED')
}

function requirePathColumn(name: string): PathColumn {
  return pathColumns.find((column) => column === name) ?? reject('ROW_REJECTED')
}

/** Changes the location of an entry and updates the rows of its files and of those below it. */
export function moveWithRows(model: Model, entry: Entry, change: () => void) {
  const files = subtreeOf(model, entry).filter(({ kind }) => kind === 'file')
  const before = new Map(files.map((file) => [file.key, pathOf(model, file)]))
  change()
  for (const { rows } of tablesOf(model, entry.workspace))
    for (const row of rows) updateCells(model, row, files, before)
}

function updateCells(model: Model, row: Row, files: Entry[], before: Map<number, string>) {
  for (const column of pathColumns) {
    const file = files.find(({ key }) => key === row.links[column])
    if (file && row.cells[column] === before.get(file.key)) row.cells[column] = pathOf(model, file)
  }
}

export type RowLink = {
  table: string
  column: string
  values?: { run: number }
  key?: { run?: number }
}

/** Writes the path of a file into a new row or into the row with the given number. */
export function linkFile(model: Model, file: Entry, { table: tableName, ...link }: RowLink) {
  const table = requireTable(model, file.workspace, tableName)
  const column = requirePathColumn(link.column)
  const row = link.key ? rowOf(table, link.key) : newRow(model, table, link.values)
  row.cells[column] = pathOf(model, file)
  row.links[column] = file.key
}

function rowOf({ rows }: Table, { run }: { run?: number }): Row {
  return rows.find((row) => row.run === run) ?? reject('ROW_REJECTED')
}

function newRow(model: Model, { rows }: Table, values: { run: number } | undefined): Row {
  const row: Row = { run: values?.run ?? reject('ROW_REJECTED'), cells: {}, links: {} }
  model.lastRun = Math.max(model.lastRun, row.run)
  rows.push(row)
  return row
}

/** Removes the rows with the path of a trashed entry or of its descendants, and returns their number. */
export function unlinkRows(model: Model, entry: Entry, unlink: { table: string; column: string }) {
  const table = requireTable(model, entry.workspace, unlink.table)
  const column = requirePathColumn(unlink.column)
  const path = entry.trashed?.path ?? ''
  const matching = table.rows.filter(({ cells }) => matchesPath(cells[column], path, entry))
  table.rows = table.rows.filter((row) => !matching.includes(row))
  table.taken.push(...matching.map((row): Taken => ({ entry: entry.key, column, row })))
  return matching.length
}

const matchesPath = (cell: string | undefined, path: string, { kind }: Entry) =>
  cell === path || (kind === 'folder' && cell?.startsWith(`${path}/`) === true)

/**
 * Restores the rows that were removed with an entry, with the current paths of its files, and returns their
 * number.
 */
export function relinkRows(model: Model, entry: Entry, from: string): number {
  let count = 0
  for (const table of tablesOf(model, entry.workspace)) {
    const restored = table.taken.filter((taken) => taken.entry === entry.key)
    table.taken = table.taken.filter((taken) => taken.entry !== entry.key)
    for (const taken of restored)
      table.rows.push(restoreRow(model, taken, from, pathOf(model, entry)))
    count += restored.length
  }
  return count
}

function restoreRow(model: Model, { row, column }: Taken, from: string, to: string): Row {
  const cell = row.cells[column] ?? ''
  if (cell === from || cell.startsWith(`${from}/`)) row.cells[column] = to + cell.slice(from.length)
  for (const linked of pathColumns) {
    const file = model.entries.get(row.links[linked] ?? -1)
    if (file) row.cells[linked] = pathOf(model, file)
    else delete row.links[linked]
  }
  return row
}

/** Deletes the links to deleted files and the rows that were removed with them. Cells keep their values. */
export function deleteLinks(model: Model, keys: ReadonlySet<number>) {
  for (const table of model.tables.values()) {
    table.taken = table.taken.filter(({ entry }) => !keys.has(entry))
    for (const { links } of table.rows)
      for (const column of pathColumns) if (keys.has(links[column] ?? -1)) delete links[column]
  }
}

/** Returns the live file of a cell: the linked file, else the entry with the path; null if there is none. */
export function fileOfCell(
  model: Model,
  { links }: Row,
  column: PathColumn,
  entryAtPath: Entry | undefined,
) {
  const key = links[column]
  const file = key === undefined ? entryAtPath : model.entries.get(key)
  return file?.kind === 'file' && isLive(model, file) ? file : null
}
