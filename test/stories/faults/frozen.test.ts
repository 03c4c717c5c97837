import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test, vi } from 'vitest'
import { children, createWorkspace } from '../../support/client.ts'
import { expectExact } from '../../support/data/recount.ts'
import { database } from '../../support/databases.ts'
import { markHandled } from '../../support/mark-handled.ts'
import { startTcpProxy } from '../../support/network/tcp-proxy.ts'
import { startProcess } from '../../support/servers/process.ts'
import { serverAt } from '../../support/servers/server-at.ts'
import { startTestServer, type TestServer } from '../../support/servers/test-server.ts'
import { timingRetries } from '../../support/timed.ts'

// Starting a process takes time.
vi.setConfig({ testTimeout: 90_000 })

/**
 * Two servers over one database: one in this process, and one in another process behind a network that
 * can be watched and broken.
 */
async function openTwo() {
  const env = { MAX_QUERY_COST: '1000000' }
  await using stack = new AsyncDisposableStack()
  const holdall = stack.use(await startTestServer({ env }))
  const near = new URL(holdall.databaseUrl ?? '')
  const network = stack.use(await startTcpProxy({ host: near.hostname, port: Number(near.port) }))
  const far = new URL(near)
  far.port = String(network.port)
  const process = await startProcess({
    ...{ DATA_DIR: holdall.dir, LOG_LEVEL: 'fatal', ...env },
    ...{ DATABASE_URL: far.href, LISTEN_DATABASE_URL: near.href },
  })
  const workspace = await createWorkspace(holdall)
  const all = stack.move()
  return {
    holdall,
    other: serverAt(process.url, holdall.token),
    process,
    network,
    workspace,
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  }
}

const query = `mutation ($input: CreateFolderInput!) {
  createFolder(input: $input) { ... on CreateFolderPayload { folder { name } } ... on UserError { code } }
}`
/** Creates a folder. Returns its name, or the code of the error. */
async function makeFolder(holdall: TestServer, workspaceId: string, name: string): Promise<string> {
  const response = await holdall.http('/graphql', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ query, variables: { input: { workspaceId, name } } }),
  })
  const { data, errors } = (await response.json()) as any
  return (
    data?.createFolder?.folder?.name ?? errors?.[0]?.extensions?.code ?? data?.createFolder?.code
  )
}

/** Calls `fn` when `text` has been sent to the database for the nth time. */
const at = (text: string, nth: number, act: () => void) => {
  let seen = 0
  return (bytes: Buffer) => {
    if (bytes.includes(text) && ++seen === nth) act()
    return 'pass' as const
  }
}

describe.runIf(database === 'PostgreSQL')('F10: a process that hangs inside a transaction', () => {
  test(
    'that locks a workspace: others continue within seconds, and its transaction is complete when it wakes up',
    timingRetries,
    async () => {
      await using all = await openTwo()
      const { holdall, other, process, network, workspace } = all
      network.decideFate(at('for no key update', 1, () => process.signal('SIGSTOP')))
      const requested = makeFolder(other, workspace.id, 'of the one that hangs')
      await sleep(500)
      const since = performance.now()
      expect(await makeFolder(holdall, workspace.id, 'of another')).toBe('of another')
      expect(performance.now() - since).toBeLessThan(5000)
      process.signal('SIGCONT')
      expect(await requested).toBe('of the one that hangs')
      expect((await children(holdall, workspace.root.id)).map(({ name }) => name).sort()).toEqual([
        'of another',
        'of the one that hangs',
      ])
      await expectExact(holdall, workspace)
    },
  )

  test(
    'among many that wait for the same workspace, in each of them in turn',
    timingRetries,
    async () => {
      await using all = await openTwo()
      const { holdall, other, process, network, workspace } = all
      network.decideFate(at('for no key update', 8, () => process.signal('SIGSTOP')))
      const names = Array.from({ length: 30 }, (_, i) => `F${i}`)
      const requested = markHandled(
        Promise.all(names.map((name) => makeFolder(other, workspace.id, name))),
      )
      await sleep(500)
      const since = performance.now()
      let answer = ''
      while (answer !== 'of another') {
        answer = await makeFolder(holdall, workspace.id, 'of another')
        expect(['of another', 'UNAVAILABLE']).toContain(answer)
      }
      expect(performance.now() - since).toBeLessThan(5000)
      process.signal('SIGCONT')
      const answers = await requested
      const there = (await children(holdall, workspace.root.id)).map(({ name }) => name)
      // One may not know the result of its commit, and reports that.
      const done = answers.filter((name) => name !== 'UNAVAILABLE')
      expect(done.length).toBeGreaterThan(20)
      expect(there).toEqual(expect.arrayContaining(done))
      await expectExact(holdall, workspace)
    },
  )

  test('the wait for a workspace lock is a metric', async () => {
    await using holdall = await startTestServer({ env: { METRICS: 'open' } })
    await createWorkspace(holdall)
    const text = await (await holdall.http('/metrics')).text()
    expect(text).toMatch(/^workspace_lock_wait_seconds_bucket\{le="3"\} \d+$/m)
  })
})

describe.runIf(database === 'PostgreSQL')('F7: a network that drops packets silently', () => {
  test(
    'within a transaction: others continue, and it is repeated on another connection',
    timingRetries,
    async () => {
      await using all = await openTwo()
      const { holdall, other, network, workspace } = all
      network.decideFate(at('for no key update', 1, () => network.blackHole()))
      const since = performance.now()
      const requested = makeFolder(other, workspace.id, 'over a black hole')
      await sleep(300)
      expect(await makeFolder(holdall, workspace.id, 'of another')).toBe('of another')
      expect(performance.now() - since).toBeLessThan(5500)
      expect(await requested).toBe('over a black hole')
      expect(performance.now() - since).toBeLessThan(10_000)
      await expectExact(holdall, workspace)
    },
  )

  test(
    'on all existing connections: each request is answered on a new one',
    timingRetries,
    async () => {
      await using all = await openTwo()
      const { other, network, workspace } = all
      const names = Array.from({ length: 12 }, (_, i) => `F${i}`)
      const make = () => Promise.all(names.map((name) => makeFolder(other, workspace.id, name)))
      await make()
      network.blackHole()
      const since = performance.now()
      expect(new Set(await make())).toEqual(new Set(['NAME_CONFLICT']))
      expect(await makeFolder(other, workspace.id, 'after')).toBe('after')
      expect(performance.now() - since).toBeLessThan(10_000)
    },
  )
})
