import { createHash, randomBytes, randomInt } from 'node:crypto'
import { existsSync, globSync } from 'node:fs'
import { mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import {
  act,
  createUpload,
  createWorkspace,
  download,
  type FileHandle,
  sendBytes,
  trashEntries,
  uploadFile,
  usageOf,
} from '../../support/client.ts'
import { databaseUrl, onServer } from '../../support/databases-setup.ts'
import { command, pgDumpVersion, run, systemPostgres } from '../../support/disk/backups.ts'
import { bytesAt, flipBit } from '../../support/inspection.ts'
import { tusOf, until } from '../../support/network/tus.ts'
import { type Env, launchReady, stop } from '../../support/servers/launch.ts'
import { runSql } from '../../support/servers/other-program.ts'
import { type PostgresServer, startPostgres } from '../../support/servers/postgres-server.ts'
import { emptyFolder } from '../../support/servers/process.ts'
import { startTestServer, type TestServer } from '../../support/servers/test-server.ts'

const ADMIN_TOKEN = 'what-was-kept-comes-back'
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

vi.setConfig({ testTimeout: 180_000, hookTimeout: 60_000 })

/** A folder and a database for one server. */
type Place = () => Promise<Env>

let postgres: PostgresServer | undefined
beforeAll(async () => {
  if (systemPostgres) postgres = await startPostgres({}, {}, systemPostgres)
})
afterAll(() => postgres?.[Symbol.asyncDispose]())

const onSqlite: Place = async () => ({ DATA_DIR: await emptyFolder(), ADMIN_TOKEN })
const onPostgres: Place = async () => {
  const name = `backup_${randomBytes(6).toString('hex')}`
  const url = postgres?.url ?? ''
  await onServer(url, `create database ${name}`)
  return { ...(await onSqlite()), DATABASE_URL: databaseUrl(url, name) }
}
const databases: [string, Place, boolean][] = [
  ['SQLite', onSqlite, true],
  ['PostgreSQL', onPostgres, systemPostgres !== null],
]

const purge = async (holdall: TestServer, file: { id: string }) => {
  await trashEntries(holdall, file)
  await act(holdall, 'purgeEntries', { entries: [{ entry: { id: file.id } }] }, '__typename')
}

/**
 * Uploads and purges until it is stopped; everything confirmed and not purged must be in a later
 * backup.
 */
function traffic(holdall: TestServer, workspaceId: string, prefix: string) {
  const confirmed = new Map<string, string>()
  let going = true
  const running = (async () => {
    for (let n = 0; going; n += 1) {
      const bytes = randomBytes(randomInt(1, 40_000))
      const file = await uploadFile(holdall, { workspaceId, name: `${prefix} ${n}`, bytes })
      if (n % 3 === 0) await purge(holdall, file)
      else confirmed.set(file.id, sha256(bytes))
    }
  })()
  // Requests to a killed server fail.
  const ended = running.catch(() => {})
  return {
    confirmed,
    async stop() {
      going = false
      await ended
    },
  }
}

/** Restores into a new folder and database, and starts a server over it. */
async function restored(place: Place, dir: string) {
  const env = await place()
  const { code, output } = await run('restore', [dir], env)
  expect([code, output]).toEqual([0, expect.stringContaining('Nothing was found.')])
  const server = await launchReady(env)
  return { ...server, output, env }
}

async function expectFiles(holdall: TestServer, files: Map<string, string>) {
  for (const [id, hash] of files)
    expect([id, sha256(await download(holdall, id))]).toEqual([id, hash])
}

const newDir = async () => join(await emptyFolder(), 'backup')

describe.each(databases)('F21: a backup of %s', (_, place, isThere) => {
  describe.skipIf(!isThere)(
    '(PostgreSQL: skipped without a server of the version of pg_dump)',
    () => {
      test('F21: is made under load, and restored elsewhere with everything confirmed before it', async () => {
        const env = await place()
        const server = await launchReady(env)
        const { holdall } = server
        const { id: workspaceId } = await createWorkspace(holdall)
        const begun = await createUpload(holdall, { workspaceId, name: 'begun', size: 10 })
        await sendBytes(holdall, begun, 'hello')
        const whole = await createUpload(holdall, { workspaceId, name: 'whole', size: 5 })
        await sendBytes(holdall, whole, 'whole')
        const loads = ['a', 'b', 'c'].map((name) => traffic(holdall, workspaceId, name))
        await until(async () => loads.every(({ confirmed }) => confirmed.size > 0), 60_000)
        const before = new Map(loads.flatMap(({ confirmed }) => [...confirmed]))
        const dir = await newDir()
        const { code, output } = await run('backup', [dir], env)
        expect([code, output]).toEqual([0, expect.stringContaining('is finished')])
        for (const load of loads) await load.stop()
        await stop(server)

        const copy = await restored(place, dir)
        expect(copy.output).toMatch(/; [2-5] unfinished uploads were ended/)
        await expectFiles(copy.holdall, before)
        // Unfinished uploads have ended and reserve no room; their clients begin anew.
        expect(await usageOf(copy.holdall, workspaceId)).toMatchObject({ reservedBytes: 0 })
        expect([404, 410]).toContain(
          (await tusOf(copy.holdall).head(new URL(begun.url).pathname)).status,
        )
        await uploadFile(copy.holdall, { workspaceId, name: 'afterwards', bytes: 'afterwards' })
        await stop(copy)
      })

      test('F21: survives kill -9 of the server while it is made', async () => {
        const env = await place()
        const server = await launchReady(env)
        const { id: workspaceId } = await createWorkspace(server.holdall)
        const load = traffic(server.holdall, workspaceId, 'a')
        await until(async () => load.confirmed.size > 0, 60_000)
        const before = new Map(load.confirmed)
        const dir = await newDir()
        const backup = command('backup', [dir], env)
        await until(async () => existsSync(dir), 30_000)
        server.child.kill('SIGKILL')
        const { code, output } = await backup.ended
        await load.stop()
        expect([code, output]).toEqual([0, expect.stringContaining('is finished')])
        const copy = await restored(place, dir)
        await expectFiles(copy.holdall, before)
        await stop(copy)
      })

      test('F21: never looks finished if it was killed, and can be repeated', async () => {
        const env = await place()
        const server = await launchReady(env)
        const { id: workspaceId } = await createWorkspace(server.holdall)
        for (let n = 0; n < 30; n += 1)
          await uploadFile(server.holdall, { workspaceId, name: `${n}`, bytes: `bytes ${n}` })
        for (const wait of [0, 5, 20]) {
          const dir = await newDir()
          const backup = command('backup', [dir], env)
          await until(async () => existsSync(dir), 30_000)
          await sleep(wait)
          backup.child.kill('SIGKILL')
          const { code } = await backup.ended
          const finished = existsSync(join(dir, 'manifest.json'))
          // The backup finished before the signal.
          expect(finished || code === null).toBe(true)
          if (finished) continue
          const refused = await run('restore', [dir], await place())
          expect(refused).toMatchObject({
            code: 2,
            output: expect.stringContaining('not a finished backup'),
          })
        }
        const dir = await newDir()
        expect((await run('backup', [dir], env)).code).toBe(0)
        expect(await run('backup', [dir], env)).toMatchObject({
          code: 2,
          output: expect.stringContaining('is not empty'),
        })
        await stop(server)
        await stop(await restored(place, dir))
      })

      test('is restored only into an empty target', async () => {
        const env = await place()
        const server = await launchReady(env)
        const { id: workspaceId } = await createWorkspace(server.holdall)
        await uploadFile(server.holdall, { workspaceId, name: 'file', bytes: 'bytes' })
        const dir = await newDir()
        expect((await run('backup', [dir], env)).code).toBe(0)
        expect(await run('restore', [dir], env)).toMatchObject({ code: 2 })
        await stop(server)
        expect(await run('restore', [dir], env)).toMatchObject({ code: 2 })

        const other = await place()
        const key = join(other.DATA_DIR ?? '', 'blobs/kept/ab/cd')
        await mkdir(key, { recursive: true })
        await writeFile(
          join(key, 'upl_0000000000000000000000000000abcd'),
          'of another installation',
        )
        expect(await run('restore', [dir], other)).toMatchObject({
          code: 2,
          output: expect.stringContaining('is not empty'),
        })
        // It wrote nothing: without the blobs the target is empty.
        await rm(join(other.DATA_DIR ?? '', 'blobs'), { recursive: true })
        expect(await run('restore', [dir], other)).toMatchObject({ code: 0 })
      })
    },
  )
})

describe('what a backup is', () => {
  async function backedUp() {
    const env = await onSqlite()
    const server = await launchReady(env)
    const { id: workspaceId } = await createWorkspace(server.holdall)
    const files: FileHandle[] = []
    for (const name of ['one', 'two', 'three'])
      files.push(await uploadFile(server.holdall, { workspaceId, name, bytes: `bytes ${name}` }))
    await stop(server)
    const dir = await newDir()
    expect((await run('backup', [dir], env)).code).toBe(0)
    return { env, dir, files }
  }
  const blobsIn = (dir: string) => globSync('blobs/kept/*/*/*', { cwd: dir }).sort()

  test('contains rows, blobs, and a manifest with their hashes; blobs are hard links where possible', async () => {
    const { dir, env } = await backedUp()
    expect((await readdir(dir)).sort()).toEqual(
      ['blobs', 'blobs.jsonl', 'holdall.db', 'manifest.json'].sort(),
    )
    const manifest = JSON.parse(await readFile(join(dir, 'manifest.json'), 'utf8'))
    expect(manifest.rows.sha256).toBe(sha256(await readFile(join(dir, 'holdall.db'))))
    expect(manifest.blobs.sha256).toBe(sha256(await readFile(join(dir, 'blobs.jsonl'))))
    expect(manifest).toMatchObject({ blobs: { count: 3 }, missing: [], hasBytes: true })
    const list = (await readFile(join(dir, 'blobs.jsonl'), 'utf8')).trim().split('\n')
    for (const { id, size, sha256: hash } of list.map((line) => JSON.parse(line))) {
      const bytes = await readFile(join(dir, globSync(`blobs/**/${id}`, { cwd: dir })[0] ?? ''))
      expect([bytes.length, sha256(bytes)]).toEqual([size, hash])
    }
    expect(blobsIn(dir)).toEqual(blobsIn(env.DATA_DIR ?? ''))
    expect((await stat(join(dir, blobsIn(dir)[0] ?? ''))).nlink).toBe(2)
    expect((await stat(dir)).mode & 0o077).toBe(0)
  })

  test.each([
    ['rows that have changed', (dir: string) => flipBit(join(dir, 'holdall.db')), 'has changed'],
    ['a list that has changed', (dir: string) => flipBit(join(dir, 'blobs.jsonl')), 'has changed'],
    [
      'an invalid manifest',
      (dir: string) => writeFile(join(dir, 'manifest.json'), '{}'),
      'does not support',
    ],
    ['no manifest', (dir: string) => rm(join(dir, 'manifest.json')), 'not a finished backup'],
  ])('with %s is refused before anything is written', async (_, damage, words) => {
    const { dir } = await backedUp()
    await damage(dir)
    const env = await onSqlite()
    expect(await run('restore', [dir], env)).toMatchObject({
      code: 2,
      output: expect.stringContaining(words),
    })
    expect(await readdir(env.DATA_DIR ?? '')).toEqual([])
  })

  test('with changed or missing blobs restores no rows', async () => {
    for (const damage of [flipBit, (path: string) => rm(path)]) {
      const { dir } = await backedUp()
      await damage(join(dir, blobsIn(dir)[1] ?? ''))
      const env = await onSqlite()
      expect(await run('restore', [dir], env)).toMatchObject({
        code: 2,
        output: expect.stringMatching(/have changed|lacks the bytes/),
      })
      expect(existsSync(join(env.DATA_DIR ?? '', 'holdall.db'))).toBe(false)
    }
  })

  test('is made with a warning if the store lacks blobs, and the rest is restored', async () => {
    const { env, files } = await backedUp()
    const [lost = ''] = blobsIn(env.DATA_DIR ?? '')
    await rm(join(env.DATA_DIR ?? '', lost))
    const dir = await newDir()
    expect(await run('backup', [dir], env)).toMatchObject({
      code: 1,
      output: expect.stringContaining('missing or have changed'),
    })
    const target = await onSqlite()
    const { code, output } = await run('restore', [dir], target)
    expect([code, output]).toEqual([1, expect.stringContaining('BYTES_MISSING')])
    const server = await launchReady(target)
    const found = await Promise.all(
      files.map(({ id }) => download(server.holdall, id).catch(() => null)),
    )
    expect(found.filter((bytes) => bytes !== null)).toHaveLength(files.length - 1)
    await stop(server)
  })

  test('is not restored into another kind of database, or into its own folder', async () => {
    const { dir, env } = await backedUp()
    const other = { ...(await onSqlite()), DATABASE_URL: 'postgres://none@127.0.0.1:1/none' }
    expect(await run('restore', [dir], other)).toMatchObject({
      code: 2,
      output: expect.stringContaining('DATABASE_URL names a PostgreSQL database'),
    })
    const within = join(env.DATA_DIR ?? '', 'blobs/backup')
    expect(await run('backup', [within], env)).toMatchObject({ code: 2 })
    const nowhere = { DATA_DIR: join(await emptyFolder(), 'mistyped') }
    expect(await run('backup', [await newDir()], nowhere)).toMatchObject({
      code: 2,
      output: expect.stringContaining('does not exist'),
    })
    expect(existsSync(nowhere.DATA_DIR)).toBe(false)
    expect(await run('backup', [], env)).toMatchObject({
      code: 2,
      output: expect.stringContaining('npm run'),
    })
  })
})

describe('pg_dump', () => {
  test.skipIf(pgDumpVersion === 0 || pgDumpVersion >= 18)(
    'older than the server is refused before anything is written',
    async () => {
      await using server = await startPostgres()
      const env = { ...(await onSqlite()), DATABASE_URL: databaseUrl(server.url, 'postgres') }
      await stop(await launchReady(env))
      const dir = await newDir()
      const { code, output } = await run('backup', [dir], env)
      expect([code, output]).toEqual([
        2,
        `pg_dump has version ${pgDumpVersion}, older than the server (PostgreSQL 18): install the client programs of PostgreSQL 18 or later, and put them first on the PATH.\n`,
      ])
      expect(existsSync(dir)).toBe(false)
      const missing = await run('backup', [dir], { ...env, PATH: '/nowhere' })
      expect(missing).toMatchObject({
        code: 2,
        output: expect.stringContaining('cannot be run (ENOENT)'),
      })
    },
  )
})

test('F21: purged bytes stay until a running backup has ended', async () => {
  let later = 0
  await using holdall = await startTestServer({ now: () => Date.now() + later })
  const { id: workspaceId } = await createWorkspace(holdall)
  const file = await uploadFile(holdall, { workspaceId, name: 'purged', bytes: 'purged' })
  const path = bytesAt(
    holdall,
    globSync('blobs/kept/*/*/*', { cwd: holdall.dir })[0]?.split('/').at(-1) ?? '',
  )
  const leaseUntil = Date.now() + 600_000
  await runSql(holdall, `insert into backups values ('killed in the middle', ${leaseUntil})`)
  await purge(holdall, file)
  await sleep(2500)
  expect(existsSync(path)).toBe(true)
  // Its process was killed: the lease expires.
  later = 700_000
  await until(async () => !existsSync(path), 20_000)
})
