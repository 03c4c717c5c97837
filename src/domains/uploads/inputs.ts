import type { UploadTransport } from '../../database/tables.ts'
import { builder } from '../../graphql/builder.ts'
import { NameConflictEnum } from '../entries/inputs.ts'
import { RowLinkInput } from '../tables/graphql.ts'

export const UploadTransportEnum = builder.enumType('UploadTransport', {
  description: 'How the bytes of an upload are sent.',
  values: {
    TUS: { description: 'The tus protocol, which resumes interrupted uploads.' },
    SIGNED_PUT: { description: 'One PUT of the whole body to a signed URL; requires `size`.' },
    FORM: { description: 'A multipart form sent to POST /files; not valid for createUpload.' },
  } satisfies Record<UploadTransport, object>,
})

export const CreateUploadInput = builder.inputType('CreateUploadInput', {
  description: 'The input of createUpload, and one item of createUploads.',
  fields: (t) => ({
    workspaceId: t.id({
      required: true,
      description: 'The ID of the workspace that receives the file.',
    }),
    path: t.string({
      description:
        'The folder path below `folderId`, or below the root, such as raw/2025; missing folders are created. Without `path` and `folderId` the file goes to the root, or to a folder by the extension of the name if the workspace has `autoFile`.',
    }),
    folderId: t.id({ description: 'The ID of the folder that receives the file.' }),
    relativePath: t.string({
      description:
        'The path of the file in an uploaded folder, such as photos/2025/a.jpg. Its folders are created below `path` if missing, and `autoFile` does not apply to them; `name` takes precedence over the last part. Backslashes separate like slashes, empty parts are skipped, and .. is rejected.',
    }),
    name: t.string({ required: true, description: 'The name of the file.' }),
    size: t.field({
      type: 'ByteCount',
      description: 'Total number of bytes; omit it to defer the length.',
    }),
    mediaType: t.string({
      description:
        'The media type as a hint, ignored if it is not one; the server detects the type from the bytes.',
    }),
    sha256: t.string({
      description:
        'The SHA-256 checksum in lower-case hex, which is verified before the file becomes visible.',
    }),
    description: t.string({ description: 'The description of the file.' }),
    tags: t.stringList({ description: 'The names of the tags of the file.' }),
    metadata: t.field({
      type: 'JSONObject',
      description:
        'The metadata of the file. Without `contentModifiedAt`, `mtime` or `lastModified` in it is used as one if it is a number of milliseconds since 1970 or a date of ISO 8601.',
    }),
    contentModifiedAt: t.field({
      type: 'DateTime',
      description: 'When the content was last modified before the upload.',
    }),
    onConflict: t.field({
      type: NameConflictEnum,
      required: true,
      defaultValue: 'FAIL',
      description: 'What happens if the name exists in the folder.',
    }),
    versionOf: t.id({
      description: 'The ID of an existing file that receives the bytes as its next version.',
    }),
    transport: t.field({
      type: UploadTransportEnum,
      required: true,
      defaultValue: 'TUS',
      description: 'How the bytes are sent.',
    }),
    idempotencyKey: t.string({
      description:
        'The same key within 24 hours returns the same upload, unless the upload has ended without a file or its file was deleted since: then a new upload begins.',
    }),
  }),
})

export const ConfirmUploadInput = builder.inputType('ConfirmUploadInput', {
  description: 'The input of confirmUpload, and one item of confirmUploads.',
  fields: (t) => ({
    uploadId: t.id({ required: true, description: 'The ID of the upload to confirm.' }),
    size: t.field({
      type: 'ByteCount',
      description: 'The expected number of bytes, verified if given.',
    }),
    sha256: t.string({
      description: 'The expected SHA-256 checksum in lower-case hex, verified if given.',
    }),
    comment: t.string({ description: 'A comment on the file version.' }),
    linkRow: t.field({
      type: RowLinkInput,
      description:
        'The table row that receives the path of the file, in the same transaction; use the mutation linkRow for existing files.',
    }),
  }),
})
