import type { MediaKind } from '../../database/tables.ts'
import { builder } from '../../graphql/builder.ts'
import { DateTimeRange } from '../activity/graphql.ts'
import { OrderDirection } from '../workspaces/graphql.ts'
import type { NameWarning } from './warnings.ts'

const describedMediaKinds = {
  IMAGE: { description: 'An image.' },
  AUDIO: { description: 'An audio recording.' },
  VIDEO: { description: 'A video.' },
  DOCUMENT: { description: 'A text, presentation or PDF document.' },
  SPREADSHEET: { description: 'A spreadsheet, including CSV and TSV.' },
  DATA: { description: 'Structured data, such as JSON, XML or Parquet.' },
  CODE: { description: 'Source code or a notebook.' },
  ARCHIVE: { description: 'An archive or compressed file.' },
  OTHER: { description: 'Any other file.' },
} as const satisfies Record<MediaKind, object>
export const mediaKinds = Object.keys(describedMediaKinds) as MediaKind[]
export const MediaKindEnum = builder.enumType('MediaKind', {
  description: 'Kind of a file, derived from its media type.',
  values: describedMediaKinds,
})

export const NameConflictEnum = builder.enumType('NameConflict', {
  description: 'What happens when another entry of the folder already has the name.',
  values: {
    FAIL: { description: 'Fails with NameConflictError, which suggests a free name.' },
    RENAME: { description: 'Uses the next free name, such as report (2).pdf.' },
    NEW_VERSION: { description: 'Adds the bytes as the next version of the existing file.' },
    REPLACE: { description: 'Moves the existing entry to the trash.' },
  } as const,
})

export const FolderNameConflictEnum = builder.enumType('FolderNameConflict', {
  description: 'What happens when another entry already has the name of a new folder.',
  values: {
    FAIL: { description: 'Fails with NameConflictError, which suggests a free name.' },
    RENAME: { description: 'Uses the next free name, such as Reports (2).' },
    REUSE: {
      description:
        'Returns the existing folder unchanged, and fails with InvalidStateError if a file has the name.',
    },
    REPLACE: { description: 'Moves the existing entry to the trash.' },
  } as const,
})

export const NameWarningEnum = builder.enumType('NameWarning', {
  description: 'A reason why a name may mislead people or fail on other systems.',
  values: {
    INVISIBLE_CHARACTERS: {
      description: 'The name has invisible characters, such as zero-width spaces.',
    },
    MIXED_SCRIPTS: {
      description: 'A word of the name mixes alphabets, such as Latin and Cyrillic.',
    },
    LOOKS_LIKE_ANOTHER: {
      description:
        'The name reads as a different name if its Cyrillic or Greek letters are taken for Latin ones.',
    },
    RESERVED_ON_WINDOWS: {
      description:
        'Windows does not allow the name: CON, aux.txt, a trailing dot or space, or one of < > : " | ? * \\. Archives contain a substitute name.',
    },
  } satisfies Record<NameWarning, object>,
})

export const BatchModeEnum = builder.enumType('BatchMode', {
  description: 'What happens to the other items of a batch when one fails.',
  values: {
    ALL_OR_NOTHING: {
      description:
        'Applies all items or none: the mutation returns the error of the failed item, whose path names the item, such as ["entries", "3"]; createUploads and confirmUploads return one result per item.',
    },
    BEST_EFFORT: {
      description: 'Applies all items that can be applied and returns one result per item.',
    },
  },
})

const PathRef = builder.inputType('PathRef', {
  description: 'Reference to an entry by its path in a workspace.',
  fields: (t) => ({
    workspaceId: t.id({ required: true, description: 'Id of the workspace.' }),
    path: t.string({
      required: true,
      description:
        'Path from the workspace root without a leading slash; the empty path is the root folder.',
    }),
  }),
})

export const EntryRef = builder.inputType('EntryRef', {
  isOneOf: true,
  description: 'Reference to an entry, either by id or by path.',
  fields: (t) => ({
    id: t.id({ description: 'Id of the entry.' }),
    path: t.field({ type: PathRef, description: 'Path of the entry in a workspace.' }),
  }),
})

export const FolderRef = builder.inputType('FolderRef', {
  isOneOf: true,
  description: 'Reference to an existing folder, either by id or by path.',
  fields: (t) => ({
    id: t.id({ description: 'Id of the folder.' }),
    path: t.field({ type: PathRef, description: 'Path of the folder in a workspace.' }),
  }),
})

/** Description of all expectedRevision fields. */
export const expectedRevision =
  'Expected revision of the entry; if it differs, the operation fails with StaleRevisionError.'

export const BatchEntry = builder.inputType('BatchEntry', {
  description: 'One entry of a batch.',
  fields: (t) => ({
    entry: t.field({ type: EntryRef, required: true, description: 'The entry.' }),
    expectedRevision: t.int({ description: expectedRevision }),
  }),
})

const TagMatch = builder.inputType('TagMatch', {
  description: 'Conditions on the tags of an entry, given as tag names without regard to case.',
  fields: (t) => ({
    anyOf: t.stringList({ description: 'The entry has at least one of these tags; at most 100.' }),
    allOf: t.stringList({ description: 'The entry has all of these tags; at most 100.' }),
    noneOf: t.stringList({ description: 'The entry has none of these tags; at most 100.' }),
  }),
})

const ByteRange = builder.inputType('ByteRange', {
  description: 'A range of sizes in bytes.',
  fields: (t) => ({
    gte: t.field({ type: 'ByteCount', description: 'Minimum size in bytes, inclusive.' }),
    lte: t.field({ type: 'ByteCount', description: 'Maximum size in bytes, inclusive.' }),
  }),
})

const patternLimits =
  'At most 1000 characters. A pattern that begins with literal folder names is fast. One request evaluates at most 200,000 paths and at most one second: a page may then have fewer entries with hasNextPage true, reading continues from its endCursor, and totalCount counts only the matches found so far.'

export const EntryFilterInput = builder.inputType('EntryFilter', {
  description: 'Conditions on entries, all of which must hold; omitted fields do not restrict.',
  fields: (t) => ({
    type: t.field({
      type: builder.enumType('EntryType', {
        description: 'Type of an entry.',
        values: {
          FILE: { description: 'A file.' },
          FOLDER: { description: 'A folder.' },
        } as const,
      }),
      description: 'The entry has this type.',
    }),
    kinds: t.field({
      type: [MediaKindEnum],
      description: 'The entry is a file of one of these kinds.',
    }),
    mediaTypes: t.stringList({
      description:
        'The entry is a file with one of these media types, such as image/png, or image/* for all images; at most 100.',
    }),
    nameContains: t.string({
      description: 'The name contains this text, without regard to case.',
    }),
    pathPrefix: t.string({
      description:
        'The full path starts with this literal text; results/ does not match results2/. Paths have no leading slash.',
    }),
    pathGlob: t.string({
      description:
        'The full path matches this glob, such as data/*.csv: * and ? match within a name, a part ** matches any number of folders, {a,b} matches either alternative, and a backslash escapes the next character. Matching ignores case. ' +
        patternLimits,
    }),
    pathRegex: t.string({
      description:
        'The full path matches this regular expression in RE2 syntax, such as ^drive/image/.*\\.png$. It matches anywhere in the path unless anchored by ^ and $, and is case-sensitive. ' +
        patternLimits,
    }),
    tags: t.field({ type: TagMatch, description: 'The tags of the entry meet these conditions.' }),
    size: t.field({ type: ByteRange, description: 'The size is in this range.' }),
    createdAt: t.field({
      type: DateTimeRange,
      description: 'The entry was created in this period.',
    }),
    updatedAt: t.field({
      type: DateTimeRange,
      description: 'The entry was last changed in this period.',
    }),
    contentModifiedAt: t.field({
      type: DateTimeRange,
      description: 'The entry is a file whose content was last modified in this period.',
    }),
    createdBy: t.idList({
      description: 'The entry was created by one of the users with these ids; at most 100.',
    }),
    within: t.id({ description: 'The entry is below the folder with this id.' }),
    sha256: t.string({
      description:
        'The entry is a file whose current bytes have this SHA-256 hash, in hexadecimal.',
    }),
  }),
})

export const EntryOrderInput = builder.inputType('EntryOrder', {
  description: 'Sort order of entries.',
  fields: (t) => ({
    field: t.field({
      type: builder.enumType('EntryOrderField', {
        description: 'Field that entries are sorted by.',
        values: {
          NAME: { description: 'Sorted by name, without regard to case.' },
          SIZE: { description: 'Sorted by size in bytes.' },
          CREATED_AT: { description: 'Sorted by time of creation.' },
          UPDATED_AT: { description: 'Sorted by time of the last change.' },
          CONTENT_MODIFIED_AT: {
            description:
              'Sorted by contentModifiedAt. In both directions, files without it follow, then folders unless foldersFirst is true.',
          },
        } as const,
      }),
      required: true,
      defaultValue: 'NAME',
      description: 'Field to sort by.',
    }),
    direction: t.field({
      type: OrderDirection,
      required: true,
      defaultValue: 'ASC',
      description: 'Sort direction.',
    }),
    foldersFirst: t.boolean({
      required: true,
      defaultValue: true,
      description: 'Whether folders come before files.',
    }),
  }),
})
