import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readConfig } from '../../src/config/config.ts'
import { openDatabase } from '../../src/database/database.ts'
import { act, createWorkspace, uploadFile, type WorkspaceHandle } from '../support/client.ts'
import { databaseUrl, onServer } from '../support/databases-setup.ts'
import { manyFiles } from '../support/disk/many-files.ts'
import { startServer } from '../support/servers/fleet.ts'
import { startPostgres } from '../support/servers/postgres-server.ts'
import type { TestServer } from '../support/servers/test-server.ts'
import { ADMIN_TOKEN } from './question.ts'

// Measures one process on SQLite, and one, two and three processes on one PostgreSQL with fsync: pages read,
// folders created and small files uploaded per second, by 16 clients on the same machine.

const SECONDS = Number(process.argv[2] ?? 5)
const CLIENTS = 16
const FILES = 100_000

type Act = (n: number) => Promise<unknown>
type Fleet = { servers: TestServer[]; workspaces: WorkspaceHandle[] }

/**
 * Runs an operation on all clients until the time is over; prints operations per second and the p50 and p99
 * in ms.
 */
async function measure(name: string, run: Act) {
  await run(0)
  const took: number[] = []
  const endsAt = performance.now() + SECONDS * 1000
  let n = 1
  const client = async () => {
    while (performance.now() < endsAt) {
      const from = performance.now()
      await run(n++)
      took.push(performance.now() - from)
    }
  }
  await Promise.all(Array.from({ length: CLIENTS }, client))
  took.sort((a, b) => a - b)
  const at = (part: number) => (took[Math.floor(part * (took.length - 1))] ?? 0).toFixed(0)
  const rate = (took.length / SECONDS).toFixed(0)
  console.log(
    `  ${name.padEnd(44)} ${rate.padStart(6)} /s   p50 ${at(0.5)} ms   p99 ${at(0.99)} ms`,
  )
}

const pick = <T>(all: readonly T[], n: number): T => all[n % all.length] as T

async function measureAll({ servers, workspaces }: Fleet) {
  const [first] = workspaces as [WorkspaceHandle]
  const page = `query ($id: ID!) { node(id: $id) { ... on Folder { children(first: 20) {
    nodes { id name updatedAt tags { name } ... on File { size } } } } } }`
  await measure('a page of 20 of a folder of 100,000', (n) =>
    pick(servers, n).ask(page, { id: first.root.id }),
  )
  const folder = (at: number) => (n: number) =>
    act(
      pick(servers, n),
      'createFolder',
      {
        workspaceId: pick(workspaces.slice(0, at), n).id,
        name: `${at} ${n}`,
      },
      '__typename',
    )
  await measure('folders created in one workspace', folder(1))
  await measure('folders created in eight workspaces', folder(8))
  await measure('files of 4 KiB: create, PATCH, confirm, in eight', (n) =>
    uploadFile(pick(servers, n), {
      workspaceId: pick(workspaces, n).id,
      name: `file ${n}`,
      bytes: `${n}`.padEnd(4096),
    }),
  )
}

async function run(name: string, processes: number, databaseEnv: { DATABASE_URL?: string }) {
  await using stack = new AsyncDisposableStack()
  const DATA_DIR = await mkdtemp(join(tmpdir(), 'holdall-bench-'))
  stack.defer(() => rm(DATA_DIR, { recursive: true, force: true }))
  const env = { DATA_DIR, ADMIN_TOKEN, ...databaseEnv }
  const servers: TestServer[] = []
  for (let i = 0; i < processes; i++) servers.push(stack.use(await startServer(env)).holdall)
  const [one] = servers as [TestServer]
  const workspaces: WorkspaceHandle[] = []
  for (let i = 0; i < 8; i++) workspaces.push(await createWorkspace(one, { name: `w${i}` }))
  const [first] = workspaces as [WorkspaceHandle]
  const db = stack.adopt(openDatabase(readConfig(env).database), (db) => db.destroy())
  await manyFiles({ workspaceId: first.id, folderId: first.root.id }, FILES).execute(db)
  console.log(name)
  await measureAll({ servers, workspaces })
}

await run('SQLite, one process', 1, {})
await using server = await startPostgres({
  fsync: 'on',
  synchronous_commit: 'on',
  full_page_writes: 'on',
})
for (const processes of [1, 2, 3]) {
  await onServer(server.url, `create database bench${processes}`)
  const DATABASE_URL = databaseUrl(server.url, `bench${processes}`)
  await run(`PostgreSQL, processes: ${processes}`, processes, { DATABASE_URL })
}
