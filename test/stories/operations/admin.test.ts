import { rm } from 'node:fs/promises'
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { apiScopes } from '../../../src/context.ts'
import { runAdmin } from '../../support/admin.ts'
import { act, createFolder, createWorkspace } from '../../support/client.ts'
import { database } from '../../support/databases.ts'
import { startTestServer, type TestServer } from '../../support/servers/test-server.ts'

let holdall: TestServer
let workspaceId: string
beforeEach(async () => {
  holdall = await startTestServer()
  onTestFinished(() => holdall[Symbol.asyncDispose]())
  workspaceId = (await createWorkspace(holdall, { slug: 'lab' })).id
})

async function member(email: string, role = 'EDITOR'): Promise<string> {
  const input = { workspaceId, email, role }
  return (await act(holdall, 'addMember', input, 'member { user { id } }')).member.user.id
}

const viewerOf = async (token: string | undefined) => {
  const fields = 'user { id } token { id name issuer { id } workspace { id } expiresAt } scopes'
  return (await holdall.ask(`{ viewer { ${fields} } }`, {}, { token: token ?? '' })).viewer
}

describe('tokens create', () => {
  test('creates the first token of a user beside a running server, and prints only the token', async () => {
    const userId = await member('ann@example.org')
    const { code, lines } = await runAdmin(holdall, 'tokens', 'create', '--user', 'Ann@example.org')
    expect([code, lines]).toEqual([0, [expect.stringMatching(/^hld_[\w-]{43}$/)]])
    const viewer = await viewerOf(lines[0])
    expect(viewer).toMatchObject({
      user: { id: userId },
      token: { name: 'Made on the server', issuer: null, workspace: null, expiresAt: null },
    })
    expect(viewer.scopes.toSorted()).toEqual([...apiScopes].sort())
  })

  test('takes scopes, workspace, name and expiry', async () => {
    await member('ann@example.org')
    const words = ['--scope', 'FILES_READ', '--scope', 'FILES_WRITE', '--workspace', 'lab']
    const more = ['--name', 'laptop', '--expires-in-days', '2']
    const { lines } = await runAdmin(
      holdall,
      'tokens',
      'create',
      '--user',
      'ann@example.org',
      ...words,
      ...more,
    )
    const viewer = await viewerOf(lines[0])
    expect(viewer.scopes.toSorted()).toEqual(['FILES_READ', 'FILES_WRITE'])
    expect(viewer.token).toMatchObject({ name: 'laptop', workspace: { id: workspaceId } })
    const days = (Date.parse(viewer.token.expiresAt) - Date.now()) / 86_400_000
    expect(days).toBeCloseTo(2, 1)
  })

  test('gives a new token to an owner who has lost every token', async () => {
    const owner = await viewerOf(holdall.token)
    await act(holdall, 'revokeAllApiTokens', { keepCurrent: false }, 'revokedCount')
    const listed = await runAdmin(holdall, 'users', 'list')
    expect(listed.lines).toEqual([`${owner.user.id}  PERSON  -  Owner`])
    const { lines } = await runAdmin(holdall, 'tokens', 'create', '--user', owner.user.id)
    expect((await viewerOf(lines[0])).user).toEqual(owner.user)
  })

  test('is recorded in the log of the server, and of the token’s workspace', async () => {
    const userId = await member('ann@example.org')
    const words = ['--user', 'ann@example.org', '--workspace', workspaceId]
    const { lines } = await runAdmin(holdall, 'tokens', 'create', ...words)
    const query = `query ($id: ID!) {
      serverActivity { nodes { action actor { id } details } }
      workspace(by: { id: $id }) { activity(first: 1) { nodes { action actor { id } details } } }
    }`
    const { serverActivity, workspace } = await holdall.ask(query, { id: workspaceId })
    const { id: tokenId, name } = (await viewerOf(lines[0])).token
    const made = { action: 'TOKEN_CREATED', actor: null }
    const details = { tokenId, name, userId }
    expect(serverActivity.nodes).toEqual([{ ...made, details: { ...details, workspaceId } }])
    expect(workspace.activity.nodes).toEqual([{ ...made, details }])
  })

  test('works while the server writes', async () => {
    await member('ann@example.org')
    let over = false
    const writing = (async () => {
      for (let i = 0; !over; i++) await createFolder(holdall, { workspaceId, name: `folder ${i}` })
    })()
    const made = await Promise.all(
      Array.from({ length: 3 }, () =>
        runAdmin(holdall, 'tokens', 'create', '--user', 'ann@example.org', '--workspace', 'lab'),
      ),
    )
    over = true
    await writing
    expect(made.map(({ code }) => code)).toEqual([0, 0, 0])
    for (const { lines } of made) expect(await viewerOf(lines[0])).toBeTruthy()
  })
})

describe('tokens revoke and tokens list', () => {
  test('revoke a token with the tokens derived from it, and list the others without secrets', async () => {
    const userId = await member('ann@example.org')
    const create = () => runAdmin(holdall, 'tokens', 'create', '--user', userId)
    const [first, second] = [(await create()).lines[0] ?? '', (await create()).lines[0] ?? '']
    const input = { name: 'child', scopes: ['FILES_READ'] }
    const child = await act(holdall, 'createApiToken', input, 'secret token { id }', {
      token: first,
    })
    // Earlier versions accepted such names.
    await holdall.app.db
      .updateTable('apiTokens')
      .set({ name: '\u001b[2Jchild' })
      .where('id', '=', child.token.id)
      .execute()
    const { id } = (await viewerOf(first)).token
    const before = await runAdmin(holdall, 'tokens', 'list', '--user', 'ann@example.org')
    expect(before.lines).toHaveLength(3)
    // Control characters that clear the operator’s screen are escaped.
    expect(before.lines.join('\n')).not.toContain('\u001b')
    expect(before.lines.join('\n')).not.toContain(second.slice(9))
    expect((await runAdmin(holdall, 'tokens', 'revoke', id)).lines).toEqual(['2 revoked.'])
    for (const token of [first, child.secret]) {
      expect((await holdall.graphql('{ viewer { user { id } } }', {}, { token })).status).toBe(401)
    }
    const after = await runAdmin(holdall, 'tokens', 'list', '--user', 'ann@example.org')
    expect(after.lines).toEqual([expect.stringContaining((await viewerOf(second)).token.id)])
  })

  test('revoke several at once, or none if one of them is unknown', async () => {
    const userId = await member('ann@example.org')
    const secrets: string[] = []
    for (let i = 0; i < 3; i++)
      secrets.push((await runAdmin(holdall, 'tokens', 'create', '--user', userId)).lines[0] ?? '')
    const ids: string[] = []
    for (const secret of secrets) ids.push((await viewerOf(secret)).token.id)
    const statuses = () =>
      Promise.all(
        secrets.map(
          async (token) =>
            (await holdall.graphql('{ __typename viewer { scopes } }', {}, { token })).status,
        ),
      )
    const [a = '', b = ''] = ids
    const refused = await runAdmin(holdall, 'tokens', 'revoke', a, 'tok_0', b)
    expect([refused.code, refused.lines]).toEqual([1, []])
    expect(await statuses()).toEqual([200, 200, 200])
    const done = await runAdmin(holdall, 'tokens', 'revoke', a, b, a)
    expect([done.code, done.lines]).toEqual([0, ['2 revoked.']])
    expect(await statuses()).toEqual([401, 401, 200])
    const again = await runAdmin(holdall, 'tokens', 'revoke', a)
    expect([again.code, again.lines]).toEqual([0, ['0 revoked: they were already revoked.']])
  })
})

describe('users create', () => {
  test('creates a user, who is then added to a workspace by the same address', async () => {
    const words = ['--email', 'Bob@example.org', '--name', 'Bob']
    const { code, lines } = await runAdmin(holdall, 'users', 'create', ...words)
    expect([code, lines]).toEqual([0, [expect.stringMatching(/^usr_\w+ {2}PERSON {2}bob@example/)]])
    expect(lines[0]).toContain(await member('bob@example.org'))
    const again = await runAdmin(holdall, 'users', 'create', ...words)
    expect([again.code, again.lines]).toEqual([1, []])
  })
})

describe('rejects', () => {
  const run = (...words: string[]) => runAdmin(holdall, ...words)

  test.each([
    [['tokens', 'create', '--user', 'unknown@example.org'], 1, /unknown@example.org/],
    [['tokens', 'create', '--user', 'ann@example.org', '--workspace', 'none'], 1, /none/],
    [['tokens', 'create', '--user', 'ann@example.org', '--workspace', 'other'], 1, /not a member/],
    [['tokens', 'create', '--user', 'ann@example.org', '--name', ' '], 1, /1 to 200/],
    [
      ['tokens', 'create', '--user', 'ann@example.org', '--scope', 'ALL'],
      2,
      /--scope must be one of/,
    ],
    [['tokens', 'create', '--user', 'ann@example.org', '--expires-in-days', '0'], 2, /days/],
    [['tokens', 'create'], 2, /--user is missing/],
    [['tokens', 'revoke', 'tok_0'], 1, /tok_0/],
    [['tokens', 'make', '--user', 'ann@example.org'], 2, /npm run admin/],
    [['--nonsense'], 2, /npm run admin/],
    [['tokens', 'create', '--user', 'ann@example.org', 'FILES_READ'], 2, /FILES_READ/],
    [['tokens', 'create', '--user', 'ann@example.org', ''], 2, /does not accept/],
    [['tokens', 'create', '--user', 'ann@example.org', '--email', 'a@b.c'], 2, /--email/],
    [['tokens', 'create', '--user', 'a@b.c', '--user', 'ann@example.org'], 2, /more than once/],
    [['tokens', 'list', '--user', 'ann@example.org', '--scope', 'FILES_READ'], 2, /--scope/],
    [['tokens', 'list', 'ann@example.org', '--user', 'ann@example.org'], 2, /does not accept ann/],
    [['tokens', 'revoke', '--user', 'ann@example.org', 'tok_0'], 2, /--user/],
    [['tokens', 'revoke'], 2, /token id/],
    [['users', 'list', '--user', 'ann@example.org'], 2, /--user/],
    [['users', 'list', 'all'], 2, /all/],
    [['users', 'create', '--email', 'x@example.org', '--scope', 'FILES_READ'], 2, /--scope/],
    [['users', 'create', '--email', 'x@example.org', 'Bob'], 2, /Bob/],
    [['users', 'create', '--email', 'x@example.org', '--name', 'a\u202eb'], 1, /U\+202E/],
    [['tokens', 'create', '--user', 'ann@example.org', '--expires-in-days', '0x10'], 2, /days/],
    [['tokens', 'create', '--user', 'ann@example.org', '--expires-in-days', '1e3'], 2, /days/],
    [['tokens', 'create', '--user', 'ann@example.org', '--expires-in-days', ''], 2, /days/],
    [['tokens', 'create', '--user', 'ann@example.org', '--expires-in-days', ' 7'], 2, /days/],
  ] as const)('%j', async (words, wanted, complaint) => {
    await member('ann@example.org')
    await createWorkspace(holdall, { name: 'Other', slug: 'other' })
    const count = () => holdall.app.db.selectFrom('apiTokens').select('id').execute()
    const before = (await count()).length
    const { code, lines, stderr } = await run(...words)
    expect([code, lines]).toEqual([wanted, []])
    expect(stderr).toMatch(complaint)
    expect((await count()).length).toBe(before)
  })

  test('a database of another version, without changing it', async () => {
    await holdall.app.db
      .deleteFrom('kysely_migration' as never)
      .where('name' as never, '=', '0017-token-lineage' as never)
      .execute()
    const { code, stderr } = await run('users', 'list')
    expect([code, stderr]).toEqual([1, expect.stringContaining('another version')])
  })

  test.skipIf(database !== 'SQLite')(
    'a folder without a database, without creating one',
    async () => {
      const dir = `${holdall.dir}/empty`
      const { code, stderr } = await runAdmin({ dir, databaseUrl: undefined }, 'users', 'list')
      expect([code, stderr]).toEqual([1, expect.stringContaining('does not exist')])
      await expect(rm(dir, { recursive: true })).rejects.toThrow('ENOENT')
    },
  )
})
