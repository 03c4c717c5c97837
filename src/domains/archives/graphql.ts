import { RateLimited, StorageError } from '../../errors/availability.ts'
import { InvalidState, NameConflict } from '../../errors/entries.ts'
import { InvalidInput } from '../../errors/input.ts'
import {
  ChecksumMismatch,
  FileTooLarge,
  QuotaExceeded,
  SizeMismatch,
  UploadExpired,
  UploadIncomplete,
} from '../../errors/uploads.ts'
import { builder } from '../../graphql/builder.ts'
import { workspaceMutation } from '../activity/graphql.ts'
import { FolderRef, NameConflictEnum } from '../entries/inputs.ts'
import type { FolderRow } from '../entries/reads.ts'
import { SignedUrl } from '../files/graphql.ts'
import { Folder } from '../folders/graphql.ts'
import { requireRead } from '../workspaces/graphql.ts'
import { importArchive } from './import/import.ts'
import { archiveUrl } from './reads.ts'

const MAX_LINK_TTL_SECONDS = 7 * 86_400

builder.objectField(Folder, 'archiveUrl', (t) =>
  t.field({
    type: SignedUrl,
    description:
      'A signed URL for a ZIP archive of the folder with all metadata in manifest.json. The archive is streamed and supports Range requests, so interrupted downloads can be resumed. <url up to the token>/manifest?format=json|csv returns the manifest alone. The link also ends when the token that created it loses read access.',
    args: {
      expiresInSeconds: t.arg.int({
        required: true,
        defaultValue: 3600,
        description: 'Lifetime of the link in seconds, from 1 to 604800 (7 days).',
      }),
    },
    resolve: async (folder, { expiresInSeconds }, context) => {
      await requireRead(context, folder.workspaceId)
      if (expiresInSeconds < 1 || expiresInSeconds > MAX_LINK_TTL_SECONDS) {
        const message = `must be 1 to ${MAX_LINK_TTL_SECONDS} seconds`
        throw new InvalidInput({ path: ['expiresInSeconds'], message })
      }
      const expiresAt = context.now() + expiresInSeconds * 1000
      return { url: archiveUrl(context, folder, expiresAt), expiresAt }
    },
  }),
)

workspaceMutation('importArchive', {
  description:
    'Imports an uploaded archive under `folder`: archives of this server with descriptions, tags, metadata and versions, other ZIP files as a plain tree. The import is atomic. Only for uploads that you created, that have all their bytes and are not confirmed; the upload becomes COMPLETE without a file. Requires role EDITOR and scopes FILES_READ and FILES_WRITE.',
  input: builder.inputType('ImportArchiveInput', {
    description: 'The input of importArchive.',
    fields: (t) => ({
      uploadId: t.id({
        required: true,
        description: 'The ID of the upload of the ZIP, with status RECEIVED.',
      }),
      folder: t.field({
        type: FolderRef,
        required: true,
        description: 'The folder that receives the content of the archive.',
      }),
      onConflict: t.field({
        type: NameConflictEnum,
        required: true,
        defaultValue: 'FAIL',
        description:
          'What happens if a name exists in `folder`; NEW_VERSION merges into existing folders.',
      }),
    }),
  }),
  payload: builder
    .objectRef<{ folder: FolderRow; entryCount: number }>('ImportArchivePayload')
    .implement({
      description: 'The result of importArchive.',
      fields: (t) => ({
        folder: t.expose('folder', { type: Folder, description: 'The destination folder.' }),
        entryCount: t.exposeInt('entryCount', {
          description: 'Number of files and folders that were imported.',
        }),
      }),
    }),
  errors: [
    NameConflict,
    QuotaExceeded,
    RateLimited,
    FileTooLarge,
    ChecksumMismatch,
    UploadIncomplete,
    UploadExpired,
    SizeMismatch,
    InvalidState,
    StorageError,
  ],
  workspaceIdOf: ({ folder }) => folder.workspaceId,
  resolve: (input, context) => importArchive(context, input),
})
