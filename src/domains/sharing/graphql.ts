import { InvalidState } from '../../errors/entries.ts'
import { InvalidInput, QueryTooComplex } from '../../errors/input.ts'
import { builder } from '../../graphql/builder.ts'
import type { Context } from '../../graphql/context.ts'
import { listCost } from '../../graphql/limits/costs.ts'
import { loader, loadOrThrow, Node, nodeType, nullIfDenied } from '../../graphql/nodes.ts'
import { connectionOf, page } from '../../graphql/pages.ts'
import { loadUser, User } from '../accounts/graphql.ts'
import { workspaceMutation } from '../activity/graphql.ts'
import { Entry, loadEntry, Sharing } from '../entries/graphql.ts'
import { EntryRef } from '../entries/inputs.ts'
import { SignedUrl } from '../files/graphql.ts'
import { Workspace } from '../workspaces/graphql.ts'
import { requireAccess } from '../workspaces/reads.ts'
import { sharedDownloadUrl } from './downloads.ts'
import { tryShare } from './opening.ts'
import {
  requireShareLink,
  type Shared,
  sharesList,
  sharesOfEntries,
  shareToken,
  toShare,
} from './reads.ts'
import type { ShareRow } from './rules.ts'
import { restrictToShare } from './share-policy.ts'
import { createShareLink, revokeShareLink } from './writes.ts'

nodeType('shr', 'ShareLink', (ids, { db, viewer }) =>
  Promise.all(ids.map((id) => nullIfDenied(requireShareLink(db, viewer, id)))),
)

const ShareLink = builder.objectRef<ShareRow>('ShareLink').implement({
  description:
    'A link that gives everyone who has its URL read access to an entry and its subtree.',
  interfaces: [Node],
  fields: (t) => ({
    id: t.exposeID('id', { description: 'The ID of the share link, with the prefix `shr_`.' }),
    entry: t.field({
      type: Entry,
      description: 'The shared entry.',
      resolve: ({ entryId }, _, context) => loadOrThrow(loadEntry, context, entryId),
    }),
    url: t.field({
      type: 'URL',
      description:
        'The URL of the share, which returns JSON and takes a password in the header Holdall-Share-Password.',
      resolve: ({ id }, _, { publicUrl, signingKeys }) =>
        `${publicUrl}/s/${shareToken(signingKeys, id)}`,
    }),
    token: t.string({
      description: 'The last segment of the URL, which the query `shared` takes as `token`.',
      resolve: ({ id }, _, { signingKeys }) => shareToken(signingKeys, id),
    }),
    hasPassword: t.boolean({
      description: 'True if the link requires a password.',
      resolve: ({ passwordHash }) => passwordHash !== null,
    }),
    expiresAt: t.expose('expiresAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When the link expires, or null if it does not.',
    }),
    maxDownloads: t.exposeInt('maxDownloads', {
      nullable: true,
      description: 'Maximum number of downloads across all files of this link, or null.',
    }),
    downloadCount: t.exposeInt('downloadCount', {
      description: 'Number of downloads so far across all files of this link.',
    }),
    createdAt: t.expose('createdAt', {
      type: 'DateTime',
      description: 'When the link was created.',
    }),
    createdBy: t.field({
      type: User,
      nullable: true,
      description: 'The user who created the link or took it over from a former member.',
      resolve: ({ createdBy }, _, context) => (createdBy ? loadUser(context, createdBy) : null),
    }),
  }),
})

builder.objectField(Workspace, 'shareLinks', (t) =>
  t.connection(
    {
      type: ShareLink,
      description:
        'The share links of the workspace, newest first. Requires role EDITOR and scope SHARES_WRITE.',
      resolve: async ({ id }, args, { db, viewer }) => {
        await requireAccess(db, viewer, id, toShare)
        return page(args, sharesList(db, id))
      },
    },
    ...connectionOf(ShareLink, 'ShareLink'),
  ),
)

/** Maximum number of links returned with an entry. */
const MAX_LINKS_SHOWN = 50
const loadShares = loader((ids, { db }) => sharesOfEntries(db, ids))
const loadCanShare = loader((ids, { db, viewer }) =>
  Promise.all(
    ids.map((id) =>
      requireAccess(db, viewer, id, toShare).then(
        () => true,
        () => false,
      ),
    ),
  ),
)

builder.objectField(Sharing, 'links', (t) =>
  t.field({
    type: [ShareLink],
    description: `The newest ${MAX_LINKS_SHOWN} share links of the entry; Workspace.shareLinks lists all. Empty without role EDITOR and scope SHARES_WRITE.`,
    complexity: listCost(MAX_LINKS_SHOWN),
    resolve: async ({ id, workspaceId }, _, context) =>
      (await loadCanShare(context, workspaceId))
        ? ((await loadShares(context, id)) ?? []).slice(0, MAX_LINKS_SHOWN)
        : [],
  }),
)

const SharedEntry = builder.objectRef<Shared>('SharedEntry').implement({
  description: 'What a share link shows to its holder.',
  fields: (t) => ({
    entry: t.field({
      type: Entry,
      description:
        'The requested entry, restricted to its subtree: paths start with the name of the shared entry, and fields that lead out of it are null or empty.',
      resolve: restrictToShare,
    }),
    downloadUrl: t.field({
      type: SignedUrl,
      nullable: true,
      description:
        'A signed download URL if the entry is a file, valid at most as long as the share link; each started download counts.',
      resolve: ({ share, entry }, _, context) =>
        entry.kind === 'file' ? sharedDownloadUrl(context, share, entry) : null,
    }),
  }),
})

/** Limits the passwords that one request can check or hash, because aliases can repeat a field. */
const MAX_PASSWORDS_PER_REQUEST = 3
const passwordCounts = new WeakMap<Context, number>()

function exceedsPasswordLimit(context: Context): boolean {
  const count = (passwordCounts.get(context) ?? 0) + 1
  passwordCounts.set(context, count)
  return count > MAX_PASSWORDS_PER_REQUEST
}

builder.queryField('shared', (t) =>
  t.field({
    type: SharedEntry,
    nullable: true,
    description:
      'What a share link shows; requires no token. Null if the link is unknown, expired, revoked or used up, or the password is wrong. Five wrong passwords lock the link for some time, and twenty within an hour lock the address of the client.',
    complexity: 50,
    args: {
      token: t.arg.string({ required: true, description: 'The token of the share link.' }),
      password: t.arg.string({ description: 'The password of the share link, if it has one.' }),
    },
    resolve: (_, { token, password }, context) => {
      if (exceedsPasswordLimit(context)) {
        throw new QueryTooComplex(
          `the request opens too many shares (limit ${MAX_PASSWORDS_PER_REQUEST})`,
        )
      }
      return tryShare(context, { token, password, address: context.address })
    },
  }),
)

workspaceMutation('createShareLink', {
  description:
    'Creates a share link to an entry; one request can create at most 3 links with a password. Requires role EDITOR and scopes FILES_READ and SHARES_WRITE.',
  input: builder.inputType('CreateShareLinkInput', {
    description: 'The input of createShareLink.',
    fields: (t) => ({
      entry: t.field({ type: EntryRef, required: true, description: 'The entry to share.' }),
      password: t.string({
        description: 'The password that the link requires, with 1 to 200 characters.',
      }),
      expiresAt: t.field({
        type: 'DateTime',
        description: 'When the link expires, which must be in the future.',
      }),
      maxDownloads: t.int({
        description: 'Maximum number of downloads across all files of this link.',
      }),
    }),
  }),
  payload: builder.objectRef<{ shareLink: ShareRow }>('CreateShareLinkPayload').implement({
    description: 'The result of createShareLink.',
    fields: (t) => ({
      shareLink: t.expose('shareLink', { type: ShareLink, description: 'The new share link.' }),
    }),
  }),
  errors: [InvalidState],
  workspaceIdOf: ({ shareLink }) => shareLink.workspaceId,
  resolve: async (input, context) => {
    if (input.password != null && exceedsPasswordLimit(context)) {
      const message = `the request sets too many passwords (limit ${MAX_PASSWORDS_PER_REQUEST})`
      throw new InvalidInput({ path: ['password'], message })
    }
    return { shareLink: await createShareLink(context, input) }
  },
})

workspaceMutation('revokeShareLink', {
  description:
    'Revokes a share link and all download URLs created through it. Requires role EDITOR and scope SHARES_WRITE.',
  input: builder.inputType('RevokeShareLinkInput', {
    description: 'The input of revokeShareLink.',
    fields: (t) => ({
      shareLinkId: t.id({ required: true, description: 'The ID of the share link to revoke.' }),
    }),
  }),
  payload: builder.objectRef<{ shareLink: ShareRow }>('RevokeShareLinkPayload').implement({
    description: 'The result of revokeShareLink.',
    fields: (t) => ({
      shareLinkId: t.id({
        description: 'The ID of the revoked share link.',
        resolve: ({ shareLink }) => shareLink.id,
      }),
    }),
  }),
  workspaceIdOf: ({ shareLink }) => shareLink.workspaceId,
  resolve: async ({ shareLinkId }, context) => ({
    shareLink: await revokeShareLink(context, shareLinkId),
  }),
})
