import { once } from 'node:events'
import { chmod, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import SqliteFile from 'better-sqlite3'
import { describe, expect, test } from 'vitest'
import { createUpload, createWorkspace, downloadUrl, uploadFile } from '../../support/client.ts'
import { freePort } from '../../support/network/free-port.ts'
import { rawPatch, tusOf, until } from '../../support/network/tus.ts'
import { root } from '../../support/project-root.ts'
import { type Command, type Env, launch, launchReady, stop } from '../../support/servers/launch.ts'
import { emptyFolder } from '../../support/servers/process.ts'
import { serverAt } from '../../support/servers/server-at.ts'
import type { TestServer } from '../../support/servers/test-server.ts'
import { timingRetries } from '../../support/timed.ts'

const adminToken = 'a-token-for-starting-with'
const MIB = 1024 * 1024

const start = launch
const ready = (env: Env, command?: Command) => launchReady(env, command, adminToken)

describe('S39: the first start', () => {
  test('on an empty folder prints the address and a token, once', timingRetries, async () => {
    const DATA_DIR = join(await emptyFolder(), 'not/there/yet')
    const first = await ready({ DATA_DIR })
    expect(first.ms).toBeLessThan(3000)
    expect(first.output.out).toMatch(/GraphiQL +http:\/\/localhost:\d+\/graphql\n/)
    const [secret = '', ...more] = first.output.out.match(/hld_[\w-]{43}/g) ?? []
    expect(more).toEqual([])
    const { viewer } = await serverAt(first.url, secret).ask('{ viewer { user { name } } }')
    expect(viewer.user).toEqual({ name: 'Owner' })
    await stop(first)
    expect(first.output.err).not.toContain(secret)
    expect(await readFile(join(DATA_DIR, 'holdall.db'), 'latin1')).not.toContain(secret)

    const second = await ready({ DATA_DIR })
    expect(second.output.out).toMatch(/^Holdall is ready at http:\/\/localhost:\d+\/graphql\n$/)
    expect((await fetch(`${second.url}/metrics`)).status).toBe(404)
    await stop(second)
    expect(second.output).toEqual({ out: expect.not.stringContaining('hld_'), err: '' })
  })

  test('takes ADMIN_TOKEN and does not print it; a later start ignores another one', async () => {
    const DATA_DIR = await emptyFolder()
    const viewer = '{ viewer { token { scopes } } }'
    const first = await ready({ DATA_DIR, ADMIN_TOKEN: adminToken })
    expect((await first.holdall.ask(viewer)).viewer.token.scopes).toHaveLength(9)
    await stop(first)
    expect(`${first.output.out}${first.output.err}`).not.toContain(adminToken)

    const second = await ready({ DATA_DIR, ADMIN_TOKEN: 'another-token-for-the-same' })
    expect((await second.holdall.ask(viewer)).viewer.token).not.toBeNull()
    const other = { token: 'another-token-for-the-same' }
    expect((await second.holdall.http('/download/file_x', other)).status).toBe(401)
    await stop(second)
  })
})

describe('files of the server are private', () => {
  const modeOf = async (path: string) => ((await stat(path)).mode & 0o777).toString(8)

  test.each([0o000, 0o022])('with umask %o: folders are 700 and files 600', async (mask) => {
    const DATA_DIR = join(await emptyFolder(), 'new')
    const args = ['-c', `umask ${mask.toString(8)}; exec "${process.execPath}" src/main.ts`]
    const server = await ready({ DATA_DIR, ADMIN_TOKEN: adminToken }, { command: '/bin/sh', args })
    const { id: workspaceId } = await createWorkspace(server.holdall)
    await uploadFile(server.holdall, { workspaceId, name: 'kept', bytes: 'kept' })
    await createUpload(server.holdall, { workspaceId, name: 'staged', size: 4 })
    const created = await readdir(DATA_DIR, { recursive: true, withFileTypes: true })
    expect(created.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['holdall.db', 'holdall.db-wal', 'blobs', 'kept', 'staged']),
    )
    for (const entry of created) {
      const path = join(entry.parentPath, entry.name)
      expect([path, await modeOf(path)]).toEqual([path, entry.isDirectory() ? '700' : '600'])
    }
    expect(await modeOf(DATA_DIR)).toBe('700')
    await stop(server)
  })

  test('an existing folder that others can read is left unchanged, with one warning', async () => {
    const DATA_DIR = await emptyFolder()
    await chmod(DATA_DIR, 0o755)
    const open = await ready({ DATA_DIR, LOG_LEVEL: 'warn' })
    await stop(open)
    expect(await modeOf(DATA_DIR)).toBe('755')
    expect(
      open.output.err
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line)),
    ).toMatchObject([{ level: 40, dataDir: DATA_DIR, mode: '755', msg: /chmod 700/ }])
    await chmod(DATA_DIR, 0o700)
    const closed = await ready({ DATA_DIR, LOG_LEVEL: 'warn' })
    await stop(closed)
    expect(closed.output.err).toBe('')
  })

  test('every command sets its umask before anything else', async () => {
    const { scripts } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'))
    const entries = Object.values<string>(scripts).flatMap(
      (line) => line.match(/src\/\S+\.ts/) ?? [],
    )
    expect(entries).toEqual(expect.arrayContaining(['src/main.ts', 'src/fsck.ts']))
    for (const entry of entries)
      expect([entry, await readFile(join(root, entry), 'utf8')]).toEqual([
        entry,
        expect.stringContaining('process.umask(0o077)'),
      ])
  })
})

describe('METRICS_PORT', () => {
  test('serves /metrics only, without a token, and PORT serves it no more', async () => {
    const METRICS_PORT = String(await freePort())
    const server = await ready({ DATA_DIR: await emptyFolder(), METRICS_PORT })
    const at = (path: string, init = {}) => fetch(`http://127.0.0.1:${METRICS_PORT}${path}`, init)
    expect(await (await at('/metrics')).text()).toContain('http_request_duration_seconds')
    expect((await at('/metrics?x=1', { method: 'HEAD' })).status).toBe(200)
    expect((await at('/metrics', { method: 'POST' })).status).toBe(405)
    for (const path of ['/', '/graphql', '/livez', '/metrics/', '/download/x'])
      expect([path, (await at(path)).status]).toEqual([path, 404])
    expect((await fetch(`${server.url}/metrics`)).status).toBe(404)
    await stop(server)
    await expect(at('/metrics')).rejects.toThrow()
  })

  test('requires METRICS_TOKEN if it is set', async () => {
    const [METRICS_PORT, METRICS_TOKEN] = [String(await freePort()), 'a-token-for-prometheus']
    const server = await ready({ DATA_DIR: await emptyFolder(), METRICS_PORT, METRICS_TOKEN })
    for (const url of [server.url, `http://127.0.0.1:${METRICS_PORT}`]) {
      const status = async (token: string) =>
        (await fetch(`${url}/metrics`, { headers: { authorization: `Bearer ${token}` } })).status
      expect([await status(METRICS_TOKEN), await status(adminToken)]).toEqual([200, 401])
    }
    await stop(server)
  })

  test.each(['PORT', 'METRICS_PORT'])('logs an invalid token of /metrics at %s', async (which) => {
    const port = String(await freePort())
    const METRICS_TOKEN = 'a-token-for-prometheus'
    const env = { DATA_DIR: await emptyFolder(), METRICS_TOKEN, LOG_LEVEL: 'warn' }
    const server = await ready(which === 'PORT' ? env : { ...env, METRICS_PORT: port })
    const url = which === 'PORT' ? server.url : `http://127.0.0.1:${port}`
    const ask = (headers = {}) => fetch(`${url}/metrics`, { headers })
    expect((await ask()).status).toBe(401)
    expect((await ask({ authorization: `Bearer ${METRICS_TOKEN}` })).status).toBe(200)
    for (let i = 0; i < 20; i++)
      expect((await ask({ authorization: 'Bearer wrong' })).status).toBe(401)
    await stop(server)
    const failed = server.output.err
      .split('\n')
      .filter((line) => line.includes('authentication failed'))
    // Neither the request without a token nor the valid one, and not a line for each of twenty.
    expect(failed.length).toBeGreaterThan(0)
    expect(failed.length).toBeLessThan(20)
    expect(JSON.parse(failed[0] ?? '')).toMatchObject({ address: '127.0.0.1', unlogged: 0 })
  })
})

describe('a failed start prints one sentence, and exits with 1', () => {
  async function refusal(env: Env) {
    const { output, exited } = start(env)
    expect(await exited).toBe(1)
    expect(output.out).toBe('')
    expect(output.err).not.toMatch(/^\s+at |node:internal|\.ts:\d/m)
    return output.err
  }

  test('for a port that is taken', async () => {
    const other = createServer().listen(0, '127.0.0.1')
    await once(other, 'listening')
    const PORT = String((other.address() as AddressInfo).port)
    const output = await refusal({ DATA_DIR: await emptyFolder(), PORT })
    expect(output).toBe(`Port ${PORT} of 127.0.0.1 is already in use; set PORT to another port.\n`)
    other.close()
  })

  test('for a metrics port that is taken', async () => {
    const other = createServer().listen(0, '127.0.0.1')
    await once(other, 'listening')
    const METRICS_PORT = String((other.address() as AddressInfo).port)
    const output = await refusal({ DATA_DIR: await emptyFolder(), METRICS_PORT })
    expect(output).toBe(
      `Port ${METRICS_PORT} of 127.0.0.1 is already in use; set METRICS_PORT to another port.\n`,
    )
    other.close()
  })

  test('for a host that is not an address of this machine', async () => {
    const output = await refusal({ DATA_DIR: await emptyFolder(), HOST: '192.0.2.1' })
    expect(output).toMatch(
      /^192\.0\.2\.1 is not an address of this machine \(\w+\); set HOST to another one\.\n$/,
    )
  })

  test('for a folder that cannot be written', async () => {
    const file = join(await emptyFolder(), 'a-file')
    await writeFile(file, '')
    for (const DATA_DIR of [`${file}/below`, '/proc/holdall']) {
      const output = await refusal({ DATA_DIR })
      expect(output).toMatch(/^\S+ is not writable \(\w+\); set DATA_DIR to another folder\.\n$/)
    }
  })

  test('for a path of bytes that is not a folder', async () => {
    const DATA_DIR = await emptyFolder()
    await writeFile(join(DATA_DIR, 'blobs'), '')
    expect(await refusal({ DATA_DIR })).toBe(
      `${DATA_DIR}/blobs cannot be opened (ENOTDIR); set DATA_DIR to another path.\n`,
    )
  })

  test('for a file that is not a database', async () => {
    const DATA_DIR = await emptyFolder()
    const words = join(DATA_DIR, 'words.txt')
    await writeFile(words, 'these are words, and no rows')
    await mkdir(join(DATA_DIR, 'folder'))
    const output = await Promise.all(
      [words, join(DATA_DIR, 'folder')].map((DATABASE_URL) => refusal({ DATA_DIR, DATABASE_URL })),
    )
    expect(output).toEqual([
      `${words} cannot be opened (SQLITE_NOTADB); set DATABASE_URL to another path.\n`,
      `${DATA_DIR}/folder cannot be opened (SQLITE_CANTOPEN); set DATABASE_URL to another path.\n`,
    ])
    const below = await refusal({ DATA_DIR, DATABASE_URL: `${words}/below/holdall.db` })
    expect(below).toBe(
      `${words}/below is not writable (ENOTDIR); set DATABASE_URL to another folder.\n`,
    )
  })

  test('F20: for a database of a newer version', async () => {
    const DATA_DIR = await emptyFolder()
    await stop(await ready({ DATA_DIR }))
    const db = new SqliteFile(join(DATA_DIR, 'holdall.db'))
    db.prepare('insert into kysely_migration values (?, ?)').run('9999-of-tomorrow', 'then')
    db.close()
    const output = await refusal({ DATA_DIR })
    expect(output).toMatch(
      /^\S+holdall\.db was used by another version of Holdall, .*9999-of-tomorrow.*\n$/,
    )
  })

  test('S35: for invalid variables: one sentence each, without tokens', async () => {
    const wrong = { PORT: 'http', LOG_LEVEL: 'loud', ADMIN_TOKEN: 'secret' }
    expect((await refusal({ DATA_DIR: await emptyFolder(), ...wrong })).split('\n')).toEqual([
      'PORT is "http"; it must be a whole number from 0 to 65535.',
      'ADMIN_TOKEN is 6 characters long; it must be 20 to 200 letters, digits and - . _ ~ + /.',
      'LOG_LEVEL is "loud"; it must be one of silent, fatal, error, warn, info, debug, trace.',
      '',
    ])
  })

  test('for variables that contradict each other', async () => {
    const output = await refusal({ DATA_DIR: await emptyFolder(), RATE_LIMIT: '50' })
    expect(output).toMatch(/^RATE_LIMIT is 50, less than MAX_QUERY_COST, 20000: .*\n$/)
  })
})

describe('F20: SIGTERM', () => {
  const env = async () => ({ DATA_DIR: await emptyFolder(), ADMIN_TOKEN: adminToken })

  test(
    'lets a slow download finish, keeps the bytes of a slow PATCH, and reports the shutdown',
    timingRetries,
    async () => {
      const vars = { ...(await env()), DRAIN_SECONDS: '3' }
      const running = await ready(vars)
      const { holdall } = running
      const { id: workspaceId } = await createWorkspace(holdall)
      const bytes = Buffer.alloc(24 * MIB, 'holdall ')
      const file = await uploadFile(holdall, { workspaceId, name: 'large.bin', bytes })
      const upload = await createUpload(holdall, { workspaceId, name: 'slow.bin', size: 8 * MIB })

      const download = await slowly(await downloadUrl(holdall, file.id))
      const patch = await rawPatch(holdall, upload.url, 0, 8 * MIB)
      await patch.write(bytes.subarray(0, 3 * MIB))
      await sleep(200)
      running.child.kill('SIGTERM')
      await until(async () => (await readyz(running.url)) !== 200)

      expect(await readyz(running.url)).toBe(503)
      const late = await holdall.http(`/download/${file.id}`)
      expect([late.status, late.headers.get('retry-after')]).toEqual([503, '2'])
      expect(await late.json()).toMatchObject({ code: 'CLOSING' })
      // A client gives up an upload at any other status.
      expect((await tusOf(holdall).head(upload.url)).status).toBe(423)
      expect([204, 423, 503]).toContain((await patch.answer()).status)
      patch.socket.destroy()
      expect((await download.rest()).equals(bytes)).toBe(true)

      const freedAt = performance.now()
      expect(await running.exited).toBe(0)
      expect(performance.now() - freedAt).toBeLessThan(6000)
      const again = await ready({ ...vars, PORT: new URL(running.url).port })
      expect(await tusOf(again.holdall).offset(upload.url)).toBe(3 * MIB)
      await stop(again)
    },
  )

  test('does not wait for subscriptions, which have no end', timingRetries, async () => {
    const running = await ready(await env())
    const { id } = await createWorkspace(running.holdall)
    const query = `subscription { workspaceChanges(workspaceId: "${id}") { __typename } }`
    const response = await running.holdall.http('/graphql', {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'text/event-stream' },
      body: JSON.stringify({ query }),
    })
    const reader = response.body?.getReader()
    expect((await reader?.read())?.done).toBe(false)
    const startedAt = performance.now()
    await stop(running)
    expect(performance.now() - startedAt).toBeLessThan(3000)
  })

  test(
    'disconnects slow clients within 10 s, and at once after a second signal',
    timingRetries,
    async () => {
      const [signalledOnce, signalledTwice] = await Promise.all([
        ready(await env()),
        ready(await env()),
      ])
      const downloads = await Promise.all(
        [signalledOnce, signalledTwice].map(({ holdall }) => startSlowDownload(holdall)),
      )
      const startedAt = performance.now()
      for (const { child } of [signalledOnce, signalledTwice]) child.kill('SIGTERM')
      await sleep(500)
      expect([signalledOnce.child.exitCode, signalledTwice.child.exitCode]).toEqual([null, null])

      await sleep(2000)
      signalledTwice.child.kill('SIGTERM')
      expect(await signalledTwice.exited).toBe(1)
      expect(performance.now() - startedAt).toBeLessThan(4500)
      expect(await signalledOnce.exited).toBe(0)
      expect(performance.now() - startedAt).toBeLessThan(10_000)
      for (const download of downloads) await expect(download.rest()).rejects.toThrow('aborted')
    },
  )

  test('sent several times within two seconds counts once', timingRetries, async () => {
    const running = await ready(await env())
    const download = await startSlowDownload(running.holdall)
    for (const ms of [0, 300, 900]) {
      await sleep(ms)
      running.child.kill('SIGTERM')
    }
    await sleep(300)
    expect(running.child.exitCode).toBe(null)
    expect(await download.rest()).toHaveLength(24 * MIB)
    expect(await running.exited).toBe(0)
  })

  test('to the process group of npm start counts once', timingRetries, async () => {
    const npm = await ready(await env(), { command: 'npm', args: ['start'], detached: true })
    const download = await startSlowDownload(npm.holdall)
    process.kill(-(npm.child.pid ?? 0), 'SIGTERM')
    await sleep(500)
    expect(npm.child.exitCode).toBe(null)
    expect(await download.rest()).toHaveLength(24 * MIB)
    expect(await npm.exited).toBe(0)
    await expect(fetch(`${npm.url}/livez`)).rejects.toThrow()
  })

  test('and SIGINT together count once', async () => {
    const running = await ready(await env())
    running.child.kill('SIGINT')
    running.child.kill('SIGTERM')
    expect(await running.exited).toBe(0)
  })

  test('reaches the server through npm start', async () => {
    const vars = await env()
    const npm = await ready(vars, { command: 'npm', args: ['start'] })
    npm.child.kill('SIGTERM')
    expect(await npm.exited).toBe(0)
    await expect(fetch(`${npm.url}/livez`)).rejects.toThrow()
    // A killed process leaves the WAL of the database behind.
    expect(await readdir(vars.DATA_DIR)).toEqual(['blobs', 'holdall.db', 'holdall.lock'])
  })

  test('SIGINT does the same', async () => {
    const running = await ready(await env())
    running.child.kill('SIGINT')
    expect(await running.exited).toBe(0)
  })
})

const readyz = async (url: string) => (await fetch(`${url}/readyz`)).status

/** A download of a file that is larger than what sockets buffer. */
async function startSlowDownload(holdall: TestServer) {
  const { id: workspaceId } = await createWorkspace(holdall)
  const bytes = Buffer.alloc(24 * MIB)
  const file = await uploadFile(holdall, { workspaceId, name: 'large.bin', bytes })
  return slowly(await downloadUrl(holdall, file.id))
}

/** A download that is not read beyond its beginning until `rest` is called. */
async function slowly(url: string) {
  const outgoing = request(url, { agent: false })
    .on('error', () => {})
    .end()
  const [response] = await once(outgoing, 'response')
  await once(response, 'readable')
  return {
    async rest() {
      const chunks: Buffer[] = []
      for await (const chunk of response) chunks.push(chunk)
      return Buffer.concat(chunks)
    },
  }
}
