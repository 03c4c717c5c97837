import type { Dice } from '../../support/data/seeded-random.ts'
import { drawId, filesIn } from '../draws.ts'
import { reject } from '../refusal.ts'
import type { Model, Table } from '../state/model-state.ts'
import { fold } from '../state/names.ts'
import { requireLive, requireWorkspace } from '../state/paths.ts'
import { linkFile, type RowLink, tablesOf } from '../state/rows.ts'
import { mutation, type Operation } from './operation.ts'

const columns = [
  { name: 'file', type: 'FILE_PATH' },
  { name: 'other', type: 'FILE_PATH' },
  { name: 'run', type: 'INTEGER' },
]
/** Limits the rows of a table, removed ones included. At the limit existing rows are updated. */
const MAX_ROW_COUNT = 60

type CreateTable = { workspaceId: string; name: string; columns: typeof columns }
const createTable: Operation<CreateTable> = {
  name: 'createTable',
  weight: 1,
  draw: (model, dice) => ({
    workspaceId: dice.pick(model.workspaces)?.id ?? '',
    name: dice.pick(['plates', 'Plates', 'runs', '1st']),
    columns,
  }),
  run: mutation('createTable', 'table { name }', ({ table }) => ({ facts: table.name })),
  apply(model, { workspaceId, name }) {
    const workspace = requireWorkspace(model, workspaceId)
    const isTaken = tablesOf(model, workspace).some((table) => fold(table.name) === fold(name))
    if (isTaken || !/^[a-z]/i.test(name)) reject('INVALID_INPUT')
    const table: Table = { key: model.next++, workspace, name, rows: [], taken: [] }
    model.tables.set(table.key, table)
    return { code: null, facts: name }
  },
}

/** Draws a new or existing row, sometimes with an unknown table or with a column that stores no paths. */
export function drawLink(model: Model, dice: Dice): RowLink {
  const table = dice.pick([...model.tables.values()])
  const rows = [...(table?.rows ?? [])]
  const isNew = rows.length + (table?.taken.length ?? 0) < MAX_ROW_COUNT && dice.chance(65)
  return {
    table: dice.chance(95) ? (table?.name ?? 'plates') : 'nothing',
    column: dice.pick(['file', 'file', 'file', 'file', 'other', 'other', 'run', 'nothing']),
    ...(isNew
      ? { values: { run: model.lastRun + 1 } }
      : { key: { run: dice.pick(rows)?.run ?? 0 } }),
  }
}

const linkRow: Operation<{ fileId: string; link: RowLink }> = {
  name: 'linkRow',
  weight: 7,
  draw: (model, dice) =>
    model.tables.size === 0
      ? null
      : { fileId: drawId(model, dice, filesIn(model)), link: drawLink(model, dice) },
  run: mutation('linkRow', 'file { id } row { values }', ({ file, row }) => ({
    facts: row.values.run,
    ids: [file.id],
  })),
  apply(model, { fileId, link }) {
    const file = requireLive(model, { id: fileId })
    if (file.kind === 'folder') reject('INVALID_STATE')
    linkFile(model, file, link)
    return { code: null, facts: link.values?.run ?? link.key?.run, keys: [file.key] }
  },
}

export const tableOperations: Operation[] = [createTable, linkRow]
