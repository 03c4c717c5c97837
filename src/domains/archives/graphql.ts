import { InvalidInput } from '../../errors.ts'
import { builder } from '../../graphql/builder.ts'
import { SignedUrl } from '../files/graphql.ts'
import { Folder } from '../folders/graphql.ts'
import { requireRead } from '../workspaces/graphql.ts'
import { archiveUrl } from './reads.ts'

const LONGEST_LINK_SECONDS = 7 * 86_400

builder.objectField(Folder, 'archiveUrl', (t) =>
  t.field({
    type: SignedUrl,
    description:
      'A ZIP of the subtree with its metadata in manifest.json, streamed as it is read; its length is known ahead, so Range resumes it. <url up to the token>/manifest?format=json|csv gives the manifest alone. At most 7 days.',
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
