import { createHash, randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from 'pg'
import { describe, expect, test, vi } from 'vitest'
import { attempt, createUpload, createWorkspace, entryByPath } from '../../support/client.ts'
import { database } from '../../support/databases.ts'
import { tusOf, until } from '../../support/network/tus.ts'
import { type Cluster, openCluster } from '../../support/servers/cluster.ts'

const ADMIN_TOKEN = 'three-processes-one-lease'
const MIB = 1024 * 1024
/** Number of rounds per case; CONFIRM_ROUNDS sets more. */
const ROUNDS = Number(process.env.CONFIRM_ROUNDS ?? 2)

vi.setConfig({ testTimeout: 120_000 + ROUNDS * 30_000 })

async function open(clockOffsets: number[] = []) {
  const cluster = await openCluster({ env: { ADMIN_TOKEN }, clockOffsets })
  const { id: workspaceId } = await createWorkspace(cluster.holdall)
  const rows = new Client({ connectionString: cluster.env.DATABASE_URL })
  await rows.connect()
  return {
    ...cluster,
    workspaceId,
    rows,
    async [Symbol.asyncDispose]() {
      await rows.end()
      await cluster[Symbol.asyncDispose]()
    },
  }
}
type Here = Cluster & { workspaceId: string; rows: Client }

/**
 * Creates an upload whose bytes another process has received, so that the confirming process must read
 * and hash them.
 */
async function received({ at, workspaceId }: Here, name: string) {
  const bytes = randomBytes(48 * MIB)
  const upload = await createUpload(at(1), { workspaceId, name, size: bytes.length })
  expect((await tusOf(at(1)).patch(upload.url, 0, bytes)).status).toBe(204)
  return { id: upload.id, sha256: createHash('sha256').update(bytes).digest('hex') }
}

const confirmAt = (here: Here, index: number, uploadId: string) =>
  attempt(here.at(index), 'confirmUpload', { uploadId }, 'file { id sha256 }')

/** Resolves once the confirm of an upload has begun. */
const begun = ({ rows }: Here, id: string) =>
  until(async () => {
    const found = await rows.query('select status from uploads where id = $1', [id])
    return found.rows[0].status !== 'RECEIVED'
  })

async function fenceOf({ rows }: Here, id: string): Promise<number> {
  return Number((await rows.query('select fence from uploads where id = $1', [id])).rows[0].fence)
}

/** Runs `fn` for the uploads of ROUNDS rounds; each must be confirmed exactly once. */
async function runRounds(here: Here, act: (id: string) => Promise<any[]>) {
  for (let round = 0; round < ROUNDS; round += 1) {
    const { id, sha256 } = await received(here, `${round}.bin`)
    const answers = await act(id)
    const file = await entryByPath(here.holdall, here.workspaceId, `${round}.bin`)
    for (const answer of answers) expect(answer.file).toEqual({ id: file?.id, sha256 })
  }
}

describe.skipIf(database === 'SQLite')('the lease of a confirm among several processes', () => {
  test('F17: a process that was suspended during a confirm responds with the actual result', async () => {
    await using here = await open()
    let takeovers = 0
    await runRounds(here, async (id) => {
      const mine = confirmAt(here, 0, id)
      await begun(here, id)
      here.members[0]?.freeze()
      const fence = await fenceOf(here, id)
      const other = await confirmAt(here, 2, id)
      here.members[0]?.resume()
      if ((await fenceOf(here, id)) > fence) takeovers += 1
      return [await mine, other]
    })
    console.log(`stood still: ${takeovers} of ${ROUNDS} were overtaken`)
    expect(takeovers).toBeGreaterThan(0)
  })

  test('F17: also if no other client confirmed meanwhile', async () => {
    await using here = await open()
    await runRounds(here, async (id) => {
      const mine = confirmAt(here, 0, id)
      await begun(here, id)
      here.members[0]?.freeze()
      await sleep(7_000)
      here.members[0]?.resume()
      return [await mine]
    })
  })

  test.each([6_000, 120_000])(
    'F8: a process whose clock is %d ms ahead does not take over a live confirm',
    async (ms) => {
      await using here = await open([0, 0, ms])
      let takeovers = 0
      await runRounds(here, async (id) => {
        const mine = confirmAt(here, 0, id)
        await begun(here, id)
        const fence = await fenceOf(here, id)
        const answers = await Promise.all([mine, confirmAt(here, 2, id), confirmAt(here, 1, id)])
        if ((await fenceOf(here, id)) > fence) takeovers += 1
        return answers
      })
      // On a busy machine a live process may be suspended for as long as its lease.
      console.log(`${ms} ms ahead: ${takeovers} of ${ROUNDS} were overtaken`)
      expect(takeovers).toBeLessThan(ROUNDS)
    },
  )

  test.each([6_000, 120_000])(
    'F8, F17: a dead process whose clock was %d ms ahead blocks a confirm no longer than its lease',
    async (ms) => {
      await using here = await open([ms, 0, 0])
      await runRounds(here, async (id) => {
        const lost = confirmAt(here, 0, id).catch(() => null)
        await begun(here, id)
        await here.members[0]?.kill()
        await lost
        const answer = await confirmAt(here, 2, id)
        await here.members[0]?.start()
        return [answer]
      })
    },
  )

  test('F8: other processes run the confirm job that it left', async () => {
    await using here = await open([120_000, 0, 0])
    for (let round = 0; round < ROUNDS; round += 1) {
      const bytes = randomBytes(16 * MIB)
      const declared = { workspaceId: here.workspaceId, filename: `${round}.auto`, confirm: 'auto' }
      const url = await tusOf(here.at(1)).create(declared, { 'Upload-Length': `${bytes.length}` })
      const sending = tusOf(here.at(0))
        .patch(url, 0, bytes)
        .catch(() => null)
      await until(async () => {
        const { rows } = await here.rows.query(
          `select status from uploads where name = '${round}.auto'`,
        )
        return ['RECEIVED', 'PROCESSING'].includes(rows[0].status)
      })
      await here.members[0]?.kill()
      await sending
      const status = async () => (await tusOf(here.at(2)).head(url)).status
      await until(async () => (await status()) !== 423, 20_000)
      expect(await status()).toBe(200)
      expect(await entryByPath(here.holdall, here.workspaceId, `${round}.auto`)).not.toBe(null)
      await here.members[0]?.start()
    }
  })
})
