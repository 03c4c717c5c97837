import { InvalidInput, InvalidState, QueryTooComplex } from '../../errors.ts'
import { builder } from '../../graphql/builder.ts'
import type { Context } from '../../graphql/context.ts'
import { listCost } from '../../graphql/costs.ts'
import { mutation } from '../../graphql/mutations.ts'
import { loader, Node, nodeType, nullIfDenied } from '../../graphql/nodes.ts'
import { connectionOf, page } from '../../graphql/pages.ts'
import { loadUser, User } from '../accounts/graphql.ts'
import { Entry, loadEntry, Sharing } from '../entries/graphql.ts'
import { EntryRef } from '../entries/inputs.ts'
import type { EntryRow } from '../entries/reads.ts'
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
  description: 'Shows an entry, and what lies below it, to whoever holds its URL.',
  interfaces: [Node],
  fields: (t) => ({
    id: t.exposeID('id'),
    entry: t.field({
      type: Entry,
      resolve: async ({ entryId }, _, context) => (await loadEntry(context, entryId)) as EntryRow,
    }),
    url: t.field({
      type: 'URL',
      description: 'Answers JSON; a password goes in the header Holdall-Share-Password.',
      resolve: ({ id }, _, { publicUrl, signingKeys }) =>
        `${publicUrl}/s/${shareToken(signingKeys, id)}`,
    }),
    token: t.string({
      description: 'The last part of the URL, for shared(token:).',
      resolve: ({ id }, _, { signingKeys }) => shareToken(signingKeys, id),
    }),
    hasPassword: t.boolean({ resolve: ({ passwordHash }) => passwordHash !== null }),
    expiresAt: t.expose('expiresAt', { type: 'DateTime', nullable: true }),
    maxDownloads: t.exposeInt('maxDownloads', { nullable: true }),
    downloadCount: t.exposeInt('downloadCount'),
    createdAt: t.expose('createdAt', { type: 'DateTime' }),
    createdBy: t.field({
      type: User,
      nullable: true,
      resolve: ({ createdBy }, _, context) => (createdBy ? loadUser(context, createdBy) : null),
    }),
  }),
})

builder.objectField(Workspace, 'shareLinks', (t) =>
  t.connection(
    {
      type: ShareLink,
      description: 'Newest first. EDITOR, scope SHARES_WRITE.',
      resolve: async ({ id }, args, { db, viewer }) => {
        await requireAccess(db, viewer, id, toShare)
        return page(args, sharesList(db, id))
      },
    },
    ...connectionOf(ShareLink, 'ShareLink'),
  ),
)

/** So many links of one entry are shown beside it. */
const MAX_LINKS_SHOWN = 50
const loadShares = loader((ids, { db }) => sharesOfEntries(db, ids))
const loadMayShare = loader((ids, { db, viewer }) =>
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
    description: `The newest ${MAX_LINKS_SHOWN}; Workspace.shareLinks lists all. None for those who may not share.`,
    complexity: listCost(MAX_LINKS_SHOWN),
    resolve: async ({ id, workspaceId }, _, context) =>
      (await loadMayShare(context, workspaceId))
        ? ((await loadShares(context, id)) ?? []).slice(0, MAX_LINKS_SHOWN)
        : [],
  }),
)

const SharedEntry = builder.objectRef<Shared>('SharedEntry').implement({
  description: 'What a share link shows to whoever holds it.',
  fields: (t) => ({
    entry: t.field({
      type: Entry,
      description:
        'To read, with what lies below. Paths begin with its own name; what leads out of it is not there.',
      resolve: restrictToShare,
    }),
    downloadUrl: t.field({
      type: SignedUrl,
      nullable: true,
      description: 'Of a file; ends with the share. Counted when a download begins.',
      resolve: ({ share, entry }, _, context) =>
        entry.kind === 'file' ? sharedDownloadUrl(context, share, entry) : null,
    }),
  }),
})

/** A request is a few passwords, to try or to hash, not a thousand under a thousand aliases. */
const MOST_TRIES = 3
const tries = new WeakMap<Context, number>()

function isOneTooMany(context: Context): boolean {
  const count = (tries.get(context) ?? 0) + 1
  tries.set(context, count)
  return count > MOST_TRIES
}

builder.queryField('shared', (t) =>
  t.field({
    type: SharedEntry,
    nullable: true,
    description:
      'What a share link shows, to anybody. Null for an unknown, wrong, expired, revoked or used up one, and for a wrong password; after five of those the link waits, after twenty in an hour the address that they came from.',
    complexity: 50,
    args: { token: t.arg.string({ required: true }), password: t.arg.string() },
    resolve: (_, { token, password }, context) => {
      if (isOneTooMany(context)) {
        throw new QueryTooComplex(`at most ${MOST_TRIES} shares are opened in one request`)
      }
      return tryShare(context, { token, password, address: context.address })
    },
  }),
)

mutation('createShareLink', {
  description:
    'A link that shows an entry to whoever holds it; at most 3 with a password in one request. EDITOR, scopes FILES_READ and SHARES_WRITE.',
  input: builder.inputType('CreateShareLinkInput', {
    fields: (t) => ({
      entry: t.field({ type: EntryRef, required: true }),
      password: t.string(),
      expiresAt: t.field({ type: 'DateTime' }),
      maxDownloads: t.int({ description: 'Of all files together.' }),
    }),
  }),
  payload: builder
    .objectRef<{ shareLink: ShareRow }>('CreateShareLinkPayload')
    .implement({ fields: (t) => ({ shareLink: t.expose('shareLink', { type: ShareLink }) }) }),
  errors: [InvalidState],
  resolve: async (input, context) => {
    if (input.password != null && isOneTooMany(context)) {
      const message = `at most ${MOST_TRIES} passwords are given in one request`
      throw new InvalidInput({ path: ['password'], message })
    }
    return { shareLink: await createShareLink(context, input) }
  },
})

mutation('revokeShareLink', {
  description:
    'The link shows nothing any more, nor do links made through it. EDITOR, scope SHARES_WRITE.',
  input: builder.inputType('RevokeShareLinkInput', {
    fields: (t) => ({ shareLinkId: t.id({ required: true }) }),
  }),
  payload: builder.objectRef<{ shareLink: ShareRow }>('RevokeShareLinkPayload').implement({
    fields: (t) => ({
      shareLinkId: t.id({ resolve: ({ shareLink }) => shareLink.id }),
    }),
  }),
  resolve: async ({ shareLinkId }, context) => ({
    shareLink: await revokeShareLink(context, shareLinkId),
  }),
})
