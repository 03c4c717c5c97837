import { spawnSync } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'kysely'
import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  act,
  attempt,
  children,
  createUpload,
  createWorkspace,
  downloadUrl,
  sendBytes,
  uploadFile,
} from '../../support/client.ts'
import { expectExact } from '../../support/data/recount.ts'
import { database, newDatabase } from '../../support/databases.ts'
import { markHandled } from '../../support/mark-handled.ts'
import { type Fate, startTcpProxy } from '../../support/network/tcp-proxy.ts'
import { tusOf, until } from '../../support/network/tus.ts'
import { type PostgresServer, startPostgres } from '../../support/servers/postgres-server.ts'
import { startTestServer, type TestServer } from '../../support/servers/test-server.ts'

/** Starts a server that reaches its database through a breakable network. */
async function startBehindProxy(env: Record<string, string> = {}) {
  await using stack = new AsyncDisposableStack()
  const { env: near } = stack.use(await newDatabase())
  const url = new URL(near.DATABASE_URL ?? '')
  const network = stack.use(await startTcpProxy({ host: url.hostname, port: Number(url.port) }))
  const far = new URL(url)
  far.port = String(network.port)
  const holdall = stack.use(
    await startTestServer({
      env: {
        DATABASE_URL: far.href,
        LISTEN_DATABASE_URL: url.href,
        MAX_QUERY_COST: '1000000',
        ...env,
      },
    }),
  )
  const workspace = await createWorkspace(holdall)
  const open = stack.move()
  return {
    holdall,
    network,
    workspace,
    /** The database, without the network in between. */
    url: url.href,
    [Symbol.asyncDispose]: () => open.disposeAsync(),
  }
}

/** Another session in the same database. */
async function openSession(url: string) {
  const client = new Client({ connectionString: url })
  client.on('error', () => {})
  await client.connect()
  return Object.assign(client, { [Symbol.asyncDispose]: () => client.end() })
}

/** Sets the fate of the first bytes that contain `text`; everything else passes. */
function forFirstBytesWith(text: string, fate: Fate): (bytes: Buffer) => Fate {
  let isOver = false
  return (bytes) => {
    if (isOver || !bytes.includes(text)) return 'pass'
    isOver = true
    return fate
  }
}

const nameOf = (holdall: TestServer, id: string) =>
  holdall.graphql('query ($id: ID!) { workspace(by: { id: $id }) { name } }', { id })
const makeFolder = (holdall: TestServer, workspaceId: string, name: string, onConflict = 'FAIL') =>
  holdall.graphql(
    `mutation ($input: CreateFolderInput!) { createFolder(input: $input) {
      ... on CreateFolderPayload { folder { id name } } ... on UserError { code } } }`,
    { input: { workspaceId, name, onConflict } },
  )
const ready = (holdall: TestServer) => holdall.http('/readyz').then(({ status }) => status)

/** 503 with Retry-After, and no detail of the database or the network. */
function expectUnavailable({ status, headers, errors }: Awaited<ReturnType<typeof nameOf>>) {
  expect(errors?.map(({ extensions }) => extensions?.code)).toEqual(['UNAVAILABLE'])
  expect([status, headers.get('retry-after')]).toEqual([503, '1'])
  expect(JSON.stringify(errors)).not.toMatch(/select|insert|update|commit|ECONN|57P0|127\.0\.0\.1/i)
}

describe.runIf(database === 'PostgreSQL')('F7: a broken connection', () => {
  test('between two requests is not noticed', async () => {
    await using far = await startBehindProxy()
    const { holdall, network, workspace } = far
    for (let i = 0; i < 5; i++) {
      network.cut()
      const answers = await Promise.all(
        Array.from({ length: 10 }, () => nameOf(holdall, workspace.id)),
      )
      expect(answers.map(({ data }) => data?.workspace?.name)).toEqual(Array(10).fill('Lab'))
    }
  })

  test('during a read: the read is repeated on another connection', async () => {
    await using far = await startBehindProxy()
    const { holdall, network, workspace } = far
    for (const fate of ['lost', 'unanswered'] as const) {
      network.decideFate(forFirstBytesWith('from "workspaces"', fate))
      expect(await nameOf(holdall, workspace.id)).toMatchObject({
        data: { workspace: { name: 'Lab' } },
      })
    }
  })

  test.each([
    ['begin', 'lost'],
    ['insert into "entries"', 'lost'],
    ['insert into "activity"', 'unanswered'],
    ['for no key update', 'unanswered'],
  ] as const)(
    'in a transaction, at %s (%s): the transaction is repeated, and takes effect once',
    async (text, fate) => {
      await using far = await startBehindProxy()
      const { holdall, network, workspace } = far
      network.decideFate(forFirstBytesWith(text, fate))
      const { data } = await makeFolder(holdall, workspace.id, 'Data')
      expect(data.createFolder.folder.name).toBe('Data')
      expect(await children(holdall, workspace.root.id)).toHaveLength(1)
      await expectExact(holdall, workspace)
    },
  )

  test('with the answer to a commit: 503, and a repeated request finds the result', async () => {
    await using far = await startBehindProxy()
    const { holdall, network, workspace } = far
    network.decideFate(forFirstBytesWith('commit', 'unanswered'))
    expectUnavailable(await makeFolder(holdall, workspace.id, 'Data'))
    const again = await makeFolder(holdall, workspace.id, 'Data')
    expect(again.data.createFolder.code).toBe('NAME_CONFLICT')
    expect(await children(holdall, workspace.root.id)).toMatchObject([{ name: 'Data' }])
    network.decideFate(forFirstBytesWith('commit', 'lost'))
    expectUnavailable(await makeFolder(holdall, workspace.id, 'More'))
    const repeated = await makeFolder(holdall, workspace.id, 'More')
    expect(repeated.data.createFolder.folder.name).toBe('More')
    await expectExact(holdall, workspace)
  })

  test('with the answer to the commit of a confirm: it reads the result, and the next confirm returns the same file', async () => {
    await using far = await startBehindProxy()
    const { holdall, network, workspace } = far
    const upload = await createUpload(holdall, {
      workspaceId: workspace.id,
      name: 'a.txt',
      size: 3,
    })
    await sendBytes(holdall, upload, 'abc')
    network.decideFate(forFirstBytesWith('commit', 'unanswered'))
    const input = { uploadId: upload.id }
    const lost = await holdall.graphql(
      'mutation ($input: ConfirmUploadInput!) { confirmUpload(input: $input) { ... on ConfirmUploadPayload { file { id } } } }',
      { input },
    )
    const { file } = await act(holdall, 'confirmUpload', input, 'file { id }')
    expect(lost.data?.confirmUpload).toEqual({ file })
    const response = await holdall.http(await downloadUrl(holdall, file.id), { token: null })
    expect(await response.text()).toBe('abc')
    await expectExact(holdall, workspace)
  })

  test('by an administrator, repeatedly: each response is true, and the totals are exact', async () => {
    await using far = await startBehindProxy()
    const { holdall, workspace, url } = far
    await using session = await openSession(url)
    let isOver = false
    const kill = async () => {
      while (!isOver) {
        await session.query(
          'select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()',
        )
        await sleep(200)
      }
    }
    const killing = markHandled(kill())
    const answers = await Promise.all(
      Array.from({ length: 60 }, async (_, index) => {
        await sleep(index * 30)
        return { name: `F${index}`, ...(await makeFolder(holdall, workspace.id, `F${index}`)) }
      }),
    ).finally(() => {
      isOver = true
    })
    await killing
    const refused = answers.filter(({ errors }) => errors)
    for (const answer of refused) expectUnavailable(answer)
    const there = new Set((await children(holdall, workspace.root.id)).map(({ name }) => name))
    const done = answers.filter(({ data }) => data?.createFolder?.folder)
    expect(done.length + refused.length).toBe(60)
    expect(done.length).toBeGreaterThan(10)
    expect(done.filter(({ name }) => !there.has(name))).toEqual([])
    await expectExact(holdall, workspace)
  })
})

describe.runIf(database === 'PostgreSQL')('F7: an unreachable database', () => {
  test('makes every endpoint respond 503 with Retry-After, and the server recovers', async () => {
    await using far = await startBehindProxy()
    const { holdall, network, workspace } = far
    const { id: workspaceId } = workspace
    const file = await uploadFile(holdall, { workspaceId, name: 'a.txt', bytes: 'abc' })
    const link = await downloadUrl(holdall, file.id)
    const terms = { entry: { id: file.id } }
    const { shareLink } = await act(holdall, 'createShareLink', terms, 'shareLink { url }')
    const tus = tusOf(holdall)
    const url = await tus.create({ workspaceId, filename: 'b.txt' }, { 'Upload-Length': '3' })

    await network.refuse()
    const requested = [
      holdall.http('/readyz'),
      holdall.http(link, { token: null }),
      holdall.http(`/download/${file.id}`),
      holdall.http(shareLink.url, { token: null }),
      holdall.http(`/files?workspaceId=${workspaceId}`, { method: 'POST', body: form() }),
      tus.patch(url, 0, 'abc'),
      tus.head(url),
    ]
    const answers = await Promise.all(requested)
    expect(answers.map(({ status }) => status)).toEqual([503, 503, 503, 503, 503, 503, 423])
    for (const { headers } of answers.slice(1)) expect(headers.get('retry-after')).toBe('1')
    for (const answer of answers.slice(1, -1)) {
      const body = (await answer.json()) as object
      expect(body).toMatchObject({ code: 'UNAVAILABLE' })
      expect(JSON.stringify(body)).not.toMatch(/select|ECONN|127\.0\.0\.1/)
    }
    expectUnavailable(await nameOf(holdall, workspaceId))
    expectUnavailable(await makeFolder(holdall, workspaceId, 'Data'))
    expect((await holdall.http('/livez')).status).toBe(200)

    await network.accept()
    expect(await ready(holdall)).toBe(200)
    expect((await tus.patch(url, 0, 'abc')).status).toBe(204)
    expect((await makeFolder(holdall, workspaceId, 'Data')).status).toBe(200)
    await expectExact(holdall, workspace)
  })

  const form = () => {
    const body = new FormData()
    body.append('file', new Blob(['abc']), 'c.txt')
    return body
  }

  test('for a moment: waiting requests succeed', async () => {
    await using far = await startBehindProxy()
    const { holdall, network, workspace } = far
    await network.refuse()
    const requested = [nameOf(holdall, workspace.id), makeFolder(holdall, workspace.id, 'Data')]
    await sleep(1000)
    await network.accept()
    expect((await Promise.all(requested)).map(({ status, errors }) => [status, errors])).toEqual([
      [200, undefined],
      [200, undefined],
    ])
  })

  test('without an error: no request waits forever', async () => {
    await using far = await startBehindProxy({ DATABASE_TIMEOUT_MS: '500' })
    const { holdall, network, workspace } = far
    network.stall()
    const requested = [nameOf(holdall, workspace.id), makeFolder(holdall, workspace.id, 'Data')]
    expect(await ready(holdall)).toBe(503)
    for (const answer of await Promise.all(requested)) expectUnavailable(answer)
    network.resume()
    await until(async () => (await ready(holdall)) === 200, 12_000)
    expect((await nameOf(holdall, workspace.id)).status).toBe(200)
    await expectExact(holdall, workspace)
  })

  test('because its only connection is taken', async () => {
    await using far = await startBehindProxy({ DATABASE_POOL: '1', LOCK_IDLE_MS: '60000' })
    const { holdall, workspace, url } = far
    await using session = await openSession(url)
    await session.query('begin')
    await session.query('select * from workspaces for update')
    const blocked = makeFolder(holdall, workspace.id, 'Data')
    await sleep(200)
    expectUnavailable(await nameOf(holdall, workspace.id))
    await session.query('rollback')
    expect((await blocked).status).toBe(200)
    expect((await nameOf(holdall, workspace.id)).status).toBe(200)
  })
})

describe.runIf(database === 'PostgreSQL')('F7: DATABASE_TIMEOUT_MS', () => {
  test('ends a statement that waits too long, without affecting others', async () => {
    await using far = await startBehindProxy({ DATABASE_TIMEOUT_MS: '700' })
    const { holdall, workspace, url } = far
    const other = await createWorkspace(holdall, { name: 'Other' })
    await using session = await openSession(url)
    await session.query('begin')
    await session.query('select * from workspaces where id = $1 for update', [workspace.id])
    const begunAt = performance.now()
    const blocked = makeFolder(holdall, workspace.id, 'Data')
    expect((await makeFolder(holdall, other.id, 'Data')).status).toBe(200)
    expectUnavailable(await blocked)
    expect(performance.now() - begunAt).toBeLessThan(5000)
    await session.query('rollback')
    expect((await makeFolder(holdall, workspace.id, 'Data')).status).toBe(200)
  })

  test('does not limit migrations, which one process runs while the others wait', async () => {
    await using empty = await newDatabase({ isEmpty: true })
    await using session = await openSession(empty.env.DATABASE_URL ?? '')
    await session.query('begin')
    await session.query('select pg_advisory_xact_lock(3853314791062309107)')
    // Nor does a limit of the database role.
    const url = `${empty.env.DATABASE_URL}?options=-c%20statement_timeout%3D400`
    const env = { DATABASE_URL: url, DATABASE_TIMEOUT_MS: '500' }
    const opening = Promise.all([startTestServer({ env }), startTestServer({ env })])
    expect(await Promise.race([opening, sleep(1500, 'waiting')])).toBe('waiting')
    await session.query('commit')
    for (const holdall of await opening) {
      await using _ = holdall
      expect(await ready(holdall)).toBe(200)
    }
  })
})

describe.runIf(database === 'PostgreSQL')('F7: a restart of PostgreSQL', () => {
  test('under load: confirmed writes are kept, and the server recovers by itself', async () => {
    await using server = await startPostgres()
    const env = { DATABASE_URL: `${server.url}/postgres`, MAX_QUERY_COST: '1000000' }
    await using holdall = await startTestServer({ env })
    const workspace = await createWorkspace(holdall)
    let isOver = false
    const made: string[] = []
    const make = async (_: unknown, who: number) => {
      for (let i = 0; !isOver; i++) {
        const name = `F${who}-${i}`
        const { data, errors } = await makeFolder(holdall, workspace.id, name)
        if (data?.createFolder?.folder) made.push(name)
        expect(['UNAVAILABLE', undefined]).toContain(errors?.[0]?.extensions?.code)
        await sleep(100)
      }
    }
    const making = markHandled(Promise.all(Array.from({ length: 4 }, make)))
    await sleep(500)
    await server.restart()
    await until(async () => (await ready(holdall)) === 200, 10_000)
    await sleep(500)
    isOver = true
    await making
    const there = (await children(holdall, workspace.root.id)).map(({ name }) => name)
    expect(made.filter((name) => !there.includes(name))).toEqual([])
    await attempt(
      holdall,
      'createFolder',
      { workspaceId: workspace.id, name: 'after' },
      '__typename',
    )
    await expectExact(holdall, workspace)
  })
})

describe.runIf(database === 'PostgreSQL')('TLS, as sslmode in the URL requires', () => {
  const hasOpenssl = spawnSync('openssl', ['version']).status === 0
  let server: PostgresServer
  /** A self-signed certificate for localhost, of the server's key. */
  let root: string
  let dir: string

  beforeAll(async () => {
    if (!hasOpenssl) return
    dir = await mkdtemp(join(tmpdir(), 'holdall-tls-'))
    root = join(dir, 'root.crt')
    const key = join(dir, 'server.key')
    const about = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost']
    const out = ['-keyout', key, '-out', root]
    spawnSync('openssl', [
      'req',
      '-x509',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-days',
      '2',
      ...about,
      ...out,
    ])
    const secrets = {
      'server.crt': await readFile(root, 'utf8'),
      'server.key': await readFile(key, 'utf8'),
    }
    server = await startPostgres({ ssl: 'on' }, secrets)
  })
  afterAll(async () => {
    if (!hasOpenssl) return
    await server[Symbol.asyncDispose]()
    await rm(dir, { recursive: true })
  })

  const urlOf = (host: string, query: string) =>
    `postgres://postgres@${host}:${new URL(server.url).port}/postgres?${query}`

  /** Whether the server's connection uses TLS. */
  async function speaksTls(host: string, query: string): Promise<boolean> {
    await using holdall = await startTestServer({ env: { DATABASE_URL: urlOf(host, query) } })
    expect(await ready(holdall)).toBe(200)
    const requested = sql<{
      ssl: boolean
    }>`select ssl from pg_stat_ssl where pid = pg_backend_pid()`
    return (await requested.execute(holdall.app.db)).rows[0]?.ssl ?? false
  }

  test.runIf(hasOpenssl)('without a known certificate', async () => {
    expect(await speaksTls('127.0.0.1', '')).toBe(false)
    expect(await speaksTls('127.0.0.1', 'sslmode=disable')).toBe(false)
    expect(await speaksTls('127.0.0.1', 'sslmode=no-verify')).toBe(true)
    expect(await speaksTls('127.0.0.1', 'sslmode=require&uselibpqcompat=true')).toBe(true)
    for (const mode of ['require', 'verify-full'])
      await expect(speaksTls('localhost', `sslmode=${mode}`)).rejects.toThrow(
        /self-signed certificate/,
      )
  })

  test.runIf(hasOpenssl)('with a known certificate', async () => {
    const known = `sslmode=verify-full&sslrootcert=${encodeURIComponent(root)}`
    expect(await speaksTls('localhost', known)).toBe(true)
    // The certificate does not name this address.
    await expect(speaksTls('127.0.0.1', known)).rejects.toThrow(/cannot be used .*127\.0\.0\.1/)
  })

  test.skipIf(process.env.TEST_DATABASE_URL)('is refused if PostgreSQL has no TLS', async () => {
    await using near = await newDatabase()
    const { env } = near
    const url = `${env.DATABASE_URL}?sslmode=verify-full`
    await expect(startTestServer({ env: { DATABASE_URL: url } })).rejects.toThrow(
      /does not support SSL/,
    )
  })
})
