import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { apiScopes } from '../../../src/context.ts'
import { act, attempt, createFolder, createWorkspace } from '../../support/client.ts'
import { createToken, invite, unbindToken } from '../../support/data/people.ts'
import { expectRefused } from '../../support/data/refusals.ts'
import { startTestServer, type TestServer } from '../../support/servers/test-server.ts'

const START = Date.parse('2025-06-01T09:00:00.000Z')
let holdall: TestServer
let workspaceId: string
let now: number

beforeEach(async () => {
  now = START
  holdall = await startTestServer({ now: () => now++ })
  onTestFinished(() => holdall[Symbol.asyncDispose]())
  workspaceId = (await createWorkspace(holdall)).id
})

const member = 'member { user { id name email } role joinedAt }'
const perform = (name: string, input: object, token = holdall.token) =>
  attempt(holdall, name, { workspaceId, ...input }, member, { token })
const refused = (name: string, input: object, token = holdall.token) =>
  expectRefused(holdall, name, { workspaceId, ...input }, { token })
const ownerId = async () =>
  (await holdall.ask('{ viewer { user { id } } }')).viewer.user.id as string

/** The members, as a member sees them: [name, role] in the order in which they joined. */
async function members(token = holdall.token) {
  const query = `query ($id: ID!) {
    workspace(by: { id: $id }) { members { nodes { user { id } role } } }
  }`
  const { workspace } = await holdall.ask(query, { id: workspaceId }, { token })
  return workspace.members.nodes.map((m: any) => [m.user.id, m.role])
}

describe('addMember', () => {
  test('adds a new user by email, as EDITOR by default', async () => {
    const { member } = await perform('addMember', { email: ' Ann@Example.org ', name: ' Ann ' })
    expect(member).toEqual({
      user: { id: expect.stringMatching(/^usr_/), name: 'Ann', email: 'ann@example.org' },
      role: 'EDITOR',
      joinedAt: expect.stringMatching(/^2025-06-01T09:00:00/),
    })
    expect(await members()).toEqual([
      [await ownerId(), 'OWNER'],
      [member.user.id, 'EDITOR'],
    ])
  })

  test('finds a user by the address, however it is written, also from another workspace', async () => {
    const elsewhere = await createWorkspace(holdall, { name: 'Elsewhere' })
    const first = await perform('addMember', { email: 'ann@example.org', role: 'VIEWER' })
    const input = { workspaceId: elsewhere.id, email: 'ANN@EXAMPLE.ORG', name: 'Other' }
    const second = await perform('addMember', input)
    expect(second.member.user).toEqual(first.member.user)
    expect(second.member.role).toBe('EDITOR')
  })

  test('names users without a name by their address, and hides the rest of it from strangers', async () => {
    const { member } = await perform('addMember', { email: 'ann.lee@example.org' })
    expect(member.user.name).toBe('ann.lee')
  })

  test('gives an existing member the new role', async () => {
    const viewer = await invite(holdall, workspaceId, 'VIEWER')
    const { member } = await perform('addMember', { email: viewer.email, role: 'EDITOR' })
    expect(member).toMatchObject({ user: { id: viewer.userId }, role: 'EDITOR' })
    expect(await members()).toHaveLength(2)
  })

  test.each([
    ['email', { email: 'ann' }, 'an email address such as ann@example.org'],
    ['email', { email: 'ann@' }, 'an email address such as ann@example.org'],
    ['email', { email: 'ann lee@example.org' }, 'an email address such as ann@example.org'],
    [
      'email',
      { email: `${'a'.repeat(250)}@example.org` },
      'an email address such as ann@example.org',
    ],
    ['email', { email: 'a\u0000b@example.org' }, 'an email address such as ann@example.org'],
    ['name', { email: 'ann@example.org', name: 'x'.repeat(201) }, 'at most 200 characters'],
  ])('reports what is wrong with %s', async (field, input, message) => {
    expect(await refused('addMember', input)).toMatchObject({
      __typename: 'InvalidInputError',
      code: 'INVALID_INPUT',
      path: [field],
      issues: [{ path: [field], message }],
    })
  })
})

describe('roles', () => {
  test('are changed by updateMember, with immediate effect', async () => {
    const person = await invite(holdall, workspaceId, 'VIEWER')
    const folder = { workspaceId, name: 'new' }
    const denied = await attempt(holdall, 'createFolder', folder, 'folder { id }', person)
    expect(denied.code).toBe('FORBIDDEN')
    const { member } = await perform('updateMember', { userId: person.userId, role: 'EDITOR' })
    expect(member.role).toBe('EDITOR')
    expect((await createFolder(holdall, folder, person)).name).toBe('new')
    await perform('updateMember', { userId: person.userId, role: 'OWNER' })
    expect((await perform('addMember', { email: 'b@example.org' }, person.token)).code).toBe(
      undefined,
    )
  })

  test('are changed by an OWNER, not by an EDITOR', async () => {
    const editor = await invite(holdall, workspaceId, 'EDITOR')
    const viewer = await invite(holdall, workspaceId, 'VIEWER')
    const tries = [
      ['addMember', { email: 'new@example.org' }],
      ['updateMember', { userId: viewer.userId, role: 'EDITOR' }],
      ['updateMember', { userId: editor.userId, role: 'OWNER' }],
      ['removeMember', { userId: viewer.userId }],
    ] as const
    for (const [name, input] of tries) {
      for (const { token } of [editor, viewer]) {
        if (name === 'removeMember' && token === viewer.token) continue
        expect(await refused(name, input, token)).toMatchObject({
          __typename: 'ForbiddenError',
          code: 'FORBIDDEN',
          path: null,
          missingScopes: [],
          requiredRole: 'OWNER',
        })
      }
    }
  })

  test('require MEMBERS_WRITE', async () => {
    const scopes = apiScopes.filter((scope) => scope !== 'MEMBERS_WRITE')
    const { secret } = await createToken(holdall, { scopes })
    const userId = await ownerId()
    const tries = [
      ['addMember', { email: 'new@example.org' }],
      ['updateMember', { userId, role: 'OWNER' }],
      ['removeMember', { userId }],
    ] as const
    for (const [name, input] of tries) {
      expect(await refused(name, input, secret)).toMatchObject({
        missingScopes: ['MEMBERS_WRITE'],
        requiredRole: null,
      })
    }
  })

  test('S8: cannot be changed in another tenant’s workspace', async () => {
    const elsewhere = await createWorkspace(holdall, { name: 'Elsewhere' })
    const { token, userId } = await invite(holdall, workspaceId, 'OWNER')
    const tries: [string, object][] = [
      ['addMember', { email: 'new@example.org' }],
      ['updateMember', { userId, role: 'VIEWER' }],
      ['removeMember', { userId }],
    ]
    for (const [name, input] of tries) {
      expect(await refused(name, { ...input, workspaceId: elsewhere.id }, token)).toMatchObject({
        __typename: 'NotFoundError',
        path: ['workspaceId'],
        id: elsewhere.id,
      })
    }
  })

  test('of a user who is not a member cannot be changed', async () => {
    const elsewhere = await createWorkspace(holdall, { name: 'Elsewhere' })
    const { userId } = await invite(holdall, elsewhere.id)
    for (const name of ['updateMember', 'removeMember']) {
      const input = name === 'updateMember' ? { userId, role: 'VIEWER' } : { userId }
      expect(await refused(name, input)).toMatchObject({
        __typename: 'NotFoundError',
        code: 'NOT_FOUND',
        path: ['userId'],
        id: userId,
      })
    }
  })
})

describe('the last OWNER', () => {
  test('stays OWNER in every operation', async () => {
    const userId = await ownerId()
    await invite(holdall, workspaceId, 'EDITOR')
    const email = 'o@example.org'
    await holdall.app.db.updateTable('users').set({ email }).where('id', '=', userId).execute()
    const tries = [
      ['updateMember', { userId, role: 'EDITOR' }],
      ['addMember', { email, role: 'VIEWER' }],
      ['removeMember', { userId }],
    ] as const
    for (const [name, input] of tries) {
      expect(await refused(name, input)).toMatchObject({
        __typename: 'InvalidStateError',
        code: 'INVALID_STATE',
        path: null,
        state: 'LAST_OWNER',
      })
    }
  })

  test('may leave once there is another', async () => {
    const other = await invite(holdall, workspaceId, 'OWNER')
    const userId = await ownerId()
    expect((await perform('removeMember', { userId })).member.user.id).toBe(userId)
    expect(await members(other.token)).toEqual([[other.userId, 'OWNER']])
    expect(await refused('removeMember', { userId: other.userId }, other.token)).toMatchObject({
      state: 'LAST_OWNER',
    })
  })

  test('is one of two who leave at the same moment', async () => {
    const other = await invite(holdall, workspaceId, 'OWNER')
    const answers = await Promise.all([
      perform('removeMember', { userId: await ownerId() }),
      perform('removeMember', { userId: other.userId }, other.token),
    ])
    expect(answers.map(({ code }) => code).sort()).toEqual(['INVALID_STATE', undefined])
    expect(await holdall.app.db.selectFrom('members').selectAll().execute()).toHaveLength(1)
  })
})

describe('removeMember', () => {
  const look = (token: string) =>
    holdall.graphql(
      'query ($id: ID!) { workspace(by: { id: $id }) { name } viewer { workspaces { totalCount } } }',
      { id: workspaceId },
      { token },
    )

  test('S12: revokes access at once', async () => {
    const person = await invite(holdall, workspaceId, 'EDITOR')
    await unbindToken(holdall, person.tokenId)
    const folder = await createFolder(holdall, { workspaceId, name: 'raw' }, person)
    expect((await look(person.token)).data.workspace.name).toBe('Lab')
    await perform('removeMember', { userId: person.userId })
    expect((await look(person.token)).data).toEqual({
      workspace: null,
      viewer: { workspaces: { totalCount: 0 } },
    })
    const query = 'query ($id: ID!) { node(id: $id) { id } }'
    expect((await holdall.ask(query, { id: folder.id }, person)).node).toBe(null)
    const again = await attempt(
      holdall,
      'createFolder',
      { workspaceId, name: 'b' },
      '__typename',
      person,
    )
    expect(again.code).toBe('NOT_FOUND')
  })

  test('lets every member leave', async () => {
    const person = await invite(holdall, workspaceId, 'VIEWER')
    const { member } = await perform('removeMember', { userId: person.userId }, person.token)
    expect(member.user).toMatchObject({ id: person.userId, email: person.email })
    expect((await look(person.token)).status).toBe(401)
    expect(await members()).toEqual([[await ownerId(), 'OWNER']])
  })

  test('keeps the name on what the user created', async () => {
    const person = await invite(holdall, workspaceId, 'EDITOR')
    const { id } = await createFolder(holdall, { workspaceId, name: 'raw' }, person)
    await perform('removeMember', { userId: person.userId })
    const query = 'query ($id: ID!) { node(id: $id) { ... on Folder { createdBy { id name } } } }'
    const { createdBy } = (await holdall.ask(query, { id })).node
    expect(createdBy).toEqual({ id: person.userId, name: person.email.split('@')[0] })
  })
})

describe('a user', () => {
  const see = async (id: string, token: string | null) =>
    (
      await holdall.ask(
        'query ($id: ID!) { node(id: $id) { ... on User { id email } } }',
        { id },
        { token },
      )
    ).node

  test('S8: is visible to users of a shared workspace only', async () => {
    const [ann, bob] = [
      await invite(holdall, workspaceId, 'VIEWER'),
      await invite(holdall, workspaceId),
    ]
    const elsewhere = await createWorkspace(holdall, { name: 'Elsewhere' })
    const eve = await invite(holdall, elsewhere.id)
    await unbindToken(holdall, eve.tokenId)
    expect(await see(bob.userId, ann.token)).toEqual({ id: bob.userId, email: bob.email })
    expect(await see(bob.userId, holdall.token)).toEqual({ id: bob.userId, email: bob.email })
    expect(await see(eve.userId, eve.token)).toEqual({ id: eve.userId, email: eve.email })
    for (const token of [eve.token, null]) expect(await see(bob.userId, token)).toBe(null)
    await perform('removeMember', { userId: bob.userId })
    expect(await see(bob.userId, ann.token)).toBe(null)
  })

  test('of another workspace of the viewer is not visible to a token bound to this one', async () => {
    const elsewhere = await createWorkspace(holdall, { name: 'Elsewhere' })
    const [here, there] = [await invite(holdall, workspaceId), await invite(holdall, elsewhere.id)]
    const { secret } = await createToken(holdall, { workspaceId })
    expect(await see(here.userId, secret)).toMatchObject({ id: here.userId })
    expect(await see(there.userId, secret)).toBe(null)
    expect(await see(await ownerId(), secret)).toMatchObject({ id: await ownerId() })
  })

  test('is not visible without FILES_READ, except the viewer', async () => {
    const person = await invite(holdall, workspaceId)
    const { secret } = await createToken(holdall, { scopes: ['MEMBERS_WRITE'] })
    expect(await see(person.userId, secret)).toBe(null)
    expect(await see(await ownerId(), secret)).toMatchObject({ id: await ownerId() })
  })

  test('hides email addresses from users who share no workspace', async () => {
    const person = await invite(holdall, workspaceId)
    await createFolder(holdall, { workspaceId, name: 'raw' }, person)
    await act(holdall, 'updateWorkspace', { workspaceId, visibility: 'PUBLIC' }, '__typename')
    const elsewhere = await createWorkspace(holdall, { name: 'Elsewhere' })
    const stranger = await invite(holdall, elsewhere.id)
    await unbindToken(holdall, stranger.tokenId)
    const query = `query ($id: ID!) {
      workspace(by: { id: $id }) { entries { nodes { createdBy { name email } } } }
    }`
    const emails = async (token: string | null) => {
      const { workspace } = await holdall.ask(query, { id: workspaceId }, { token })
      expect(workspace.entries.nodes[0].createdBy.name).toBe(person.email.split('@')[0])
      return workspace.entries.nodes[0].createdBy.email
    }
    expect(await emails(holdall.token)).toBe(person.email)
    expect(await emails(person.token)).toBe(person.email)
    expect([await emails(stranger.token), await emails(null)]).toEqual([null, null])
  })
})

test('members are listed for members, in the order in which they joined, forward and backward', async () => {
  const joined = [await ownerId()]
  for (let i = 0; i < 4; i++) joined.push((await invite(holdall, workspaceId, 'VIEWER')).userId)
  const page = async (args: string) => {
    const query = `query ($id: ID!) { workspace(by: { id: $id }) { members(${args}) {
      totalCount nodes { user { id } } pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    } } }`
    const { members } = (await holdall.ask(query, { id: workspaceId })).workspace
    expect(members.totalCount).toBe(5)
    return { ids: members.nodes.map((m: any) => m.user.id), ...members.pageInfo }
  }
  const first = await page('first: 2')
  expect([first.ids, first.hasNextPage]).toEqual([joined.slice(0, 2), true])
  const second = await page(`first: 2, after: "${first.endCursor}"`)
  expect([second.ids, second.hasPreviousPage]).toEqual([joined.slice(2, 4), true])
  expect((await page(`last: 2, before: "${second.startCursor}"`)).ids).toEqual(joined.slice(0, 2))
  expect((await page('last: 1')).ids).toEqual(joined.slice(4))
})
