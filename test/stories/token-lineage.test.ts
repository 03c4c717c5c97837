import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { apiScopes } from '../../src/context.ts'
import { runAdmin } from '../support/admin.ts'
import { act, attempt, createWorkspace } from '../support/client.ts'
import { firstToken, giveToken, invite, unbind } from '../support/people.ts'
import { startTestServer, type TestServer } from '../support/test-server.ts'

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

const mint = (by: string = holdall.token, input = {}): Promise<Token> =>
  giveToken(holdall, input, { token: by })
const revoke = (id: string, by = holdall.token, more = {}) =>
  attempt(holdall, 'revokeApiToken', { tokenId: id, ...more }, 'token { id }', { token: by })
const statusOf = async ({ secret }: Pick<Token, 'secret'>) =>
  (await holdall.graphql('{ viewer { user { id } } }', {}, { token: secret })).status
const statuses = (tokens: Pick<Token, 'secret'>[]) => Promise.all(tokens.map(statusOf))
const me = async (token = holdall.token): Promise<string> =>
  (await holdall.ask('{ viewer { user { id } } }', {}, { token })).viewer.user.id

/** A token, and one that was made with it, and so on. */
async function chain(length: number, by = holdall.token): Promise<Token[]> {
  const tokens: Token[] = []
  for (let i = 0; i < length; i++) tokens.push(await mint(tokens.at(-1)?.secret ?? by))
  return tokens
}

/** A token of the owner that was made with no other. */
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

/** What the log of a workspace, or of the server, says of tokens. */
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
  test('says as whom it acts and who created it', async () => {
    const robot = await serviceAccount()
    const own = await mint()
    const input = { workspaceId, userId: robot, scopes: ['FILES_READ'] }
    const forRobot = await mint(holdall.token, input)
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

  test('made on the server has no issuer', async () => {
    const query = '{ viewer { token { issuer { id } user { id } } } }'
    const { token } = (await holdall.ask(query)).viewer
    expect(token).toEqual({ issuer: null, user: { id: await me() } })
  })

  test('ends with the one with which it was made, however indirectly', async () => {
    const [first, ...others] = await chain(4)
    const beside = await mint()
    await revoke(first?.id ?? '')
    expect(await statuses([...(first ? [first] : []), ...others])).toEqual([401, 401, 401, 401])
    expect(await statusOf(beside)).toBe(200)
  })

  test('ends when the one with which it was made expires', async () => {
    const short = await mint(holdall.token, {
      expiresAt: new Date(now + MINUTE).toISOString(),
    })
    const child = await mint(short.secret)
    expect(await statusOf(child)).toBe(200)
    now += MINUTE
    expect(await statuses([short, child])).toEqual([401, 401])
  })

  test('of a service account ends with that of the OWNER with which it was made', async () => {
    const owner = await mint()
    const userId = await serviceAccount()
    const robot = await mint(owner.secret, { workspaceId, userId })
    const child = await mint(robot.secret)
    expect(await me(child.secret)).toBe(userId)
    await revoke(owner.id)
    expect(await statuses([robot, child])).toEqual([401, 401])
  })

  test('is not made beside the revocation of the one that makes it, so that it lives on', async () => {
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
  test('leaves what was made with the token to the one with which it was made', async () => {
    const [top, middle, child, grandchild] = (await chain(4)) as [Token, Token, Token, Token]
    await revoke(middle.id, holdall.token, { cascade: false })
    expect(await statuses([top, middle, child, grandchild])).toEqual([200, 401, 200, 200])
    await revoke(top.id)
    expect(await statuses([top, child, grandchild])).toEqual([401, 401, 401])
  })

  test('is refused to what was made with the token, however indirectly', async () => {
    const [top, middle, asking] = (await chain(3)) as [Token, Token, Token]
    for (const { id } of [top, middle]) {
      const refused = await revoke(id, asking.secret, { cascade: false })
      expect(refused).toMatchObject({ code: 'FORBIDDEN', path: ['tokenId'] })
    }
    expect(await statuses([top, middle, asking])).toEqual([200, 200, 200])
    await revoke(middle.id, asking.secret)
    expect(await statuses([top, middle, asking])).toEqual([200, 401, 401])
  })

  test('is refused to a service account for the token of the person who made its own', async () => {
    const owner = await mint(holdall.token, { workspaceId })
    const robot = await mint(owner.secret, { workspaceId, userId: await serviceAccount('OWNER') })
    const refused = await revoke(owner.id, robot.secret, { cascade: false })
    expect(refused).toMatchObject({ code: 'FORBIDDEN', path: ['tokenId'] })
    await revoke(owner.id)
    expect(await statuses([owner, robot])).toEqual([401, 401])
  })

  test('of a token with none above it leaves what was made with it to end with it', async () => {
    const owner = await me()
    const [first, second] = [await secondRoot(owner), await secondRoot(owner)]
    const ofFirst = await mint(first.secret)
    const ofSecond = await mint(second.secret)
    // Two that help each other get no further than one that revokes itself.
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

  test('again and again leaves the last of a chain to end with the first', async () => {
    const [root, ...between] = (await chain(5)) as [Token, ...Token[]]
    const last = await mint(between.at(-1)?.secret)
    for (const { id } of between) await revoke(id, holdall.token, { cascade: false })
    expect(await statusOf(last)).toBe(200)
    await revoke(root.id)
    expect(await statusOf(last)).toBe(401)
  })

  test('beside a revocation of the one above leaves none alive', async () => {
    for (let round = 0; round < 6; round++) {
      const [top, middle, child] = (await chain(3)) as [Token, Token, Token]
      await Promise.all([revoke(middle.id, holdall.token, { cascade: false }), revoke(top.id)])
      expect(await statuses([top, middle, child])).toEqual([401, 401, 401])
    }
  })

  test('gives no token rights that the revoked one had not', async () => {
    const narrow = await mint(holdall.token, {
      scopes: ['TOKENS_WRITE', 'FILES_READ'],
      workspaceId,
    })
    const child = await mint(narrow.secret, { scopes: ['TOKENS_WRITE', 'FILES_READ'] })
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

  test('lists all of one’s own tokens, bound or not, and nobody else’s', async () => {
    const person = await invite(holdall, workspaceId, 'OWNER')
    await unbind(holdall, person.tokenId)
    const unbound = await mint(person.token)
    const bound = await mint(person.token, { workspaceId })
    const revoked = await mint(person.token)
    await revoke(revoked.id, person.token)
    await invite(holdall, workspaceId, 'EDITOR')
    expect((await ids(person.token)).toSorted()).toEqual(
      [person.tokenId, unbound.id, bound.id].toSorted(),
    )
    // A bound token sees what is bound alike.
    expect(await ids(bound.secret)).toEqual([bound.id])
    const { endCursor } = (await list(person.token, '(first: 2)')).pageInfo
    expect((await list(person.token, `(first: 2, after: "${endCursor}")`)).nodes).toHaveLength(1)
  })

  test('requires TOKENS_WRITE', async () => {
    const { secret } = await mint(holdall.token, { scopes: ['FILES_READ'] })
    const query = '{ viewer { apiTokens { totalCount } } }'
    const { errors } = await holdall.graphql(query, {}, { token: secret })
    expect(errors?.map(({ extensions }) => extensions?.code)).toEqual(['FORBIDDEN'])
  })
})

describe('revokeAllApiTokens', () => {
  const revokeAll = (token: string, input = {}) =>
    attempt(holdall, 'revokeAllApiTokens', input, 'revokedCount', { token })

  test('ends all of one’s own but the one that asks, also those from which that one came', async () => {
    const [first, second, third] = (await chain(3)) as [Token, Token, Token]
    const beside = await mint()
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

  test('leaves the one that asks to end with those from which it came', async () => {
    const owner = await me()
    for (const above of [0, 1, 2]) {
      const tokens = [await secondRoot(owner)]
      for (let i = 0; i < 3; i++) tokens.push(await mint(tokens.at(-1)?.secret))
      const [asking, child] = [tokens.at(-1), await mint(tokens.at(-1)?.secret)]
      await revokeAll(asking?.secret ?? '')
      expect(await statuses([...tokens, child])).toEqual([401, 401, 401, 200, 401])
      expect(await runAdmin(holdall, 'tokens', 'revoke', tokens[above]?.id ?? '')).toMatchObject({
        lines: ['1 revoked.'],
      })
      expect(await statuses(asking ? [asking] : [])).toEqual([401])
    }
  })

  test('by a service account leaves it to end with the token of the person who made it', async () => {
    const owner = await mint(holdall.token, { workspaceId })
    const robot = await mint(owner.secret, { workspaceId, userId: await serviceAccount() })
    const asking = await mint(robot.secret)
    await revokeAll(asking.secret)
    expect(await statuses([owner, robot, asking])).toEqual([200, 401, 200])
    await revoke(owner.id)
    expect(await statusOf(asking)).toBe(401)
  })

  test('ends that one, too, where it is told to', async () => {
    const tokens = await chain(2)
    expect(await revokeAll(holdall.token, { keepCurrent: false })).toMatchObject({
      revokedCount: 3,
    })
    expect(await statuses([{ secret: holdall.token }, ...tokens])).toEqual([401, 401, 401])
  })

  test('with a bound token ends those alone that are bound to the same workspace', async () => {
    const elsewhere = await createWorkspace(holdall, { name: 'Elsewhere' })
    const unbound = await mint()
    const there = await mint(holdall.token, { workspaceId: elsewhere.id })
    const here = await mint(holdall.token, { workspaceId })
    const asking = await mint(holdall.token, { workspaceId })
    expect(await revokeAll(asking.secret)).toMatchObject({ revokedCount: 1 })
    expect(await statuses([unbound, there, here, asking])).toEqual([200, 200, 401, 200])
  })

  test('takes along what service accounts have by them', async () => {
    const robot = await mint(holdall.token, { workspaceId, userId: await serviceAccount() })
    const last = await mint()
    await revokeAll(last.secret)
    expect(await statusOf(robot)).toBe(401)
  })
})

describe('the log of the server', () => {
  test('says which tokens were made and revoked that no workspace binds, and the workspace’s the others', async () => {
    const unbound = await mint()
    const bound = await mint(unbound.secret, { workspaceId })
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

  test('is for the first owner, with ACTIVITY_READ and an unbound token', async () => {
    const owner = await invite(holdall, workspaceId, 'OWNER')
    await unbind(holdall, owner.tokenId)
    const bound = await mint(holdall.token, { workspaceId })
    const blind = await mint(holdall.token, {
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
