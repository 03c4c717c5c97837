import type { UploadTransport } from '../../database/tables.ts'
import { builder } from '../../graphql/builder.ts'
import { NameConflictEnum } from '../entries/inputs.ts'
import { RowLinkInput } from '../tables/graphql.ts'

export const UploadTransportEnum = builder.enumType('UploadTransport', {
  values: {
    TUS: { description: 'The tus resource to HEAD and PATCH.' },
    SIGNED_PUT: { description: 'One PUT of the whole body; needs the size.' },
    FORM: { description: 'Comes with POST /files; not for createUpload.' },
  } satisfies Record<UploadTransport, object>,
})

export const CreateUploadInput = builder.inputType('CreateUploadInput', {
  fields: (t) => ({
    workspaceId: t.id({ required: true }),
    path: t.string({
      description:
        'Folder path, made if missing (raw/2025), below folderId. Neither path nor folderId: the root, or the drive folders under autoFile.',
    }),
    folderId: t.id(),
    name: t.string({ required: true }),
    size: t.field({ type: 'ByteCount', description: 'Leave out to defer the length.' }),
    mediaType: t.string({ description: 'A hint: the type of the file comes from its bytes.' }),
    sha256: t.string({ description: 'Lower-case hex. Checked before anything becomes visible.' }),
    description: t.string(),
    tags: t.stringList(),
    metadata: t.field({ type: 'JSONObject' }),
    onConflict: t.field({ type: NameConflictEnum, required: true, defaultValue: 'FAIL' }),
    versionOf: t.id({ description: 'Make the bytes the next version of this file.' }),
    transport: t.field({ type: UploadTransportEnum, required: true, defaultValue: 'TUS' }),
    idempotencyKey: t.string({
      description: 'The same key within 24 h returns the same upload.',
    }),
  }),
})

export const ConfirmUploadInput = builder.inputType('ConfirmUploadInput', {
  fields: (t) => ({
    uploadId: t.id({ required: true }),
    size: t.field({ type: 'ByteCount', description: 'Checked where given.' }),
    sha256: t.string({ description: 'Lower-case hex. Checked where given.' }),
    comment: t.string({ description: 'Of the version.' }),
    linkRow: t.field({
      type: RowLinkInput,
      description: 'Comes with the file or not at all. Not for a file that is there: see linkRow.',
    }),
  }),
})
