import type { Dice } from '../support/seeded-random.ts'
import { drawId, filesIn } from './draws.ts'
import type { Table, World } from './model-state.ts'
import { fold } from './names.ts'
import { mutation, type Operation } from './operation.ts'
import { requireLive, requireWorkspace } from './paths.ts'
import { refuse } from './refusal.ts'
import { linkFile, type RowLink, tablesOf } from './rows.ts'

const columns = [
  { name: 'file', type: 'FILE_PATH' },
  { name: 'other', type: 'FILE_PATH' },
  { name: 'run', type: 'INTEGER' },
]
/** More rows than so many, with those in the trash, are not made; those that are there are set anew. */
const MOST_ROWS = 60

type CreateTable = { workspaceId: string; name: string; columns: typeof columns }
const createTable: Operation<CreateTable> = {
  name: 'createTable',
  weight: 1,
  draw: (world, dice) => ({
    workspaceId: dice.pick(world.workspaces)?.id ?? '',
    name: dice.pick(['plates', 'Plates', 'runs', '1st']),
    columns,
  }),
  run: mutation('createTable', 'table { name }', ({ table }) => ({ facts: table.name })),
  apply(world, { workspaceId, name }) {
    const workspace = requireWorkspace(world, workspaceId)
    const isTaken = tablesOf(world, workspace).some((table) => fold(table.name) === fold(name))
    if (isTaken || !/^[a-z]/i.test(name)) refuse('INVALID_INPUT')
    const table: Table = { key: world.next++, workspace, name, rows: [], taken: [] }
    world.tables.set(table.key, table)
    return { code: null, facts: name }
  },
}

/** A new row, or one that is there; sometimes in no table, or in no column for paths. */
export function drawLink(world: World, dice: Dice): RowLink {
  const table = dice.pick([...world.tables.values()])
  const rows = [...(table?.rows ?? [])]
  const isNew = rows.length + (table?.taken.length ?? 0) < MOST_ROWS && dice.chance(65)
  return {
    table: dice.chance(95) ? (table?.name ?? 'plates') : 'nothing',
    column: dice.pick(['file', 'file', 'file', 'file', 'other', 'other', 'run', 'nothing']),
    ...(isNew
      ? { values: { run: world.lastRun + 1 } }
      : { key: { run: dice.pick(rows)?.run ?? 0 } }),
  }
}

const linkRow: Operation<{ fileId: string; link: RowLink }> = {
  name: 'linkRow',
  weight: 7,
  draw: (world, dice) =>
    world.tables.size === 0
      ? null
      : { fileId: drawId(world, dice, filesIn(world)), link: drawLink(world, dice) },
  run: mutation('linkRow', 'file { id } row { values }', ({ file, row }) => ({
    facts: row.values.run,
    ids: [file.id],
  })),
  apply(world, { fileId, link }) {
    const file = requireLive(world, { id: fileId })
    if (file.kind === 'folder') refuse('INVALID_STATE')
    linkFile(world, file, link)
    return { code: null, facts: link.values?.run ?? link.key?.run, is: [file.key] }
  },
}

export const tableOperations: Operation[] = [createTable, linkRow]
