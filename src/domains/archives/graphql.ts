import {
  ChecksumMismatch,
  FileTooLarge,
  InvalidInput,
  InvalidState,
  NameConflict,
  QuotaExceeded,
  RateLimited,
  StorageError,
} from '../../errors.ts'
import { builder } from '../../graphql/builder.ts'
import { mutation } from '../../graphql/mutations.ts'
import { EntryRef, NameConflictEnum } from '../entries/inputs.ts'
import type { EntryRow } from '../entries/reads.ts'
import { SignedUrl } from '../files/graphql.ts'
import { Folder } from '../folders/graphql.ts'
import { requireRead } from '../workspaces/graphql.ts'
import { importArchive } from './import.ts'
import { archiveUrl } from './reads.ts'

const LONGEST_LINK_SECONDS = 7 * 86_400

builder.objectField(Folder, 'archiveUrl', (t) =>
  t.field({
    type: SignedUrl,
    description:
      'A ZIP of the subtree with its metadata in manifest.json, streamed as it is read; its length is known ahead, so Range resumes it. <url up to the token>/manifest?format=json|csv gives the manifest alone. At most 7 days, and no longer than the token that made it may read.',
    args: { expiresInSeconds: t.arg.int({ required: true, defaultValue: 3600 }) },
    resolve: async (folder, { expiresInSeconds }, context) => {
      await requireRead(context, folder.workspaceId)
      if (expiresInSeconds < 1 || expiresInSeconds > LONGEST_LINK_SECONDS) {
        const message = `1 to ${LONGEST_LINK_SECONDS} seconds`
        throw new InvalidInput({ path: ['expiresInSeconds'], message })
      }
      const expiresAt = context.now() + expiresInSeconds * 1000
      return { url: archiveUrl(context, folder, expiresAt), expiresAt }
    },
  }),
)

mutation('importArchive', {
  description:
    'Rebuilds the tree of an archive under destination, with descriptions, tags, metadata and versions; of a ZIP from elsewhere the plain tree. All of it or nothing. Your own, confirmed upload; EDITOR, scopes FILES_READ and FILES_WRITE.',
  input: builder.inputType('ImportArchiveInput', {
    fields: (t) => ({
      uploadId: t.id({ required: true }),
      destination: t.field({ type: EntryRef, required: true }),
      onConflict: t.field({
        type: NameConflictEnum,
        required: true,
        defaultValue: 'FAIL',
        description: 'Of the names in destination. NEW_VERSION goes into folders that are there.',
      }),
    }),
  }),
  payload: builder
    .objectRef<{ folder: EntryRow; entryCount: number }>('ImportArchivePayload')
    .implement({
      fields: (t) => ({
        folder: t.expose('folder', { type: Folder, description: 'The destination.' }),
        entryCount: t.exposeInt('entryCount'),
      }),
    }),
  errors: [
    NameConflict,
    QuotaExceeded,
    RateLimited,
    FileTooLarge,
    ChecksumMismatch,
    InvalidState,
    StorageError,
  ],
  resolve: (input, context) => importArchive(context, input),
})
