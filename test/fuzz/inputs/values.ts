import {
  type GraphQLInputType,
  isEnumType,
  isInputObjectType,
  isListType,
  isNonNullType,
} from 'graphql'
import type { FuzzServer } from '../fuzz-server.ts'
import type { Tape } from './tape.ts'

const invalidValues: unknown[] = [
  ...[
    null,
    0,
    -1,
    1.5,
    2 ** 31,
    2 ** 53,
    1e308,
    true,
    false,
    '',
    ' ',
    '\0',
    '\ud800',
    '💩',
    'null',
    '{}',
    [],
    {},
  ],
  ...[
    [[[]]],
    { a: 1 },
    'x'.repeat(3000),
    [null],
    JSON.parse('{"__proto__": {"a": 1}}'),
    { constructor: 1 },
    { toString: null },
  ],
]
const texts = [
  'a',
  'plate.csv',
  'Raw data',
  'raw',
  'deep/er',
  'new',
  'Größe',
  'plate',
  'x'.repeat(64),
  'a/b',
  '..',
  'a\u202eb',
  '\ud83d',
]
const dates = [
  '2025-01-31T09:30:00.000Z',
  '2999-01-01T00:00:00+01:00',
  '0001-01-01T00:00:00Z',
  '2025-02-30T00:00:00Z',
]

/** Texts for fields with certain names. */
const byName = (server: FuzzServer): Record<string, string[]> => ({
  ...{
    after: ['x', ''],
    before: ['x', ''],
    since: [server.syncCursor, 'x'],
    slug: [server.slug],
    table: ['plates'],
    column: ['image', 'count'],
  },
  ...{
    sha256: ['a'.repeat(64)],
    email: ['ann@example.org'],
    color: ['#1e90ff'],
    token: [server.links.share.slice(3)],
    password: ['x'],
  },
  ...{
    pathGlob: ['**/*.csv'],
    pathRegex: ['^Raw'],
    path: ['Raw data/plate.csv', 'Raw data', 'a/b', ''],
    query: ['plate first'],
  },
})

/** Draws a value of a type, with ids of existing objects, and rarely an invalid value. */
export function valueFor(
  type: GraphQLInputType,
  name: string,
  server: FuzzServer,
  tape: Tape,
  depth = 0,
): unknown {
  if (tape.once(100)) return tape.pick(invalidValues)
  if (isNonNullType(type)) return valueFor(type.ofType, name, server, tape, depth)
  if (isListType(type)) {
    const length = tape.once(30) ? 101 : tape.number(3)
    return Array.from({ length }, () => valueFor(type.ofType, name, server, tape, depth))
  }
  if (isEnumType(type)) return tape.pick(type.getValues()).name
  if (!isInputObjectType(type)) return scalarOf(type.name, name, server, tape)
  const all = Object.values(type.getFields())
  const chosen =
    type.isOneOf && !tape.once(20)
      ? [tape.pick(all)]
      : all.filter((field) => isNonNullType(field.type) || (depth < 4 && tape.number(3) === 1))
  return Object.fromEntries(
    chosen.map((field) => [field.name, valueFor(field.type, field.name, server, tape, depth + 1)]),
  )
}

function scalarOf(type: string, name: string, server: FuzzServer, tape: Tape): unknown {
  const { workspaceId, rootId, folderId, fileId, goneId, uploadId, versionId, tagId, shareId } =
    server
  const ids = [folderId, fileId, workspaceId, rootId, goneId, uploadId, versionId, tagId, shareId]
  const idsByField: Record<string, string> = {
    workspaceId,
    uploadId,
    fileId,
    tagId,
    versionId,
    folderId,
    shareLinkId: shareId,
  }
  const scalars: Record<string, () => unknown> = {
    ID: () => (tape.once(6) ? tape.pick(ids) : (idsByField[name] ?? tape.pick(ids))),
    Int: () => tape.pick([1, 5, 0, 20, 100, -1, 101, 2147483647]),
    Float: () => tape.pick([1, 0.5]),
    Boolean: () => tape.pick([true, false]),
    ByteCount: () => tape.pick([1, 0, 10, 2 ** 40, 2 ** 53 - 1, -1]),
    DateTime: () => tape.pick(dates),
    JSONObject: () =>
      tape.pick<unknown>([
        { a: 1 },
        {},
        { count: 3, note: 'x' },
        deep(31),
        deep(33),
        { a: '\ud800' },
        { a: 'x'.repeat(70_000) },
      ]),
    SyncCursor: () => tape.pick([server.syncCursor, 'x']),
  }
  return scalars[type]?.() ?? tape.pick(tape.once(3) ? texts : (byName(server)[name] ?? texts))
}

/** Returns an object that is nested `levels` deep. */
export const deep = (levels: number): unknown => (levels === 0 ? 1 : { a: deep(levels - 1) })
