import { stat } from 'node:fs/promises'
import { networkInterfaces } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { createFolder, createWorkspace, uploadFile } from '../../support/client.ts'
import { emptyFolder, startProcess } from '../../support/servers/process.ts'
import { startTestServer } from '../../support/servers/test-server.ts'

/** An address of this machine that other machines can reach. */
const addresses = Object.values(networkInterfaces())
  .flatMap((all) => all ?? [])
  .filter(({ family, internal }) => family === 'IPv4' && !internal)
  .map(({ address }) => address)

test('S39: by default the server listens on 127.0.0.1 only, and only its user can read its folder', async () => {
  const DATA_DIR = join(await emptyFolder(), 'data')
  const { url, stop } = await startProcess({ DATA_DIR, DATABASE_URL: '' })
  const { port } = new URL(url)
  expect((await fetch(`http://127.0.0.1:${port}/livez`)).status).toBe(200)
  for (const address of addresses)
    await expect(fetch(`http://${address}:${port}/livez`)).rejects.toThrow('fetch failed')
  if (process.platform !== 'win32') expect((await stat(DATA_DIR)).mode & 0o777).toBe(0o700)
  await stop()
})

describe('S39: well-known credentials are refused', () => {
  const wellKnown = [
    'admin',
    'password',
    'changeme',
    'holdall',
    'secret',
    'test',
    'root',
    'token',
    '',
    'null',
    'undefined',
    '0',
    'true',
    '*',
    'hld_',
    `hld_${'A'.repeat(43)}`,
    `hld_${'0'.repeat(43)}`,
    'Owner',
    'First token',
  ]

  test('the only token is the one that was created, and each server has another', async () => {
    await using one = await startTestServer()
    await using other = await startTestServer()
    expect(one.token).toMatch(/^hld_[\w-]{43}$/)
    expect(one.token).not.toBe(other.token)
    const who = '{ viewer { user { name } } }'
    expect((await one.graphql(who)).data.viewer.user.name).toBe('Owner')
    for (const token of [...wellKnown, other.token]) {
      for (const scheme of ['Bearer', 'Basic', 'Token']) {
        const credentials =
          scheme === 'Basic' ? Buffer.from(`admin:${token}`).toString('base64') : token
        const headers = {
          authorization: `${scheme} ${credentials}`,
          'content-type': 'application/json',
          accept: 'application/graphql-response+json',
        }
        const response = await one.http('/graphql', {
          method: 'POST',
          token: null,
          headers,
          body: JSON.stringify({ query: who }),
        })
        expect([headers.authorization, response.status]).toEqual([headers.authorization, 401])
      }
    }
    const rows = await one.app.db.selectFrom('apiTokens').select('name').execute()
    expect(rows).toEqual([{ name: 'First token' }])
    expect(await one.app.db.selectFrom('users').select('name').execute()).toEqual([
      { name: 'Owner' },
    ])
  })

  test.each(['admin', 'changeme', 'a'.repeat(19), 'with a space in it, and long', ''])(
    'ADMIN_TOKEN=%j is refused as guessable',
    async (token) => {
      const open = () => startTestServer({ env: { ADMIN_TOKEN: token } })
      if (token === '') {
        await using holdall = await open()
        expect(holdall.token).toMatch(/^hld_[\w-]{43}$/)
      } else await expect(open()).rejects.toThrow('ADMIN_TOKEN')
    },
  )
})

test('no query and no row shows any part of ADMIN_TOKEN', async () => {
  const ADMIN_TOKEN = 'hld_summer-in-the-laboratory'
  await using holdall = await startTestServer({ env: { ADMIN_TOKEN } })
  const query = '{ viewer { token { prefix } apiTokens { nodes { prefix } } } }'
  const { viewer } = await holdall.ask(query, {}, { token: ADMIN_TOKEN })
  expect(viewer).toEqual({ token: { prefix: '' }, apiTokens: { nodes: [{ prefix: '' }] } })
  const rows = await holdall.app.db.selectFrom('apiTokens').selectAll().execute()
  expect(JSON.stringify(rows)).not.toMatch(/hld_|summer/)
})

test('S39: there are no other endpoints, and /metrics shows figures without names', async () => {
  const METRICS_TOKEN = 'a-token-for-prometheus'
  await using holdall = await startTestServer({ env: { METRICS_TOKEN } })
  const { id: workspaceId } = await createWorkspace(holdall, { name: 'Needle', slug: 'needle' })
  await createFolder(holdall, { workspaceId, name: 'needle' })
  const file = await uploadFile(holdall, {
    workspaceId,
    name: 'needle.txt',
    path: 'needle',
    bytes: 'x',
  })
  await holdall.http(`/download/${file.id}`)
  for (const path of [
    '/admin',
    '/debug',
    '/debug/pprof',
    '/json/list',
    '/.env',
    '/.git/config',
    '/package.json',
    '/holdall.db',
    '/data/holdall.db',
    '/blobs',
    '/server-status',
    '/actuator/env',
    '/config',
    '/graphql/schema',
    '/metrics/',
    '/metrics/x',
    '/healthz',
    '/console',
    '/node_modules',
  ]) {
    const response = await holdall.http(path)
    expect([path, response.status, await response.json()]).toEqual([
      path,
      404,
      expect.objectContaining({ code: 'NOT_FOUND' }),
    ])
  }
  const metrics = await (await holdall.http('/metrics', { token: METRICS_TOKEN })).text()
  expect(metrics).toContain('http_request_duration_seconds')
  for (const secret of ['needle', workspaceId, file.id, holdall.token, METRICS_TOKEN, holdall.dir])
    expect(metrics).not.toContain(secret)
  for (const token of [null, holdall.token])
    expect((await holdall.http('/metrics', { token })).status).toBe(401)
})

test('S39: health checks reveal only that the server is up', async () => {
  await using holdall = await startTestServer()
  for (const path of ['/livez', '/readyz']) {
    const text = await (await holdall.http(path, { token: null })).text()
    expect(text.length).toBeLessThan(200)
    expect(text).not.toMatch(/holdall|postgres|blobs|\d+\.\d+\.\d+/)
  }
})
