import type { GraphQLObjectType } from 'graphql'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { idPrefix, newId } from '../../../src/database/ids.ts'
import { shareToken } from '../../../src/domains/sharing/reads.ts'
import { uploadUrl } from '../../../src/domains/uploads/reads.ts'
import { schema } from '../../../src/schema.ts'
import { openStream } from '../../support/network/events.ts'
import { OFFSET_TYPE } from '../../support/network/tus.ts'
import { startTestServer, type TestServer } from '../../support/servers/test-server.ts'
import { statementsOf } from '../schema/plan-steps.ts'
import { fills, idSlots, withIdIn } from './id-slots.ts'
import { mutations, nodes } from './mutation-cases.ts'
import { createTenant, type Place, strangersToken } from './tenant-fixture.ts'

let holdall: TestServer
let theirs: Place
let own: Place
let token: string
beforeAll(async () => {
  holdall = await startTestServer({ env: { SCRUB_DAYS: '0' } })
  // Background jobs would add statements.
  await holdall.app.jobs.stop()
  theirs = await createTenant(holdall, 'theirs')
  token = await strangersToken(holdall)
  own = await createTenant(holdall, 'own', token)
})
afterAll(() => holdall?.[Symbol.asyncDispose]())

/** Returns an id of the same kind that does not exist. */
const absent = (id: string) => newId(idPrefix(id) as never)

/** Returns the response without ids, and the statements that the database received. */
async function seen(ask: () => Promise<unknown>) {
  let answer: unknown
  const statements = await statementsOf(holdall.app.db, async () => {
    answer = await ask()
  })
  const text = JSON.stringify(answer).replaceAll(
    /[a-z]+_[0-9a-f]{32}|[0-9a-f]{32}\.(?:k[0-9a-f]{8}\.)?[\w-]{22}/g,
    '<id>',
  )
  // lastUsedAt of a token is written once a minute, and the record of the store is read every few seconds.
  const isPeriodic = (sql: string) => /"lastUsedAt" =|"installation"|"storeStamps"/.test(sql)
  const requested = statements.map(({ sql }) => sql).filter((sql) => !isPeriodic(sql))
  return { answer: text, requested }
}

const ATTEMPTS = 3

/**
 * Expects the same response and the same statements for a foreign id and for an unknown id, in one of three
 * attempts: a job of the server may run beside one of them, but not beside all.
 */
async function expectSame(
  ask: (id: string) => Promise<unknown>,
  foreign: string,
  nothing = absent(foreign),
) {
  for (let attempt = 1; ; attempt++) {
    const [one, other] = [await seen(() => ask(foreign)), await seen(() => ask(nothing))]
    expect(one.answer).toBe(other.answer)
    if (attempt < ATTEMPTS && one.requested.join() !== other.requested.join()) continue
    return expect(one.requested).toEqual(other.requested)
  }
}

const fields = schema.getMutationType()?.getFields() ?? {}
const slotsOf = (name: string) =>
  (fields[name]?.args ?? [])
    .flatMap(({ type, name }) => idSlots(type, name))
    .map((slot) => slot.replace(/^input\./, ''))

async function mutate(name: string, input: unknown, as = token) {
  const type = `${name[0]?.toUpperCase()}${name.slice(1)}`
  const payload = schema.getType(`${type}Payload`) as GraphQLObjectType
  const hasResults = 'results' in payload.getFields()
  const error = '__typename code message path retryable'
  const query = `mutation ($input: ${type}Input!) { answer: ${name}(input: $input) {
    __typename ... on UserError { ${error} } ... on NotFoundError { id }
    ${hasResults ? `... on ${type}Payload { results { error { ${error} } } }` : ''}
  } }`
  const { status, data, errors } = await holdall.graphql(query, { input }, { token: as })
  return { status, data, errors }
}

/** Returns the id in a slot of an input. */
const idIn = (input: any, slot: string): string =>
  slot
    .split('.')
    .reduce((at, step) => (step.endsWith('[]') ? at[step.slice(0, -2)][0] : at[step]), input)

/** Returns a copy of the input with another id in the slot. */
function put(input: unknown, slot: string, id: string) {
  const escaped = JSON.stringify(id).slice(1, -1)
  return JSON.parse(JSON.stringify(input).replaceAll(idIn(input, slot), () => escaped))
}

const tried = Object.keys(mutations).flatMap((name) =>
  slotsOf(name).map((slot) => [name, slot] as const),
)

describe('S8: answers a foreign id like an unknown id in', () => {
  test.each(tried)('%s: %s', async (name, slot) => {
    const inputs = mutations[name]?.inputs ?? (() => [])
    for (const [i, foreign] of inputs(theirs).entries()) {
      if (!fills(foreign, slot)) continue
      const input = withIdIn(inputs(own)[i] ?? {}, foreign, slot)
      await expectSame((id) => mutate(name, put(input, slot, id)), idIn(input, slot))
    }
  })

  test.each(Object.keys(nodes))('node(id:) of a %s', (type) =>
    expectSame(
      (id) =>
        holdall
          .graphql('query ($id: ID!) { node(id: $id) { __typename id } }', { id }, { token })
          .then(({ status, data, errors }) => ({ status, data, errors })),
      nodes[type]?.(theirs) ?? '',
    ),
  )
})

const graphql = async (query: string, variables: Record<string, unknown>) => {
  const { status, data, errors } = await holdall.graphql(query, variables, { token })
  return { status, data, errors }
}
/** Returns status, headers that describe the body, and the body. */
async function send(
  path: string,
  init: { method?: string; headers?: Record<string, string>; body?: string } = {},
) {
  const response = await holdall.http(path, { ...init, token })
  const { 'x-request-id': _, date: __, ...headers } = Object.fromEntries(response.headers)
  delete headers['content-length']
  return { status: response.status, headers, body: await response.text() }
}
const tus = { 'tus-resumable': '1.0.0', 'upload-offset': '0', 'content-type': OFFSET_TYPE }

describe('S8, S10: the other endpoints answer a foreign id like an unknown id', () => {
  test('GET and HEAD of a file', async () => {
    for (const method of ['GET', 'HEAD'])
      await expectSame((id) => send(`/download/${id}`, { method }), theirs.fileId)
  })

  test.each(['HEAD', 'PATCH', 'DELETE'])('%s of an upload', (method) => {
    const at = (id: string) =>
      uploadUrl({ publicUrl: holdall.url, signingKeys: holdall.app.signingKeys }, id)
    const body = method === 'PATCH' ? { body: 'evil' } : {}
    return expectSame((id) => send(at(id), { method, headers: tus, ...body }), theirs.uploadId)
  })

  test('a final upload of another user’s parts', () => {
    const at = (id: string) =>
      uploadUrl({ publicUrl: '', signingKeys: holdall.app.signingKeys }, id)
    const declared = `workspaceId ${Buffer.from(own.workspaceId).toString('base64')}`
    const post = (id: string) => {
      const concat = { 'upload-concat': `final;${at(id)}`, 'upload-metadata': declared }
      return send('/uploads', { method: 'POST', headers: { 'tus-resumable': '1.0.0', ...concat } })
    }
    return expectSame(post, theirs.uploadId)
  })

  test('a form into another tenant’s folder', () => {
    const post = (folderId: string) => {
      const boundary = 'xx'
      const part = (name: string, text: string, more = '') =>
        `--${boundary}\r\ncontent-disposition: form-data; name="${name}"${more}\r\n\r\n${text}\r\n`
      const body = `${part('workspaceId', own.workspaceId)}${part('folderId', folderId)}${part('file', 'x', '; filename="x"')}--${boundary}--\r\n`
      const headers = { 'content-type': `multipart/form-data; boundary=${boundary}` }
      return send('/files', { method: 'POST', headers, body })
    }
    return expectSame(post, theirs.folderId)
  })

  test('a revoked share and an unknown share', async () => {
    const at = (id: string) => `/s/${shareToken(holdall.app.signingKeys, id)}`
    await mutate('revokeShareLink', { shareLinkId: theirs.shareLinkId }, holdall.token)
    await expectSame((id) => send(at(id)), theirs.shareLinkId)
    const forged = await send(`/s/${'0'.repeat(32)}.${'A'.repeat(22)}`)
    expect(forged).toEqual(await send(at(theirs.shareLinkId)))
  })

  test('a workspace by id and slug, its content and its events', async () => {
    const query = 'query ($by: WorkspaceBy!) { workspace(by: $by) { name } }'
    await expectSame((id) => graphql(query, { by: { id } }), theirs.workspaceId)
    await expectSame((slug) => graphql(query, { by: { slug } }), theirs.slug, 'nowhere')
    const subscriptions = {
      workspaceChanges: theirs.workspaceId,
      uploadChanged: theirs.uploadId,
    }
    for (const [name, foreign] of Object.entries(subscriptions)) {
      const argument = name === 'uploadChanged' ? 'uploadId' : 'workspaceId'
      const first = async (id: string) => {
        const requested = `subscription { ${name}(${argument}: "${id}") { __typename ${name === 'uploadChanged' ? '' : '... on UserError { code message }'} } }`
        using stream = await openStream(holdall, requested, {}, { token })
        return [(await stream.next())?.data, await stream.next()]
      }
      await expectSame(first, foreign)
    }
  })

  test.each([
    ['entries(filter: { within: $id })', () => theirs.folderId],
    ['entries(filter: { createdBy: [$id] })', () => theirs.userId],
    ['search(query: "own", filter: { within: $id })', () => theirs.folderId],
    ['activity(filter: { entryId: $id })', () => theirs.fileId],
    ['activity(filter: { actorIds: [$id] })', () => theirs.userId],
  ])('a list filtered by a foreign id: %s', (list, foreign) => {
    const query = `query ($by: ID!, $id: ID!) { workspace(by: { id: $by }) { ${list} { totalCount nodes { id } } } }`
    return expectSame((id) => graphql(query, { by: own.workspaceId, id }), foreign())
  })

  test('a sync cursor of another workspace is invalid', async () => {
    const cursorOf = 'query ($id: ID!) { workspace(by: { id: $id }) { syncCursor } }'
    const { workspace } = await holdall.ask(cursorOf, { id: theirs.workspaceId })
    const query = `query ($id: ID!, $since: SyncCursor) { workspace(by: { id: $id }) {
      changes(since: $since) { __typename ... on UserError { code message } }
    } }`
    const ask = (since: string) => graphql(query, { id: own.workspaceId, since })
    expect((await ask(workspace.syncCursor)).data.workspace.changes.__typename).toBe(
      'SyncCursorExpiredError',
    )
    await expectSame(
      ask,
      workspace.syncCursor,
      Buffer.from('never given out').toString('base64url'),
    )
  })

  test.each([
    'entries',
    'tags',
    'uploads',
    'members',
    'apiTokens',
    'activity',
    'shareLinks',
    'trash',
  ])('a foreign cursor shows only the viewer’s own %s', async (list) => {
    const query = `query ($id: ID!, $after: String) { workspace(by: { id: $id }) {
        list: ${list}(first: 100, after: $after) { edges { cursor node { ${list === 'members' ? 'user { id }' : 'id'} } } }
      } }`
    const idsOf = (data: any) =>
      data.workspace.list.edges.map(({ node }: any) => node.id ?? node.user.id)
    const foreign = await holdall.ask(query, { id: theirs.workspaceId })
    const mine = idsOf((await graphql(query, { id: own.workspaceId })).data)
    for (const { cursor } of foreign.workspace.list.edges) {
      const { data, errors } = await graphql(query, { id: own.workspaceId, after: cursor })
      // The cursor also identifies its list, which is another one.
      if (errors) expect(errors[0]?.extensions?.code).toBe('INVALID_CURSOR')
      else expect(mine).toEqual(expect.arrayContaining(idsOf(data)))
    }
  })
})

/** The types that a slot accepts, by the name before the id. */
const taken: Record<string, string[]> = {
  workspaceId: ['Workspace'],
  userId: ['User'],
  tokenId: ['ApiToken'],
  tagId: ['Tag'],
  versionId: ['FileVersion'],
  uploadId: ['Upload'],
  shareLinkId: ['ShareLink'],
  fileId: ['File'],
  versionOf: ['File'],
  folderId: ['Folder'],
  folder: ['Folder'],
  fallbackFolder: ['Folder'],
  entry: ['File', 'Folder'],
}

const prefixes = ['file', 'fld', 'ver', 'upl', 'ws', 'tag', 'usr', 'tok']
const odd = ['', '_', '__proto__', 'constructor', '0', '%', 'fld_%', 'x'.repeat(10_000), '\u0000']

/** Returns malformed variants of ids, and ids with the prefix of another kind. */
const forgedIds = (ids: string[]) => [
  ...ids.flatMap((id) => prefixes.map((prefix) => id.replace(/^[a-z]+/, prefix))),
  ...ids.flatMap((id) => [id.toUpperCase(), ` ${id}`, `${id}\n`, `${id}0`, id.slice(0, -1)]),
  ...ids.flatMap((id) => [`${id}\u0000`, id.replace('_', ''), `${id},${id}`]),
  ...odd,
]

const idsOfPlace = () => Object.values(nodes).map((id) => id(theirs))
/** Counter that distributes the ids of other kinds: a few for each slot. */
let turn = 0
const takeInTurn = (all: string[], count: number) =>
  Array.from({ length: count }, () => all[turn++ % all.length] ?? '')

test('S9: node(id:) takes no id of another kind', async () => {
  const real = idsOfPlace()
  // An empty id is an error: see malformed-ids.test.ts.
  const ids = forgedIds(real).filter((id) => !real.includes(id) && /\S/.test(id))
  for (let i = 0; i < ids.length; i += 100) {
    const query = 'query ($ids: [ID!]!) { nodes(ids: $ids) { id } }'
    const { nodes: found } = await holdall.ask(query, { ids: ids.slice(i, i + 100) })
    expect(ids.slice(i, i + 100).filter((_, at) => found[at] !== null)).toEqual([])
  }
})

describe('S9: no slot takes an id of another kind', () => {
  test.each(tried)('%s: %s', async (name, slot) => {
    const takes = taken[slot.split('.').findLast((step) => step !== 'id') ?? ''] ?? []
    const others = Object.keys(nodes).filter((type) => !takes.includes(type))
    const real = idsOfPlace()
    const forged = forgedIds(real).filter((id) => !real.includes(id))
    const inputs = mutations[name]?.inputs(theirs) ?? []
    for (const input of inputs.filter((input) => fills(input, slot))) {
      const ids = [...others.map((type) => nodes[type]?.(theirs) ?? ''), ...takeInTurn(forged, 8)]
      for (const id of ids)
        expect([id, await codeOf(name, put(input, slot, id))]).toEqual([id, refusal])
    }
  })
})

const refusal = expect.stringMatching(/^(NOT_FOUND|INVALID_INPUT|INVALID_STATE)$/)

async function codeOf(name: string, input: unknown): Promise<string> {
  const { data, errors } = await mutate(name, input, holdall.token)
  const { code, results = [] } = data?.answer ?? {}
  return errors?.[0]?.extensions?.code ?? code ?? results[0]?.error?.code
}
