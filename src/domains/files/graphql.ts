import {
  Cycle,
  InvalidInput,
  InvalidState,
  NameConflict,
  QuotaExceeded,
  StaleRevision,
} from '../../errors.ts'
import { builder } from '../../graphql/builder.ts'
import type { Context } from '../../graphql/context.ts'
import { listCost } from '../../graphql/costs.ts'
import { mutation } from '../../graphql/mutations.ts'
import { loader, Node, nodeType, nullIfDenied } from '../../graphql/nodes.ts'
import { connectionOf, page } from '../../graphql/pages.ts'
import { downloadUrl } from '../../signing/signed-links.ts'
import { loadUser, User } from '../accounts/graphql.ts'
import {
  batchPayload,
  Entry,
  EntryConnection,
  loadEntry,
  visibleEntries,
} from '../entries/graphql.ts'
import {
  BatchEntry,
  BatchModeEnum,
  EntryRef,
  MediaKindEnum,
  NameConflictEnum,
} from '../entries/inputs.ts'
import { byName, workspaceList } from '../entries/lists.ts'
import type { EntryRow } from '../entries/reads.ts'
import { requireRead, Workspace } from '../workspaces/graphql.ts'
import { copyEntries } from './copy.ts'
import { type DuplicateGroup, duplicatesList } from './duplicates.ts'
import { damagesOf, requireVersion, type VersionRow, versionsById, versionsList } from './reads.ts'
import { flawWords, type RecordedDamage } from './rules.ts'
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

/** A version by id, from inside a type that the viewer may see. */
export const loadVersion = loader((ids, { db }) => versionsById(db, ids))

/** What was found wrong with the bytes of a version; null where nothing was. */
const loadDamage = loader((ids, { db }) => damagesOf(db, ids))

const failuresOf = async (
  context: Context,
  versionId: string | null,
): Promise<RecordedDamage[]> => {
  const damage = await loadDamage(context, versionId ?? '')
  return damage ? [damage] : []
}

const FileFailure = builder.objectRef<RecordedDamage>('FileFailure').implement({
  fields: (t) => ({
    code: t.field({
      type: builder.enumType('FileFailureCode', {
        values: {
          MISSING: { description: 'They are not there.' },
          TRUNCATED: { description: 'Only some of them are there.' },
          CHANGED: { description: 'They are others than were confirmed.' },
        } as const satisfies Record<RecordedDamage['code'], object>,
      }),
      resolve: ({ code }) => code,
    }),
    message: t.string({ resolve: ({ code }) => flawWords[code] }),
    at: t.expose('at', { type: 'DateTime' }),
  }),
})

type SignedLink = { url: string; expiresAt: number }
export const SignedUrl = builder.objectRef<SignedLink>('SignedUrl').implement({
  fields: (t) => ({
    url: t.expose('url', { type: 'URL' }),
    expiresAt: t.expose('expiresAt', { type: 'DateTime' }),
  }),
})

const Disposition = builder.enumType('Disposition', {
  values: { ATTACHMENT: { value: 'attachment' }, INLINE: { value: 'inline' } } as const,
})
const LONGEST_LINK_SECONDS = 7 * 86_400

type LinkArgs = { expiresInSeconds: number; disposition: 'attachment' | 'inline' }

async function signedUrl(
  { id: versionId, workspaceId }: { id: string; workspaceId: string },
  fileName: string,
  { expiresInSeconds, disposition }: LinkArgs,
  context: Context,
): Promise<SignedLink> {
  await requireRead(context, workspaceId)
  if (expiresInSeconds < 1 || expiresInSeconds > LONGEST_LINK_SECONDS) {
    const message = `1 to ${LONGEST_LINK_SECONDS} seconds`
    throw new InvalidInput({ path: ['expiresInSeconds'], message })
  }
  const expiresAt = context.now() + expiresInSeconds * 1000
  const link = { versionId, disposition, expiresAt, tokenId: context.viewer?.tokenId }
  return { url: downloadUrl(context, link, fileName), expiresAt }
}

export const File = builder.objectRef<EntryRow>('File').implement({
  interfaces: [Node, Entry],
  isTypeOf: (entry) => (entry as EntryRow).kind === 'file',
  fields: (t) => ({
    size: t.expose('size', { type: 'ByteCount' }),
    mediaType: t.string({
      description: 'From the bytes, else from the name; what the client declared is not believed.',
      resolve: ({ mediaType }) => mediaType ?? 'application/octet-stream',
    }),
    kind: t.field({ type: MediaKindEnum, resolve: ({ mediaKind }) => mediaKind ?? 'OTHER' }),
    sha256: t.string({ resolve: ({ sha256 }) => sha256 ?? '' }),
    status: t.field({
      type: builder.enumType('FileStatus', {
        values: ['PROCESSING', 'COMPLETE', 'FAILED'] as const,
      }),
      resolve: async ({ versionId }, _, context) =>
        (await failuresOf(context, versionId)).length > 0 ? 'FAILED' : 'COMPLETE',
    }),
    failures: t.field({
      type: [FileFailure],
      complexity: listCost(1),
      description:
        'What is wrong with the current bytes, as long as it is FAILED: they are not given out. A good copy as a new version makes it COMPLETE.',
      resolve: ({ versionId }, _, context) => failuresOf(context, versionId),
    }),
    version: t.field({
      type: FileVersion,
      resolve: async ({ versionId }, _, context) =>
        (await loadVersion(context, versionId ?? '')) as VersionRow,
    }),
    versions: t.connection(
      {
        type: FileVersion,
        description: 'Newest first.',
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
        'Short-lived link to the current bytes: Range, ETag, resumable. At most 7 days, and no longer than the token that made it may read.',
      args: {
        expiresInSeconds: t.arg.int({ required: true, defaultValue: 3600 }),
        disposition: t.arg({ type: Disposition, required: true, defaultValue: 'attachment' }),
      },
      resolve: ({ versionId, workspaceId, name }, args, context) =>
        signedUrl({ id: versionId ?? '', workspaceId }, name, args, context),
    }),
  }),
})

const fileOf = async ({ fileId }: VersionRow, context: Context) =>
  (await loadEntry(context, fileId)) as EntryRow

export const FileVersion = builder.objectRef<VersionRow>('FileVersion')
FileVersion.implement({
  interfaces: [Node],
  fields: (t) => ({
    id: t.exposeID('id'),
    file: t.field({ type: File, resolve: (version, _, context) => fileOf(version, context) }),
    number: t.exposeInt('number'),
    size: t.expose('size', { type: 'ByteCount' }),
    mediaType: t.exposeString('mediaType'),
    sha256: t.exposeString('sha256'),
    failures: t.field({
      type: [FileFailure],
      complexity: listCost(1),
      resolve: ({ id }, _, context) => failuresOf(context, id),
    }),
    comment: t.exposeString('comment', { nullable: true }),
    createdAt: t.expose('createdAt', { type: 'DateTime' }),
    createdBy: t.field({
      type: User,
      nullable: true,
      resolve: ({ createdBy }, _, context) => (createdBy ? loadUser(context, createdBy) : null),
    }),
    isCurrent: t.boolean({
      resolve: async (version, _, context) =>
        (await fileOf(version, context)).versionId === version.id,
    }),
    downloadUrl: t.field({
      type: SignedUrl,
      args: {
        expiresInSeconds: t.arg.int({ required: true, defaultValue: 3600 }),
        disposition: t.arg({ type: Disposition, required: true, defaultValue: 'attachment' }),
      },
      resolve: async (version, args, context) =>
        signedUrl(version, (await fileOf(version, context)).name, args, context),
    }),
  }),
})

const DuplicateGroupType = builder.objectRef<DuplicateGroup>('DuplicateGroup').implement({
  fields: (t) => ({
    sha256: t.exposeString('sha256'),
    size: t.expose('size', { type: 'ByteCount' }),
    wastedBytes: t.expose('wastedBytes', {
      type: 'ByteCount',
      description: 'What the quota would get back if one of them stayed.',
    }),
    files: t.connection(
      {
        type: Entry,
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
      description: 'Files whose bytes are the same, the largest waste first.',
      resolve: async ({ id }, args, context) => {
        await requireRead(context, id)
        return page(args, duplicatesList(context.db, id))
      },
    },
    ...connectionOf(DuplicateGroupType, 'Duplicate'),
  ),
)

mutation('copyEntries', {
  description: 'Folders with all they hold; bytes are shared. EDITOR, scope FILES_WRITE.',
  input: builder.inputType('CopyEntriesInput', {
    fields: (t) => ({
      entries: t.field({ type: [BatchEntry], required: true }),
      destination: t.field({ type: EntryRef, required: true }),
      onConflict: t.field({ type: NameConflictEnum, required: true, defaultValue: 'RENAME' }),
      mode: t.field({ type: BatchModeEnum, required: true, defaultValue: 'ALL_OR_NOTHING' }),
    }),
  }),
  payload: batchPayload('CopyEntriesPayload'),
  errors: [NameConflict, StaleRevision, Cycle, InvalidState, QuotaExceeded],
  resolve: async (input, context) => ({ results: await copyEntries(context, input) }),
})

type Versioned = { file: EntryRow; version: VersionRow }
const versionedPayload = (name: string) =>
  builder.objectRef<Versioned>(name).implement({
    fields: (t) => ({
      file: t.expose('file', { type: File }),
      version: t.expose('version', { type: FileVersion }),
    }),
  })

mutation('restoreVersion', {
  description: 'An older version becomes the newest; the history stays. EDITOR, scope FILES_WRITE.',
  input: builder.inputType('RestoreVersionInput', {
    fields: (t) => ({
      versionId: t.id({ required: true }),
      comment: t.string(),
      expectedRevision: t.int(),
    }),
  }),
  payload: versionedPayload('RestoreVersionPayload'),
  errors: [InvalidState, StaleRevision, QuotaExceeded],
  resolve: (input, context) => restoreVersion(context, input),
})

mutation('deleteVersion', {
  description: 'Forgets an older version and its bytes. EDITOR, scope FILES_WRITE.',
  input: builder.inputType('DeleteVersionInput', {
    fields: (t) => ({ versionId: t.id({ required: true }) }),
  }),
  payload: builder
    .objectRef<{ file: EntryRow; version: VersionRow }>('DeleteVersionPayload')
    .implement({
      fields: (t) => ({
        file: t.expose('file', { type: File }),
        versionId: t.id({ resolve: ({ version }) => version.id }),
      }),
    }),
  errors: [InvalidState],
  resolve: ({ versionId }, context) => deleteVersion(context, versionId),
})
