import { apiScopes } from '../../src/context.ts'
import { act, createUpload, downloadUrl, sendBytes } from '../support/client.ts'
import { giveToken, invite, type Person, unbind } from '../support/people.ts'
import type { House } from '../support/test-server.ts'
import type { Actor } from './authorisation-contract.ts'
import { archiveUpload, furnish, type Place } from './tenant-fixture.ts'

/** What one has made in a place oneself, while one could. */
type Own = Awaited<ReturnType<typeof makeOwn>>
/** A column of the matrix: an actor with a token, and where they try. */
export type Column = Actor & { token: string | null; place: FullPlace; own: Own }
/** A place, and the addresses that need no token. */
type FullPlace = Place & {
  signed: string
  archive: string
  share: string
  shareToken: string
  putUrl: string
}

const all = [...apiScopes]

/** The columns, in five places: those who are let in leave nothing behind that another needs. */
export async function inviteAll(house: House, wait: (ms: number) => void): Promise<Column[]> {
  const [here, there, bound, scoped, open] = [
    await place(house, 'here'),
    await place(house, 'there'),
    await place(house, 'bound'),
    await place(house, 'scoped'),
    await place(house, 'open'),
  ]
  const { workspaceId } = open
  await act(house, 'updateWorkspace', { workspaceId, visibility: 'PUBLIC' }, '__typename')

  const owner = await join(house, here, 'OWNER')
  const editor = await join(house, there, 'EDITOR')
  const viewer = await join(house, here, 'VIEWER')
  const removed = await join(house, here, 'EDITOR')
  const gone = { workspaceId: here.workspaceId, userId: removed.userId }
  await act(house, 'removeMember', gone, '__typename')
  const outsider = await invite(house, scoped.workspaceId, 'OWNER')
  await unbind(house, outsider.tokenId)
  const boundOwner = await join(house, bound, 'OWNER', 'stays bound')
  const abroad = await join(house, here, 'OWNER')
  const abroadToken = await abroadTokenOf(house, abroad, there.workspaceId)
  const scopedOwner = await join(house, scoped, 'OWNER')

  const strange = { role: null, own: owner.own }
  const self = { token: owner.token, scopes: all, place: here, own: owner.own }
  const nobody = { ...strange, token: null, scopes: null }
  const stranger = { ...strange, token: outsider.token, scopes: all }
  const token = (input: object, of = owner) => tokenOf(house, of.token, input)
  const [none, expired, revoked] = [
    await token({ scopes: [] }),
    await token({ expiresAt: new Date(Date.now() + 60_000).toISOString() }),
    await token({}),
  ]
  await act(house, 'revokeApiToken', { tokenId: revoked.id }, '__typename', owner)
  wait(120_000)

  return [
    { ...self, name: 'OWN', says: 'OWNER', role: 'OWNER' },
    { ...self, ...editor, name: 'EDI', says: 'EDITOR', role: 'EDITOR', place: there },
    { ...self, ...viewer, name: 'VIE', says: 'VIEWER', role: 'VIEWER' },
    { ...self, ...removed, name: 'rem', says: 'a member who was removed', role: null },
    { ...stranger, name: 'out', says: 'OWNER of another workspace', place: here },
    { ...nobody, name: 'nob', says: 'nobody, without a token', place: here },
    { ...stranger, name: 'pout', says: 'out, where it is PUBLIC', place: open, isPublic: true },
    { ...nobody, name: 'pnob', says: 'nob, where it is PUBLIC', place: open, isPublic: true },
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
      ...abroad,
      token: abroadToken,
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

/** FILES_READ: filr */
const shortOf = (scope: string) => scope.replace(/^(...).*_(.).*$/, '$1$2').toLowerCase()

async function place(house: House, mark: string): Promise<FullPlace> {
  const made = await furnish(house, mark)
  const { workspaceId, fileId, folderId } = made
  const fields = 'shareLink { url token }'
  const { shareLink } = await act(house, 'createShareLink', { entry: { id: fileId } }, fields)
  const archive = '{ node(id: "ID") { ... on Folder { archiveUrl { url } } } }'
  const { node } = await house.ask(archive.replace('ID', folderId))
  const put = { workspaceId, name: `${mark} put`, size: 4, transport: 'SIGNED_PUT' }
  return {
    ...made,
    signed: await downloadUrl(house, fileId),
    archive: node.archiveUrl.url,
    share: shareLink.url,
    shareToken: shareLink.token,
    putUrl: (await createUpload(house, put)).url,
  }
}

/** A new member with a token that no workspace binds, who makes things before a lesser role is theirs. */
async function join(house: House, at: FullPlace, role: 'OWNER' | 'EDITOR' | 'VIEWER', bond = '') {
  const { workspaceId } = at
  const person = await invite(house, workspaceId, role === 'VIEWER' ? 'EDITOR' : role)
  if (!bond) await unbind(house, person.tokenId)
  const own = await makeOwn(house, at, person)
  const { userId } = person
  if (role === 'VIEWER')
    await act(house, 'updateMember', { workspaceId, userId, role }, '__typename')
  return { ...person, own }
}

async function makeOwn(house: House, { workspaceId, mark }: Place, as: Person) {
  const open = { workspaceId, size: 4 }
  const make = (name: string) => createUpload(house, { ...open, name: `${mark} ${name}` }, as)
  const [upload, doomed, received] = [await make('mine'), await make('doomed'), await make('ours')]
  await sendBytes(house, received, 'here', 0, as)
  const archiveUploadId = await archiveUpload(house, workspaceId, as)
  return {
    uploadId: upload.id,
    uploadUrl: upload.url,
    doomedUrl: doomed.url,
    receivedId: received.id,
    archiveUploadId,
  }
}

/** Bound to a workspace that they are in besides. */
async function abroadTokenOf(house: House, { email, token }: Person, workspaceId: string) {
  await act(house, 'addMember', { workspaceId, email, role: 'OWNER' }, '__typename')
  return (await tokenOf(house, token, { workspaceId })).secret
}

const tokenOf = (house: House, token: string, input: object) =>
  giveToken(house, { ...input }, { token })
