import type { MediaKind } from '../../database/tables.ts'
import { builder } from '../../graphql/builder.ts'
import { DateTimeRange } from '../activity/graphql.ts'
import { OrderDirection } from '../workspaces/graphql.ts'
import type { NameWarning } from './warnings.ts'

export const mediaKinds = [
  'IMAGE',
  'AUDIO',
  'VIDEO',
  'DOCUMENT',
  'SPREADSHEET',
  'DATA',
  'CODE',
  'ARCHIVE',
  'OTHER',
] as const satisfies readonly MediaKind[]
export const MediaKindEnum = builder.enumType('MediaKind', { values: mediaKinds })

export const NameConflictEnum = builder.enumType('NameConflict', {
  description: 'What happens when the name is taken in its folder.',
  values: {
    FAIL: { description: 'NameConflictError with a free name.' },
    RENAME: { description: 'The next free name: report (2).pdf.' },
    NEW_VERSION: { description: 'The bytes become the next version of the file that is there.' },
    REPLACE: { description: 'What is there goes to the trash.' },
  } as const,
})

export const NameWarningEnum = builder.enumType('NameWarning', {
  values: {
    INVISIBLE_CHARACTERS: {
      description: 'It has characters that nobody sees, as zero-width spaces.',
    },
    MIXED_SCRIPTS: {
      description: 'A word of it has letters of two alphabets: Latin and Cyrillic.',
    },
    LOOKS_LIKE_ANOTHER: {
      description: 'Whoever takes its Cyrillic or Greek letters for Latin ones reads another name.',
    },
    RESERVED_ON_WINDOWS: {
      description:
        'Windows takes no such name: CON, aux.txt, a dot or a space at the end, one of < > : " | ? * \\. Archives have another in its place.',
    },
  } satisfies Record<NameWarning, object>,
})

export const BatchModeEnum = builder.enumType('BatchMode', {
  description: 'What happens when one of many items fails.',
  values: {
    ALL_OR_NOTHING: {
      description:
        'Nothing is done. The mutation answers with the error of that item, whose path names it: ["entries", "3"]; createUploads and confirmUploads answer with an outcome for each.',
    },
    BEST_EFFORT: { description: 'The others are done. The payload has an outcome for each.' },
  },
})

const PathRef = builder.inputType('PathRef', {
  fields: (t) => ({ workspaceId: t.id({ required: true }), path: t.string({ required: true }) }),
})

export const EntryRef = builder.inputType('EntryRef', {
  isOneOf: true,
  description: 'An entry by id, or by path.',
  fields: (t) => ({ id: t.id(), path: t.field({ type: PathRef }) }),
})

export const BatchEntry = builder.inputType('BatchEntry', {
  fields: (t) => ({
    entry: t.field({ type: EntryRef, required: true }),
    expectedRevision: t.int(),
  }),
})

const TagMatch = builder.inputType('TagMatch', {
  description: 'Tag names, without regard to case.',
  fields: (t) => ({ anyOf: t.stringList(), allOf: t.stringList(), noneOf: t.stringList() }),
})

const ByteRange = builder.inputType('ByteRange', {
  fields: (t) => ({ gte: t.field({ type: 'ByteCount' }), lte: t.field({ type: 'ByteCount' }) }),
})

const bounds =
  'At most 1000 characters. Fast where it begins with the plain names of folders. One request looks at up to 200,000 paths, or for one second: a page then ends before it is full, says hasNextPage, and goes on from its endCursor; totalCount then counts what was found up to there.'

export const EntryFilterInput = builder.inputType('EntryFilter', {
  fields: (t) => ({
    type: t.field({ type: builder.enumType('EntryType', { values: ['FILE', 'FOLDER'] as const }) }),
    kinds: t.field({ type: [MediaKindEnum] }),
    mediaTypes: t.stringList({ description: 'image/png, or image/* for all images.' }),
    nameContains: t.string(),
    pathPrefix: t.string({
      description: 'The full path begins so, taken literally: results/ leaves results2/ out.',
    }),
    pathGlob: t.string({
      description:
        '* and ? stay within a name, ** is any number of folders, {a,b} is either, a backslash takes what follows as it stands: data/**/*.csv. Compares as names do. ' +
        bounds,
    }),
    pathRegex: t.string({
      description:
        'RE2 syntax, found anywhere in the full path where ^ and $ do not hold it, case as written: ^drive/image/.*\\.png$. ' +
        bounds,
    }),
    tags: t.field({ type: TagMatch }),
    size: t.field({ type: ByteRange }),
    createdAt: t.field({ type: DateTimeRange }),
    updatedAt: t.field({ type: DateTimeRange }),
    createdBy: t.idList(),
    within: t.id({ description: "Only inside this folder's subtree." }),
    sha256: t.string(),
  }),
})

export const EntryOrderInput = builder.inputType('EntryOrder', {
  fields: (t) => ({
    field: t.field({
      type: builder.enumType('EntryOrderField', {
        values: ['NAME', 'SIZE', 'CREATED_AT', 'UPDATED_AT'] as const,
      }),
      required: true,
      defaultValue: 'NAME',
    }),
    direction: t.field({ type: OrderDirection, required: true, defaultValue: 'ASC' }),
    foldersFirst: t.boolean({ required: true, defaultValue: true }),
  }),
})
