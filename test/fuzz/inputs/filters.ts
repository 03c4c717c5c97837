import fc from 'fast-check'
import type { FuzzServer } from '../fuzz-server.ts'
import { mutated, text } from './texts.ts'

const someInt = fc.oneof(
  fc.integer({ min: -2, max: 102 }),
  fc.constantFrom(2147483647, -2147483648, 2147483648, 1.5, 1e308, 0),
)
/** Page sizes, valid or not. */
export const sizes = fc.oneof(someInt, fc.constantFrom(null, '5', true, [], {}))
const bytes = fc.oneof(fc.nat(), fc.constantFrom(0, -1, 2 ** 53 - 1, 2 ** 53, 1.5, '1', null))
const dates = fc.oneof(
  mutated(
    fc.constantFrom(
      '2025-01-31T09:30:00.000Z',
      '2024-02-29T00:00:00+14:00',
      '0000-01-01T00:00:00Z',
      '9999-12-31T23:59:59.999Z',
    ),
  ),
  fc.constantFrom(null, 0, '2025-02-30T00:00:00Z', '2016-12-31T23:59:60Z'),
)
const shortList = <T>(item: fc.Arbitrary<T>) =>
  fc.oneof(
    { weight: 9, arbitrary: fc.array(item, { maxLength: 4 }) },
    { weight: 1, arbitrary: fc.array(item, { minLength: 99, maxLength: 102 }) },
  )
const ids = (server: FuzzServer) => {
  const { workspaceId, rootId, folderId, fileId, goneId, uploadId, versionId, tagId, shareId } =
    server
  return fc.constantFrom(
    workspaceId,
    rootId,
    folderId,
    fileId,
    goneId,
    uploadId,
    versionId,
    tagId,
    shareId,
  )
}
/** Ids of existing objects, some of them mutated. */
export const anyId = (server: FuzzServer) => fc.oneof(ids(server), mutated(ids(server)), text)

/** Filters with up to three fields. */
export const filters = (server: FuzzServer) =>
  fc
    .record(
      {
        type: fc.constantFrom('FILE', 'FOLDER', null, 'file', 1),
        kinds: shortList(fc.constantFrom('DATA', 'IMAGE', 'OTHER', 'ARCHIVE', 'x')),
        mediaTypes: shortList(mutated(fc.constantFrom('text/csv', 'image/*', '*/*', 'a/b'))),
        nameContains: mutated(fc.constantFrom('plate', 'STRASSE', 'e\u0301', '%', '_')),
        pathPrefix: mutated(fc.constantFrom('Raw data/', 'raw DATA/deep', 'gone')),
        sha256: mutated(fc.constant('a'.repeat(64))),
        tags: fc.record(
          {
            anyOf: shortList(text),
            allOf: shortList(mutated(fc.constant('plate'))),
            noneOf: shortList(text),
          },
          { requiredKeys: [] },
        ),
        size: fc.record({ gte: bytes, lte: bytes }, { requiredKeys: [] }),
        createdAt: fc.record({ gte: dates, lt: dates }, { requiredKeys: [] }),
        updatedAt: fc.record({ gte: dates, lt: dates }, { requiredKeys: [] }),
        contentModifiedAt: fc.record({ gte: dates, lt: dates }, { requiredKeys: [] }),
        createdBy: shortList(anyId(server)),
        within: anyId(server),
      },
      { requiredKeys: [] },
    )
    .chain((all) => fc.subarray(Object.entries(all), { maxLength: 3 }).map(Object.fromEntries))

/** Orders, some of which another list has. */
export const orders = fc.record(
  {
    field: fc.constantFrom(
      ...['NAME', 'SIZE', 'CREATED_AT', 'UPDATED_AT', 'CONTENT_MODIFIED_AT', 'TRASHED_AT', 'x'],
    ),
    direction: fc.constantFrom('ASC', 'DESC', null),
    foldersFirst: fc.constantFrom(true, false, null),
  },
  { requiredKeys: [] },
)
