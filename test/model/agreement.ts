import { sizeOf, usageOf } from './figures.ts'
import { type Entry, pathColumns, type Table, type World } from './model-state.ts'
import { fileIn } from './rows.ts'
import type { Seen, SeenEntry, SeenTable } from './server-snapshot.ts'
import { at, isLive, pathOf, subtreeOf } from './tree.ts'
import { statusOf } from './uploads.ts'

/** What one of the two says and the other does not; nothing where they agree. */
export function differences(world: World, seen: Seen): string[] {
  const [expected, actual] = [expectedLines(world, seen), seenLines(seen)]
  const missing = [...expected].filter((line) => !actual.has(line)).map((line) => `model:  ${line}`)
  const strange = [...actual].filter((line) => !expected.has(line)).map((line) => `server: ${line}`)
  return [...missing, ...strange].sort((a, b) => a.slice(8).localeCompare(b.slice(8)))
}

const line = (what: string, ...facts: unknown[]) => `${what} ${JSON.stringify(facts)}`

function expectedLines(world: World, { uploads }: Seen): Set<string> {
  const listed = new Set(uploads.map(({ id }) => id))
  const idOf = (key: number | null) => world.entries.get(key ?? -1)?.id ?? null
  return new Set([
    ...[...world.entries.values()].map((entry) => entryLine(world, entry)),
    ...[...world.tags.values()].map(({ id, name, color }) => line('tag', id, name, color)),
    ...[...world.uploads.values()]
      .filter(({ id, status }) => status === 'OPEN' || listed.has(id ?? ''))
      .map((one) => line('upload', one.id, statusOf(one), one.offset, one.size, idOf(one.file))),
    ...[...world.shares.values()].map(({ id, entry, most, count }) =>
      line('share', id, idOf(entry), most, count),
    ),
    ...[...world.tables.values()].flatMap((table) => tableLines(world, table)),
    ...world.workspaces.map((_, index) => line('usage', index, usageOf(world, index))),
  ])
}

function entryLine(world: World, entry: Entry) {
  const { id, kind, name, revision, description, metadata, versions } = entry
  const parent = world.entries.get(entry.parent ?? -1)?.id ?? null
  const tags = [...entry.tags].map((key) => world.tags.get(key)?.name).sort()
  const below = subtreeOf(world, entry).slice(1)
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
  const place = [isLive(world, entry), pathOf(world, entry), parent]
  return line(
    'entry',
    id,
    ...place,
    name,
    revision,
    description,
    metadata,
    tags,
    kind === 'folder' ? totals : own,
  )
}

function tableLines(world: World, { name, workspace, rows }: Table): string[] {
  const filesOf = (row: Table['rows'][number]) =>
    pathColumns.flatMap((column) => {
      const path = row.cells[column]
      if (path === undefined) return []
      const found = at(world, workspace, path.split('/'))
      return [[column, fileIn(world, row, column, found)?.id ?? null]]
    })
  const shown = rows.map((row) => [
    row.run,
    row.cells.file ?? null,
    row.cells.other ?? null,
    filesOf(row),
  ])
  return [
    line('table', workspace, name),
    ...shown.map((row) => line('row', workspace, name, ...row)),
  ]
}

function seenLines(seen: Seen): Set<string> {
  return new Set([
    ...seen.living.map((entry) => seenEntryLine(entry, true)),
    ...seen.trashed.map((entry) => seenEntryLine(entry, false)),
    ...seen.tags.map(({ id, name, color }) => line('tag', id, name, color)),
    ...seen.uploads.map(({ id, status, offset, size, file }) =>
      line('upload', id, status, offset, size, file?.id ?? null),
    ),
    ...seen.shares.map(({ id, entry, maxDownloads, downloadCount }) =>
      line('share', id, entry.id, maxDownloads, downloadCount),
    ),
    ...seen.tables.flatMap(seenTableLines),
    ...seen.usages.map((usage, index) => line('usage', index, usage)),
  ])
}

function seenEntryLine(entry: SeenEntry, lives: boolean) {
  const { id, name, path, revision, description, metadata, versions, totals } = entry
  const own = versions?.nodes
    .toSorted((a, b) => a.number - b.number)
    .map(({ number, id, size, sha256, comment }) => [number, id, size, sha256, comment])
  const tags = entry.tags.map(({ name }) => name).sort()
  const place = [lives, path, entry.parent?.id ?? null]
  return line('entry', id, ...place, name, revision, description, metadata, tags, totals ?? own)
}

function seenTableLines({ workspace, name, rows }: SeenTable & { workspace: number }): string[] {
  const shown = rows.nodes.map(({ values, files }) => [
    values.run,
    values.file,
    values.other,
    files.map(({ column, file }) => [column, file?.id ?? null]),
  ])
  return [
    line('table', workspace, name),
    ...shown.map((row) => line('row', workspace, name, ...row)),
  ]
}
