import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { hashSecret } from '../../../src/domains/accounts/rules.ts'
import {
  act,
  createFolder,
  createUpload,
  createWorkspace,
  downloadUrl,
  items,
  trashEntries,
  uploadFile,
} from '../../support/client.ts'
import { createToken, invite } from '../../support/data/people.ts'
import { expectUnchanged, readState } from '../../support/data/refusals.ts'
import { database } from '../../support/databases.ts'
import {
  databaseOf,
  emptyFolder,
  type Process,
  startProcess,
} from '../../support/servers/process.ts'
import { startTestServer, type TestServer } from '../../support/servers/test-server.ts'

const MINUTE = 60_000
let holdall: TestServer
let workspaceId: string
let now: number

beforeEach(async () => {
  now = Date.now()
  holdall = await startTestServer({ now: () => now })
  onTestFinished(() => holdall[Symbol.asyncDispose]())
  workspaceId = (await createWorkspace(holdall)).id
})

const whoAmI = '{ viewer { user { id name } token { id name } } }'
const post = (authorization: string | null, accept = 'application/graphql-response+json') =>
  holdall.http('/graphql', {
    method: 'POST',
    token: null,
    headers: {
      'content-type': 'application/json',
      accept,
      ...(authorization !== null && { authorization }),
    },
    body: JSON.stringify({ query: whoAmI }),
  })

/** One request to each endpoint that authenticates. */
async function endpointRequests() {
  const file = await uploadFile(holdall, { workspaceId, name: 'a.txt', bytes: 'hello' })
  const upload = await createUpload(holdall, { workspaceId, name: 'b.txt', size: 1 })
  const tus = { 'tus-resumable': '1.0.0' }
  const endpoints: Record<string, [string, string, Record<string, string>]> = {
    graphql: ['POST', '/graphql', { 'content-type': 'application/json' }],
    download: ['GET', `/download/${file.id}`, {}],
    'upload, HEAD': ['HEAD', upload.url, tus],
    'upload, created': ['POST', '/uploads', { ...tus, 'upload-length': '1' }],
  }
  const body = JSON.stringify({ query: whoAmI })
  return Object.entries(endpoints).map(([name, [method, path, headers]]) => ({
    name,
    send: (authorization: string | null) =>
      holdall.http(path, {
        method,
        token: null,
        headers: { ...headers, ...(authorization !== null && { authorization }) },
        ...(name === 'graphql' && { body }),
      }),
  }))
}

describe('a token', () => {
  test('authenticates at every endpoint, as Bearer in the Authorization header', async () => {
    const statuses = await Promise.all(
      (await endpointRequests()).map(async ({ name, send }) => [
        name,
        (await send(`Bearer ${holdall.token}`)).status,
      ]),
    )
    expect(Object.fromEntries(statuses)).toEqual({
      graphql: 200,
      download: 200,
      'upload, HEAD': 200,
      // Authenticated; the error is that Upload-Metadata names no workspace.
      'upload, created': 400,
    })
  })

  test('accepts the scheme in any case, and no other scheme', async () => {
    for (const scheme of ['Bearer', 'bearer', 'BEARER', 'Bearer  ']) {
      expect((await post(`${scheme} ${holdall.token}`)).status).toBe(200)
    }
    const basic = Buffer.from(`user:${holdall.token}`).toString('base64')
    const wrong = [holdall.token, 'Bearer', `Basic ${basic}`, `Token ${holdall.token}`]
    for (const header of [...wrong, `Bearer ${holdall.token} x`, `Bearer "${holdall.token}"`]) {
      expect([header, (await post(header)).status]).toEqual([header, 401])
    }
  })

  test('S22: is not read from a URL', async () => {
    const file = await uploadFile(holdall, { workspaceId, name: 'a.txt', bytes: 'hello' })
    for (const name of ['access_token', 'token', 'authorization']) {
      const query = `${name}=${holdall.token}`
      expect((await holdall.http(`/download/${file.id}?${query}`, { token: null })).status).toBe(
        401,
      )
      const requested = `/graphql?query=${encodeURIComponent(whoAmI)}&${query}`
      const headers = { 'graphql-require-preflight': '1' }
      const response = await holdall.http(requested, { token: null, headers })
      expect(await response.json()).toEqual({ data: { viewer: null } })
    }
  })

  test('S22: is not read from a cookie, which a browser would send automatically', async () => {
    const cookie = ['token', 'authorization', 'session', 'Bearer']
      .map((name) => `${name}=${holdall.token}`)
      .join('; ')
    const form = new FormData()
    form.append('workspaceId', workspaceId)
    form.append('file', new Blob(['forged']), 'forged.txt')
    const upload = await createUpload(holdall, { workspaceId, name: 'b.txt', size: 1 })
    const tus = { 'tus-resumable': '1.0.0', 'upload-length': '1' }
    const refused = await expectUnchanged(holdall, () =>
      Promise.all([
        holdall.http('/files', { method: 'POST', body: form, token: null, headers: { cookie } }),
        holdall.http('/uploads', { method: 'POST', token: null, headers: { ...tus, cookie } }),
        holdall.http(upload.url, { method: 'DELETE', token: null, headers: { ...tus, cookie } }),
      ]),
    )
    expect(refused.map(({ status }) => status)).toEqual([401, 401, 401])
    const headers = { cookie, 'graphql-require-preflight': '1' }
    const requested = `/graphql?query=${encodeURIComponent(whoAmI)}`
    const response = await holdall.http(requested, { token: null, headers })
    expect(await response.json()).toEqual({ data: { viewer: null } })
    expect(response.headers.getSetCookie()).toEqual([])
  })

  test('S13: is refused alike if it is wrong, expired or revoked, at every endpoint', async () => {
    const endpoints = await endpointRequests()
    const expiresAt = new Date(now + MINUTE).toISOString()
    const expired = await createToken(holdall, { expiresAt })
    const revoked = await createToken(holdall)
    for (const { secret } of [expired, revoked]) {
      for (const { send } of endpoints)
        expect((await send(`Bearer ${secret}`)).status).not.toBe(401)
    }
    await act(holdall, 'revokeApiToken', { tokenId: revoked.id }, '__typename')
    now += MINUTE
    const near = holdall.token.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A'))
    const wrong = ['hld_wrong', near, holdall.token.toUpperCase(), hashSecret(holdall.token)]
    for (const { name, send } of endpoints) {
      const refusals = await Promise.all(
        [expired.secret, revoked.secret, ...wrong].map(async (secret) => {
          const response = await send(`Bearer ${secret}`)
          const { status, headers } = response
          const kind = headers.get('content-type')
          return [status, headers.get('www-authenticate'), kind, await response.text()]
        }),
      )
      const [first] = refusals
      expect([name, ...(first ?? []).slice(0, 2)]).toEqual([name, 401, 'Bearer'])
      if (!name.endsWith('HEAD')) expect(first?.[3]).toContain('UNAUTHENTICATED')
      expect(new Set(refusals.map((refusal) => JSON.stringify(refusal))).size).toBe(1)
    }
  })

  test('that is refused gives 401 and WWW-Authenticate to every GraphQL client', async () => {
    for (const accept of ['application/json', 'application/graphql-response+json', '*/*']) {
      const response = await post('Bearer hld_wrong', accept)
      expect([response.status, response.headers.get('www-authenticate')]).toEqual([401, 'Bearer'])
      expect(await response.json()).toEqual({
        errors: [
          {
            message: 'a valid token is required: Authorization: Bearer <token>',
            extensions: { code: 'UNAUTHENTICATED' },
          },
        ],
      })
    }
  })

  test('is valid until its expiry', async () => {
    const expiresAt = new Date(now + MINUTE).toISOString()
    const { secret } = await createToken(holdall, { expiresAt })
    now += MINUTE - 1
    expect((await post(`Bearer ${secret}`)).status).toBe(200)
    now += 1
    expect((await post(`Bearer ${secret}`)).status).toBe(401)
  })
})

describe('without a token', () => {
  test('S8: the viewer is null, and only public content is visible', async () => {
    const file = await uploadFile(holdall, { workspaceId, name: 'a.txt', bytes: 'hello' })
    const query = `query ($ws: ID!, $id: ID!) {
      viewer { user { id } } workspace(by: { id: $ws }) { id } node(id: $id) { id }
      nodes(ids: [$id, $ws]) { id } serverInfo { version }
    }`
    const { status, data } = await holdall.graphql(
      query,
      { ws: workspaceId, id: file.id },
      { token: null },
    )
    expect([status, data]).toEqual([
      200,
      {
        viewer: null,
        workspace: null,
        node: null,
        nodes: [null, null],
        serverInfo: { version: expect.any(String) },
      },
    ])
  })

  test('the other endpoints respond 401', async () => {
    for (const { name, send } of await endpointRequests()) {
      const response = await send(null)
      const expected = name === 'graphql' ? [200, null] : [401, 'Bearer']
      const found = [response.status, response.headers.get('www-authenticate')]
      expect([name, ...found]).toEqual([name, ...expected])
    }
  })
})

describe('a PUBLIC workspace, without a token', () => {
  /** One of everything. */
  async function createFixtures() {
    await act(holdall, 'updateWorkspace', { workspaceId, visibility: 'PUBLIC' }, '__typename')
    const folder = await createFolder(holdall, { workspaceId, name: 'raw', tags: ['red'] })
    const input = { workspaceId, folderId: folder.id, name: 'a.txt' }
    const file = await uploadFile(holdall, { ...input, bytes: 'hello', tags: ['red', 'blue'] })
    const old = await uploadFile(holdall, { workspaceId, name: 'old.txt', bytes: 'old' })
    await trashEntries(holdall, old)
    const member = await invite(holdall, workspaceId)
    const upload = await createUpload(holdall, { workspaceId, name: 'b.txt', size: 1 })
    return { folder, file, old, member, upload }
  }
  const anonymous = { token: null }

  test('shows its tree, tags and files', async () => {
    const { folder, file } = await createFixtures()
    const query = `query ($folder: ID!) {
      viewer { user { id } }
      workspace(by: { slug: "lab" }) {
        name visibility viewerRole
        root { children { nodes { name } } totals { fileCount } }
        entries { nodes { path tags { name } } }
        entryByPath(path: "raw/a.txt") { id parent { name } ancestors { path } trash { trashedAt } }
        tags { nodes { name entryCount entries { nodes { name } } } }
      }
      node(id: $folder) { ... on Folder { children { nodes { id } } } }
    }`
    expect(await holdall.ask(query, { folder: folder.id }, anonymous)).toEqual({
      viewer: null,
      workspace: {
        name: 'Lab',
        visibility: 'PUBLIC',
        viewerRole: null,
        root: { children: { nodes: [{ name: 'raw' }] }, totals: { fileCount: 1 } },
        entries: {
          nodes: [
            { path: 'raw', tags: [{ name: 'red' }] },
            { path: 'raw/a.txt', tags: [{ name: 'blue' }, { name: 'red' }] },
          ],
        },
        entryByPath: {
          id: file.id,
          parent: { name: 'raw' },
          ancestors: [{ path: '' }, { path: 'raw' }],
          trash: null,
        },
        tags: {
          nodes: [
            { name: 'blue', entryCount: 1, entries: { nodes: [{ name: 'a.txt' }] } },
            {
              name: 'red',
              entryCount: 2,
              entries: { nodes: [{ name: 'raw' }, { name: 'a.txt' }] },
            },
          ],
        },
      },
      node: { children: { nodes: [{ id: file.id }] } },
    })
  })

  test('serves its files, by link and by id', async () => {
    const { file, old } = await createFixtures()
    const link = await downloadUrl(holdall, file.id, '', anonymous)
    for (const path of [link, `/download/${file.id}`]) {
      const response = await holdall.http(path, anonymous)
      expect([response.status, await response.text()]).toEqual([200, 'hello'])
    }
    expect((await holdall.http(`/download/${old.id}`, anonymous)).status).toBe(401)
  })

  test.each(['trash', 'members', 'activity', 'apiTokens', 'uploads'])(
    'does not show its %s',
    async (list) => {
      await createFixtures()
      const query = `query ($id: ID!) { workspace(by: { id: $id }) { list: ${list} { totalCount } } }`
      expect(
        (await holdall.ask(query, { id: workspaceId })).workspace.list.totalCount,
      ).toBeGreaterThan(0)
      const { data, errors } = await holdall.graphql(query, { id: workspaceId }, anonymous)
      expect(data?.workspace ?? null).toBe(null)
      expect(errors?.map(({ extensions }) => extensions?.code)).toEqual(['FORBIDDEN'])
    },
  )

  test('S8: shows nothing of these by id either', async () => {
    const { old, member, upload } = await createFixtures()
    const events = '{ viewer { workspaces { nodes { activity { nodes { id } } } } } }'
    const [workspace] = (await holdall.ask(events)).viewer.workspaces.nodes
    const ids = [old.id, old.version.id, member.userId, member.tokenId, upload.id]
    ids.push(workspace.activity.nodes[0].id)
    const query = 'query ($ids: [ID!]!) { nodes(ids: $ids) { id } }'
    expect((await holdall.ask(query, { ids })).nodes).toEqual(ids.map((id) => ({ id })))
    expect((await holdall.ask(query, { ids }, anonymous)).nodes).toEqual(ids.map(() => null))
  })

  test('cannot be changed', async () => {
    const { folder, file, old, member, upload } = await createFixtures()
    const entry = { id: folder.id }
    const entries = items(file)
    const tries: [string, object][] = [
      ['updateWorkspace', { workspaceId, name: 'Mine' }],
      ['addMember', { workspaceId, email: 'eve@example.org' }],
      ['removeMember', { workspaceId, userId: member.userId }],
      ['createApiToken', { name: 'x', scopes: [], workspaceId }],
      ['revokeApiToken', { tokenId: member.tokenId }],
      ['createFolder', { workspaceId, name: 'new' }],
      ['updateEntry', { entry, name: 'new' }],
      ['tagEntries', { entries, add: ['new'] }],
      ['moveEntries', { entries, folder: { path: { workspaceId, path: '' } } }],
      ['trashEntries', { entries }],
      ['restoreEntries', { entries: [{ entry: { id: old.id } }] }],
      ['purgeEntries', { entries: [{ entry: { id: old.id } }] }],
      ['emptyTrash', { workspaceId }],
      ['createUpload', { workspaceId, name: 'new', size: 1 }],
      ['confirmUpload', { uploadId: upload.id }],
      ['cancelUpload', { uploadId: upload.id }],
    ]
    await expectUnchanged(holdall, async () => {
      for (const [name, input] of tries) {
        const type = `${name[0]?.toUpperCase()}${name.slice(1)}`
        const batch = /Entries$/.test(name)
          ? `... on ${type}Payload { results { error { code } } }`
          : ''
        const query = `mutation ($input: ${type}Input!) {
          answer: ${name}(input: $input) { ... on UserError { code } ${batch} }
        }`
        const { data, errors } = await holdall.graphql(query, { input }, anonymous)
        const answer = data?.answer
        const code = errors?.[0]?.extensions?.code ?? answer.code ?? answer.results[0].error.code
        expect(['UNAUTHENTICATED', 'FORBIDDEN', 'NOT_FOUND']).toContain(code)
      }
    })
  })
})

describe('a secret', () => {
  test('S13: is stored in no file and no row of the server', async () => {
    const { secret } = await createToken(holdall, { workspaceId })
    await post(`Bearer ${secret}`)
    const secrets = [holdall.token, secret].map((text) => text.slice(8))
    const files = await readdir(holdall.dir, { recursive: true, withFileTypes: true })
    const texts = await Promise.all(
      files
        .filter((file) => file.isFile())
        .map((f) => readFile(join(f.parentPath, f.name), 'latin1')),
    )
    texts.push(JSON.stringify(await readState(holdall)))
    expect(texts.length).toBeGreaterThanOrEqual(database === 'SQLite' ? 3 : 1)
    expect(texts.some((text) => text.includes(hashSecret(secret)))).toBe(true)
    for (const text of texts) for (const part of secrets) expect(text).not.toContain(part)
  })

  test('from ADMIN_TOKEN becomes the first token, on the first start only', async () => {
    const dir = await emptyFolder()
    const chosen = ['the-first-choice-2025', 'another-choice-2026']
    const open = (ADMIN_TOKEN: string) =>
      startTestServer({ env: { DATA_DIR: dir, ...databaseOf(dir), ADMIN_TOKEN } })
    const viewerNames: unknown[] = []
    for (const admin of chosen) {
      await using other = await open(`${admin}-long-enough`)
      for (const token of chosen) {
        const as = { token: `${token}-long-enough` }
        viewerNames.push((await other.graphql(whoAmI, {}, as)).data?.viewer.user.name ?? null)
      }
    }
    expect(viewerNames).toEqual(['Owner', null, 'Owner', null])
  })
})

describe('the process', () => {
  test('prints the first token once, and logs no secret at any log level', async () => {
    const env = { DATA_DIR: await emptyFolder(), LOG_LEVEL: 'trace' }
    const first = await startProcess(env)
    const token = /hld_[\w-]{43}/.exec(first.output.out)?.[0] ?? ''
    const { secret, link } = await use(first, token)
    const { out, err } = await first.stop()
    expect(out.split(token)).toHaveLength(2)
    expect(err).toContain('answered')
    const signature = link.split('/').at(-2)?.split('.').at(-1) ?? ''
    expect(signature).toMatch(/^[\w-]{20,}$/)
    for (const text of [token, secret, signature, 'hld_guess']) expect(err).not.toContain(text)

    const second = await startProcess(env)
    expect((await second.ask(token, whoAmI)).data.viewer.token.name).toBe('First token')
    const after = await second.stop()
    expect(after.out + after.err).not.toMatch(/hld_/)
  })

  test('does not print ADMIN_TOKEN', async () => {
    const token = 'chosen-by-the-operator-2025'
    const env = { DATA_DIR: await emptyFolder(), LOG_LEVEL: 'trace', ADMIN_TOKEN: token }
    const { ask, stop } = await startProcess(env)
    expect((await ask(token, whoAmI)).data.viewer.user.name).toBe('Owner')
    const { out, err } = await stop()
    expect(out + err).not.toContain(token)
    expect(out).toContain('ADMIN_TOKEN')
  })
})

/** Uses secrets in every way: valid and invalid tokens, a new token, a link, an error. */
async function use({ ask }: Process, token: string) {
  await ask('hld_guess', whoAmI)
  await ask(token, 'mutation { no such thing')
  const made = await ask(
    token,
    `mutation {
      createWorkspace(input: { name: "Lab" }) { ... on CreateWorkspacePayload { workspace { id } } }
      createApiToken(input: { name: "x", scopes: [FILES_READ] }) {
        ... on CreateApiTokenPayload { secret }
      }
    }`,
  )
  const secret: string = made.data.createApiToken.secret
  const upload = await ask(
    token,
    `mutation ($ws: ID!) { createUpload(input: { workspaceId: $ws, name: "a", size: 0 }) {
      ... on CreateUploadPayload { upload { id } }
    } }`,
    { ws: made.data.createWorkspace.workspace.id },
  )
  const confirmed = await ask(
    token,
    `mutation ($id: ID!) { confirmUpload(input: { uploadId: $id }) {
      ... on ConfirmUploadPayload { file { downloadUrl { url } } }
    } }`,
    { id: upload.data.createUpload.upload.id },
  )
  const link: string = confirmed.data.confirmUpload.file.downloadUrl.url
  expect((await fetch(link)).status).toBe(200)
  expect((await ask(secret, whoAmI)).data.viewer.token.name).toBe('x')
  return { secret, link }
}
