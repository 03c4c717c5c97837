import { sizeOf, usageOf } from '../figures.ts'
import { statusOf } from '../operations/uploads.ts'
import { type Entry, type Model, pathColumns, type Table } from './model-state.ts'
import { fileOfCell } from './rows.ts'
import type { EntrySnapshot, Snapshot, TableSnapshot } from './server-snapshot.ts'
import { at, isLive, pathOf, subtreeOf } from './tree.ts'

/** Returns the lines that only the model or only the server has. An empty list means that they agree. */
export function differences(model: Model, snapshot: Snapshot): string[] {
  const [expected, actual] = [modelLines(model, snapshot), snapshotLines(snapshot)]
  const missing = [...expected].filter((line) => !actual.has(line)).map((line) => `model:  ${line}`)
  const unexpected = [...actual]
    .filter((line) => !expected.has(line))
    .map((line) => `server: ${line}`)
  return [...missing, ...unexpected].sort((a, b) => a.slice(8).localeCompare(b.slice(8)))
}

const toLine = (what: string, ...facts: unknown[]) => `${what} ${JSON.stringify(facts)}`

function modelLines(model: Model, { uploads }: Snapshot): Set<string> {
  const listed = new Set(uploads.map(({ id }) => id))
  const idOf = (key: number | null) => model.entries.get(key ?? -1)?.id ?? null
  return new Set([
    ...[...model.entries.values()].map((entry) => modelEntryLine(model, entry)),
    ...[...model.tags.values()].map(({ id, name, color }) => toLine('tag', id, name, color)),
    ...[...model.uploads.values()]
      .filter(({ id, status }) => status === 'OPEN' || listed.has(id ?? ''))
      .map((one) => toLine('upload', one.id, statusOf(one), one.offset, one.size, idOf(one.file))),
    ...[...model.shares.values()].map(({ id, entry, max, count }) =>
      toLine('share', id, idOf(entry), max, count),
    ),
    ...[...model.tables.values()].flatMap((table) => modelTableLines(model, table)),
    ...model.workspaces.map((_, index) => toLine('usage', index, usageOf(model, index))),
  ])
}

function modelEntryLine(model: Model, entry: Entry) {
  const { id, kind, name, revision, description, metadata, versions } = entry
  const parent = model.entries.get(entry.parent ?? -1)?.id ?? null
  const tags = [...entry.tags].map((key) => model.tags.get(key)?.name).sort()
  const below = subtreeOf(model, entry).slice(1)
  const totals = {
    bytes: sizeOf(below.flatMap(({ versions }) => versions.slice(-1))),
    fileCount: below.filter(({ kind }) => kind === 'file').length,
    folderCount: below.filter(({ kind }) => kind === 'folder').length,
  }
  const own = versions.map(({ number, id, size, sha256, comment }) => [
    number,
    id,
    size,
    sha256,
    comment,
  ])
  const location = [isLive(model, entry), pathOf(model, entry), parent]
  return toLine(
    'entry',
    id,
    ...location,
    name,
    revision,
    description,
    metadata,
    tags,
    kind === 'folder' ? totals : own,
  )
}

function modelTableLines(model: Model, { name, workspace, rows }: Table): string[] {
  const filesOf = (row: Table['rows'][number]) =>
    pathColumns.flatMap((column) => {
      const path = row.cells[column]
      if (path === undefined) return []
      const entry = at(model, workspace, path.split('/'))
      return [[column, fileOfCell(model, row, column, entry)?.id ?? null]]
    })
  const shown = rows.map((row) => [
    row.run,
    row.cells.file ?? null,
    row.cells.other ?? null,
    filesOf(row),
  ])
  return [
    toLine('table', workspace, name),
    ...shown.map((row) => toLine('row', workspace, name, ...row)),
  ]
}

function snapshotLines(snapshot: Snapshot): Set<string> {
  return new Set([
    ...snapshot.living.map((entry) => snapshotEntryLine(entry, true)),
    ...snapshot.trashed.map((entry) => snapshotEntryLine(entry, false)),
    ...snapshot.tags.map(({ id, name, color }) => toLine('tag', id, name, color)),
    ...snapshot.uploads.map(({ id, status, offset, size, file }) =>
      toLine('upload', id, status, offset, size, file?.id ?? null),
    ),
    ...snapshot.shares.map(({ id, entry, maxDownloads, downloadCount }) =>
      toLine('share', id, entry.id, maxDownloads, downloadCount),
    ),
    ...snapshot.tables.flatMap(snapshotTableLines),
    ...snapshot.usages.map((usage, index) => toLine('usage', index, usage)),
  ])
}

function snapshotEntryLine(entry: EntrySnapshot, isLiving: boolean) {
  const { id, name, path, revision, description, metadata, versions, totals } = entry
  const own = versions?.nodes
    .toSorted((a, b) => a.number - b.number)
    .map(({ number, id, size, sha256, comment }) => [number, id, size, sha256, comment])
  const tags = entry.tags.map(({ name }) => name).sort()
  const location = [isLiving, path, entry.parent?.id ?? null]
  return toLine(
    'entry',
    id,
    ...location,
    name,
    revision,
    description,
    metadata,
    tags,
    totals ?? own,
  )
}

function snapshotTableLines({
  workspace,
  name,
  rows,
}: TableSnapshot & { workspace: number }): string[] {
  const shown = rows.nodes.map(({ values, files }) => [
    values.run,
    values.file,
    values.other,
    files.map(({ column, file }) => [column, file?.id ?? null]),
  ])
  return [
    toLine('table', workspace, name),
    ...shown.map((row) => toLine('row', workspace, name, ...row)),
  ]
}
