import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import {
  act,
  attempt,
  createUpload,
  createWorkspace,
  sendBytes,
  uploadFile,
  usageOf,
} from '../../support/client.ts'
import { keysOf } from '../../support/data/bytes.ts'
import { createToken, invite, type Person, unbindToken } from '../../support/data/people.ts'
import { findings } from '../../support/inspection.ts'
import { openStream } from '../../support/network/events.ts'
import { startTestServer, type TestServer } from '../../support/servers/test-server.ts'

let holdall: TestServer
let workspaceId: string
let ann: Person
beforeEach(async () => {
  holdall = await startTestServer()
  onTestFinished(() => holdall[Symbol.asyncDispose]())
  workspaceId = (await createWorkspace(holdall)).id
  ann = await invite(holdall, workspaceId, 'OWNER')
})

const remove = (more = {}, as = {}) =>
  attempt(holdall, 'removeMember', { workspaceId, userId: ann.userId, ...more }, '__typename', as)
const setRole = (role: string) =>
  act(holdall, 'updateMember', { workspaceId, userId: ann.userId, role }, '__typename')
const addMemberAgain = (role = 'OWNER') =>
  act(holdall, 'addMember', { workspaceId, email: ann.email, role }, '__typename')
const statusOf = async (token: string) =>
  (await holdall.graphql('{ viewer { user { id } } }', {}, { token })).status

async function serviceAccount(role = 'OWNER'): Promise<string> {
  const input = { workspaceId, name: 'robot', role }
  return (await act(holdall, 'createServiceAccount', input, 'member { user { id } }')).member.user
    .id
}

async function share(as: { token: string }, name = 'a'): Promise<{ id: string; url: string }> {
  const file = await uploadFile(holdall, { workspaceId, name, bytes: 'a', onConflict: 'RENAME' })
  const input = { entry: { id: file.id } }
  return (await act(holdall, 'createShareLink', input, 'shareLink { id url }', as)).shareLink
}
async function opened(url: string): Promise<number> {
  const response = await holdall.http(url, { token: null })
  await response.arrayBuffer()
  return response.status
}
const links = async () => {
  const query =
    'query ($id: ID!) { workspace(by: { id: $id }) { shareLinks { nodes { createdBy { id } } } } }'
  const { workspace } = await holdall.ask(query, { id: workspaceId })
  return workspace.shareLinks.nodes.map(({ createdBy }: any) => createdBy.id)
}

describe('the tokens of a member who is removed', () => {
  test('end if they are bound to the workspace, with the tokens derived from them', async () => {
    const child = await createToken(holdall, {}, ann)
    await remove()
    expect([await statusOf(ann.token), await statusOf(child.secret)]).toEqual([401, 401])
  })

  test('continue if they are not bound to it, without access to it, and lose derived tokens that are', async () => {
    await unbindToken(holdall, ann.tokenId)
    const bound = await createToken(holdall, { workspaceId }, ann)
    await remove()
    expect([await statusOf(ann.token), await statusOf(bound.secret)]).toEqual([200, 401])
    const query = `query ($id: ID!, $tok: ID!) {
      viewer { token { workspace { id name } } workspaces { nodes { id } } apiTokens { nodes { workspace { id } } } }
      workspace(by: { id: $id }) { id }
      node(id: $tok) { ... on ApiToken { workspace { id } } }
    }`
    const requested = { id: workspaceId, tok: bound.id }
    expect(await holdall.ask(query, requested, ann)).toEqual({
      viewer: {
        token: { workspace: null },
        workspaces: { nodes: [] },
        apiTokens: { nodes: [{ workspace: null }] },
      },
      workspace: null,
      node: { workspace: null },
    })
  })

  test('for service accounts end: their creator knows the secrets', async () => {
    const userId = await serviceAccount()
    const issuedByAnn = await createToken(holdall, { workspaceId, userId }, ann)
    const child = await createToken(holdall, {}, { token: issuedByAnn.secret })
    const byOther = await createToken(holdall, { workspaceId, userId })
    await remove()
    expect([await statusOf(issuedByAnn.secret), await statusOf(child.secret)]).toEqual([401, 401])
    expect(await statusOf(byOther.secret)).toBe(200)
  })

  test('for service accounts end also if the member is no longer OWNER', async () => {
    const userId = await serviceAccount()
    const robot = await createToken(holdall, { workspaceId, userId }, ann)
    await setRole('EDITOR')
    expect([await statusOf(robot.secret), await statusOf(ann.token)]).toEqual([401, 200])
  })

  test('for service accounts end also if their issuing token was revoked before', async () => {
    await unbindToken(holdall, ann.tokenId)
    const userId = await serviceAccount()
    const make = () => createToken(holdall, { workspaceId, userId }, ann)
    const first = await make()
    const derivedToken = await createToken(holdall, {}, { token: first.secret })
    const input = { tokenId: first.id, cascade: false }
    await act(holdall, 'revokeApiToken', input, '__typename', ann)
    const second = await make()
    const kept = await createToken(holdall, {}, { token: second.secret })
    await act(holdall, 'revokeAllApiTokens', {}, 'revokedCount', { token: kept.secret })
    const third = await make()
    const orphan = await createToken(holdall, {}, { token: third.secret })
    await act(holdall, 'revokeApiToken', { ...input, tokenId: third.id }, '__typename', ann)
    const own = { ...input, tokenId: ann.tokenId }
    await act(holdall, 'revokeApiToken', own, '__typename', ann)
    const alive = [derivedToken, kept, orphan].map(({ secret }) => statusOf(secret))
    expect(await Promise.all(alive)).toEqual([401, 200, 200])
    await remove()
    expect([await statusOf(kept.secret), await statusOf(orphan.secret)]).toEqual([401, 401])
  })

  test('do not come back with the member', async () => {
    const robot = await createToken(holdall, { workspaceId, userId: await serviceAccount() }, ann)
    await remove()
    await addMemberAgain()
    expect([await statusOf(ann.token), await statusOf(robot.secret)]).toEqual([401, 401])
  })

  test('cannot be created concurrently to outlive the removal', async () => {
    await unbindToken(holdall, ann.tokenId)
    for (let round = 0; round < 6; round++) {
      const mints = Array.from({ length: 4 }, () =>
        attempt(
          holdall,
          'createApiToken',
          { name: 'x', scopes: ['FILES_READ'], workspaceId },
          'secret',
          ann,
        ),
      )
      const [, ...made] = await Promise.all([remove(), ...mints])
      const secrets = made.flatMap(({ secret }) => secret ?? [])
      expect(new Set([401, ...(await Promise.all(secrets.map(statusOf)))])).toEqual(new Set([401]))
      await addMemberAgain()
    }
  })

  test('are logged, with the user who removed the member', async () => {
    await remove()
    const query = `query ($id: ID!) { workspace(by: { id: $id }) { activity(first: 2) {
      nodes { action details actor { id } }
    } } }`
    const { nodes } = (await holdall.ask(query, { id: workspaceId })).workspace.activity
    expect(nodes.map(({ action }: any) => action)).toEqual(['TOKEN_REVOKED', 'MEMBER_REMOVED'])
    expect(nodes[0].details.tokenId).toBe(ann.tokenId)
    expect(nodes[0].actor.id).not.toBe(ann.userId)
  })
})

describe('the share links of a member who is removed', () => {
  test('show nothing any more, as if they were revoked', async () => {
    const [theirs, mine] = [await share(ann), await share(holdall)]
    const shown: any = await (await holdall.http(theirs.url, { token: null })).json()
    await remove()
    const statuses = [opened(theirs.url), opened(shown.downloadUrl.url), opened(mine.url)]
    expect(await Promise.all(statuses)).toEqual([404, 404, 200])
    const { node } = await holdall.ask('query ($id: ID!) { node(id: $id) { id } }', {
      id: theirs.id,
    })
    expect(node).toBeNull()
    await addMemberAgain()
    expect(await opened(theirs.url)).toBe(404)
  })

  test('continue if they are transferred to a member who may share', async () => {
    const editor = await invite(holdall, workspaceId, 'EDITOR')
    const { url } = await share(ann)
    await remove({ transferShareLinksTo: editor.userId })
    expect([await opened(url), await links()]).toEqual([200, [editor.userId]])
    await act(holdall, 'removeMember', { workspaceId, userId: editor.userId }, '__typename')
    expect(await opened(url)).toBe(404)
  })

  test('cannot be transferred to a VIEWER, a stranger, or the removed member', async () => {
    const viewer = await invite(holdall, workspaceId, 'VIEWER')
    const elsewhere = await createWorkspace(holdall, { name: 'Elsewhere' })
    const stranger = await invite(holdall, elsewhere.id)
    const { url } = await share(ann)
    const path = ['transferShareLinksTo']
    for (const userId of [viewer.userId, ann.userId]) {
      const answer = await remove({ transferShareLinksTo: userId })
      expect(answer).toMatchObject({ code: 'INVALID_INPUT', path })
    }
    const answer = await remove({ transferShareLinksTo: stranger.userId })
    expect(answer).toMatchObject({ code: 'NOT_FOUND', path })
    expect(await opened(url)).toBe(200)
  })

  test('are transferred by an OWNER with SHARES_WRITE only', async () => {
    const editor = await invite(holdall, workspaceId, 'EDITOR')
    const input = { workspaceId, userId: editor.userId, transferShareLinksTo: ann.userId }
    expect(await attempt(holdall, 'removeMember', input, '__typename', editor)).toMatchObject({
      code: 'FORBIDDEN',
    })
    const { secret: token } = await createToken(holdall, { scopes: ['MEMBERS_WRITE'] })
    expect(await attempt(holdall, 'removeMember', input, '__typename', { token })).toMatchObject({
      code: 'FORBIDDEN',
    })
  })

  test('end also if the member becomes VIEWER, and not if they stay EDITOR', async () => {
    const { url } = await share(ann)
    await setRole('EDITOR')
    expect(await opened(url)).toBe(200)
    await setRole('VIEWER')
    expect(await opened(url)).toBe(404)
    await setRole('EDITOR')
    expect(await opened(url)).toBe(404)
  })
})

describe('the unfinished uploads of a member who is removed', () => {
  const reserved = async () => (await usageOf(holdall, workspaceId)).reservedBytes
  async function begin() {
    const put = { workspaceId, name: 'put', size: 4, transport: 'SIGNED_PUT' }
    const uploads = [
      await createUpload(holdall, { workspaceId, name: 'begun', size: 9 }, ann),
      await createUpload(holdall, { workspaceId, name: 'whole', size: 4 }, ann),
      await createUpload(holdall, put, ann),
    ] as const
    await sendBytes(holdall, uploads[0], 'four', 0, ann)
    await sendBytes(holdall, uploads[1], 'four', 0, ann)
    return uploads
  }
  const statuses = async (uploads: readonly { id: string }[]) => {
    const query = 'query ($ids: [ID!]!) { nodes(ids: $ids) { ... on Upload { status } } }'
    const { nodes } = await holdall.ask(query, { ids: uploads.map(({ id }) => id) })
    return nodes.map(({ status }: any) => status)
  }
  const canceled = ['CANCELED', 'CANCELED', 'CANCELED']

  test('are cancelled, and release their room and bytes', async () => {
    const uploads = await begin()
    await createUpload(holdall, { workspaceId, name: 'mine', size: 5 })
    expect(await reserved()).toBe(22)
    await remove()
    expect([await reserved(), await statuses(uploads)]).toEqual([5, canceled])
    expect(await keysOf(holdall, 'staged')).toEqual([])
    expect(await findings(holdall)).toEqual([])
  })

  test('accept no bytes at their address', async () => {
    const [, , { url }] = await begin()
    await remove()
    const answer = await holdall.http(url, { method: 'PUT', body: 'four', token: null })
    if (url.startsWith(holdall.url)) expect(answer.status).toBe(410)
    expect(await holdall.app.db.selectFrom('versions').select('id').execute()).toEqual([])
  })

  test('are cancelled also if the member becomes VIEWER', async () => {
    const uploads = await begin()
    await setRole('VIEWER')
    expect([await reserved(), await statuses(uploads)]).toEqual([0, canceled])
  })

  test('of other workspaces continue', async () => {
    await unbindToken(holdall, ann.tokenId)
    const elsewhere = await createWorkspace(holdall, { name: 'Elsewhere' }, ann)
    const upload = await createUpload(
      holdall,
      { workspaceId: elsewhere.id, name: 'a', size: 4 },
      ann,
    )
    await remove()
    expect(await sendBytes(holdall, upload, 'four', 0, ann)).toBe(4)
  })

  test('become no file, at whatever moment of their confirm the member is removed', async () => {
    for (let round = 0; round < 6; round++) {
      const uploads = await begin()
      const confirms = uploads.map(({ id }) =>
        attempt(holdall, 'confirmUpload', { uploadId: id }, 'file { id }', ann).catch(() => null),
      )
      await Promise.all([remove(), ...confirms])
      await Promise.all(confirms)
      const open = ['CREATED', 'RECEIVING', 'RECEIVED', 'PROCESSING']
      expect((await statuses(uploads)).filter((status: string) => open.includes(status))).toEqual(
        [],
      )
      const input = { workspaceId, email: ann.email, role: 'OWNER' }
      await act(holdall, 'addMember', input, '__typename')
      const { userId } = ann
      ann = await invite(holdall, workspaceId, 'OWNER')
      expect(ann.userId).not.toBe(userId)
    }
  })
})

test('the subscriptions of a member who is removed end', async () => {
  const unbound = await createToken(holdall)
  const upload = await createUpload(holdall, { workspaceId, name: 'a', size: 9 })
  const [bound, other] = [ann, await invite(holdall, workspaceId, 'OWNER')]
  await unbindToken(holdall, other.tokenId)
  const changes = `subscription { workspaceChanges(workspaceId: "${workspaceId}") { __typename } }`
  const progress = `subscription { uploadChanged(uploadId: "${upload.id}") { status } }`
  for (const person of [bound, other]) {
    const streams = [
      await openStream(holdall, changes, {}, person),
      await openStream(holdall, progress, {}, person),
    ]
    for (const stream of streams) await stream.next()
    ann = person
    await remove({}, { token: unbound.secret })
    for (const stream of streams) {
      const last = await stream.next()
      expect(JSON.stringify(last?.data)).toMatch(/UNAUTHENTICATED|NOT_FOUND|NotFoundError/)
      expect((await stream.next())?.event).toBe('complete')
    }
  }
})

describe('a service account', () => {
  test('is deleted with everything it has', async () => {
    const userId = await serviceAccount('EDITOR')
    const { secret: token } = await createToken(holdall, { workspaceId, userId })
    const { url } = await share({ token })
    await createUpload(holdall, { workspaceId, name: 'b', size: 7 }, { token })
    const answer = await act(
      holdall,
      'deleteServiceAccount',
      { userId },
      'member { user { name } }',
    )
    expect(answer.member.user.name).toBe('robot')
    expect([await statusOf(token), await opened(url)]).toEqual([401, 404])
    expect((await usageOf(holdall, workspaceId)).reservedBytes).toBe(0)
    const again = await attempt(holdall, 'deleteServiceAccount', { userId }, '__typename')
    expect(again).toMatchObject({ code: 'NOT_FOUND', path: ['userId'] })
  })

  test('is listed among the members, and a person cannot be deleted like one', async () => {
    const userId = await serviceAccount('VIEWER')
    const query =
      'query ($id: ID!) { workspace(by: { id: $id }) { members { nodes { role user { id kind email } } } } }'
    const { members } = (await holdall.ask(query, { id: workspaceId })).workspace
    expect(members.nodes.at(-1)).toEqual({
      role: 'VIEWER',
      user: { id: userId, kind: 'SERVICE', email: null },
    })
    const person = await attempt(
      holdall,
      'deleteServiceAccount',
      { userId: ann.userId },
      '__typename',
    )
    expect(person).toMatchObject({ code: 'NOT_FOUND' })
  })

  test('reaches no other workspace, and does not count as the last OWNER', async () => {
    const userId = await serviceAccount('OWNER')
    const { secret: token } = await createToken(holdall, { workspaceId, userId })
    const made = await attempt(holdall, 'createWorkspace', { name: 'mine' }, '__typename', {
      token,
    })
    expect(made.code).toBe('FORBIDDEN')
    const elsewhere = await createWorkspace(holdall, { name: 'Elsewhere' })
    const foreign = { workspaceId: elsewhere.id, userId, name: 'x', scopes: [] }
    expect(await attempt(holdall, 'createApiToken', foreign, '__typename')).toMatchObject({
      code: 'NOT_FOUND',
    })
    await remove()
    const owner = (await holdall.ask('{ viewer { user { id } } }')).viewer.user.id
    const last = { workspaceId, userId: owner }
    for (const as of [{}, { token }]) {
      const answer = await attempt(
        holdall,
        'removeMember',
        last,
        '... on RemoveMemberPayload { __typename }',
        as,
      )
      expect(answer).toMatchObject({ code: 'INVALID_STATE' })
    }
  })
})
