import {
  type GraphQLArgument,
  type GraphQLInterfaceType,
  type GraphQLObjectType,
  isObjectType,
} from 'graphql'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Db } from '../../../src/database/database.ts'
import { schema } from '../../../src/schema.ts'
import { act } from '../../support/client.ts'
import { firstToken } from '../../support/data/people.ts'
import { openStream } from '../../support/network/events.ts'
import { startTestServer, type TestServer } from '../../support/servers/test-server.ts'
import { fills, idSlots, selectionOf, withIdIn } from './id-slots.ts'
import { idsOf, mutations, nodes } from './mutation-cases.ts'
import { addMember, allScopes, createTenant, giveToken, type Place } from './tenant-fixture.ts'

/** A list that accepts ids; with ids of the own workspace it returns objects. */
type ListCase = { filter: Record<string, unknown> }
const entryFilters = (place: Place): ListCase[] => [
  { filter: { within: place.rootId } },
  { filter: { createdBy: [ownerOf(place)] } },
]
const lists: Record<string, (place: Place) => ListCase[]> = {
  'Workspace.entries': entryFilters,
  'Workspace.search': entryFilters,
  'Folder.children': entryFilters,
  'Tag.entries': entryFilters,
  'Workspace.trash': entryFilters,
  'Workspace.activity': (place) => [
    { filter: { entryId: place.fileId } },
    { filter: { actorIds: [ownerOf(place)] } },
  ],
}
/** Further arguments of these lists; own objects have these names. */
const required: Record<string, string> = { 'Workspace.search': 'query: "own", ' }
const ownerOf = ({ mark }: Place) => (mark === theirMark ? people.owner : people.outsider)

/** Query fields with an id are tried below; the others belong to no tenant. */
const queries = {
  withIds: ['node', 'nodes', 'workspace'],
  without: ['viewer', 'serverInfo', 'rateLimit', 'shared', 'serverActivity'],
}

const theirMark = 'marjoram'
let holdall: TestServer
let theirs: Place
let before: unknown
let later = 0
const tokens: Record<'outsider' | 'viewer' | 'bound' | 'expired', string> = {
  outsider: '',
  viewer: '',
  bound: '',
  expired: '',
}
const people = { owner: '', outsider: '' }

beforeAll(async () => {
  holdall = await startTestServer({ now: () => Date.now() + later })
  theirs = await createTenant(holdall, theirMark)
  const other = await createTenant(holdall, 'elsewhere')
  people.owner = (await holdall.ask('{ viewer { user { id } } }')).viewer.user.id
  Object.assign(people, await addUser(other.workspaceId, 'OWNER', 'outsider'))
  await addUser(theirs.workspaceId, 'VIEWER', 'viewer')
  tokens.bound = (await giveToken(holdall, { workspaceId: other.workspaceId })).secret
  const expiresAt = new Date(Date.now() + 60_000).toISOString()
  tokens.expired = (await giveToken(holdall, { expiresAt })).secret
  later = 120_000
  before = await readRowsOf(holdall.app.db, theirs.workspaceId)
})
afterAll(() => holdall?.[Symbol.asyncDispose]())

/** Adds a user to one workspace, with an unbound token. */
async function addUser(workspaceId: string, role: string, name: 'outsider' | 'viewer') {
  const userId = await addMember(holdall, { workspaceId, role })
  tokens[name] = (await firstToken(holdall, { workspaceId: null, userId })).secret
  return { [name]: userId }
}

/** Returns every row that belongs to a workspace, without lastUsedAt of tokens, which may change. */
async function readRowsOf(db: Db, workspaceId: string) {
  const tables = [
    'members',
    'activity',
    'entries',
    'tags',
    'versions',
    'blobs',
    'uploads',
    'shareLinks',
  ] as const
  const rows = tables.map((table) =>
    db.selectFrom(table).selectAll().where('workspaceId', '=', workspaceId).execute(),
  )
  const used = { lastUsedAt: null }
  const bound = await db
    .selectFrom('apiTokens')
    .selectAll()
    .where('workspaceId', '=', workspaceId)
    .execute()
  return {
    workspace: await db
      .selectFrom('workspaces')
      .selectAll()
      .where('id', '=', workspaceId)
      .execute(),
    tags: await db
      .selectFrom('entryTags')
      .selectAll()
      .execute()
      .then(ofOwnEntries(await rows[2]))
      .then(inOrder),
    tokens: inOrder(bound.map((token) => ({ ...token, ...used }))),
    rows: (await Promise.all(rows)).map(inOrder),
  }
}
/** Sorts rows, because PostgreSQL returns them in no particular order. */
const inOrder = <R extends object>(rows: R[]) =>
  rows.toSorted((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1))
const ofOwnEntries = (entries: { id?: unknown }[] = []) => {
  const own = new Set(entries.map(({ id }) => id))
  return (rows: { entryId: string }[]) => rows.filter(({ entryId }) => own.has(entryId))
}

const mutationFields = schema.getMutationType()?.getFields() ?? {}
const queryFields = schema.getQueryType()?.getFields() ?? {}
const nodeTypes = schema.getPossibleTypes(schema.getType('Node') as GraphQLInterfaceType)

/** Returns the error codes of a mutation, or those of each item, and checks for leaks. */
async function outcome(name: string, input: object, token: string | null) {
  const type = `${name[0]?.toUpperCase()}${name.slice(1)}Input!`
  const selection = selectionOf(mutationFields[name]?.type as never, 3)
  const query = `mutation ($input: ${type}) { answer: ${name}(input: $input) ${selection} }`
  const { status, data, errors } = await holdall.graphql(query, { input }, { token })
  if (token !== holdall.token && token !== tokens.viewer) expectNoLeak({ data, errors }, input)
  const codes: string[] = errors?.map(({ extensions }) => extensions?.code) ?? []
  const answer = data?.answer
  if (answer?.code) codes.push(answer.code)
  for (const { error } of answer?.results ?? []) codes.push(error?.code ?? 'OK')
  return { status, codes: codes.length > 0 ? codes : ['OK'], answer }
}

/** Expects no data of the workspace in a response. Values that the request contained may be repeated. */
function expectNoLeak(answer: unknown, sent: unknown) {
  const words = JSON.stringify(sent).match(/"[^"]*"/g) ?? []
  const remaining = words.reduce(
    (text, word) => text.replaceAll(word.slice(1, -1), ''),
    JSON.stringify(answer),
  )
  expect(remaining).not.toContain(theirMark)
}

test('covers every mutation, query, type with an id, and list that takes one', () => {
  const listsTakingIds = Object.values(schema.getTypeMap()).flatMap(listsWithIds)
  expect(Object.keys(mutations).sort()).toEqual(Object.keys(mutationFields).sort())
  expect([...queries.withIds, ...queries.without].sort()).toEqual(Object.keys(queryFields).sort())
  expect(Object.keys(nodes).sort()).toEqual(nodeTypes.map(({ name }) => name).sort())
  expect(Object.keys(lists).sort()).toEqual(listsTakingIds.map(({ name }) => name).sort())
  for (const { name, slots } of listsTakingIds) expectFilled(slots, lists[name]?.(theirs) ?? [])
  for (const name of queries.without) expect(slotsOf(queryFields[name]?.args ?? [])).toEqual([])
})

const slotsOf = (args: readonly GraphQLArgument[]) =>
  args.flatMap(({ name, type }) => idSlots(type, name))

function listsWithIds(type: unknown) {
  if (!isObjectType(type) || /^(Query|Mutation|Subscription|__)/.test(type.name)) return []
  return Object.values((type as GraphQLObjectType).getFields())
    .map((field) => ({ name: `${type.name}.${field.name}`, slots: slotsOf(field.args) }))
    .filter(({ slots }) => slots.length > 0)
}

function expectFilled(slots: string[], inputs: object[]) {
  expect(slots.filter((slot) => !inputs.some((input) => fills(input, slot)))).toEqual([])
}

describe.each(Object.keys(mutationFields))('S8: %s', (name) => {
  const {
    scope,
    inputs,
    viewer = 'FORBIDDEN',
    bound,
    rejected,
  } = mutations[name] ?? {
    scope: '',
    inputs: () => [],
  }
  const slots = slotsOf(mutationFields[name]?.args ?? [])
    .map((slot) => slot.replace(/^input\./, ''))
    .filter((slot) => slot !== rejected)

  test('an outsider finds nothing by foreign ids, and succeeds with own ids', async () => {
    expectFilled(slots, inputs(theirs))
    for (const [i, foreign] of inputs(theirs).entries()) {
      const own = await createTenant(holdall, `own-${name}`, tokens.outsider)
      const input = inputs(own)[i] ?? {}
      for (const slot of slots.filter((slot) => fills(input, slot))) {
        const { codes } = await outcome(
          name,
          withIdIn(input, foreign, slot) as object,
          tokens.outsider,
        )
        expect([slot, ...codes]).toEqual([slot, 'NOT_FOUND'])
      }
      expect((await outcome(name, input, tokens.outsider)).codes).toEqual(['OK'])
    }
  })

  test('a token of another workspace finds nothing, and neither does a request without a token', async () => {
    const hidden = bound ?? (slots.length > 0 ? 'NOT_FOUND' : 'FORBIDDEN')
    for (const input of inputs(theirs)) {
      expect((await outcome(name, input, tokens.bound)).codes).toEqual([hidden])
      const { codes } = await outcome(name, input, null)
      expect(['NOT_FOUND', 'UNAUTHENTICATED']).toContain(codes.join())
    }
  })

  test('a VIEWER is refused', async () => {
    for (const input of inputs(theirs)) {
      expect((await outcome(name, input, tokens.viewer)).codes).toEqual([viewer])
    }
  })

  test('an expired token is refused', async () => {
    for (const input of inputs(theirs)) {
      const { status, codes } = await outcome(name, input, tokens.expired)
      expect([status, ...codes]).toEqual([401, 'UNAUTHENTICATED'])
    }
  })

  test(`a token without ${scope} is refused, with the missing scope`, async () => {
    const { secret } = await giveToken(holdall, {
      scopes: allScopes.filter((other) => other !== scope),
    })
    for (const input of inputs(theirs)) {
      const { codes, answer } = await outcome(name, input, secret)
      expect(codes).toEqual(['FORBIDDEN'])
      expect(answer.ForbiddenError_missingScopes ?? [scope]).toEqual([scope])
    }
  })
})

describe.each(nodeTypes.map(({ name }) => name))('S8: node(id:) of %s', (name) => {
  const query = `query ($id: ID!) { node(id: $id) { __typename ... on ${name} ${selectionOf(schema.getType(name) as never)} } }`

  test('exists for its owner', async () => {
    const id = nodes[name]?.(theirs)
    expect((await holdall.ask(query, { id })).node).toMatchObject({ __typename: name, id })
  })

  test.each(['outsider', 'bound', null] as const)('does not exist for: %s', async (who) => {
    const id = nodes[name]?.(theirs)
    const { data, errors } = await holdall.graphql(query, { id }, { token: who && tokens[who] })
    expect({ data, errors }).toEqual({ data: { node: null }, errors: undefined })
  })

  test('is refused to an expired token', async () => {
    const { status, errors } = await holdall.graphql(
      query,
      { id: nodes[name]?.(theirs) },
      { token: tokens.expired },
    )
    expect([status, errors?.[0]?.extensions?.code]).toEqual([401, 'UNAUTHENTICATED'])
  })
})

test('S8: nodes(ids:) returns a stranger’s own nodes, and null for the rest', async () => {
  const own = await createTenant(holdall, 'own', tokens.outsider)
  const ids = idsOf(theirs).flatMap((id, i) => [id, idsOf(own)[i] ?? ''])
  const query = 'query ($ids: [ID!]!) { nodes(ids: $ids) { __typename id } }'
  const { nodes: found } = await holdall.ask(query, { ids }, { token: tokens.outsider })
  const wanted = ids.map((id, i) => (i % 2 === 0 ? null : id))
  expect(found.map((node: { id: string } | null) => node?.id ?? null)).toEqual(wanted)
  const mine = await holdall.ask(query, { ids: idsOf(theirs) })
  expect(mine.nodes.map(({ id }: { id: string }) => id)).toEqual(idsOf(theirs))
})

test.each(['id', 'slug'] as const)('S8: workspace(by: %s) is null to strangers', async (key) => {
  const by = { [key]: key === 'id' ? theirs.workspaceId : theirs.slug }
  const query = `query ($by: WorkspaceBy!) { workspace(by: $by) { id name } }`
  for (const token of [tokens.outsider, tokens.bound, null]) {
    const { data, errors } = await holdall.graphql(query, { by }, { token })
    expect({ data, errors }).toEqual({ data: { workspace: null }, errors: undefined })
  }
  expect((await holdall.ask(query, { by })).workspace.id).toBe(theirs.workspaceId)
  expect((await holdall.ask(query, { by }, { token: tokens.viewer })).workspace.id).toBe(
    theirs.workspaceId,
  )
})

describe.each(Object.keys(lists))('S8: %s', (name) => {
  const [type = '', field = ''] = name.split('.')
  const args = (schema.getType(type) as GraphQLObjectType).getFields()[field]?.args ?? []
  const filterType = String(args.find((arg) => arg.name === 'filter')?.type)
  const query = `query ($id: ID!, $filter: ${filterType}) { node(id: $id) { ... on ${type} {
    list: ${field}(${required[name] ?? ''}filter: $filter) { totalCount edges { node { __typename } } }
  } } }`

  test('returns nothing foreign, whatever ids it gets', async () => {
    const own = await createTenant(holdall, 'own', tokens.outsider)
    const id = type === 'Folder' ? own.rootId : nodes[type]?.(own)
    for (const [i, { filter }] of (lists[name]?.(own) ?? []).entries()) {
      const ask = (chosen: unknown) =>
        holdall.graphql(query, { id, filter: chosen }, { token: tokens.outsider })
      const { totalCount } = (await ask(filter)).data.node.list
      expect(totalCount).toBeGreaterThan(0)
      const { data, errors } = await ask(lists[name]?.(theirs)[i]?.filter)
      if (errors) expect(errors.map(({ extensions }) => extensions?.code)).toEqual(['NOT_FOUND'])
      else expect(data.node.list.totalCount).toBe(0)
    }
  })
})

test.each(['outsider', 'bound', 'viewer'] as const)(
  'S10: the bytes of an upload are not accessible to the %s, even with its address',
  async (who) => {
    for (const method of ['HEAD', 'PATCH', 'DELETE']) {
      const headers = {
        'tus-resumable': '1.0.0',
        'upload-offset': '0',
        'content-type': 'application/offset+octet-stream',
      }
      const body = method === 'PATCH' ? 'evil' : null
      const response = await holdall.http(theirs.uploadUrl, {
        method,
        headers,
        body,
        token: tokens[who],
      })
      expect([method, response.status]).toEqual([method, 404])
    }
  },
)

test('S8: the bytes of a file are not accessible to strangers', async () => {
  const get = (token: string | null) => holdall.http(`/download/${theirs.fileId}`, { token })
  expect((await get(tokens.outsider)).status).toBe(404)
  expect((await get(tokens.bound)).status).toBe(404)
  expect([401, 404]).toContain((await get(null)).status)
  expect((await get(tokens.expired)).status).toBe(401)
})

describe('S37: subscriptions', () => {
  const fields = schema.getSubscriptionType()?.getFields() ?? {}
  const subscriptionArguments: Record<string, (place: Place) => string> = {
    workspaceChanges: ({ workspaceId }) => `workspaceId: "${workspaceId}"`,
    uploadChanged: ({ uploadId }) => `uploadId: "${uploadId}"`,
  }
  const preflight = { 'graphql-require-preflight': '1' }

  /** Returns the type of the first event, or the error code. */
  async function first(name: string, place: Place, token: string | null) {
    const query = `subscription { event: ${name}(${subscriptionArguments[name]?.(place)}) ${selectionOf(fields[name]?.type as never, 1)} }`
    using stream = await openStream(holdall, query, {}, { token, headers: preflight })
    const { data, errors } = (await stream.next())?.data ?? {}
    if (token !== holdall.token) expectNoLeak({ data, errors }, query)
    return errors?.[0]?.extensions.code ?? data.event.code ?? data.event.__typename
  }

  test('all subscriptions are tried', () => {
    expect(Object.keys(subscriptionArguments).sort()).toEqual(Object.keys(fields).sort())
  })

  test.each(Object.keys(fields))('%s notifies its owner and no stranger', async (name) => {
    expect(['ChangeBatch', 'Upload']).toContain(await first(name, theirs, holdall.token))
    for (const token of [tokens.outsider, tokens.bound, null])
      expect(await first(name, theirs, token)).toBe('NOT_FOUND')
    expect(await first(name, theirs, tokens.expired)).toBe('UNAUTHENTICATED')
  })
})

test('no attempt of a stranger has changed anything', async () => {
  expect(await readRowsOf(holdall.app.db, theirs.workspaceId)).toEqual(before)
})

test('in a PUBLIC workspace anyone can read files, and cannot see people or change anything', async () => {
  await act(
    holdall,
    'updateWorkspace',
    { workspaceId: theirs.workspaceId, visibility: 'PUBLIC' },
    '__typename',
  )
  const open = await readRowsOf(holdall.app.db, theirs.workspaceId)
  const read = `query ($id: ID!) { workspace(by: { id: $id }) { name entries { nodes { id createdBy { email } } } } }`
  for (const token of [tokens.outsider, null]) {
    const { workspace } = await holdall.ask(read, { id: theirs.workspaceId }, { token })
    expect(workspace.entries.nodes.length).toBeGreaterThan(0)
    expect(JSON.stringify(workspace)).not.toContain('@')
    for (const list of ['members', 'apiTokens', 'activity', 'uploads', 'shareLinks']) {
      const query = `query ($id: ID!) { workspace(by: { id: $id }) { ${list} { totalCount } } }`
      const { data } = await holdall.graphql(query, { id: theirs.workspaceId }, { token })
      expect([list, data?.workspace ?? null]).toEqual([list, null])
    }
  }
  for (const [name, { inputs }] of Object.entries(mutations)) {
    // These do not concern a workspace.
    if (['createWorkspace', 'revokeAllApiTokens'].includes(name)) continue
    for (const input of inputs(theirs)) {
      const { codes } = await outcome(name, input, null)
      expect(['FORBIDDEN', 'NOT_FOUND', 'UNAUTHENTICATED']).toContain(codes.join())
      expect(['FORBIDDEN', 'NOT_FOUND']).toContain(
        (await outcome(name, input, tokens.outsider)).codes.join(),
      )
    }
  }
  expect(await readRowsOf(holdall.app.db, theirs.workspaceId)).toEqual(open)
})

test('a VIEWER can download a file, and the download is logged', async () => {
  const response = await holdall.http(`/download/${theirs.fileId}`, { token: tokens.viewer })
  expect([response.status, await response.text()]).toEqual([200, `${theirMark} more`])
})
