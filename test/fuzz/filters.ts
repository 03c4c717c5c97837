import fc from 'fast-check'
import type { Ground } from './fuzz-server.ts'
import { near, text } from './texts.ts'

const someInt = fc.oneof(
  fc.integer({ min: -2, max: 102 }),
  fc.constantFrom(2147483647, -2147483648, 2147483648, 1.5, 1e308, 0),
)
/** Numbers of a page, and what is none. */
export const sizes = fc.oneof(someInt, fc.constantFrom(null, '5', true, [], {}))
const bytes = fc.oneof(fc.nat(), fc.constantFrom(0, -1, 2 ** 53 - 1, 2 ** 53, 1.5, '1', null))
const moments = fc.oneof(
  near(
    fc.constantFrom(
      '2025-01-31T09:30:00.000Z',
      '2024-02-29T00:00:00+14:00',
      '0000-01-01T00:00:00Z',
      '9999-12-31T23:59:59.999Z',
    ),
  ),
  fc.constantFrom(null, 0, '2025-02-30T00:00:00Z', '2016-12-31T23:59:60Z'),
)
const few = <T>(item: fc.Arbitrary<T>) =>
  fc.oneof(
    { weight: 9, arbitrary: fc.array(item, { maxLength: 4 }) },
    { weight: 1, arbitrary: fc.array(item, { minLength: 99, maxLength: 102 }) },
  )
const ids = (ground: Ground) => {
  const { workspaceId, rootId, folderId, fileId, goneId, uploadId, versionId, tagId, shareId } =
    ground
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
/** Ids of what is in the house, or nearly. */
export const anyId = (ground: Ground) => fc.oneof(ids(ground), near(ids(ground)), text)

/** Up to three fields of a filter. */
export const filters = (ground: Ground) =>
  fc
    .record(
      {
        type: fc.constantFrom('FILE', 'FOLDER', null, 'file', 1),
        kinds: few(fc.constantFrom('DATA', 'IMAGE', 'OTHER', 'ARCHIVE', 'x')),
        mediaTypes: few(near(fc.constantFrom('text/csv', 'image/*', '*/*', 'a/b'))),
        nameContains: near(fc.constantFrom('plate', 'STRASSE', 'e\u0301', '%', '_')),
        pathPrefix: near(fc.constantFrom('Raw data/', 'raw DATA/deep', 'gone')),
        sha256: near(fc.constant('a'.repeat(64))),
        tags: fc.record(
          { anyOf: few(text), allOf: few(near(fc.constant('plate'))), noneOf: few(text) },
          { requiredKeys: [] },
        ),
        size: fc.record({ gte: bytes, lte: bytes }, { requiredKeys: [] }),
        createdAt: fc.record({ gte: moments, lt: moments }, { requiredKeys: [] }),
        updatedAt: fc.record({ gte: moments, lt: moments }, { requiredKeys: [] }),
        createdBy: few(anyId(ground)),
        within: anyId(ground),
      },
      { requiredKeys: [] },
    )
    .chain((all) => fc.subarray(Object.entries(all), { maxLength: 3 }).map(Object.fromEntries))

/** Orders of the lists, some of them of others. */
export const orders = fc.record(
  {
    field: fc.constantFrom('NAME', 'SIZE', 'CREATED_AT', 'UPDATED_AT', 'TRASHED_AT', 'x'),
    direction: fc.constantFrom('ASC', 'DESC', null),
    foldersFirst: fc.constantFrom(true, false, null),
  },
  { requiredKeys: [] },
)
