import { apiScopes } from '../../../src/context.ts'
import { act, createUpload, downloadUrl, sendBytes } from '../../support/client.ts'
import { createToken, invite, type Person, unbindToken } from '../../support/data/people.ts'
import type { TestServer } from '../../support/servers/test-server.ts'
import type { Actor } from './authorisation-contract.ts'
import { archiveUpload, createTenant, type Place } from './tenant-fixture.ts'

/** What the actor created in a workspace while it was allowed to. */
type Own = Awaited<ReturnType<typeof makeOwn>>
/** A column of the matrix: an actor with a token, and the workspace it tries. */
export type Column = Actor & { token: string | null; place: FullPlace; own: Own }
/** A workspace, and the URLs that need no token. */
type FullPlace = Place & {
  signed: string
  archive: string
  share: string
  shareToken: string
  putUrl: string
}

const all = [...apiScopes]

/** The columns, in five workspaces, so that allowed operations of one actor do not affect another. */
export async function inviteAll(
  holdall: TestServer,
  wait: (ms: number) => void,
): Promise<Column[]> {
  const [here, there, bound, scoped, open] = [
    await place(holdall, 'here'),
    await place(holdall, 'there'),
    await place(holdall, 'bound'),
    await place(holdall, 'scoped'),
    await place(holdall, 'open'),
  ]
  const { workspaceId } = open
  await act(holdall, 'updateWorkspace', { workspaceId, visibility: 'PUBLIC' }, '__typename')

  const owner = await join(holdall, here, 'OWNER')
  const editor = await join(holdall, there, 'EDITOR')
  const viewer = await join(holdall, here, 'VIEWER')
  const removed = await join(holdall, here, 'EDITOR')
  const gone = { workspaceId: here.workspaceId, userId: removed.userId }
  await act(holdall, 'removeMember', gone, '__typename')
  const outsider = await invite(holdall, scoped.workspaceId, 'OWNER')
  await unbindToken(holdall, outsider.tokenId)
  const boundOwner = await join(holdall, bound, 'OWNER', 'stays bound')
  const memberElsewhere = await join(holdall, here, 'OWNER')
  const tokenElsewhere = await createTokenElsewhere(holdall, memberElsewhere, there.workspaceId)
  const scopedOwner = await join(holdall, scoped, 'OWNER')

  const strange = { role: null, own: owner.own }
  const self = { token: owner.token, scopes: all, place: here, own: owner.own }
  const anonymous = { ...strange, token: null, scopes: null }
  const stranger = { ...strange, token: outsider.token, scopes: all }
  const token = (input: object, of = owner) => tokenOf(holdall, of.token, input)
  const [none, expired, revoked] = [
    await token({ scopes: [] }),
    await token({ expiresAt: new Date(Date.now() + 60_000).toISOString() }),
    await token({}),
  ]
  await act(holdall, 'revokeApiToken', { tokenId: revoked.id }, '__typename', owner)
  wait(120_000)

  return [
    { ...self, name: 'OWN', says: 'OWNER', role: 'OWNER' },
    { ...self, ...editor, name: 'EDI', says: 'EDITOR', role: 'EDITOR', place: there },
    { ...self, ...viewer, name: 'VIE', says: 'VIEWER', role: 'VIEWER' },
    { ...self, ...removed, name: 'rem', says: 'a member who was removed', role: null },
    { ...stranger, name: 'out', says: 'OWNER of another workspace', place: here },
    { ...anonymous, name: 'nob', says: 'anonymous, without a token', place: here },
    { ...stranger, name: 'pout', says: 'out, where it is PUBLIC', place: open, isPublic: true },
    {
      ...anonymous,
      name: 'pnob',
      says: 'nob, where the workspace is PUBLIC',
      place: open,
      isPublic: true,
    },
    {
      ...self,
      ...boundOwner,
      name: 'bnd',
      says: 'OWNER, token bound here',
      role: 'OWNER',
      place: bound,
      bound: 'here',
    },
    {
      ...self,
      ...memberElsewhere,
      token: tokenElsewhere,
      name: 'else',
      says: 'OWNER, token bound elsewhere',
      role: 'OWNER',
      bound: 'elsewhere',
    },
    {
      ...self,
      token: expired.secret,
      name: 'exp',
      says: 'OWNER, token expired',
      role: 'OWNER',
      isDead: true,
    },
    {
      ...self,
      token: revoked.secret,
      name: 'rev',
      says: 'OWNER, token revoked',
      role: 'OWNER',
      isDead: true,
    },
    {
      ...self,
      token: none.secret,
      name: '∅',
      says: 'OWNER, token without scopes',
      scopes: [],
      role: 'OWNER',
    },
    ...(await Promise.all(
      apiScopes.map(async (scope) => ({
        ...{ token: (await token({ scopes: [scope] }, scopedOwner)).secret, scopes: [scope] },
        ...{ name: shortOf(scope), says: `OWNER, token with ${scope} alone` },
        ...{ role: 'OWNER' as const, place: scoped, own: scopedOwner.own },
      })),
    )),
  ]
}

/** Returns a short name of a scope: filr for FILES_READ. */
const shortOf = (scope: string) => scope.replace(/^(...).*_(.).*$/, '$1$2').toLowerCase()

async function place(holdall: TestServer, mark: string): Promise<FullPlace> {
  const made = await createTenant(holdall, mark)
  const { workspaceId, fileId, folderId } = made
  const fields = 'shareLink { url token }'
  const { shareLink } = await act(holdall, 'createShareLink', { entry: { id: fileId } }, fields)
  const archive = '{ node(id: "ID") { ... on Folder { archiveUrl { url } } } }'
  const { node } = await holdall.ask(archive.replace('ID', folderId))
  const put = { workspaceId, name: `${mark} put`, size: 4, transport: 'SIGNED_PUT' }
  return {
    ...made,
    signed: await downloadUrl(holdall, fileId),
    archive: node.archiveUrl.url,
    share: shareLink.url,
    shareToken: shareLink.token,
    putUrl: (await createUpload(holdall, put)).url,
  }
}

/** Adds a member with an unbound token, who creates objects before the role is lowered. */
async function join(
  holdall: TestServer,
  at: FullPlace,
  role: 'OWNER' | 'EDITOR' | 'VIEWER',
  bond = '',
) {
  const { workspaceId } = at
  const person = await invite(holdall, workspaceId, role === 'VIEWER' ? 'EDITOR' : role)
  if (!bond) await unbindToken(holdall, person.tokenId)
  const own = await makeOwn(holdall, at, person)
  const { userId } = person
  if (role === 'VIEWER')
    await act(holdall, 'updateMember', { workspaceId, userId, role }, '__typename')
  return { ...person, own }
}

async function makeOwn(holdall: TestServer, { workspaceId, mark }: Place, as: Person) {
  const open = { workspaceId, size: 4 }
  const make = (name: string) => createUpload(holdall, { ...open, name: `${mark} ${name}` }, as)
  const [upload, doomed, received] = [await make('mine'), await make('doomed'), await make('ours')]
  await sendBytes(holdall, received, 'here', 0, as)
  const archiveUploadId = await archiveUpload(holdall, workspaceId, as)
  return {
    uploadId: upload.id,
    uploadUrl: upload.url,
    doomedUrl: doomed.url,
    receivedId: received.id,
    archiveUploadId,
  }
}

/** Creates a token that is bound to another workspace of the same user. */
async function createTokenElsewhere(
  holdall: TestServer,
  { email, token }: Person,
  workspaceId: string,
) {
  await act(holdall, 'addMember', { workspaceId, email, role: 'OWNER' }, '__typename')
  return (await tokenOf(holdall, token, { workspaceId })).secret
}

const tokenOf = (holdall: TestServer, token: string, input: object) =>
  createToken(holdall, { ...input }, { token })
