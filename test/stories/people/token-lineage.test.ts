import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { apiScopes } from '../../../src/context.ts'
import { runAdmin } from '../../support/admin.ts'
import { act, attempt, createWorkspace } from '../../support/client.ts'
import { createToken, firstToken, invite, unbindToken } from '../../support/data/people.ts'
import { startTestServer, type TestServer } from '../../support/servers/test-server.ts'

const MINUTE = 60_000
type Token = { id: string; secret: string }

let holdall: TestServer
let workspaceId: string
let now: number

beforeEach(async () => {
  now = Date.parse('2025-06-01T09:00:00.000Z')
  holdall = await startTestServer({ now: () => now })
  onTestFinished(() => holdall[Symbol.asyncDispose]())
  workspaceId = (await createWorkspace(holdall)).id
})

const issueToken = (by: string = holdall.token, input = {}): Promise<Token> =>
  createToken(holdall, input, { token: by })
const revoke = (id: string, by = holdall.token, more = {}) =>
  attempt(holdall, 'revokeApiToken', { tokenId: id, ...more }, 'token { id }', { token: by })
const statusOf = async ({ secret }: Pick<Token, 'secret'>) =>
  (await holdall.graphql('{ viewer { user { id } } }', {}, { token: secret })).status
const statuses = (tokens: Pick<Token, 'secret'>[]) => Promise.all(tokens.map(statusOf))
const me = async (token = holdall.token): Promise<string> =>
  (await holdall.ask('{ viewer { user { id } } }', {}, { token })).viewer.user.id

/** A chain of tokens, each created with the previous one. */
async function chain(length: number, by = holdall.token): Promise<Token[]> {
  const tokens: Token[] = []
  for (let i = 0; i < length; i++) tokens.push(await issueToken(tokens.at(-1)?.secret ?? by))
  return tokens
}

/** A token of the owner without an issuer. */
const secondRoot = (userId: string) => firstToken(holdall, { userId, workspaceId: null })

async function serviceAccount(role = 'EDITOR'): Promise<string> {
  const input = { workspaceId, name: 'robot', role }
  const { member } = await act(
    holdall,
    'createServiceAccount',
    input,
    'member { user { id kind } }',
  )
  expect(member.user.kind).toBe('SERVICE')
  return member.user.id
}

/** The token events in the log of a workspace, or of the server. */
async function logged(where: 'server' | 'workspace'): Promise<string[]> {
  const list = '(first: 100) { nodes { action details } }'
  const { serverActivity, workspace } = await holdall.ask(
    `query ($id: ID!) { serverActivity${list} workspace(by: { id: $id }) { activity${list} } }`,
    { id: workspaceId },
  )
  const { nodes } = where === 'server' ? serverActivity : workspace.activity
  return nodes
    .filter(({ action }: any) => action.startsWith('TOKEN_'))
    .map(({ action, details }: any) => `${action} ${details.tokenId}`)
    .toReversed()
}

describe('a token', () => {
  test('shows its user and its creator', async () => {
    const robot = await serviceAccount()
    const own = await issueToken()
    const input = { workspaceId, userId: robot, scopes: ['FILES_READ'] }
    const forRobot = await issueToken(holdall.token, input)
    const query = `query ($ids: [ID!]!) { nodes(ids: $ids) { ... on ApiToken {
      id user { id kind } issuer { id } lastUsedAt
    } } }`
    const { nodes } = await holdall.ask(query, { ids: [own.id, forRobot.id] })
    const owner = await me()
    const lastUsedAt = null
    expect(nodes).toEqual([
      { id: own.id, user: { id: owner, kind: 'PERSON' }, issuer: { id: owner }, lastUsedAt },
      { id: forRobot.id, user: { id: robot, kind: 'SERVICE' }, issuer: { id: owner }, lastUsedAt },
    ])
  })

  test('created on the server has no issuer', async () => {
    const query = '{ viewer { token { issuer { id } user { id } } } }'
    const { token } = (await holdall.ask(query)).viewer
    expect(token).toEqual({ issuer: null, user: { id: await me() } })
  })

  test('ends with any of its issuers', async () => {
    const [first, ...others] = await chain(4)
    const beside = await issueToken()
    await revoke(first?.id ?? '')
    expect(await statuses([...(first ? [first] : []), ...others])).toEqual([401, 401, 401, 401])
    expect(await statusOf(beside)).toBe(200)
  })

  test('expires with its issuer', async () => {
    const short = await issueToken(holdall.token, {
      expiresAt: new Date(now + MINUTE).toISOString(),
    })
    const child = await issueToken(short.secret)
    expect(await statusOf(child)).toBe(200)
    now += MINUTE
    expect(await statuses([short, child])).toEqual([401, 401])
  })

  test('of a service account ends with the OWNER’s token that issued it', async () => {
    const owner = await issueToken()
    const userId = await serviceAccount()
    const robot = await issueToken(owner.secret, { workspaceId, userId })
    const child = await issueToken(robot.secret)
    expect(await me(child.secret)).toBe(userId)
    await revoke(owner.id)
    expect(await statuses([robot, child])).toEqual([401, 401])
  })

  test('cannot be issued concurrently to outlive the revocation of its issuer', async () => {
    for (let round = 0; round < 8; round++) {
      const [top, parent] = (await chain(2)) as [Token, Token]
      const mints = Array.from({ length: 6 }, () =>
        attempt(
          holdall,
          'createApiToken',
          { name: 'x', scopes: ['FILES_READ'] },
          'secret token { id }',
          { token: parent.secret },
        ).catch(() => null),
      )
      const victim = round % 2 === 0 ? parent : top
      const [, ...made] = await Promise.all([revoke(victim.id), ...mints])
      const children = made.filter((one): one is Token => typeof one?.secret === 'string')
      expect(new Set(await statuses([parent, ...children]))).toEqual(new Set([401]))
    }
  })
})

describe('revokeApiToken without cascade', () => {
  test('passes derived tokens to the issuer of the revoked token', async () => {
    const [top, middle, child, grandchild] = (await chain(4)) as [Token, Token, Token, Token]
    await revoke(middle.id, holdall.token, { cascade: false })
    expect(await statuses([top, middle, child, grandchild])).toEqual([200, 401, 200, 200])
    await revoke(top.id)
    expect(await statuses([top, child, grandchild])).toEqual([401, 401, 401])
  })

  test('is refused to a derived token', async () => {
    const [top, middle, asking] = (await chain(3)) as [Token, Token, Token]
    for (const { id } of [top, middle]) {
      const refused = await revoke(id, asking.secret, { cascade: false })
      expect(refused).toMatchObject({ code: 'FORBIDDEN', path: ['tokenId'] })
    }
    expect(await statuses([top, middle, asking])).toEqual([200, 200, 200])
    await revoke(middle.id, asking.secret)
    expect(await statuses([top, middle, asking])).toEqual([200, 401, 401])
  })

  test('is refused to a service account for the token that issued its own', async () => {
    const owner = await issueToken(holdall.token, { workspaceId })
    const robot = await issueToken(owner.secret, {
      workspaceId,
      userId: await serviceAccount('OWNER'),
    })
    const refused = await revoke(owner.id, robot.secret, { cascade: false })
    expect(refused).toMatchObject({ code: 'FORBIDDEN', path: ['tokenId'] })
    await revoke(owner.id)
    expect(await statuses([owner, robot])).toEqual([401, 401])
  })

  test('of a token without an issuer ends the derived tokens with it', async () => {
    const owner = await me()
    const [first, second] = [await secondRoot(owner), await secondRoot(owner)]
    const ofFirst = await issueToken(first.secret)
    const ofSecond = await issueToken(second.secret)
    // Two tokens that cooperate get no further than one that revokes itself.
    await revoke(second.id, ofFirst.secret, { cascade: false })
    await revoke(first.id, ofSecond.secret, { cascade: false })
    expect(await statuses([first, second, ofFirst, ofSecond])).toEqual([401, 401, 200, 200])
    await revoke(first.id)
    expect(await runAdmin(holdall, 'tokens', 'revoke', second.id)).toMatchObject({
      code: 0,
      lines: ['1 revoked.'],
    })
    expect(await statuses([ofFirst, ofSecond])).toEqual([401, 401])
  })

  test('repeatedly leaves the last of a chain to end with the first', async () => {
    const [root, ...between] = (await chain(5)) as [Token, ...Token[]]
    const last = await issueToken(between.at(-1)?.secret)
    for (const { id } of between) await revoke(id, holdall.token, { cascade: false })
    expect(await statusOf(last)).toBe(200)
    await revoke(root.id)
    expect(await statusOf(last)).toBe(401)
  })

  test('beside a revocation of the issuer leaves none alive', async () => {
    for (let round = 0; round < 6; round++) {
      const [top, middle, child] = (await chain(3)) as [Token, Token, Token]
      await Promise.all([revoke(middle.id, holdall.token, { cascade: false }), revoke(top.id)])
      expect(await statuses([top, middle, child])).toEqual([401, 401, 401])
    }
  })

  test('gives no token rights that the revoked one did not have', async () => {
    const narrow = await issueToken(holdall.token, {
      scopes: ['TOKENS_WRITE', 'FILES_READ'],
      workspaceId,
    })
    const child = await issueToken(narrow.secret, { scopes: ['TOKENS_WRITE', 'FILES_READ'] })
    await revoke(narrow.id, holdall.token, { cascade: false })
    const query = '{ viewer { scopes token { workspace { id } } } }'
    const { viewer } = await holdall.ask(query, {}, { token: child.secret })
    expect(viewer.scopes.toSorted()).toEqual(['FILES_READ', 'TOKENS_WRITE'])
    expect(viewer.token.workspace).toEqual({ id: workspaceId })
  })
})

describe('Viewer.apiTokens', () => {
  const list = async (token: string, args = '(first: 100)') => {
    const query = `{ viewer { apiTokens${args} { totalCount nodes { id } pageInfo { endCursor } } } }`
    return (await holdall.graphql(query, {}, { token })).data?.viewer?.apiTokens
  }
  const ids = async (token: string) => (await list(token)).nodes.map(({ id }: any) => id)

  test('lists all tokens of the viewer, bound or not, and no others', async () => {
    const person = await invite(holdall, workspaceId, 'OWNER')
    await unbindToken(holdall, person.tokenId)
    const unbound = await issueToken(person.token)
    const bound = await issueToken(person.token, { workspaceId })
    const revoked = await issueToken(person.token)
    await revoke(revoked.id, person.token)
    await invite(holdall, workspaceId, 'EDITOR')
    expect((await ids(person.token)).toSorted()).toEqual(
      [person.tokenId, unbound.id, bound.id].toSorted(),
    )
    // A bound token sees those bound to the same workspace.
    expect(await ids(bound.secret)).toEqual([bound.id])
    const { endCursor } = (await list(person.token, '(first: 2)')).pageInfo
    expect((await list(person.token, `(first: 2, after: "${endCursor}")`)).nodes).toHaveLength(1)
  })

  test('requires TOKENS_WRITE', async () => {
    const { secret } = await issueToken(holdall.token, { scopes: ['FILES_READ'] })
    const query = '{ viewer { apiTokens { totalCount } } }'
    const { errors } = await holdall.graphql(query, {}, { token: secret })
    expect(errors?.map(({ extensions }) => extensions?.code)).toEqual(['FORBIDDEN'])
  })
})

describe('revokeAllApiTokens', () => {
  const revokeAll = (token: string, input = {}) =>
    attempt(holdall, 'revokeAllApiTokens', input, 'revokedCount', { token })

  test('ends all tokens of the viewer except the current one, including its issuers', async () => {
    const [first, second, third] = (await chain(3)) as [Token, Token, Token]
    const beside = await issueToken()
    const { userId } = await invite(holdall, workspaceId)
    expect(await revokeAll(second.secret)).toMatchObject({ revokedCount: 4 })
    expect(await statuses([first, second, third, beside])).toEqual([401, 200, 401, 401])
    expect(await statusOf({ secret: holdall.token })).toBe(401)
    const others = await holdall.app.db
      .selectFrom('apiTokens')
      .select('revokedAt')
      .where('userId', '=', userId)
      .execute()
    expect(others).toEqual([{ revokedAt: null }])
  })

  test('leaves the current token to end with its issuers', async () => {
    const owner = await me()
    for (const above of [0, 1, 2]) {
      const tokens = [await secondRoot(owner)]
      for (let i = 0; i < 3; i++) tokens.push(await issueToken(tokens.at(-1)?.secret))
      const [asking, child] = [tokens.at(-1), await issueToken(tokens.at(-1)?.secret)]
      await revokeAll(asking?.secret ?? '')
      expect(await statuses([...tokens, child])).toEqual([401, 401, 401, 200, 401])
      expect(await runAdmin(holdall, 'tokens', 'revoke', tokens[above]?.id ?? '')).toMatchObject({
        lines: ['1 revoked.'],
      })
      expect(await statuses(asking ? [asking] : [])).toEqual([401])
    }
  })

  test('by a service account leaves its token to end with the person’s token that issued it', async () => {
    const owner = await issueToken(holdall.token, { workspaceId })
    const robot = await issueToken(owner.secret, { workspaceId, userId: await serviceAccount() })
    const asking = await issueToken(robot.secret)
    await revokeAll(asking.secret)
    expect(await statuses([owner, robot, asking])).toEqual([200, 401, 200])
    await revoke(owner.id)
    expect(await statusOf(asking)).toBe(401)
  })

  test('ends that one, too, on request', async () => {
    const tokens = await chain(2)
    expect(await revokeAll(holdall.token, { keepCurrent: false })).toMatchObject({
      revokedCount: 3,
    })
    expect(await statuses([{ secret: holdall.token }, ...tokens])).toEqual([401, 401, 401])
  })

  test('with a bound token ends only those bound to the same workspace', async () => {
    const elsewhere = await createWorkspace(holdall, { name: 'Elsewhere' })
    const unbound = await issueToken()
    const there = await issueToken(holdall.token, { workspaceId: elsewhere.id })
    const here = await issueToken(holdall.token, { workspaceId })
    const asking = await issueToken(holdall.token, { workspaceId })
    expect(await revokeAll(asking.secret)).toMatchObject({ revokedCount: 1 })
    expect(await statuses([unbound, there, here, asking])).toEqual([200, 200, 401, 200])
  })

  test('includes the tokens of service accounts that derive from them', async () => {
    const robot = await issueToken(holdall.token, { workspaceId, userId: await serviceAccount() })
    const last = await issueToken()
    await revokeAll(last.secret)
    expect(await statusOf(robot)).toBe(401)
  })
})

describe('the log of the server', () => {
  test('records created and revoked unbound tokens; the workspace’s log the bound ones', async () => {
    const unbound = await issueToken()
    const bound = await issueToken(unbound.secret, { workspaceId })
    await revoke(unbound.id)
    expect(await logged('server')).toEqual([
      `TOKEN_CREATED ${unbound.id}`,
      `TOKEN_REVOKED ${unbound.id}`,
    ])
    expect(await logged('workspace')).toEqual([
      `TOKEN_CREATED ${bound.id}`,
      `TOKEN_REVOKED ${bound.id}`,
    ])
    const query = '{ serverActivity(first: 1) { nodes { actor { id } token { id } } } }'
    const { nodes } = (await holdall.ask(query)).serverActivity
    expect(nodes[0]).toEqual({
      actor: { id: await me() },
      token: { id: expect.stringMatching(/^tok_/) },
    })
  })

  test('requires the first owner, ACTIVITY_READ and an unbound token', async () => {
    const owner = await invite(holdall, workspaceId, 'OWNER')
    await unbindToken(holdall, owner.tokenId)
    const bound = await issueToken(holdall.token, { workspaceId })
    const blind = await issueToken(holdall.token, {
      scopes: apiScopes.filter((scope) => scope !== 'ACTIVITY_READ'),
    })
    const query = '{ serverActivity { nodes { id } } }'
    const codes = async (token: string | null) =>
      (await holdall.graphql(query, {}, { token })).errors?.map((e) => e.extensions?.code)
    for (const token of [owner.token, bound.secret, blind.secret]) {
      expect(await codes(token)).toEqual(['FORBIDDEN'])
    }
    expect(await codes(null)).toEqual(['UNAUTHENTICATED'])
    expect(await codes(holdall.token)).toBeUndefined()
  })
})
