import { Cycle, InvalidState, NameConflict, StaleRevision } from '../../errors/entries.ts'
import { InvalidInput } from '../../errors/input.ts'
import { QuotaExceeded } from '../../errors/uploads.ts'
import { builder } from '../../graphql/builder.ts'
import type { Context } from '../../graphql/context.ts'
import { listCost } from '../../graphql/limits/costs.ts'
import { mutation } from '../../graphql/mutations.ts'
import { loader, loadOrThrow, Node, nodeType, nullIfDenied } from '../../graphql/nodes.ts'
import { connectionOf, page } from '../../graphql/pages.ts'
import { downloadUrl } from '../../signing/signed-links.ts'
import { loadUser, User } from '../accounts/graphql.ts'
import { workspaceMutation } from '../activity/graphql.ts'
import {
  batchPayload,
  Entry,
  EntryConnection,
  loadFile,
  visibleEntries,
} from '../entries/graphql.ts'
import {
  BatchEntry,
  BatchModeEnum,
  expectedRevision,
  FolderRef,
  MediaKindEnum,
  NameConflictEnum,
} from '../entries/inputs.ts'
import { byName, workspaceList } from '../entries/lists/lists.ts'
import type { EntryRow, FileRow } from '../entries/reads.ts'
import { requireRead, Workspace } from '../workspaces/graphql.ts'
import { copyEntries } from './copy.ts'
import { type DuplicateGroup, duplicatesList } from './duplicates.ts'
import { damagesOf, requireVersion, type VersionRow, versionsById, versionsList } from './reads.ts'
import { damageMessages, type RecordedDamage } from './rules.ts'
import { deleteVersion, restoreVersion } from './writes.ts'

const toRead = { scope: 'FILES_READ' } as const

nodeType('file', 'File', visibleEntries)
nodeType('ver', 'FileVersion', (ids, { db, viewer }) =>
  Promise.all(
    ids.map((id) =>
      nullIfDenied(requireVersion(db, viewer, id, toRead).then(({ version }) => version)),
    ),
  ),
)

/** Loads a version by id, for a field of a type that the viewer may already see. Does not check access. */
export const loadVersion = loader((ids, { db }) => versionsById(db, ids))

/** Loads the recorded damage of a version, or null if its bytes are intact. */
const loadDamage = loader((ids, { db }) => damagesOf(db, ids))

const failuresOf = async (context: Context, versionId: string): Promise<RecordedDamage[]> => {
  const damage = await loadDamage(context, versionId)
  return damage ? [damage] : []
}

const FileFailure = builder.objectRef<RecordedDamage>('FileFailure').implement({
  description: 'Damage found in the stored bytes of a file version.',
  fields: (t) => ({
    code: t.field({
      type: builder.enumType('FileFailureCode', {
        description: 'Kind of damage to stored bytes.',
        values: {
          MISSING: { description: 'The bytes are missing.' },
          TRUNCATED: { description: 'Some of the bytes are missing.' },
          CHANGED: { description: 'The bytes differ from the confirmed ones.' },
        } as const satisfies Record<RecordedDamage['code'], object>,
      }),
      description: 'Kind of damage.',
      resolve: ({ code }) => code,
    }),
    message: t.string({
      description: 'Description of the damage in English.',
      resolve: ({ code }) => damageMessages[code],
    }),
    at: t.expose('at', { type: 'DateTime', description: 'When the damage was found.' }),
  }),
})

type SignedLink = { url: string; expiresAt: number }
export const SignedUrl = builder.objectRef<SignedLink>('SignedUrl').implement({
  description: 'A signed URL that gives access without a token until it expires.',
  fields: (t) => ({
    url: t.expose('url', { type: 'URL', description: 'The URL.' }),
    expiresAt: t.expose('expiresAt', { type: 'DateTime', description: 'When the URL expires.' }),
  }),
})

const Disposition = builder.enumType('Disposition', {
  description: 'How browsers treat a download, as in the Content-Disposition header.',
  values: {
    ATTACHMENT: { value: 'attachment', description: 'Browsers save the file.' },
    INLINE: { value: 'inline', description: 'Browsers display the file if they can.' },
  } as const,
})
const MAX_LINK_LIFETIME_S = 7 * 86_400

type LinkArgs = { expiresInSeconds: number; disposition: 'attachment' | 'inline' }

async function createSignedUrl(
  { id: versionId, workspaceId }: { id: string; workspaceId: string },
  fileName: string,
  { expiresInSeconds, disposition }: LinkArgs,
  context: Context,
): Promise<SignedLink> {
  await requireRead(context, workspaceId)
  if (expiresInSeconds < 1 || expiresInSeconds > MAX_LINK_LIFETIME_S) {
    const message = `expected 1 to ${MAX_LINK_LIFETIME_S} seconds, got ${expiresInSeconds}`
    throw new InvalidInput({ path: ['expiresInSeconds'], message })
  }
  const expiresAt = context.now() + expiresInSeconds * 1000
  const link = { versionId, disposition, expiresAt, tokenId: context.viewer?.tokenId }
  return { url: downloadUrl(context, link, fileName), expiresAt }
}

const contentModifiedAt =
  'When the content was last modified before its upload, as stated by the client; null if unknown.'

export const File = builder.objectRef<FileRow>('File').implement({
  description: 'A file with its versions; size, type and hash are those of the current version.',
  interfaces: [Node, Entry],
  isTypeOf: (entry) => (entry as EntryRow).kind === 'file',
  fields: (t) => ({
    size: t.expose('size', {
      type: 'ByteCount',
      description: 'Size of the current version in bytes.',
    }),
    mediaType: t.exposeString('mediaType', {
      description:
        'Media type, detected from the bytes or else from the name; a type declared by the client is ignored.',
    }),
    kind: t.expose('mediaKind', {
      type: MediaKindEnum,
      description: 'Kind of the file, derived from its media type.',
    }),
    sha256: t.exposeString('sha256', {
      description: 'SHA-256 hash of the current bytes in lower-case hexadecimal.',
    }),
    contentModifiedAt: t.expose('contentModifiedAt', {
      type: 'DateTime',
      nullable: true,
      description: contentModifiedAt,
    }),
    status: t.field({
      type: builder.enumType('FileStatus', {
        description: 'Status of the current bytes of a file.',
        values: {
          PROCESSING: { description: 'The bytes are being processed; currently never returned.' },
          COMPLETE: { description: 'The bytes are available.' },
          FAILED: { description: 'The bytes are damaged and are not served.' },
        } as const,
      }),
      description: 'Status of the current bytes.',
      resolve: async ({ versionId }, _, context) =>
        (await failuresOf(context, versionId)).length > 0 ? 'FAILED' : 'COMPLETE',
    }),
    failures: t.field({
      type: [FileFailure],
      complexity: listCost(1),
      description:
        'Damage to the current bytes while the status is FAILED; uploading an intact copy as a new version makes the file COMPLETE.',
      resolve: ({ versionId }, _, context) => failuresOf(context, versionId),
    }),
    version: t.field({
      type: FileVersion,
      description: 'The current version.',
      resolve: ({ versionId }, _, context) => loadOrThrow(loadVersion, context, versionId),
    }),
    versions: t.connection(
      {
        type: FileVersion,
        description: 'All versions of the file, newest first. Requires scope FILES_READ.',
        resolve: async ({ id, workspaceId }, args, context) => {
          await requireRead(context, workspaceId)
          return page(args, versionsList(context.db, id))
        },
      },
      ...connectionOf(FileVersion, 'FileVersion'),
    ),
    downloadUrl: t.field({
      type: SignedUrl,
      description:
        'Signed link to the current bytes, with support for Range and ETag; it stops working when the token that created it loses access. Requires scope FILES_READ.',
      args: {
        expiresInSeconds: t.arg.int({
          required: true,
          defaultValue: 3600,
          description: 'Lifetime of the link in seconds, from 1 to 604800.',
        }),
        disposition: t.arg({
          type: Disposition,
          required: true,
          defaultValue: 'attachment',
          description: 'How browsers treat the response.',
        }),
      },
      resolve: ({ versionId, workspaceId, name }, args, context) =>
        createSignedUrl({ id: versionId, workspaceId }, name, args, context),
    }),
  }),
})

const fileOf = ({ fileId }: VersionRow, context: Context) => loadOrThrow(loadFile, context, fileId)

export const FileVersion = builder.objectRef<VersionRow>('FileVersion')
FileVersion.implement({
  description: 'A version of a file.',
  interfaces: [Node],
  fields: (t) => ({
    id: t.exposeID('id', { description: 'Unique id of the version.' }),
    file: t.field({
      type: File,
      description: 'The file of the version.',
      resolve: (version, _, context) => fileOf(version, context),
    }),
    number: t.exposeInt('number', {
      description: 'Number of the version, which increases with each version of the file.',
    }),
    size: t.expose('size', { type: 'ByteCount', description: 'Size of the version in bytes.' }),
    mediaType: t.exposeString('mediaType', { description: 'Media type of the version.' }),
    sha256: t.exposeString('sha256', {
      description: 'SHA-256 hash of the bytes in lower-case hexadecimal.',
    }),
    failures: t.field({
      type: [FileFailure],
      complexity: listCost(1),
      description: 'Damage to the bytes of the version, or an empty list if they are intact.',
      resolve: ({ id }, _, context) => failuresOf(context, id),
    }),
    comment: t.exposeString('comment', {
      nullable: true,
      description: 'Comment on the version.',
    }),
    createdAt: t.expose('createdAt', {
      type: 'DateTime',
      description: 'When the version was created.',
    }),
    contentModifiedAt: t.expose('contentModifiedAt', {
      type: 'DateTime',
      nullable: true,
      description: contentModifiedAt,
    }),
    createdBy: t.field({
      type: User,
      nullable: true,
      description: 'The user who created the version, or null if no user did.',
      resolve: ({ createdBy }, _, context) => (createdBy ? loadUser(context, createdBy) : null),
    }),
    isCurrent: t.boolean({
      description: 'Whether this is the current version of the file.',
      resolve: async (version, _, context) =>
        (await fileOf(version, context)).versionId === version.id,
    }),
    downloadUrl: t.field({
      type: SignedUrl,
      description:
        'Signed link to the bytes of the version; it stops working when the token that created it loses access. Requires scope FILES_READ.',
      args: {
        expiresInSeconds: t.arg.int({
          required: true,
          defaultValue: 3600,
          description: 'Lifetime of the link in seconds, from 1 to 604800.',
        }),
        disposition: t.arg({
          type: Disposition,
          required: true,
          defaultValue: 'attachment',
          description: 'How browsers treat the response.',
        }),
      },
      resolve: async (version, args, context) =>
        createSignedUrl(version, (await fileOf(version, context)).name, args, context),
    }),
  }),
})

const DuplicateGroupType = builder.objectRef<DuplicateGroup>('DuplicateGroup').implement({
  description: 'Files of a workspace with identical bytes.',
  fields: (t) => ({
    sha256: t.exposeString('sha256', {
      description: 'SHA-256 hash of the bytes in lower-case hexadecimal.',
    }),
    size: t.expose('size', { type: 'ByteCount', description: 'Size of one file in bytes.' }),
    wastedBytes: t.expose('wastedBytes', {
      type: 'ByteCount',
      description: 'Number of bytes that the quota would regain if only one file were kept.',
    }),
    files: t.connection(
      {
        type: Entry,
        description: 'The files with these bytes, sorted by name.',
        resolve: ({ workspaceId, sha256 }, args, { db }) =>
          page(args, workspaceList(db, workspaceId, { sha256 }, byName)),
      },
      ...EntryConnection,
    ),
  }),
})

builder.objectField(Workspace, 'duplicates', (t) =>
  t.connection(
    {
      type: DuplicateGroupType,
      description:
        'Groups of files with identical bytes, most wasted bytes first. Requires scope FILES_READ.',
      resolve: async ({ id }, args, context) => {
        await requireRead(context, id)
        return page(args, duplicatesList(context.db, id))
      },
    },
    ...connectionOf(DuplicateGroupType, 'Duplicate'),
  ),
)

mutation('copyEntries', {
  description:
    'Copies entries, with everything below them, into a folder of the same workspace. Requires role EDITOR and scope FILES_WRITE.',
  input: builder.inputType('CopyEntriesInput', {
    description: 'Input of copyEntries.',
    fields: (t) => ({
      entries: t.field({
        type: [BatchEntry],
        required: true,
        description: 'The entries to copy, from 1 to 100.',
      }),
      folder: t.field({
        type: FolderRef,
        required: true,
        description: 'The folder to copy the entries into.',
      }),
      onConflict: t.field({
        type: NameConflictEnum,
        required: true,
        defaultValue: 'RENAME',
        description: 'How to resolve a name conflict.',
      }),
      mode: t.field({
        type: BatchModeEnum,
        required: true,
        defaultValue: 'ALL_OR_NOTHING',
        description: 'What happens to the other entries when one fails.',
      }),
    }),
  }),
  payload: batchPayload('CopyEntriesPayload', 'Result of copyEntries.'),
  errors: [NameConflict, StaleRevision, Cycle, InvalidState, QuotaExceeded],
  resolve: async (input, context) => ({ results: await copyEntries(context, input) }),
})

type Versioned = { file: FileRow; version: VersionRow }

workspaceMutation('restoreVersion', {
  description:
    'Adds the bytes of an older version as a new current version; older versions stay. Requires role EDITOR and scope FILES_WRITE.',
  input: builder.inputType('RestoreVersionInput', {
    description: 'Input of restoreVersion.',
    fields: (t) => ({
      versionId: t.id({ required: true, description: 'Id of the version to restore.' }),
      comment: t.string({
        description: 'Comment on the new version, of at most 10,000 characters.',
      }),
      expectedRevision: t.int({ description: expectedRevision }),
    }),
  }),
  payload: builder.objectRef<Versioned>('RestoreVersionPayload').implement({
    description: 'Result of restoreVersion.',
    fields: (t) => ({
      file: t.expose('file', { type: File, description: 'The changed file.' }),
      version: t.expose('version', {
        type: FileVersion,
        description: 'The new current version.',
      }),
    }),
  }),
  errors: [InvalidState, StaleRevision, QuotaExceeded],
  workspaceIdOf: ({ file }) => file.workspaceId,
  resolve: (input, context) => restoreVersion(context, input),
})

workspaceMutation('deleteVersion', {
  description:
    'Deletes an older version permanently; the current version cannot be deleted. Requires role EDITOR and scope FILES_WRITE.',
  input: builder.inputType('DeleteVersionInput', {
    description: 'Input of deleteVersion.',
    fields: (t) => ({
      versionId: t.id({ required: true, description: 'Id of the version to delete.' }),
    }),
  }),
  payload: builder.objectRef<Versioned>('DeleteVersionPayload').implement({
    description: 'Result of deleteVersion.',
    fields: (t) => ({
      file: t.expose('file', { type: File, description: 'The changed file.' }),
      versionId: t.id({
        description: 'Id of the deleted version.',
        resolve: ({ version }) => version.id,
      }),
    }),
  }),
  errors: [InvalidState],
  workspaceIdOf: ({ file }) => file.workspaceId,
  resolve: ({ versionId }, context) => deleteVersion(context, versionId),
})
