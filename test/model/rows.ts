import {
  type Entry,
  type PathColumn,
  pathColumns,
  type Row,
  type Table,
  type Taken,
  type World,
} from './model-state.ts'
import { refuse } from './refusal.ts'
import { isLive, pathOf, subtreeOf } from './tree.ts'

export const tablesOf = (world: World, workspace: number): Table[] =>
  [...world.tables.values()].filter((table) => table.workspace === workspace)

function requireTable(world: World, workspace: number, named: string): Table {
  const table = tablesOf(world, workspace).find(({ name }) => name === named)
  return table ?? refuse('ROW_REJECTED')
}

function requirePathColumn(named: string): PathColumn {
  return pathColumns.find((column) => column === named) ?? refuse('ROW_REJECTED')
}

/** Changes where an entry is; the rows of its files, and of those below it, follow from wherever it was. */
export function moving(world: World, entry: Entry, change: () => void) {
  const files = subtreeOf(world, entry).filter(({ kind }) => kind === 'file')
  const before = new Map(files.map((file) => [file.key, pathOf(world, file)]))
  change()
  for (const { rows } of tablesOf(world, entry.workspace))
    for (const row of rows) followIn(world, row, files, before)
}

function followIn(world: World, row: Row, files: Entry[], before: Map<number, string>) {
  for (const column of pathColumns) {
    const file = files.find(({ key }) => key === row.links[column])
    if (file && row.cells[column] === before.get(file.key)) row.cells[column] = pathOf(world, file)
  }
}

export type RowLink = {
  table: string
  column: string
  values?: { run: number }
  key?: { run?: number }
}

/** Writes the path of a file into a new row, or into the one that has this number. */
export function linkFile(world: World, file: Entry, { table: named, ...link }: RowLink) {
  const table = requireTable(world, file.workspace, named)
  const column = requirePathColumn(link.column)
  const row = link.key ? rowOf(table, link.key) : newRow(world, table, link.values)
  row.cells[column] = pathOf(world, file)
  row.links[column] = file.key
}

function rowOf({ rows }: Table, { run }: { run?: number }): Row {
  return rows.find((row) => row.run === run) ?? refuse('ROW_REJECTED')
}

function newRow(world: World, { rows }: Table, values: { run: number } | undefined): Row {
  const row: Row = { run: values?.run ?? refuse('ROW_REJECTED'), cells: {}, links: {} }
  world.lastRun = Math.max(world.lastRun, row.run)
  rows.push(row)
  return row
}

/** Takes the rows away that hold the path of what was just put in the trash, or any below it. Their number. */
export function unlinkRows(world: World, entry: Entry, unlink: { table: string; column: string }) {
  const table = requireTable(world, entry.workspace, unlink.table)
  const column = requirePathColumn(unlink.column)
  const path = entry.trashed?.path ?? ''
  const held = table.rows.filter(({ cells }) => holds(cells[column], path, entry))
  table.rows = table.rows.filter((row) => !held.includes(row))
  table.taken.push(...held.map((row): Taken => ({ entry: entry.key, column, row })))
  return held.length
}

const holds = (cell: string | undefined, path: string, { kind }: Entry) =>
  cell === path || (kind === 'folder' && cell?.startsWith(`${path}/`) === true)

/** Puts back what went with an entry that was at `from`, with the paths that its files have now. Their number. */
export function relinkRows(world: World, entry: Entry, from: string): number {
  let count = 0
  for (const table of tablesOf(world, entry.workspace)) {
    const back = table.taken.filter((taken) => taken.entry === entry.key)
    table.taken = table.taken.filter((taken) => taken.entry !== entry.key)
    for (const taken of back) table.rows.push(putBack(world, taken, from, pathOf(world, entry)))
    count += back.length
  }
  return count
}

function putBack(world: World, { row, column }: Taken, from: string, to: string): Row {
  const cell = row.cells[column] ?? ''
  if (cell === from || cell.startsWith(`${from}/`)) row.cells[column] = to + cell.slice(from.length)
  for (const linked of pathColumns) {
    const file = world.entries.get(row.links[linked] ?? -1)
    if (file) row.cells[linked] = pathOf(world, file)
    else delete row.links[linked]
  }
  return row
}

/** Of files that are no more: the cells stay, the links go, and so do the rows that went with them. */
export function forgetLinks(world: World, keys: ReadonlySet<number>) {
  for (const table of world.tables.values()) {
    table.taken = table.taken.filter(({ entry }) => !keys.has(entry))
    for (const { links } of table.rows)
      for (const column of pathColumns) if (keys.has(links[column] ?? -1)) delete links[column]
  }
}

/** What a cell of a row leads to: the file it is linked to, else what has the path; null unless it lives. */
export function fileIn(world: World, { links }: Row, column: PathColumn, found: Entry | undefined) {
  const key = links[column]
  const file = key === undefined ? found : world.entries.get(key)
  return file?.kind === 'file' && isLive(world, file) ? file : null
}
