import { once } from 'node:events'
import { link, mkdir, readdir, rename, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import SqliteFile from 'better-sqlite3'
import { expect, test, vi } from 'vitest'
import { openApp } from '../../../src/app.ts'
import { readConfig } from '../../../src/config/config.ts'
import { createWorkspace } from '../../support/client.ts'
import { runFsck } from '../../support/inspection.ts'
import { type Env, launch, launchReady, stop } from '../../support/servers/launch.ts'
import { canMount } from '../../support/servers/launch-after.ts'
import { readSql, runSql } from '../../support/servers/other-program.ts'
import { emptyFolder } from '../../support/servers/process.ts'
import { startTestServer } from '../../support/servers/test-server.ts'

const ADMIN_TOKEN = 'one-server-for-each-database'

// A start waits up to ten seconds for the lock.
vi.setConfig({ testTimeout: 60_000 })

/** Returns the error output of a server that does not start. */
async function refusal(env: Env) {
  const { output, exited } = launch(env)
  expect(await exited).toBe(1)
  expect(output.out).toBe('')
  return output.err
}

const inUse = (path: string, lock: string) =>
  `${path} is in use by another Holdall server: stop that server, or set DATABASE_URL to another database (PostgreSQL supports several servers). You do not need to delete ${lock}; never delete it while a server runs.\n`

/** Locks a file as another program does. */
class SqliteLock implements Disposable {
  readonly #file: SqliteFile.Database
  constructor(path: string) {
    this.#file = new SqliteFile(path)
    this.#file.exec('begin exclusive')
  }
  [Symbol.dispose]() {
    this.#file.close()
  }
}

test('a second server on the same SQLite file refuses to start, by any path', async () => {
  const [dir, other] = [await emptyFolder(), await emptyFolder()]
  const path = join(dir, 'holdall.db')
  const first = await launchReady({ DATA_DIR: dir, ADMIN_TOKEN })
  await symlink(dir, join(other, 'folder'))
  await symlink(path, join(other, 'file.db'))
  const paths = [`${other}/folder/holdall.db`, `${other}/file.db`]
  const output = await Promise.all([
    refusal({ DATA_DIR: dir }),
    ...paths.map((DATABASE_URL) => refusal({ DATA_DIR: other, DATABASE_URL })),
  ])
  expect(output).toEqual([path, ...paths].map((each) => inUse(each, join(dir, 'holdall.lock'))))
  await createWorkspace(first.holdall)
  await stop(first)
})

test('a link to a database that does not exist yet has the same lock', async () => {
  const [dir, other] = [await emptyFolder(), await emptyFolder()]
  await symlink(join(dir, 'holdall.db'), join(other, 'link.db'))
  const DATABASE_URL = join(other, 'link.db')
  const first = await launchReady({ DATA_DIR: other, DATABASE_URL, ADMIN_TOKEN })
  expect(await refusal({ DATA_DIR: dir })).toBe(
    inUse(join(dir, 'holdall.db'), join(dir, 'holdall.lock')),
  )
  await stop(first)
})

test('two databases in one folder can have a server each', async () => {
  const [dir, other] = [await emptyFolder(), await emptyFolder()]
  const first = await launchReady({ DATA_DIR: dir, ADMIN_TOKEN })
  const DATABASE_URL = join(dir, 'holdall')
  const second = await launchReady({ DATA_DIR: other, DATABASE_URL, ADMIN_TOKEN })
  expect(await readdir(dir)).toEqual(expect.arrayContaining(['holdall-lock', 'holdall.lock']))
  await Promise.all([stop(first), stop(second)])
})

test('a deleted lock file admits no second server, and is created again', async () => {
  const env = { DATA_DIR: await emptyFolder(), ADMIN_TOKEN, LOG_LEVEL: 'warn' }
  const [path, lock] = [join(env.DATA_DIR, 'holdall.db'), join(env.DATA_DIR, 'holdall.lock')]
  const first = await launchReady(env)
  await rm(lock)
  expect(await refusal(env)).toBe(inUse(path, lock))
  expect(first.output.err).toMatch(/the lock file was deleted while the server is running/)
  expect(await refusal(env)).toBe(inUse(path, lock))
  await createWorkspace(first.holdall)
  await stop(first)
  await stop(await launchReady(env))
})

test('if another process locks the new file first, the server stops in order', async () => {
  const env = { DATA_DIR: await emptyFolder(), ADMIN_TOKEN }
  const lock = join(env.DATA_DIR, 'holdall.lock')
  const first = await launchReady(env)
  using other = new SqliteLock(join(env.DATA_DIR, 'other.lock'))
  await rename(join(env.DATA_DIR, 'other.lock'), lock)
  expect(await first.exited).toBe(0)
  expect(first.output.err).toMatch(/the lock file was replaced and another server holds it/)
  other[Symbol.dispose]()
  await stop(await launchReady(env))
})

test('a database file with a second name is refused before it is opened', async () => {
  const [dir, other] = [await emptyFolder(), await emptyFolder()]
  const path = join(dir, 'holdall.db')
  const first = await launchReady({ DATA_DIR: dir, ADMIN_TOKEN })
  await link(path, join(other, 'same.db'))
  const output = await refusal({ DATA_DIR: other, DATABASE_URL: join(other, 'same.db') })
  expect(output).toMatch(/same\.db has 2 hard links, .* set DATABASE_URL to the copy\.\n$/)
  expect(await readdir(other)).toEqual(['same.db'])
  await stop(first)
  expect(await refusal({ DATA_DIR: dir })).toMatch(/holdall\.db has 2 hard links/)
  await rm(join(other, 'same.db'))
  await stop(await launchReady({ DATA_DIR: dir, ADMIN_TOKEN }))
})

test('a start waits until the previous server has ended', async () => {
  const env = { DATA_DIR: await emptyFolder(), ADMIN_TOKEN }
  const first = await launchReady(env)
  const workspace = await createWorkspace(first.holdall)
  const second = launch(env)
  await sleep(1500)
  expect([second.child.exitCode, second.output]).toEqual([null, { out: '', err: '' }])
  await stop(first)
  await vi.waitFor(() => expect(second.output.out).toMatch(/^Holdall is ready at/), 20_000)
  const url = `http://${/localhost:\d+/.exec(second.output.out)?.[0]}`
  const query = `{ workspace(by: { id: "${workspace.id}" }) { id } }`
  const answer = await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: { authorization: `Bearer ${ADMIN_TOKEN}`, 'content-type': 'application/json' },
    body: JSON.stringify({ query }),
  })
  expect((await answer.json()).data.workspace.id).toBe(workspace.id)
  await stop(second)
})

test('kill -9 releases the lock, and the lock file stays empty', async () => {
  const env = { DATA_DIR: await emptyFolder(), ADMIN_TOKEN }
  const killed = await launchReady(env)
  killed.child.kill('SIGKILL')
  await once(killed.child, 'exit')
  const again = await launchReady(env)
  await stop(again)
  expect(await readdir(env.DATA_DIR)).toEqual(['blobs', 'holdall.db', 'holdall.lock'])
  expect((await stat(join(env.DATA_DIR, 'holdall.lock'))).size).toBe(0)
})

test.skipIf(!canMount)('a full disk is not reported as a lock', async () => {
  const dir = await emptyFolder()
  const line = `mount -t tmpfs -o size=1m tmpfs "$DATA_DIR"; cat /dev/zero > "$DATA_DIR/filler" 2> /dev/null`
  const args = ['-m', 'sh', '-c', `${line}; exec "${process.execPath}" src/main.ts`]
  const { output, exited } = launch({ DATA_DIR: dir }, { command: 'unshare', args })
  expect(await exited).toBe(1)
  expect(output.err).toMatch(/holdall\.db cannot be opened: its disk is full \(SQLITE_FULL\)\.\n$/)
})

test('an unlocked lock file does not matter, whatever it contains', async () => {
  const env = { DATA_DIR: await emptyFolder(), ADMIN_TOKEN }
  await writeFile(join(env.DATA_DIR, 'holdall.lock'), '')
  await stop(await launchReady(env))
  await writeFile(join(env.DATA_DIR, 'holdall.lock'), 'this is no database')
  expect(await refusal(env)).toBe(
    `${env.DATA_DIR}/holdall.lock cannot be locked (SQLITE_NOTADB); while no server runs, it can be deleted.\n`,
  )
  await rm(join(env.DATA_DIR, 'holdall.lock'))
  await mkdir(join(env.DATA_DIR, 'holdall.lock'))
  expect(await refusal(env)).toMatch(/holdall\.lock cannot be locked \(SQLITE_CANTOPEN\)/)
})

test('fsck and other programs run beside a server', async () => {
  await using holdall = await startTestServer()
  await runSql(holdall, 'create table notes (id integer primary key, text text)')
  await runSql(holdall, "insert into notes (text) values ('written beside the server')")
  expect(await readSql(holdall, 'select text from notes')).toHaveLength(1)
  expect(await runFsck(holdall)).toMatchObject({ code: 0, stderr: '' })
})

test('a process holds the lock once, and releases it with the app or after a failed start', async () => {
  await using holdall = await startTestServer()
  await expect(openApp(holdall.app.config)).rejects.toThrow('in use by another Holdall server')
  await holdall.restart()

  const dir = await emptyFolder()
  await writeFile(join(dir, 'blobs'), '')
  const config = readConfig({ DATA_DIR: dir, LOG_LEVEL: 'silent' })
  await expect(openApp(config)).rejects.toThrow('ENOTDIR')
  await rm(join(dir, 'blobs'))
  const before = performance.now()
  await using app = await openApp(config)
  expect(app.firstToken).toMatch(/^hld_/)
  // Ten seconds are the wait for the lock of the failed start.
  expect(performance.now() - before).toBeLessThan(9_000)
})
