import { once } from 'node:events'
import { mkdir, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test, vi } from 'vitest'
import { openApp } from '../../src/app.ts'
import { readConfig } from '../../src/config.ts'
import { createWorkspace } from '../support/client.ts'
import { openHouse } from '../support/house.ts'
import { runFsck } from '../support/inspection.ts'
import { type Env, launch, launchReady, stop } from '../support/launch.ts'
import { readSql, runSql } from '../support/other-program.ts'
import { emptyFolder } from '../support/process.ts'

const ADMIN_TOKEN = 'one-server-for-each-database'

// A start waits up to ten seconds for the lock.
vi.setConfig({ testTimeout: 60_000 })

/** What a server that does not start says. */
async function refusal(env: Env) {
  const { said, exited } = launch(env)
  expect(await exited).toBe(1)
  expect(said.out).toBe('')
  return said.err
}

const inUse = (path: string) =>
  `${path} is in use by another Holdall server: stop that one, or let DATABASE_URL name another database (PostgreSQL takes several servers).\n`

test('a second server on the same SQLite file refuses to start, by whatever path', async () => {
  const [dir, other] = [await emptyFolder(), await emptyFolder()]
  const path = join(dir, 'holdall.db')
  const first = await launchReady({ DATA_DIR: dir, ADMIN_TOKEN })
  await symlink(dir, join(other, 'folder'))
  await symlink(path, join(other, 'file.db'))
  const paths = [`${other}/folder/holdall.db`, `${other}/file.db`]
  const said = await Promise.all([
    refusal({ DATA_DIR: dir }),
    ...paths.map((DATABASE_URL) => refusal({ DATA_DIR: other, DATABASE_URL })),
  ])
  expect(said).toEqual([path, ...paths].map(inUse))
  await createWorkspace(first.house)
  await stop(first)
})

test('a link to a database that does not exist yet leads to the same lock', async () => {
  const [dir, other] = [await emptyFolder(), await emptyFolder()]
  await symlink(join(dir, 'holdall.db'), join(other, 'link.db'))
  const DATABASE_URL = join(other, 'link.db')
  const first = await launchReady({ DATA_DIR: other, DATABASE_URL, ADMIN_TOKEN })
  expect(await refusal({ DATA_DIR: dir })).toBe(inUse(join(dir, 'holdall.db')))
  await stop(first)
})

test('of two databases in one folder each has a server', async () => {
  const [dir, other] = [await emptyFolder(), await emptyFolder()]
  const first = await launchReady({ DATA_DIR: dir, ADMIN_TOKEN })
  const DATABASE_URL = join(dir, 'second.db')
  const second = await launchReady({ DATA_DIR: other, DATABASE_URL, ADMIN_TOKEN })
  await Promise.all([stop(first), stop(second)])
})

test('a start waits for the server before it to end', async () => {
  const env = { DATA_DIR: await emptyFolder(), ADMIN_TOKEN }
  const first = await launchReady(env)
  const workspace = await createWorkspace(first.house)
  const second = launch(env)
  await sleep(1500)
  expect([second.child.exitCode, second.said]).toEqual([null, { out: '', err: '' }])
  await stop(first)
  await vi.waitFor(() => expect(second.said.out).toMatch(/^Holdall is at/), 20_000)
  const url = `http://${/localhost:\d+/.exec(second.said.out)?.[0]}`
  const query = `{ workspace(by: { id: "${workspace.id}" }) { id } }`
  const answer = await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: { authorization: `Bearer ${ADMIN_TOKEN}`, 'content-type': 'application/json' },
    body: JSON.stringify({ query }),
  })
  expect((await answer.json()).data.workspace.id).toBe(workspace.id)
  await stop(second)
})

test('kill -9 releases the lock, and nothing is ever written into its file', async () => {
  const env = { DATA_DIR: await emptyFolder(), ADMIN_TOKEN }
  const killed = await launchReady(env)
  killed.child.kill('SIGKILL')
  await once(killed.child, 'exit')
  const again = await launchReady(env)
  await stop(again)
  expect(await readdir(env.DATA_DIR)).toEqual(['blobs', 'holdall.db', 'holdall.lock'])
  expect((await stat(join(env.DATA_DIR, 'holdall.lock'))).size).toBe(0)
})

test('a lock file that nobody holds does not matter, whatever it contains', async () => {
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

test('fsck and other programs go on beside a server', async () => {
  await using house = await openHouse()
  await runSql(house, 'create table notes (id integer primary key, text text)')
  await runSql(house, "insert into notes (text) values ('written beside the server')")
  expect(await readSql(house, 'select text from notes')).toHaveLength(1)
  expect(await runFsck(house)).toMatchObject({ code: 0, complained: '' })
})

test('one process holds the lock once, and gives it back with the app or a failed start', async () => {
  await using house = await openHouse()
  await expect(openApp(house.app.config)).rejects.toThrow('in use by another Holdall server')
  await house.restart()

  const dir = await emptyFolder()
  await writeFile(join(dir, 'blobs'), '')
  const config = readConfig({ DATA_DIR: dir, LOG_LEVEL: 'silent' })
  await expect(openApp(config)).rejects.toThrow('ENOTDIR')
  await rm(join(dir, 'blobs'))
  const before = performance.now()
  await using app = await openApp(config)
  expect(app.firstToken).toMatch(/^hld_/)
  // Ten seconds are what it would wait for the lock of the failed start.
  expect(performance.now() - before).toBeLessThan(9_000)
})
