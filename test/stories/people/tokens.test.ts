import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { apiScopes } from '../../../src/context.ts'
import { act, attempt, createWorkspace } from '../../support/client.ts'
import { createToken, invite, unbindToken } from '../../support/data/people.ts'
import { expectRefused, readState } from '../../support/data/refusals.ts'
import { startTestServer, type TestServer } from '../../support/servers/test-server.ts'

const MINUTE = 60_000
const START = Date.parse('2025-06-01T09:00:00.000Z')
let holdall: TestServer
let workspaceId: string
let now: number

beforeEach(async () => {
  now = START
  holdall = await startTestServer({ now: () => now })
  onTestFinished(() => holdall[Symbol.asyncDispose]())
  workspaceId = (await createWorkspace(holdall)).id
})

const iso = (moment: number) => new Date(moment).toISOString()
const fields = `secret token {
  id name prefix scopes workspace { id } createdAt expiresAt lastUsedAt
}`
const create = (input: object, token: string | null = holdall.token) =>
  attempt(holdall, 'createApiToken', { name: 'script', scopes: ['FILES_READ'], ...input }, fields, {
    token,
  })
const refused = (name: string, input: object, token: string | null = holdall.token) =>
  expectRefused(holdall, name, input, { token })
const viewerOf = (token: string) =>
  holdall.ask(
    '{ viewer { user { id } token { id name workspace { id } lastUsedAt } scopes } }',
    {},
    { token },
  )
const serviceAccount = async (role = 'EDITOR'): Promise<string> => {
  const input = { workspaceId, name: 'robot', role }
  const { member } = await act(holdall, 'createServiceAccount', input, 'member { user { id } }')
  return member.user.id
}
const statusOf = async (token: string) =>
  (await holdall.graphql('{ viewer { user { id } } }', {}, { token })).status

describe('createApiToken', () => {
  test('creates a token of the viewer with fewer scopes, and shows its secret', async () => {
    const expiresAt = iso(now + 60 * MINUTE)
    const { token, secret } = await create({ name: ' backup ', expiresAt })
    expect(token).toEqual({
      id: expect.stringMatching(/^tok_/),
      name: 'backup',
      prefix: secret.slice(0, 8),
      scopes: ['FILES_READ'],
      workspace: null,
      createdAt: iso(START),
      expiresAt,
      lastUsedAt: null,
    })
    const mine = await viewerOf(holdall.token)
    const { viewer } = await viewerOf(secret)
    expect(viewer).toMatchObject({ user: mine.viewer.user, scopes: ['FILES_READ'] })
    expect(viewer.token).toMatchObject({ id: token.id, name: 'backup' })
  })

  test('S13: shows the secret once: no query and no row has it', async () => {
    const { id, secret } = await createToken(holdall, { workspaceId })
    const query = `query ($id: ID!, $ws: ID!) {
      node(id: $id) { ... on ApiToken { id name prefix scopes } }
      workspace(by: { id: $ws }) { apiTokens { nodes { id name prefix } } }
    }`
    const answer = await holdall.ask(query, { id, ws: workspaceId })
    expect(answer.workspace.apiTokens.nodes[0].id).toBe(id)
    expect(JSON.stringify([answer, await readState(holdall)])).not.toContain(secret.slice(8))
  })

  test('never grants more than its issuer has', async () => {
    const { secret } = await createToken(holdall, { scopes: ['TOKENS_WRITE', 'FILES_READ'] })
    const input = { name: 'more', scopes: ['FILES_READ', 'FILES_WRITE', 'TRASH_PURGE'] }
    expect(await refused('createApiToken', input, secret)).toMatchObject({
      code: 'FORBIDDEN',
      missingScopes: ['FILES_WRITE', 'TRASH_PURGE'],
    })
    expect((await create({}, secret)).token.scopes).toEqual(['FILES_READ'])
  })

  test('never lasts longer than its issuer', async () => {
    const end = iso(now + 60 * MINUTE)
    const { secret } = await createToken(holdall, { expiresAt: end })
    const input = { name: 'longer', scopes: [], expiresAt: iso(now + 61 * MINUTE) }
    const refusal = await refused('createApiToken', input, secret)
    expect(refusal).toMatchObject({ code: 'INVALID_INPUT', path: ['expiresAt'] })
    expect(refusal.issues[0].message).toContain(end)
    expect((await create({}, secret)).token.expiresAt).toBe(end)
    const sooner = iso(now + MINUTE)
    expect((await create({ expiresAt: sooner }, secret)).token.expiresAt).toBe(sooner)
  })

  test('requires TOKENS_WRITE', async () => {
    const { secret } = await createToken(holdall, { scopes: ['FILES_READ'] })
    expect(await refused('createApiToken', { name: 'x', scopes: [] }, secret)).toMatchObject({
      __typename: 'ForbiddenError',
      missingScopes: ['TOKENS_WRITE'],
      requiredRole: null,
    })
  })

  test.each([
    ['name', { name: ' ' }, '1 to 200 characters'],
    ['name', { name: 'x'.repeat(201) }, '1 to 200 characters'],
    ['expiresAt', { expiresAt: iso(START) }, 'must be in the future'],
    ['expiresAt', { expiresAt: iso(START - 1) }, 'must be in the future'],
    [
      'workspaceId',
      { userId: 'usr_0' },
      'required for a token of a service account, which is bound to its workspace',
    ],
  ])('reports what is wrong with %s', async (field, input, message) => {
    const wanted = { name: 'x', scopes: ['FILES_READ'], ...input }
    expect(await refused('createApiToken', wanted)).toMatchObject({
      __typename: 'InvalidInputError',
      code: 'INVALID_INPUT',
      path: [field],
      issues: [{ path: [field], message }],
    })
  })

  test.each([
    ['a mark that turns the direction of text', 'a\u202eb'],
    ['a control character', 'a\u001b[2J'],
    ['33 combining marks in a row', `a${'\u0301'.repeat(33)}`],
    ['marks that NFC makes 33 of', `q\u0344${'\u0301'.repeat(31)}`],
  ])('rejects %s in names of tokens and users', async (_, name) => {
    const invalid = { code: 'INVALID_INPUT', path: ['name'] }
    expect(await refused('createApiToken', { name, scopes: [] })).toMatchObject(invalid)
    const robot = { workspaceId, name, role: 'VIEWER' }
    expect(await refused('createServiceAccount', robot)).toMatchObject(invalid)
    const person = { workspaceId, email: 'ann@example.org', name, role: 'VIEWER' }
    expect(await refused('addMember', person)).toMatchObject(invalid)
    // Without a name, the part before the @ is shown.
    const named = { workspaceId, email: `${name}@example.org`, role: 'VIEWER' }
    expect(await refused('addMember', named)).toMatchObject({ ...invalid, path: ['email'] })
  })

  test('accepts as many combining marks as a name of an entry', async () => {
    const name = `a${'\u0301'.repeat(32)}`
    expect((await create({ name })).token.name).toBe(name)
  })

  test('rejects an empty id, for the viewer and for service accounts', async () => {
    const { secret: bound } = await createToken(holdall, { workspaceId })
    const empty = { name: 'x', scopes: [], workspaceId: '' }
    const userId = await serviceAccount()
    const invalid = { code: 'INVALID_INPUT', message: expect.stringMatching(/must not be empty$/) }
    for (const token of [holdall.token, bound])
      for (const input of [empty, { ...empty, userId }, { ...empty, userId: '' }])
        expect(await refused('createApiToken', input, token)).toMatchObject(invalid)
    const noUser = { name: 'x', scopes: [], userId: '', workspaceId }
    expect(await refused('createApiToken', noUser)).toMatchObject({
      ...{ code: 'INVALID_INPUT', path: ['userId'] },
    })
  })

  test('binds a token to a workspace of the viewer', async () => {
    expect((await create({ workspaceId })).token.workspace).toEqual({ id: workspaceId })
    const { token } = await invite(holdall, workspaceId, 'VIEWER')
    const elsewhere = await createWorkspace(holdall, { name: 'Elsewhere', visibility: 'PUBLIC' })
    const foreign = { name: 'x', scopes: [], workspaceId: elsewhere.id }
    expect(await refused('createApiToken', foreign, token)).toMatchObject({
      code: 'NOT_FOUND',
      path: ['workspaceId'],
      id: elsewhere.id,
    })
    // A bound token creates bound tokens.
    expect((await create({}, token)).token.workspace).toEqual({ id: workspaceId })
  })

  test('in another user’s PUBLIC workspace requires membership', async () => {
    const stranger = await invite(holdall, workspaceId)
    await unbindToken(holdall, stranger.tokenId)
    const open = await createWorkspace(holdall, { name: 'Open', visibility: 'PUBLIC' })
    const input = { name: 'x', scopes: [], workspaceId: open.id }
    expect(await refused('createApiToken', input, stranger.token)).toMatchObject({
      code: 'FORBIDDEN',
      requiredRole: 'VIEWER',
    })
  })
})

describe('a token for another user', () => {
  test('is refused if that user is a person, for every caller', async () => {
    const member = await invite(holdall, workspaceId, 'VIEWER')
    const owner = await invite(holdall, workspaceId, 'OWNER')
    for (const userId of [member.userId, owner.userId]) {
      const input = { name: 'x', scopes: [], workspaceId, userId }
      expect(await refused('createApiToken', input)).toMatchObject({
        code: 'FORBIDDEN',
        path: ['userId'],
        message: 'people create their own tokens; an OWNER creates those of service accounts',
      })
    }
    const robot = await serviceAccount('OWNER')
    const { secret } = await create({ workspaceId, userId: robot, scopes: apiScopes })
    const input = { name: 'x', scopes: [], userId: member.userId }
    expect(await refused('createApiToken', input, secret)).toMatchObject({ code: 'FORBIDDEN' })
  })

  test('is created by the OWNER for a service account, and acts as it', async () => {
    const robot = await serviceAccount('VIEWER')
    const { token, secret } = await create({ workspaceId, userId: robot })
    expect(token.workspace).toEqual({ id: workspaceId })
    expect((await viewerOf(secret)).viewer.user.id).toBe(robot)
    const query = 'query ($id: ID!) { workspace(by: { id: $id }) { viewerRole } }'
    const { workspace } = await holdall.ask(query, { id: workspaceId }, { token: secret })
    expect(workspace.viewerRole).toBe('VIEWER')
  })

  test('is created with a bound token too, without naming the workspace again', async () => {
    const { secret: bound } = await createToken(holdall, { workspaceId })
    const robot = await serviceAccount()
    const { token, secret } = await create({ userId: robot }, bound)
    expect(token.workspace).toEqual({ id: workspaceId })
    expect((await viewerOf(secret)).viewer.user.id).toBe(robot)
  })

  test('has no scope that its issuer lacks', async () => {
    const { secret } = await createToken(holdall, { scopes: ['TOKENS_WRITE', 'FILES_READ'] })
    const input = {
      name: 'x',
      workspaceId,
      userId: await serviceAccount(),
      scopes: ['FILES_WRITE'],
    }
    expect(await refused('createApiToken', input, secret)).toMatchObject({
      code: 'FORBIDDEN',
      missingScopes: ['FILES_WRITE'],
    })
  })

  test('is refused to an EDITOR, and for a service account of another workspace', async () => {
    const editor = await invite(holdall, workspaceId, 'EDITOR')
    const robot = await serviceAccount()
    const forRobot = { name: 'x', scopes: [], workspaceId, userId: robot }
    expect(await refused('createApiToken', forRobot, editor.token)).toMatchObject({
      code: 'FORBIDDEN',
      requiredRole: 'OWNER',
    })
    const elsewhere = await createWorkspace(holdall, { name: 'Elsewhere' })
    const foreign = { ...forRobot, workspaceId: elsewhere.id }
    expect(await refused('createApiToken', foreign)).toMatchObject({
      code: 'NOT_FOUND',
      path: ['userId'],
      id: robot,
    })
  })
})

describe('revokeApiToken', () => {
  const revoke = (tokenId: string, token: string | null = holdall.token) =>
    attempt(holdall, 'revokeApiToken', { tokenId }, 'token { id }', { token })

  test('ends a token of the viewer at once, also the current one', async () => {
    const { id, secret } = await createToken(holdall)
    const before = [await statusOf(secret), (await revoke(id)).token.id, await statusOf(secret)]
    expect(before).toEqual([200, id, 401])
    const self = await createToken(holdall)
    expect((await revoke(self.id, self.secret)).token.id).toBe(self.id)
    expect(await statusOf(self.secret)).toBe(401)
  })

  test('ends a member’s token, for the OWNER of the workspace it is bound to', async () => {
    const editor = await invite(holdall, workspaceId, 'EDITOR')
    const other = await invite(holdall, workspaceId, 'EDITOR')
    expect(await refused('revokeApiToken', { tokenId: other.tokenId }, editor.token)).toMatchObject(
      { code: 'NOT_FOUND', path: ['tokenId'], id: other.tokenId },
    )
    expect(await statusOf(other.token)).toBe(200)
    expect((await revoke(other.tokenId)).token.id).toBe(other.tokenId)
    expect(await statusOf(other.token)).toBe(401)
  })

  test('twice is no error, and one event', async () => {
    const { user } = (await viewerOf(holdall.token)).viewer
    const { id } = await createToken(holdall, { workspaceId })
    const answers = [await revoke(id), await revoke(id)]
    expect(answers.map(({ token }) => token.id)).toEqual([id, id])
    const events = await holdall.app.db
      .selectFrom('activity')
      .select('details')
      .where('action', '=', 'TOKEN_REVOKED')
      .execute()
    expect(events.map(({ details }) => JSON.parse(details))).toEqual([
      { tokenId: id, name: 'a token', userId: user.id },
    ])
  })

  test('S8: of another user’s or an unknown token is NotFound', async () => {
    const elsewhere = await createWorkspace(holdall, { name: 'Elsewhere' })
    const { id: foreign } = await createToken(holdall, { workspaceId: elsewhere.id })
    const { id: unbound } = await createToken(holdall)
    const owner = await invite(holdall, workspaceId, 'OWNER')
    const { secret: bound } = await createToken(holdall, { workspaceId })
    const tries = [
      [foreign, owner.token],
      [unbound, owner.token],
      // A token of the viewer, but outside the workspace of the current token.
      [unbound, bound],
      [foreign, bound],
      ['tok_0', holdall.token],
      [workspaceId, holdall.token],
    ] as const
    for (const [tokenId, token] of tries) {
      expect(await refused('revokeApiToken', { tokenId }, token)).toMatchObject({
        __typename: 'NotFoundError',
        code: 'NOT_FOUND',
        path: ['tokenId'],
        id: tokenId,
      })
    }
  })

  test('requires TOKENS_WRITE', async () => {
    const { id, secret } = await createToken(holdall, { scopes: ['FILES_READ'] })
    expect(await refused('revokeApiToken', { tokenId: id }, secret)).toMatchObject({
      missingScopes: ['TOKENS_WRITE'],
    })
  })
})

describe('lastUsedAt', () => {
  test('is when the token was last used, to the minute', async () => {
    const { id, secret } = await createToken(holdall)
    const lastUsed = async () => {
      const query = 'query ($id: ID!) { node(id: $id) { ... on ApiToken { lastUsedAt } } }'
      return (await holdall.ask(query, { id })).node.lastUsedAt
    }
    expect(await lastUsed()).toBe(null)
    now += 5 * MINUTE
    await viewerOf(secret)
    const first = iso(now)
    expect(await lastUsed()).toBe(first)
    now += MINUTE
    await viewerOf(secret)
    expect(await lastUsed()).toBe(first)
    now += 1
    await viewerOf(secret)
    expect(await lastUsed()).toBe(iso(now))
  })

  test('does not change when the token is refused', async () => {
    const { id, secret } = await createToken(holdall, { expiresAt: iso(now + MINUTE) })
    now += 2 * MINUTE
    expect(await statusOf(secret)).toBe(401)
    const query = 'query ($id: ID!) { node(id: $id) { ... on ApiToken { lastUsedAt } } }'
    expect((await holdall.ask(query, { id })).node.lastUsedAt).toBe(null)
  })
})

describe('Workspace.apiTokens', () => {
  const list = (token: string, args = '') =>
    holdall.graphql(
      `query ($id: ID!) { workspace(by: { id: $id }) {
        apiTokens${args} { totalCount nodes { id } pageInfo { hasNextPage endCursor } }
      } }`,
      { id: workspaceId },
      { token },
    )

  test('lists unrevoked tokens bound to the workspace, oldest first, in pages', async () => {
    const ids: string[] = []
    for (let i = 0; i < 4; i++) {
      now += 1
      ids.push((await createToken(holdall, { workspaceId })).id)
    }
    await createToken(holdall)
    await act(holdall, 'revokeApiToken', { tokenId: ids[1] }, '__typename')
    const living = ids.filter((_, i) => i !== 1)
    const { data } = await list(holdall.token, '(first: 2)')
    const { totalCount, nodes, pageInfo } = data.workspace.apiTokens
    expect([totalCount, nodes.map(idOf), pageInfo.hasNextPage]).toEqual([
      3,
      living.slice(0, 2),
      true,
    ])
    const next = await list(holdall.token, `(first: 2, after: "${pageInfo.endCursor}")`)
    expect(next.data.workspace.apiTokens.nodes.map(idOf)).toEqual(living.slice(2))
  })

  test('requires an OWNER with TOKENS_WRITE', async () => {
    const editor = await invite(holdall, workspaceId, 'EDITOR')
    const other = await invite(holdall, workspaceId, 'VIEWER')
    const scopes = apiScopes.filter((scope) => scope !== 'TOKENS_WRITE')
    const { secret } = await createToken(holdall, { scopes })
    for (const token of [editor.token, secret]) {
      const { errors } = await list(token)
      expect(errors?.map(({ extensions }) => extensions?.code)).toEqual(['FORBIDDEN'])
      const query = 'query ($id: ID!) { node(id: $id) { id } }'
      expect((await holdall.ask(query, { id: other.tokenId }, { token })).node).toBe(null)
    }
    expect((await list(holdall.token)).data.workspace.apiTokens.totalCount).toBe(2)
  })
})

const idOf = ({ id }: { id: string }) => id
