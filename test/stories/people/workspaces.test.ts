import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { apiScopes } from '../../../src/context.ts'
import { act, attempt, createFolder, uploadFile } from '../../support/client.ts'
import { createToken, invite } from '../../support/data/people.ts'
import { errorOf, expectRefused } from '../../support/data/refusals.ts'
import { startTestServer, type TestServer } from '../../support/servers/test-server.ts'

const START = Date.parse('2025-06-01T09:00:00.000Z')
let holdall: TestServer
let now: number

beforeEach(async () => {
  now = START
  holdall = await startTestServer({ now: () => now })
  onTestFinished(() => holdall[Symbol.asyncDispose]())
})

const fields = `id name slug description createdAt visibility viewerRole trashRetentionDays autoFile
  usage { quotaBytes remainingBytes } root { id name path }`
const make = async (input: object = {}) =>
  (await act(holdall, 'createWorkspace', { name: 'Lab', ...input }, `workspace { ${fields} }`))
    .workspace
const update = async (input: { workspaceId: string } & Record<string, unknown>) =>
  (await act(holdall, 'updateWorkspace', input, `workspace { ${fields} }`)).workspace
const look = async (by: object, token: string | null = holdall.token) =>
  (
    await holdall.ask(
      'query ($by: WorkspaceBy!) { workspace(by: $by) { id name viewerRole } }',
      { by },
      { token },
    )
  ).workspace
const named = (message: string, ...path: string[]) => ({
  __typename: 'InvalidInputError',
  code: 'INVALID_INPUT',
  path,
  issues: [{ path, message }],
})

describe('createWorkspace', () => {
  test('creates one with its root folder, and the viewer as OWNER', async () => {
    const workspace = await make({ name: ' Plate scans 2025 ', description: 'Raw and processed' })
    expect(workspace).toEqual({
      id: expect.stringMatching(/^ws_/),
      name: 'Plate scans 2025',
      slug: 'plate-scans-2025',
      description: 'Raw and processed',
      createdAt: '2025-06-01T09:00:00.000Z',
      visibility: 'PRIVATE',
      viewerRole: 'OWNER',
      trashRetentionDays: 30,
      autoFile: false,
      usage: { quotaBytes: null, remainingBytes: null },
      root: { id: expect.stringMatching(/^fld_/), name: '', path: '' },
    })
    expect(await look({ id: workspace.id })).toMatchObject({ viewerRole: 'OWNER' })
  })

  test('takes every input field', async () => {
    const input = { slug: 'mine', visibility: 'PUBLIC', trashRetentionDays: 0, autoFile: true }
    expect(await make({ ...input, quotaBytes: 0 })).toMatchObject({
      ...input,
      usage: { quotaBytes: 0, remainingBytes: 0 },
    })
  })

  test.each([
    ['Émile’s  Données!', 'emile-s-donnees'],
    ['  --Lab-- ', 'lab'],
    ['ﬁle №7', 'file-no7'],
    ['写真', 'workspace'],
    ['x'.repeat(200), 'x'.repeat(50)],
    [`${'x'.repeat(49)} y`, 'x'.repeat(49)],
  ])('makes a slug of %j', async (name, slug) => {
    expect((await make({ name })).slug).toBe(slug)
  })

  test('refuses a taken slug, and gives a second workspace of one name another slug', async () => {
    const first = await make({ name: 'Lab' })
    expect(
      await expectRefused(holdall, 'createWorkspace', { name: 'Other', slug: 'lab' }),
    ).toMatchObject(named('this slug is taken', 'slug'))
    const second = await make({ name: 'Lab' })
    expect([first.slug, second.slug]).toEqual(['lab', expect.stringMatching(/^lab-[0-9a-f]{8}$/)])
    const long = [await make({ name: 'x'.repeat(99) }), await make({ name: 'x'.repeat(99) })]
    expect(long[1].slug).toMatch(/^x{50}-[0-9a-f]{8}$/)
  })

  test('ten times concurrently with one name creates ten', async () => {
    const made = await Promise.all(Array.from({ length: 10 }, () => make({ name: 'Same' })))
    expect(new Set(made.map(({ slug }) => slug)).size).toBe(10)
  })

  const slugs = '1 to 63 of a-z, 0-9 and "-", with no "-" at the ends'
  test.each<[object, object]>([
    [{ name: '' }, named('1 to 200 characters', 'name')],
    [{ name: ' \t' }, named('1 to 200 characters', 'name')],
    [{ name: 'x'.repeat(201) }, named('1 to 200 characters', 'name')],
    ...['', 'Lab', 'a b', '-a', 'a-', 'a/b', 'é', 'x'.repeat(64)].map((slug): [object, object] => [
      { slug },
      named(slugs, 'slug'),
    ]),
    [{ description: 'x'.repeat(10_001) }, named('at most 10,000 characters', 'description')],
    [
      { trashRetentionDays: -1 },
      named('0 (never purged automatically) to 3650', 'trashRetentionDays'),
    ],
    [
      { trashRetentionDays: 3651 },
      named('0 (never purged automatically) to 3650', 'trashRetentionDays'),
    ],
  ])('rejects %j', async (input, error) => {
    expect(
      await expectRefused(holdall, 'createWorkspace', { name: 'Lab', ...input }),
    ).toMatchObject(error)
  })

  test('reports all errors at once', async () => {
    const input = { name: '', slug: 'No', trashRetentionDays: -1 }
    const { issues } = await expectRefused(holdall, 'createWorkspace', input)
    expect(issues.map(({ path }: { path: string[] }) => path)).toEqual([
      ['name'],
      ['slug'],
      ['trashRetentionDays'],
    ])
  })

  test('requires WORKSPACES_WRITE', async () => {
    const scopes = apiScopes.filter((scope) => scope !== 'WORKSPACES_WRITE')
    const { secret: token } = await createToken(holdall, { scopes })
    expect(
      await expectRefused(holdall, 'createWorkspace', { name: 'Lab' }, { token }),
    ).toMatchObject({
      __typename: 'ForbiddenError',
      missingScopes: ['WORKSPACES_WRITE'],
      requiredRole: null,
    })
  })
})

describe('updateWorkspace', () => {
  test('changes the given fields and nothing else', async () => {
    const workspace = await make({ description: 'old', quotaBytes: 5, autoFile: true })
    const workspaceId = workspace.id
    const renamed = await update({ workspaceId, name: ' Lab 2 ' })
    expect(renamed).toEqual({ ...workspace, name: 'Lab 2' })
    const changed = {
      description: null,
      visibility: 'PUBLIC',
      trashRetentionDays: 7,
      autoFile: false,
    }
    expect(await update({ workspaceId, ...changed, quotaBytes: null })).toEqual({
      ...renamed,
      ...changed,
      usage: { quotaBytes: null, remainingBytes: null },
    })
    // Name, visibility and retention always exist: null leaves them.
    const nothing = { name: null, visibility: null, trashRetentionDays: null, autoFile: null }
    expect(await update({ workspaceId, ...nothing })).toMatchObject({ ...changed, name: 'Lab 2' })
  })

  test('logs its changes, and nothing if nothing changed', async () => {
    const { id: workspaceId } = await make({ quotaBytes: 5 })
    const changes = async () => {
      const query = `query ($id: ID!) { workspace(by: { id: $id }) {
        syncCursor activity(filter: { actions: [WORKSPACE_UPDATED] }) { nodes { details } }
      } }`
      return (await holdall.ask(query, { id: workspaceId })).workspace
    }
    const before = await changes()
    await update({ workspaceId, name: 'Lab', visibility: null, quotaBytes: 5 })
    expect(await changes()).toEqual({ ...before, activity: { nodes: [] } })
    await update({ workspaceId, name: 'Lab 2', visibility: null, quotaBytes: null })
    const { syncCursor, activity } = await changes()
    expect(activity.nodes).toEqual([{ details: { changed: ['name', 'quotaBytes'] } }])
    expect(syncCursor).not.toBe(before.syncCursor)
  })

  test('accepts a quota below the usage: files stay, and new bytes are refused', async () => {
    const { id: workspaceId } = await make({ quotaBytes: 100 })
    const file = await uploadFile(holdall, { workspaceId, name: 'a.txt', bytes: 'x'.repeat(60) })
    const smaller = await update({ workspaceId, quotaBytes: 50 })
    expect(smaller.usage).toEqual({ quotaBytes: 50, remainingBytes: 0 })
    expect((await holdall.http(`/download/${file.id}`)).status).toBe(200)
    const upload = { workspaceId, name: 'b.txt', size: 1 }
    expect(await expectRefused(holdall, 'createUpload', upload)).toMatchObject({
      __typename: 'QuotaExceededError',
      neededBytes: 1,
      usage: { quotaBytes: 50, remainingBytes: 0, currentBytes: 60 },
    })
    expect((await createFolder(holdall, { workspaceId, name: 'raw' })).path).toBe('raw')
    await update({ workspaceId, quotaBytes: 61 })
    await uploadFile(holdall, { workspaceId, name: 'b.txt', bytes: 'x' })
  })

  test('requires an OWNER with WORKSPACES_WRITE', async () => {
    const { id: workspaceId } = await make()
    const editor = await invite(holdall, workspaceId, 'EDITOR')
    const scopes = apiScopes.filter((scope) => scope !== 'WORKSPACES_WRITE')
    const { secret } = await createToken(holdall, { scopes })
    const input = { workspaceId, name: 'Mine' }
    expect(await expectRefused(holdall, 'updateWorkspace', input, editor)).toMatchObject({
      __typename: 'ForbiddenError',
      missingScopes: [],
      requiredRole: 'OWNER',
    })
    expect(await expectRefused(holdall, 'updateWorkspace', input, { token: secret })).toMatchObject(
      {
        __typename: 'ForbiddenError',
        missingScopes: ['WORKSPACES_WRITE'],
        requiredRole: null,
      },
    )
  })

  test.each([
    [{ name: ' ' }, named('1 to 200 characters', 'name')],
    [
      { trashRetentionDays: 4000 },
      named('0 (never purged automatically) to 3650', 'trashRetentionDays'),
    ],
  ])('rejects %j', async (input, error) => {
    const { id: workspaceId } = await make()
    expect(
      await expectRefused(holdall, 'updateWorkspace', { workspaceId, ...input }),
    ).toMatchObject(error)
  })
})

describe('visibility', () => {
  test('PUBLIC gives everyone read access, PRIVATE revokes it', async () => {
    const { id, slug } = await make()
    expect(await look({ slug }, null)).toBe(null)
    await update({ workspaceId: id, visibility: 'PUBLIC' })
    expect(await look({ slug }, null)).toEqual({ id, name: 'Lab', viewerRole: null })
    await update({ workspaceId: id, visibility: 'PRIVATE' })
    expect(await look({ slug }, null)).toBe(null)
  })
})

describe('workspace(by:)', () => {
  test('finds one by its id and by its slug', async () => {
    const { id, slug } = await make()
    const found = { id, name: 'Lab', viewerRole: 'OWNER' }
    expect([await look({ id }), await look({ slug })]).toEqual([found, found])
  })

  test('is null for what does not exist, and for what is not accessible', async () => {
    const mine = await make({ name: 'Mine' })
    const other = await make({ name: 'Other' })
    const member = await invite(holdall, mine.id)
    for (const by of [{ id: other.id }, { slug: other.slug }, { id: other.root.id }]) {
      expect(await look(by, member.token)).toBe(null)
    }
    for (const by of [{ id: 'ws_0' }, { slug: 'nothing' }, { slug: '' }]) {
      expect(await look(by)).toBe(null)
    }
  })

  test('takes one of id and slug', async () => {
    const query = 'query ($by: WorkspaceBy!) { workspace(by: $by) { id } }'
    for (const by of [{}, { id: 'ws_0', slug: 'a' }, { id: null }]) {
      expect((await holdall.graphql(query, { by })).errors).toHaveLength(1)
    }
  })
})

describe('viewer.workspaces', () => {
  type Made = { id: string; name: string }
  const names = ['Bread', 'Apple', 'Citrus', 'Bread', 'Dates']
  /** In the order in which they were created. */
  let made: Made[]
  beforeEach(async () => {
    made = []
    for (const name of names) {
      now += 1000
      made.push(await make({ name }))
    }
    const foreign = await make({ name: 'Another' })
    const heir = await invite(holdall, foreign.id, 'OWNER')
    const userId = (await holdall.ask('{ viewer { user { id } } }')).viewer.user.id
    await act(holdall, 'removeMember', { workspaceId: foreign.id, userId }, '__typename', heir)
  })

  async function page(args: string, token = holdall.token) {
    const query = `{ viewer { workspaces(${args}) {
      totalCount nodes { id } edges { cursor }
      pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    } } }`
    const { nodes, ...rest } = (await holdall.ask(query, {}, { token })).viewer.workspaces
    return { ...rest, ids: nodes.map(({ id }: { id: string }) => id) }
  }
  /** Page after page, forward and then back from the end. */
  async function walk(orderBy: string) {
    const forth: string[] = []
    for (let after = 'null'; ; ) {
      const { ids, pageInfo, totalCount } = await page(`first: 2, after: ${after}, ${orderBy}`)
      forth.push(...ids)
      expect(totalCount).toBe(names.length)
      if (!pageInfo.hasNextPage) break
      after = `"${pageInfo.endCursor}"`
    }
    const back: string[] = []
    for (let before = 'null'; ; ) {
      const { ids, pageInfo } = await page(`last: 2, before: ${before}, ${orderBy}`)
      back.unshift(...ids)
      if (!pageInfo.hasPreviousPage) break
      before = `"${pageInfo.startCursor}"`
    }
    expect(back).toEqual(forth)
    return forth
  }
  const ids = (list: { id: string }[]) => list.map(({ id }) => id)

  test('are sorted by name or by age, in both directions, in pages', async () => {
    const byName = made.toSorted((a, b) => (a.name + a.id < b.name + b.id ? -1 : 1))
    expect(await walk('orderBy: { field: NAME, direction: ASC }')).toEqual(ids(byName))
    expect(await walk('orderBy: { field: NAME, direction: DESC }')).toEqual(
      ids(byName.toReversed()),
    )
    expect(await walk('orderBy: { field: CREATED_AT, direction: ASC }')).toEqual(ids(made))
    expect(await walk('orderBy: { field: CREATED_AT, direction: DESC }')).toEqual(
      ids(made.toReversed()),
    )
    expect(await walk('orderBy: {}')).toEqual(ids(byName))
    expect((await page('first: 100')).ids).toEqual(ids(byName))
  })

  test('reject a cursor of another order, and pages too large', async () => {
    const { pageInfo } = await page('first: 1')
    const codes = async (args: string) => {
      const query = `{ viewer { workspaces(${args}) { totalCount } } }`
      const { errors } = await holdall.graphql(query)
      return errors?.map(({ extensions }) => extensions?.code)
    }
    const otherOrder = 'orderBy: { field: CREATED_AT }'
    expect(await codes(`after: "${pageInfo.endCursor}", ${otherOrder}`)).toEqual(['INVALID_CURSOR'])
    for (const args of ['first: 101', 'first: 0', 'last: -1', 'first: 1, last: 1']) {
      expect(await codes(args)).toEqual(['BAD_PAGE_SIZE'])
    }
  })

  test('are those of which the viewer is a member, not those that are only readable', async () => {
    const [first, second] = made as [Made, Made]
    await update({ workspaceId: second.id, visibility: 'PUBLIC' })
    const member = await invite(holdall, first.id, 'VIEWER')
    expect((await page('first: 100', member.token)).ids).toEqual([first.id])
  })
})

describe('a token bound to a workspace', () => {
  test('sees that one and no other', async () => {
    const [mine, other] = [await make({ name: 'Mine' }), await make({ name: 'Other' })]
    await update({ workspaceId: other.id, visibility: 'PUBLIC' })
    const { secret: token } = await createToken(holdall, { workspaceId: mine.id })
    const folder = (workspaceId: string) => createFolder(holdall, { workspaceId, name: 'raw' })
    const inMine = [mine.id, mine.root.id, (await folder(mine.id)).id]
    const inOther = [other.id, other.root.id, (await folder(other.id)).id]
    const query = `query ($ids: [ID!]!, $mine: WorkspaceBy!, $id: WorkspaceBy!, $slug: WorkspaceBy!) {
      nodes(ids: $ids) { id }
      mine: workspace(by: $mine) { id }
      byId: workspace(by: $id) { id }
      bySlug: workspace(by: $slug) { id }
      viewer { workspaces { totalCount nodes { id } } token { workspace { id } } }
    }`
    const by = { mine: { slug: mine.slug }, id: { id: other.id }, slug: { slug: other.slug } }
    const answer = await holdall.ask(query, { ids: [...inMine, ...inOther], ...by }, { token })
    expect(answer).toEqual({
      nodes: [...inMine.map((id) => ({ id })), null, null, null],
      mine: { id: mine.id },
      byId: null,
      bySlug: null,
      viewer: {
        workspaces: { totalCount: 1, nodes: [{ id: mine.id }] },
        token: { workspace: { id: mine.id } },
      },
    })
    for (const id of inOther) {
      const one = 'query ($id: ID!) { node(id: $id) { id } }'
      expect((await holdall.ask(one, { id }, { token })).node).toBe(null)
    }
  })

  test('changes that one and no other, and creates none', async () => {
    const [mine, other] = [await make({ name: 'Mine' }), await make({ name: 'Other' })]
    const { secret: token } = await createToken(holdall, { workspaceId: mine.id })
    const rename = (workspaceId: string) => ({ workspaceId, name: 'Renamed' })
    expect(
      (await attempt(holdall, 'updateWorkspace', rename(mine.id), 'workspace { name }', { token }))
        .workspace,
    ).toEqual({ name: 'Renamed' })
    expect(
      await expectRefused(holdall, 'updateWorkspace', rename(other.id), { token }),
    ).toMatchObject({
      __typename: 'NotFoundError',
      path: ['workspaceId'],
      id: other.id,
    })
    // It has the scope; the error is its binding.
    expect(
      await expectRefused(holdall, 'createWorkspace', { name: 'New' }, { token }),
    ).toMatchObject({
      __typename: 'ForbiddenError',
      message: 'a token that is bound to a workspace cannot create workspaces',
      missingScopes: [],
      requiredRole: null,
    })
  })
})

test('without a token none can be created or changed', async () => {
  const { id: workspaceId } = await make({ visibility: 'PUBLIC' })
  const query = 'mutation { createWorkspace(input: { name: "x" }) { __typename } }'
  const { status, errors } = await holdall.graphql(query, {}, { token: null })
  expect([status, errors?.[0]?.extensions?.code]).toEqual([401, 'UNAUTHENTICATED'])
  const anonymous = { token: null }
  expect(
    await errorOf(holdall, 'updateWorkspace', { workspaceId, name: 'x' }, anonymous),
  ).toMatchObject({ code: 'FORBIDDEN', requiredRole: 'OWNER' })
})
